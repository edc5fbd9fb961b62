//! The claims of a token, as far as policies look at them. They are read only of tokens that the key manager has found
//! good, and when a policy asks for them, which most calls meet none of; an opaque token has none.

use std::cell::OnceCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_model::throttle::TokenClaims;
use serde_json::Value;

/// Claims of one token that are looked at.
const CLAIMS_MAX: usize = 200;
/// Characters of a claim's value that are looked at.
pub(crate) const VALUE_CHARS_MAX: usize = 1_024;

/// The claims of one key.
#[derive(Debug)]
pub(crate) struct Claims {
    /// Those that the token carries, as it was shown; empty where it carries none.
    payload: Box<str>,
    /// Those that the key manager adds.
    added: Vec<(String, String)>,
    read: OnceCell<Vec<(String, String)>>,
}

impl Claims {
    /// Returns the claims of a key: of a token what it carries, and what the key manager adds.
    pub(crate) fn of(token: Option<&str>, added: &[(String, String)]) -> Self {
        let payload = token.and_then(payload).unwrap_or_default();
        Self { payload: payload.into(), added: added.to_vec(), read: OnceCell::new() }
    }
}

impl TokenClaims for Claims {
    fn all(&self) -> &[(String, String)] {
        self.read.get_or_init(|| {
            let mut claims = read(&self.payload);
            claims.extend_from_slice(&self.added);
            claims
        })
    }
}

/// Returns the part of a JSON Web Token that carries the claims; `None` of any other token.
fn payload(token: &str) -> Option<&str> {
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(payload), Some(_), None) => Some(payload),
        _ => None,
    }
}

/// Reads claims as name and text; of a list each item.
fn read(payload: &str) -> Vec<(String, String)> {
    let decoded = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let Ok(Value::Object(members)) = serde_json::from_slice(&decoded) else { return Vec::new() };
    let mut claims = Vec::new();
    for (name, value) in members {
        match value {
            Value::Array(items) => {
                claims.extend(items.iter().filter_map(text).map(|text| (name.clone(), text)));
            }
            value => claims.extend(text(&value).map(|text| (name, text))),
        }
    }
    claims.truncate(CLAIMS_MAX);
    claims
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.chars().take(VALUE_CHARS_MAX).collect()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use portcullis_model::throttle::TokenClaims as _;

    use super::Claims;

    #[test]
    fn texts_numbers_and_lists_are_claims_and_an_opaque_token_has_none() {
        let added = [("of".to_owned(), "us".to_owned())];
        let payload = r#"{"sub":"ann","age":7,"ok":true,"roles":["a","b"],"deep":{"x":1},"none":null}"#;
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload));
        let claims = Claims::of(Some(&token), &added);
        let found: Vec<String> = claims.all().iter().map(|(name, text)| format!("{name}={text}")).collect();
        assert_eq!(found, ["sub=ann", "age=7", "ok=true", "roles=a", "roles=b", "of=us"]);
        for other in ["opaque", "a.b", "a.b.c.d", "a.!.c", ""] {
            assert_eq!(Claims::of(Some(other), &[]).all(), [], "{other}");
            assert_eq!(Claims::of(Some(other), &added).all(), added, "{other}");
        }
        assert_eq!(Claims::of(None, &added).all(), added);
    }
}
