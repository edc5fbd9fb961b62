//! The claims of a token, as far as policies look at them. They are read only of tokens that the key manager has found
//! good; an opaque token has none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Claims of one token that are looked at.
const CLAIMS_MAX: usize = 200;
/// Characters of a claim's value that are looked at.
pub(crate) const VALUE_CHARS_MAX: usize = 1_024;

/// Returns the claims of a JSON Web Token as name and text; of a list each item.
pub(crate) fn of_token(token: &str) -> Vec<(String, String)> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
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

    use super::of_token;

    #[test]
    fn texts_numbers_and_lists_are_claims_and_an_opaque_token_has_none() {
        let payload = r#"{"sub":"ann","age":7,"ok":true,"roles":["a","b"],"deep":{"x":1},"none":null}"#;
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload));
        let found: Vec<String> = of_token(&token).iter().map(|(name, text)| format!("{name}={text}")).collect();
        assert_eq!(found, ["sub=ann", "age=7", "ok=true", "roles=a", "roles=b"]);
        for other in ["opaque", "a.b", "a.b.c.d", "a.!.c", ""] {
            assert_eq!(of_token(other), [], "{other}");
        }
    }
}
