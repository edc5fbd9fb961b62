//! Examples of what an operation answers: those that its document has, or else ones that fit its schemas.

use std::fmt::Write as _;

use portcullis_model::mediation::own_answer::{Answer, MockAnswers};
use serde_json::{Map, Value, json};

use crate::openapi::check::resolve_item;

/// The media types of which a script can hold answers.
pub(super) const JSON: &str = "application/json";
pub(super) const XML: &str = "application/xml";
/// How deep a made-up example goes: schemas may hold themselves.
const DEPTH_MAX: usize = 10;
/// Values of one made-up example.
const VALUES_MAX: usize = 2_000;
/// Bytes of all examples of a document: what they become must fit into the fields of an API.
pub(super) const BYTES_MAX: usize = 1 << 20;
/// Bytes of an answer besides its body, as it is kept.
const ANSWER_BYTES: usize = 64;
/// The status of an operation whose document names none.
const USUAL: u16 = 200;

/// What may still be made of the examples of a document. Everything takes from it before it is made, since a short
/// document may name one large example many times.
pub(super) struct Budget {
    bytes: usize,
    values: usize,
}

impl Budget {
    /// That of a whole document.
    pub(super) fn new() -> Self {
        Self { bytes: BYTES_MAX, values: 0 }
    }

    /// `None` where it is used up.
    fn take(&mut self, bytes: usize) -> Option<()> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(())
    }

    /// Takes what a value has as indented JSON, about, and copies it.
    fn copy(&mut self, value: &Value) -> Option<Value> {
        self.take_value(value, 0)?;
        Some(value.clone())
    }

    fn take_value(&mut self, value: &Value, depth: usize) -> Option<()> {
        let own = if let Value::String(text) = value { text.len() } else { 0 };
        self.take(own + 2 * depth + 2)?;
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.take_value(item, depth + 1)),
            Value::Object(map) => map.iter().try_for_each(|(name, item)| {
                self.take(name.len())?;
                self.take_value(item, depth + 1)
            }),
            _ => Some(()),
        }
    }
}

/// Returns what an operation answers by its examples: the least status that it names is the usual one; `None` where the
/// budget is used up.
pub(super) fn answers(document: &Value, operation: &Value, left: &mut Budget) -> Option<MockAnswers> {
    let mut answers = Vec::new();
    let responses = operation.get("responses").and_then(Value::as_object);
    for (name, response) in responses.into_iter().flatten() {
        let Some(status) = status_of(name) else { continue };
        let Ok(response) = resolve_item(document, response) else { continue };
        let content = response.get("content").and_then(Value::as_object);
        let before = answers.len();
        for wanted in [JSON, XML] {
            let found = content.into_iter().flatten().find(|(media_type, _)| essence(media_type) == wanted);
            if let Some((_, media)) = found {
                let body = body_of(document, media, wanted, left)?;
                answers.push(Answer { status, media_type: wanted.to_owned(), headers: Vec::new(), body });
            }
        }
        left.take(ANSWER_BYTES * (answers.len() - before).max(1))?;
        if answers.len() == before {
            answers.push(Answer { status, media_type: JSON.to_owned(), headers: Vec::new(), body: String::new() });
        }
    }
    let usual = answers.iter().map(|answer| answer.status).min().unwrap_or(USUAL);
    Some(MockAnswers { usual, answers })
}

/// Returns the status that a response is of; of a range, such as `2XX`, its first.
fn status_of(name: &str) -> Option<u16> {
    let status = name.to_ascii_uppercase().replace("XX", "00").parse().ok()?;
    (200..600).contains(&status).then_some(status)
}

fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn body_of(document: &Value, media: &Value, media_type: &str, left: &mut Budget) -> Option<String> {
    let before = left.bytes;
    let named = media.get("examples").and_then(Value::as_object).and_then(|all| all.values().next());
    let named = named.and_then(|one| resolve_item(document, one).ok()?.get("value"));
    let schema = media.get("schema");
    let value = match (media.get("example").or(named), schema) {
        (Some(said), _) => Some(left.copy(said)?),
        (None, Some(schema)) => {
            left.values = VALUES_MAX;
            Some(example_of(document, schema, 0, left)?)
        }
        (None, None) => None,
    };
    let body = match (value, media_type) {
        (None, _) => String::new(),
        // XML is written as a text.
        (Some(Value::String(text)), XML) if text.trim_start().starts_with('<') => text,
        (Some(value), XML) => {
            let mut text = String::new();
            let name = schema.map_or_else(|| "response".to_owned(), |schema| element_name(document, schema));
            write_element(&mut text, &name, &value);
            text
        }
        (Some(value), _) => serde_json::to_string_pretty(&value).unwrap_or_default(),
    };
    // What is written may be more than what it is of: signs are escaped, and elements have names.
    left.take(body.len().saturating_sub(before - left.bytes))?;
    Some(body)
}

/// Makes up a value that fits a schema; `None` where the budget is used up.
fn example_of(document: &Value, schema: &Value, depth: usize, left: &mut Budget) -> Option<Value> {
    left.take(2 * depth + 2)?;
    if depth > DEPTH_MAX || left.values == 0 {
        return Some(Value::Null);
    }
    left.values -= 1;
    let Ok(schema) = resolve_item(document, schema) else { return Some(Value::Null) };
    let listed = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|all| all.first());
    let said = schema.get("example").or_else(|| listed("examples")).or_else(|| schema.get("const"));
    if let Some(said) = said.or_else(|| schema.get("default")).or_else(|| listed("enum")) {
        return left.copy(said);
    }
    if let Some(first) = listed("oneOf").or_else(|| listed("anyOf")) {
        return example_of(document, first, depth + 1, left);
    }
    let mut whole = Map::new();
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        if let Value::Object(part) = example_of(document, part, depth + 1, left)? {
            whole.extend(part);
        }
    }
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        left.take(name.len())?;
        let value = example_of(document, inner, depth + 1, left)?;
        whole.insert(name.clone(), value);
    }
    if !whole.is_empty() {
        return Some(Value::Object(whole));
    }
    let least = || schema.get("minimum").filter(|least| least.is_number()).cloned();
    let kind = schema.get("type");
    let kind = kind.and_then(Value::as_str).or_else(|| listed("type").and_then(Value::as_str));
    Some(match (kind, schema.get("format").and_then(Value::as_str)) {
        (Some("array"), _) => match schema.get("items") {
            Some(items) => Value::Array(vec![example_of(document, items, depth + 1, left)?]),
            None => json!([]),
        },
        (Some("integer"), _) => least().unwrap_or_else(|| json!(0)),
        (Some("number"), _) => least().unwrap_or_else(|| json!(0.0)),
        (Some("boolean"), _) => json!(true),
        (Some("string"), Some("date")) => json!("2000-01-23"),
        (Some("string"), Some("date-time")) => json!("2000-01-23T04:56:07Z"),
        (Some("string"), Some("uuid")) => json!("046b6c7f-0b8a-43b9-b35d-6489e6daee91"),
        (Some("string"), Some("uri" | "url")) => json!("https://example.com"),
        (Some("string"), Some("email")) => json!("user@example.com"),
        (Some("string"), _) => json!("string"),
        (Some("null"), _) => Value::Null,
        _ => json!({}),
    })
}

/// Returns the name of the element that is of a schema: what it says, or the schema's own.
fn element_name(document: &Value, schema: &Value) -> String {
    let said = resolve_item(document, schema).ok().and_then(|schema| schema.pointer("/xml/name")?.as_str());
    let own = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.rsplit('/').next());
    said.or(own).filter(|name| is_name(name)).unwrap_or("response").to_owned()
}

fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|one| one.is_ascii_alphanumeric() || "_-.".contains(one))
}

/// Writes a value as an element; of a list, one for each of it.
fn write_element(text: &mut String, name: &str, value: &Value) {
    let written = match value {
        Value::Array(items) => {
            let _infallible = write!(text, "<{name}>");
            items.iter().for_each(|item| write_element(text, "item", item));
            write!(text, "</{name}>")
        }
        Value::Object(map) => {
            let _infallible = write!(text, "<{name}>");
            for (inner, value) in map.iter().filter(|(inner, _)| is_name(inner)) {
                write_element(text, inner, value);
            }
            write!(text, "</{name}>")
        }
        Value::String(said) => write!(text, "<{name}>{}</{name}>", quick_xml::escape::escape(said.as_str())),
        Value::Null => write!(text, "<{name}/>"),
        other => write!(text, "<{name}>{other}</{name}>"),
    };
    let _infallible = written;
}
