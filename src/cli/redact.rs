//! Takes secrets out of texts that somebody else will read. What writes such texts leaves secrets out by itself; this finds
//! what went wrong there: by its form, by the name in front of it, or because it is known.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Secrets by their form. What is in the first group stays.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // Private keys, whole.
        r"()-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)",
        // JSON Web Tokens.
        r"()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*",
        // Credentials in headers.
        r"(?i)\b((?:basic|bearer|dpop)\s+)[A-Za-z0-9+/=._~-]{8,}",
        r"(?i)\b((?:authorization|proxy-authorization|cookie|set-cookie|apikey|internal-key)\s*[:=]\s*)[^\r\n]+",
        // User and password in addresses.
        r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@",
        // name=value and "name": "value".
        r#"(?i)([\w.-]*(?:password|passwd|secret|token|api_?key|private_?key|client_assertion|credential)s?\b["']?\s*[:=]\s*["']?)[^\s"'&,;}\]]+"#,
    ]
    .iter()
    .map(|form| Regex::new(form).expect("the forms are tested"))
    .collect()
});

/// Words of names whose values are secrets.
const NAMES: [&str; 7] = ["password", "passwd", "secret", "api_key", "apikey", "private_key", "credential"];

/// Takes out secrets.
#[derive(Debug, Default)]
pub struct Redactor {
    known: Vec<String>,
}

impl Redactor {
    /// Makes one that takes out these texts too, wherever they are. Those of less than four characters are not looked for:
    /// they would be found everywhere.
    pub fn new(known: impl IntoIterator<Item = String>) -> Self {
        Self { known: known.into_iter().filter(|text| text.len() >= 4).collect() }
    }

    /// Returns a text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut text = anstream::adapter::strip_str(text).to_string();
        for known in &self.known {
            text = text.replace(known, REDACTED);
        }
        for form in FORMS.iter() {
            text = form.replace_all(&text, format!("${{1}}{REDACTED}")).into_owned();
        }
        text
    }

    /// Returns a JSON value without secrets: those in texts, and the values of names that tell.
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| {
                    let is_secret = NAMES.iter().any(|word| name.to_lowercase().contains(word));
                    let shown = match value {
                        Value::String(text) if is_secret && !text.is_empty() => Value::String(REDACTED.to_owned()),
                        value => self.value(value),
                    };
                    (name.clone(), shown)
                };
                Value::Object(fields.iter().map(field).collect())
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_by_form_by_name_and_because_they_are_known() {
        let redactor = Redactor::new(["hunter22".to_owned(), "abc".to_owned()]);
        for (text, shown) in [
            ("signs in as ann with hunter22", "signs in as ann with [redacted]"),
            ("abc is too short to be looked for", "abc is too short to be looked for"),
            ("Authorization: Basic YWRtaW46YWRtaW4=\nnext", "Authorization: [redacted]\nnext"),
            ("sent Bearer 0123456789abcdef to", "sent Bearer [redacted] to"),
            ("amqp://guest:guest@mq.example.com:5672/%2f", "amqp://[redacted]mq.example.com:5672/%2f"),
            ("https://user@host/", "https://[redacted]host/"),
            ("grant_type=password&password=p4ss&scope=x", "grant_type=password&password=[redacted]&scope=x"),
            ("client_secret: \"s3cr3t\" ok", "client_secret: \"[redacted]\" ok"),
            ("token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln is", "token [redacted] is"),
            ("\u{1b}[32mINFO\u{1b}[0m ready", "INFO ready"),
            ("policies of tokens and secrets are listed", "policies of tokens and secrets are listed"),
            ("portcullis_token_validations_total 7", "portcullis_token_validations_total 7"),
            ("mail to ann@example.com", "mail to ann@example.com"),
        ] {
            assert_eq!(redactor.text(text), shown);
        }
        let key = "before -----BEGIN PRIVATE KEY-----\nMIGH\nAgEA\n-----END PRIVATE KEY----- after";
        assert_eq!(redactor.text(key), "before [redacted] after");
        assert!(!redactor.text("-----BEGIN EC PRIVATE KEY-----\nMIGH cut off").contains("MIGH"));
    }

    #[test]
    fn values_of_names_that_tell_are_taken_out_and_the_rest_keeps_its_form() {
        let redactor = Redactor::default();
        let told =
            json!({"consumerSecret": "x", "list": [{"password": "y", "port": 1}], "secret": "", "has_secret": true});
        let shown = json!({"consumerSecret": REDACTED, "list": [{"password": REDACTED, "port": 1}], "secret": "", "has_secret": true});
        assert_eq!(redactor.value(&told), shown);
    }
}
