//! `${env:NAME}` and `${file:PATH}`: what stands in files for what must not be in them.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::kind::{Key, Kind, Shape};
use crate::exit::Exit;
use crate::failure::Failure;

/// Bytes of a file that a text stands for.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The fields of endpoints that are secrets: the server shows them blank.
const ENDPOINT_SECRETS: [&str; 5] = ["password", "clientSecret", "apiKeyValue", "secretKey", "amznSecretKey"];

/// Says whether a text stands for something else, in whole or in part.
pub fn is_in(text: &str) -> bool {
    parts(text).any(|part| matches!(part, Part::Stands { .. }))
}

/// Says whether something has such a text anywhere.
pub fn is_within(value: &Value) -> bool {
    match value {
        Value::String(text) => is_in(text),
        Value::Array(items) => items.iter().any(is_within),
        Value::Object(fields) => fields.values().any(is_within),
        _ => false,
    }
}

/// Puts in place what texts stand for. `directory` is where paths begin.
///
/// # Errors
/// Where a variable is not set, or a file cannot be read.
pub fn expand(text: &str, directory: &Path) -> Result<String, Failure> {
    let mut whole = String::new();
    for part in parts(text) {
        match part {
            Part::Plain(plain) => whole.push_str(plain),
            Part::Stands { of: "env", what } => {
                let value = std::env::var(what).map_err(|_| {
                    let why = format!("${{env:{what}}} stands for a variable of the environment that is not set");
                    Failure::new(Exit::Failed, "a text cannot be put in place", why, format!("{what}=… portcullis …"))
                })?;
                whole.push_str(&value);
            }
            Part::Stands { what, .. } => whole.push_str(&content(&directory.join(what))?),
        }
    }
    Ok(whole)
}

/// The same for all texts of a value.
///
/// # Errors
/// As [`expand`].
pub fn expand_all(value: &Value, directory: &Path) -> Result<Value, Failure> {
    Ok(match value {
        Value::String(text) => Value::String(expand(text, directory)?),
        Value::Array(items) => items.iter().map(|item| expand_all(item, directory)).collect::<Result<_, _>>()?,
        Value::Object(fields) => {
            let expanded = fields.iter().map(|(name, value)| Ok((name.clone(), expand_all(value, directory)?)));
            Value::Object(expanded.collect::<Result<Map<_, _>, Failure>>()?)
        }
        other => other.clone(),
    })
}

fn content(path: &Path) -> Result<String, Failure> {
    let failed = |cause: &std::io::Error| {
        Failure::from_io(format!("{} cannot be read", path.display()), cause, "check what ${file:…} names")
    };
    let size = std::fs::metadata(path).map_err(|cause| failed(&cause))?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(&std::io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"))));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| failed(&cause))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// A part of a text.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    Plain(&'a str),
    Stands { of: &'a str, what: &'a str },
}

/// Takes a text apart. `$${` is a plain `${`.
fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("$${") {
            rest = after;
            return Some(Part::Plain("${"));
        }
        if let Some((part, after)) = placeholder(rest) {
            rest = after;
            return Some(part);
        }
        // Up to the next dollar sign, which is at least one character on.
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let end = rest[first..].find('$').map_or(rest.len(), |at| at + first);
        let (plain, after) = rest.split_at(end);
        rest = after;
        Some(Part::Plain(plain))
    })
}

fn placeholder(text: &str) -> Option<(Part<'_>, &str)> {
    let (inside, after) = text.strip_prefix("${")?.split_once('}')?;
    let (of, what) = inside.split_once(':')?;
    let is_one = matches!(of, "env" | "file") && !what.is_empty();
    is_one.then_some((Part::Stands { of, what }, after))
}

/// Makes what the server says of an object what a file may say: secrets are stood for, and texts that look like it are not
/// taken for that.
pub fn hide(kind: &Kind, key: &Key, spec: &mut Value) {
    escape(spec);
    let stem = format!("{}_{}_{}", kind.word, key.name, key.version.as_deref().unwrap_or_default());
    if kind.shape == Shape::Api {
        if let Some(config) = spec.get_mut("endpointConfig") {
            stand_for_blanks(config, &stem);
        }
        // Where none is said the one that is there stays, and a new API gets one of its own.
        let signing = spec.get_mut("websubSubscriptionConfiguration").and_then(Value::as_object_mut);
        if let Some(signing) =
            signing.filter(|signing| signing.get("secret").is_some_and(|secret| *secret != json!("")))
        {
            signing.shift_remove("secret");
        }
        for endpoint in spec.get_mut("endpoints").and_then(Value::as_array_mut).into_iter().flatten() {
            let stem = format!("{stem}_{}", endpoint["name"].as_str().unwrap_or_default());
            stand_for_blanks(&mut endpoint["endpointConfig"], &stem);
        }
    }
    if kind.word == "KeyManager"
        && let Some(properties) = spec.get_mut("additionalProperties").and_then(Value::as_object_mut)
    {
        for (who, secret) in [("Username", "Password"), ("client_id", "client_secret")] {
            if properties.get(who).and_then(Value::as_str).is_some_and(|who| !who.is_empty()) {
                properties.insert(secret.to_owned(), json!(variable(&stem, secret)));
            }
        }
    }
}

/// Makes plain texts of those that would stand for others: what [`expand_all`] makes of them is what they were.
pub fn escape(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("${") => *text = text.replace("${", "$${"),
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(fields) => fields.values_mut().for_each(escape),
        _ => {}
    }
}

fn variable(stem: &str, field: &str) -> String {
    let name: String = format!("{stem}_{field}")
        .chars()
        .map(|one| if one.is_ascii_alphanumeric() { one.to_ascii_uppercase() } else { '_' })
        .collect();
    format!("${{env:{name}}}")
}

/// Stands for what proofs need, where they are on; other blanks are left out.
fn stand_for_blanks(value: &mut Value, stem: &str) {
    match value {
        Value::Object(fields) => {
            let is_on = fields.get("enabled").is_none_or(|enabled| *enabled == json!(true));
            let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
            let is_by_password = fields.get("grantType").and_then(Value::as_str) == Some("PASSWORD");
            let is_needed = |name: &str| match kind.as_str() {
                "basic" | "digest" => name == "password",
                "oauth" => name == "clientSecret" || (name == "password" && is_by_password),
                "apikey" => name == "apiKeyValue",
                "aws" => name == "secretKey",
                _ => true,
            };
            fields.retain(|name, value| {
                let is_blank = ENDPOINT_SECRETS.contains(&name.as_str()) && *value == json!("");
                if is_blank && is_on && is_needed(name) {
                    *value = json!(variable(stem, name));
                    return true;
                }
                !is_blank
            });
            for (name, value) in fields.iter_mut() {
                stand_for_blanks(value, &format!("{stem}_{name}"));
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter_mut().enumerate() {
                stand_for_blanks(item, &format!("{stem}_{number}"));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::kind::of_word;

    #[test]
    fn texts_stand_for_variables_and_files_in_whole_and_in_part() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("secret"), "s3cret\n").unwrap();
        let expanded = |text: &str| expand(text, place.path());
        assert_eq!(expanded("a ${file:secret} b").unwrap(), "a s3cret b");
        assert_eq!(expanded("$${file:secret} $5 ${other} ü$").unwrap(), "${file:secret} $5 ${other} ü$");
        assert!(expanded("${env:PORTCULLIS_IS_NOT_SET}").unwrap_err().summary().contains("PORTCULLIS_IS_NOT_SET"));
        expanded("${file:nothing}").unwrap_err();
        assert!(is_in("x${env:A}") && !is_in("$${env:A}") && !is_in("${env:}"));
    }

    #[test]
    fn what_is_exported_has_no_secret_and_stands_for_those_that_are_needed() {
        let key = Key { name: "Pizza Shop".to_owned(), version: Some("1.0".to_owned()) };
        let security = json!({
            "production": {"enabled": true, "type": "BASIC", "username": "u", "password": "", "clientSecret": ""},
            "sandbox": {"enabled": false, "type": "BASIC", "password": ""},
        });
        let mut spec = json!({"description": "costs ${env:A}", "endpointConfig": {"endpoint_security": security}});
        spec["websubSubscriptionConfiguration"] = json!({"enable": true, "secret": "s3cret"});
        hide(of_word("Api").unwrap(), &key, &mut spec);
        assert_eq!(spec["websubSubscriptionConfiguration"], json!({"enable": true}));
        let security = &spec["endpointConfig"]["endpoint_security"];
        let wanted = "${env:API_PIZZA_SHOP_1_0_ENDPOINT_SECURITY_PRODUCTION_PASSWORD}";
        assert_eq!(security["production"]["password"], wanted);
        assert!(security["production"].get("clientSecret").is_none() && security["sandbox"].get("password").is_none());
        assert_eq!(expand(spec["description"].as_str().unwrap(), Path::new(".")).unwrap(), "costs ${env:A}");
    }
}
