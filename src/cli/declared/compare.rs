//! What of an object is other than its file says. What the file does not say is not compared.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::placeholder;
use crate::failure::Failure;

/// Something that is other than a file says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Where: the names of fields with dots between them.
    pub path: String,
    /// What is there.
    pub from: Value,
    /// What the file says.
    pub to: Value,
}

/// Returns what differs. A secret that the server does not show is taken to be the same.
///
/// # Errors
/// Where a text stands for something that cannot be read.
pub fn changes(wanted: &Value, there: &Value, directory: &Path) -> Result<Vec<Change>, Failure> {
    let mut comparison = Comparison { directory, changes: Vec::new() };
    comparison.walk("", wanted, there)?;
    Ok(comparison.changes)
}

/// Puts what a file says over what is there: objects field by field, everything else whole.
pub fn overlay(there: &Value, wanted: &Value) -> Value {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => {
            let mut whole: Map<String, Value> = there.clone();
            for (name, value) in wanted.iter().filter(|(_, value)| !value.is_null()) {
                let under = whole.get(name).unwrap_or(&Value::Null);
                whole.insert(name.clone(), overlay(under, value));
            }
            Value::Object(whole)
        }
        _ => wanted.clone(),
    }
}

struct Comparison<'a> {
    directory: &'a Path,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    fn walk(&mut self, path: &str, wanted: &Value, there: &Value) -> Result<(), Failure> {
        let is_same = match (wanted, there) {
            (Value::Null, _) => true,
            (Value::Object(wanted), Value::Object(_) | Value::Null) => {
                for (name, value) in wanted {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.walk(&path, value, &there[name.as_str()])?;
                }
                return Ok(());
            }
            (Value::Array(wanted), Value::Array(there)) => return self.lists(path, wanted, there),
            (Value::Array(wanted), Value::Null) => wanted.is_empty(),
            (Value::String(text), _) if placeholder::is_in(text) => {
                let is_hidden =
                    there.is_null() || there.as_str().is_some_and(|there| there.chars().all(|one| one == '*'));
                is_hidden || Some(placeholder::expand(text, self.directory)?.as_str()) == there.as_str()
            }
            (Value::String(text), Value::Null) => text.is_empty(),
            // A line end at the end is how a block of text is written in YAML, and says nothing.
            (Value::String(text), Value::String(there)) => {
                placeholder::expand(text, self.directory)?.trim_end() == there.trim_end()
            }
            (Value::Bool(false), Value::Null) => true,
            (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
            _ => wanted == there,
        };
        if !is_same {
            self.note(path.to_owned(), there, wanted);
        }
        Ok(())
    }

    fn note(&mut self, path: String, from: &Value, to: &Value) {
        self.changes.push(Change { path, from: from.clone(), to: to.clone() });
    }

    fn lists(&mut self, path: &str, wanted: &[Value], there: &[Value]) -> Result<(), Failure> {
        if let (Some(wanted), Some(there)) = (by_key(wanted), by_key(there)) {
            // What a file says of a plain `${` is what is there without the sign before it.
            let plain = |(key, item): (String, _)| (key.replace("$${", "${"), item);
            let wanted: BTreeMap<String, &Value> = wanted.into_iter().map(plain).collect();
            for (key, item) in &wanted {
                self.walk(&format!("{path}[{key}]"), item, there.get(key).copied().unwrap_or(&Value::Null))?;
                if item.as_object().is_some() && !there.contains_key(key) {
                    self.note(format!("{path}[{key}]"), &Value::Null, item);
                }
            }
            for (key, item) in there.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                self.note(format!("{path}[{key}]"), item, &Value::Null);
            }
            return Ok(());
        }
        if wanted.len() != there.len() {
            self.note(path.to_owned(), &Value::Array(there.to_vec()), &Value::Array(wanted.to_vec()));
            return Ok(());
        }
        for (number, (wanted, there)) in wanted.iter().zip(there).enumerate() {
            self.walk(&format!("{path}[{number}]"), wanted, there)?;
        }
        Ok(())
    }
}

/// Returns the items of a list by what tells them apart, where all have that and no two the same; their order then says nothing.
fn by_key(items: &[Value]) -> Option<BTreeMap<String, &Value>> {
    let mut found = BTreeMap::new();
    for item in items {
        if found.insert(key_of(item)?, item).is_some() {
            return None;
        }
    }
    Some(found)
}

fn key_of(item: &Value) -> Option<String> {
    if let Some(text) = item.as_str() {
        return Some(text.to_owned());
    }
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let version = text("version").map(|version| format!(" {version}")).unwrap_or_default();
    match (text("verb"), text("target")) {
        (Some(verb), Some(target)) => Some(format!("{verb} {target}")),
        _ => {
            let named = text("name").or_else(|| text("api"));
            let named = named.or_else(|| item.get("scope").and_then(|scope| scope["name"].as_str()));
            named.map(|name| format!("{name}{version}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(wanted: &Value, there: &Value) -> Vec<String> {
        changes(wanted, there, Path::new(".")).unwrap().into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn only_what_is_said_is_compared_and_order_counts_where_nothing_tells_items_apart() {
        let there = json!({
            "a": 1, "tags": ["x", "y"], "more": {"b": "c", "d": null},
            "operations": [{"verb": "GET", "target": "/a", "authType": "Any"}, {"verb": "GET", "target": "/b"}],
            "steps": [{"policyName": "one"}, {"policyName": "two"}],
        });
        let same = json!({
            "a": 1.0, "tags": ["y", "x"], "more": {"b": "c", "d": ""}, "nothing": null, "empty": [], "off": false,
            "operations": [{"verb": "GET", "target": "/b"}, {"verb": "GET", "target": "/a"}],
        });
        assert_eq!(paths(&same, &there), Vec::<String>::new());
        let other =
            json!({"a": 2, "tags": ["x"], "more": {"b": "d"}, "steps": [{"policyName": "two"}, {"policyName": "one"}]});
        let wanted = ["a", "tags[y]", "more.b", "steps[0].policyName", "steps[1].policyName"];
        assert_eq!(paths(&other, &there), wanted);
        let fewer = json!({"operations": [{"verb": "GET", "target": "/a", "authType": "None"}]});
        assert_eq!(paths(&fewer, &there), ["operations[GET /a].authType", "operations[GET /b]"]);
    }

    #[test]
    fn a_secret_that_is_not_shown_is_taken_to_be_the_same() {
        let wanted = json!({"password": "${env:PORTCULLIS_IS_NOT_SET}"});
        assert_eq!(paths(&wanted, &json!({"password": ""})), Vec::<String>::new());
        assert_eq!(paths(&wanted, &json!({"password": "*****"})), Vec::<String>::new());
        changes(&wanted, &json!({"password": "shown"}), Path::new(".")).unwrap_err();
    }

    #[test]
    fn a_plain_text_that_looks_like_it_stands_for_another_is_the_same_in_lists() {
        let there = json!({"enum": ["${a}", "b"], "tags": [{"name": "${env:A}"}]});
        let mut wanted = there.clone();
        placeholder::escape(&mut wanted);
        assert_eq!(paths(&wanted, &there), Vec::<String>::new());
    }

    #[test]
    fn what_is_said_goes_over_what_is_there() {
        let there = json!({"a": {"b": 1, "c": 2}, "list": [1, 2]});
        let whole = overlay(&there, &json!({"a": {"b": 3, "d": null}, "list": [4]}));
        assert_eq!(whole, json!({"a": {"b": 3, "c": 2}, "list": [4]}));
    }
}
