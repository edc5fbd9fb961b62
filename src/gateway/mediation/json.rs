//! JSON into XML, as the original writes it: members as elements, a list as elements of one name, without a name for the
//! whole `jsonObject`, `jsonArray` and `jsonElement`.

use quick_xml::escape::escape;
use serde_json::Value;

use super::convert::{BODY_BYTES_MAX, CannotConvert};
use super::xml::DEPTH_MAX;

/// Bytes that the XML may have: names are written twice.
const XML_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// Turns a JSON document into XML.
///
/// # Errors
/// Where it is not JSON, nested too deep, or would become too large.
pub(super) fn to_xml(body: &[u8]) -> Result<Vec<u8>, CannotConvert> {
    let value: Value = serde_json::from_slice(body)?;
    let mut out = String::with_capacity(body.len() * 2);
    match &value {
        Value::Array(items) => {
            out.push_str("<jsonArray>");
            for item in items {
                write("jsonElement", item, 1, &mut out)?;
            }
            out.push_str("</jsonArray>");
        }
        // One member that is an object again names the whole by itself.
        Value::Object(members) => match members.iter().next() {
            Some((name, inner @ Value::Object(_))) if members.len() == 1 => write(name, inner, 0, &mut out)?,
            _ => write("jsonObject", &value, 0, &mut out)?,
        },
        other => write("jsonValue", other, 0, &mut out)?,
    }
    Ok(out.into_bytes())
}

/// Writes a member as elements, within another.
///
/// # Errors
/// Where it is nested too deep, or becomes too large.
pub(super) fn write_element(name: &str, value: &Value, out: &mut String) -> Result<(), CannotConvert> {
    write(name, value, 1, out)
}

fn write(name: &str, value: &Value, depth: usize, out: &mut String) -> Result<(), CannotConvert> {
    if depth > DEPTH_MAX {
        return Err(CannotConvert::TooDeep(DEPTH_MAX));
    }
    if out.len() > XML_BYTES_MAX {
        return Err(CannotConvert::TooLarge(XML_BYTES_MAX));
    }
    let name = element_name(name);
    match value {
        Value::Null => {
            out.extend(["<", &name, "/>"]);
            return Ok(());
        }
        Value::Array(items) => {
            for item in items {
                // A list in a list has no name of its own.
                let inner = if item.is_array() { "jsonArray" } else { name.as_str() };
                write(inner, item, depth + 1, out)?;
            }
            return Ok(());
        }
        _ => {}
    }
    out.extend(["<", &name]);
    if let Value::Object(members) = value {
        for (key, text) in members.iter().filter_map(|(key, value)| Some((key.strip_prefix('@')?, scalar(value)?))) {
            out.extend([" ", &element_name(key), "=\"", &escape(text.as_str()), "\""]);
        }
    }
    out.push('>');
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), scalar(value)) {
                    ("$", Some(text)) => out.push_str(&escape(text.as_str())),
                    (key, Some(_)) if key.starts_with('@') => {}
                    (key, _) => write(key, value, depth + 1, out)?,
                }
            }
        }
        other => out.push_str(&escape(scalar(other).unwrap_or_default().as_str())),
    }
    out.extend(["</", &name, ">"]);
    Ok(())
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.chars().map(|one| if is_xml(one) { one } else { '\u{fffd}' }).collect()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Says whether a document may hold a character (XML 1.0 §2.2).
fn is_xml(one: char) -> bool {
    matches!(one, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Returns a name that an element may have (XML 1.0 §2.3, without colons): what it may not hold becomes `_`.
fn element_name(key: &str) -> String {
    let fits = |one: char| one.is_alphanumeric() || matches!(one, '_' | '-' | '.');
    let mut name: String = key.chars().map(|one| if fits(one) { one } else { '_' }).collect();
    if !name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_') {
        name.insert(0, '_');
    }
    name
}
