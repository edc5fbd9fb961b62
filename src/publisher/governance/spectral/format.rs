//! The kinds of documents that rules are for (`formats`).

use serde_json::Value;

use super::read::one_or_many;

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Oas2,
    Oas3,
    Oas3_0,
    Oas3_1,
}

impl Format {
    /// Reads `formats`; `None` where none are said, which is a rule for all documents.
    pub(super) fn read(value: &Value) -> Result<Option<Vec<Self>>, String> {
        if value.is_null() {
            return Ok(None);
        }
        let mut formats = Vec::new();
        for one in one_or_many(value) {
            let format = match one.as_str() {
                Some("oas2") => Self::Oas2,
                Some("oas3") => Self::Oas3,
                Some("oas3_0" | "oas3.0") => Self::Oas3_0,
                Some("oas3_1" | "oas3.1") => Self::Oas3_1,
                _ => return Err(format!("formats has {one}; oas2, oas3, oas3_0 and oas3_1 are served")),
            };
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        Ok(Some(formats))
    }

    /// Says whether a document is of this kind.
    pub(super) fn is_of(self, document: &Value) -> bool {
        // YAML reads a version without quotes as a number.
        let has = |member: &str, version: &str| {
            let text = match &document[member] {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return false,
            };
            text.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match self {
            Self::Oas2 => has("swagger", "2"),
            Self::Oas3 => has("openapi", "3"),
            Self::Oas3_0 => has("openapi", "3.0"),
            Self::Oas3_1 => has("openapi", "3.1"),
        }
    }
}
