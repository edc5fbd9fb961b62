//! What may be asked of keys and tokens: grants, callback, validity, scopes, further settings. Checks only.

use portcullis_model::Refused;
use serde_json::{Map, Value};

use crate::dto::key::{NumberOrText, RESIDENT_KEY_MANAGER};

/// Characters of a callback URL.
const CALLBACK_CHARS_MAX: usize = 2048;
/// Scopes in one request.
const SCOPES_MAX: usize = 100;
/// Characters of a scope.
const SCOPE_CHARS_MAX: usize = 255;
/// Bytes of further settings.
const PROPERTIES_BYTES_MAX: usize = 16 << 10;
/// The longest life of a token, in seconds: 68 years, the original's way to say "never".
const VALIDITY_S_MAX: u64 = 2_147_483_647;
/// The setting that says how long an application's tokens live.
const APPLICATION_VALIDITY: &str = "application_access_token_expiry_time";
/// The original's way to leave a setting at its default.
const NOT_SET: &str = "N/A";

/// Grants of the original that keys may name though the Key Manager does not serve them, so that its users' scripts
/// work; the token endpoint refuses them.
const ORIGINAL_GRANTS: [&str; 10] = [
    "authorization_code",
    "client_credentials",
    "implicit",
    "iwa:ntlm",
    "password",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];

/// The grant with which an application gets its own token.
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Says whether the key manager that is part of every cluster is meant.
pub(crate) fn is_resident(name: Option<&str>) -> bool {
    matches!(name, None | Some("" | "default" | RESIDENT_KEY_MANAGER))
}

/// Returns the grants without repetition.
pub(crate) fn check_grants(field: &str, grants: &[String], served: &[String]) -> Result<Vec<String>, Refused> {
    if grants.is_empty() {
        return Err(Refused::invalid(field, "must name at least one grant type"));
    }
    let mut checked: Vec<String> = Vec::new();
    for grant in grants {
        if !served.contains(grant) && !ORIGINAL_GRANTS.contains(&grant.as_str()) {
            let reason = format!("{grant} is no grant type; there are: {}", served.join(", "));
            return Err(Refused::invalid(field, reason));
        }
        if !checked.contains(grant) {
            checked.push(grant.clone());
        }
    }
    Ok(checked)
}

/// Refuses a callback that is no absolute URL, and a missing one where a grant sends users back.
pub(crate) fn check_callback(callback: &str, grants: &[String]) -> Result<(), Refused> {
    let refuse = |reason: String| Err(Refused::invalid("callbackUrl", reason));
    if callback.is_empty() {
        let sends_back = grants.iter().find(|grant| matches!(grant.as_str(), "authorization_code" | "implicit"));
        return match sends_back {
            Some(grant) => refuse(format!("is required with the grant type {grant}")),
            None => Ok(()),
        };
    }
    let length = callback.chars().count();
    if length > CALLBACK_CHARS_MAX {
        return refuse(format!("may have at most {CALLBACK_CHARS_MAX} characters, not {length}"));
    }
    // The original's form for several addresses.
    if callback.starts_with("regexp=") {
        return Ok(());
    }
    let scheme = callback.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    if !is_scheme || callback.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '#') {
        return refuse("must be an absolute URL without a fragment, such as https://example.com/callback".to_owned());
    }
    Ok(())
}

/// Returns how long a token is to live, in seconds; `None` for the default.
pub(crate) fn check_validity(field: &str, validity: Option<&NumberOrText>) -> Result<Option<u64>, Refused> {
    let number = match validity {
        None => return Ok(None),
        Some(NumberOrText::Number(number)) => Some(*number),
        Some(NumberOrText::Text(text)) if text.trim().is_empty() || text.trim() == NOT_SET => return Ok(None),
        Some(NumberOrText::Text(text)) => text.trim().parse().ok(),
    };
    let seconds = match number {
        Some(-1) => Some(VALIDITY_S_MAX),
        Some(number) => u64::try_from(number).ok().filter(|seconds| (1..=VALIDITY_S_MAX).contains(seconds)),
        None => None,
    };
    let reason =
        || format!("must be a whole number of seconds from 1 to {VALIDITY_S_MAX}, or -1 for as long as can be");
    seconds.map(Some).ok_or_else(|| Refused::invalid(field, reason()))
}

/// Returns the scopes without those that mean "no scope in particular".
pub(crate) fn check_scopes(scopes: Vec<String>) -> Result<Vec<String>, Refused> {
    if scopes.len() > SCOPES_MAX {
        return Err(Refused::invalid("scopes", format!("at most {SCOPES_MAX} are possible, not {}", scopes.len())));
    }
    let is_token = |scope: &String| {
        !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    if let Some(wrong) = scopes.iter().find(|scope| !is_token(scope) || scope.len() > SCOPE_CHARS_MAX) {
        let reason =
            format!("`{wrong}` is not a scope: 1 to {SCOPE_CHARS_MAX} visible ASCII characters without \" and \\");
        return Err(Refused::invalid("scopes", reason));
    }
    Ok(scopes.into_iter().filter(|scope| !matches!(scope.as_str(), "am_application_scope" | "default")).collect())
}

/// Further settings of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    /// The settings as a JSON object.
    pub text: String,
    /// How long the application's tokens live, where it is set.
    pub token_validity_s: Option<u64>,
}

/// Reads further settings: an object, or an object as text. `None` where nothing is said.
pub(crate) fn check_properties(value: Option<&Value>) -> Result<Option<Properties>, Refused> {
    const FIELD: &str = "additionalProperties";
    let settings: Map<String, Value> = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::Object(settings)) => settings.clone(),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map_err(|error| Refused::invalid(FIELD, format!("is not a JSON object: {error}")))?,
        Some(_) => return Err(Refused::invalid(FIELD, "must be an object, or an object as text")),
    };
    let mut token_validity_s = None;
    for (name, value) in &settings {
        if !name.ends_with("_expiry_time") {
            continue;
        }
        let field = format!("{FIELD}.{name}");
        let said = match value {
            Value::Number(number) => NumberOrText::Number(number.as_i64().unwrap_or(0)),
            Value::String(text) => NumberOrText::Text(text.clone()),
            _ => return Err(Refused::invalid(&field, "must be a number of seconds")),
        };
        let seconds = check_validity(&field, Some(&said))?;
        if name == APPLICATION_VALIDITY {
            token_validity_s = seconds;
        }
    }
    let text = Value::Object(settings).to_string();
    if text.len() > PROPERTIES_BYTES_MAX {
        return Err(Refused::invalid(
            FIELD,
            format!("may have at most {PROPERTIES_BYTES_MAX} bytes, not {}", text.len()),
        ));
    }
    Ok(Some(Properties { text, token_validity_s }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(all: &[&str]) -> Vec<String> {
        all.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_grant_that_sends_users_back_needs_a_callback() {
        assert!(check_callback("", &words(&["client_credentials"])).is_ok());
        assert!(check_callback("", &words(&["authorization_code"])).is_err());
        for good in ["https://example.com/cb", "my.app://cb", "regexp=(https://a|https://b)"] {
            assert!(check_callback(good, &[]).is_ok(), "{good}");
        }
        for bad in ["example.com", "://x", "https://a b", "https://a/#x", "javascript:alert(1)"] {
            assert!(check_callback(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn validity_comes_as_number_or_text() {
        let check = |said| check_validity("validityTime", Some(&said));
        assert_eq!(check(NumberOrText::Number(3600)).unwrap(), Some(3600));
        assert_eq!(check(NumberOrText::Text("3600".to_owned())).unwrap(), Some(3600));
        assert_eq!(check(NumberOrText::Text("-1".to_owned())).unwrap(), Some(VALIDITY_S_MAX));
        assert_eq!(check(NumberOrText::Text("N/A".to_owned())).unwrap(), None);
        for bad in [NumberOrText::Number(0), NumberOrText::Number(-2), NumberOrText::Text("soon".to_owned())] {
            assert!(check(bad).is_err());
        }
    }

    #[test]
    fn further_settings_are_an_object_or_its_text() {
        let as_text = Value::String(r#"{"application_access_token_expiry_time": "60"}"#.to_owned());
        assert_eq!(check_properties(Some(&as_text)).unwrap().unwrap().token_validity_s, Some(60));
        for bad in [serde_json::json!([1]), serde_json::json!("{"), serde_json::json!({"x_expiry_time": true})] {
            assert!(check_properties(Some(&bad)).is_err(), "{bad}");
        }
        assert!(check_grants("grantTypesToBeSupported", &words(&["magic"]), &[]).is_err());
        assert_eq!(check_scopes(words(&["default", "read"])).unwrap(), words(&["read"]));
    }
}
