//! XML into JSON, as the original writes it: elements as members, those of one name as a list, attributes with `@`, text
//! beside them as `$`, numbers and truth values as such. Namespace prefixes go. Entities that a document declares are not
//! known, so nothing is expanded or fetched.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Number, Value};

use super::convert::CannotConvert;

/// How deep elements and values may be nested.
pub(super) const DEPTH_MAX: usize = 64;

/// An element that is being read.
#[derive(Default)]
struct Open {
    name: String,
    members: Map<String, Value>,
    text: String,
}

#[allow(clippy::needless_pass_by_value, reason = "it maps errors")]
fn not_xml(why: impl ToString) -> CannotConvert {
    CannotConvert::NotXml(why.to_string())
}

/// Turns an XML document into JSON.
///
/// # Errors
/// Where it is not XML, or nested too deep.
pub(super) fn to_json(body: &[u8]) -> Result<Vec<u8>, CannotConvert> {
    let text = std::str::from_utf8(body).map_err(not_xml)?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Open> = Vec::new();
    let mut whole: Option<Value> = None;
    loop {
        match reader.read_event().map_err(not_xml)? {
            Event::Start(start) if whole.is_some() => {
                return Err(not_xml(format!("{} is a second root", name_of(&start))));
            }
            Event::Start(_) if open.len() >= DEPTH_MAX => return Err(CannotConvert::TooDeep(DEPTH_MAX)),
            Event::Start(start) => open.push(begin(&start)?),
            Event::End(_) => {
                let ended = open.pop().ok_or_else(|| not_xml("an end without a beginning"))?;
                let (name, value) = (ended.name.clone(), value_of(ended));
                match open.last_mut() {
                    Some(outer) => add(&mut outer.members, name, value),
                    None => whole = Some(rooted(name, value)),
                }
            }
            Event::Text(piece) => push(&mut open, &piece.xml10_content())?,
            Event::CData(piece) => push(&mut open, &piece.xml10_content())?,
            Event::GeneralRef(reference) => push(&mut open, &resolve(&reference)?)?,
            Event::DocType(_) => return Err(not_xml("document types are not accepted")),
            Event::Eof if open.is_empty() => break,
            Event::Eof => return Err(not_xml("it ends before its end")),
            _ => {}
        }
    }
    let whole = whole.ok_or_else(|| not_xml("it has no element"))?;
    Ok(serde_json::to_vec(&whole)?)
}

fn name_of(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

fn begin(start: &BytesStart<'_>) -> Result<Open, CannotConvert> {
    let mut open = Open { name: name_of(start), ..Open::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(not_xml)?;
        let is_namespace = attribute.key.as_ref() == "xmlns" || attribute.key.as_ref().starts_with("xmlns:");
        if is_namespace {
            continue;
        }
        let name = attribute.key.local_name();
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(not_xml)?;
        open.members.insert(format!("@{}", name.as_ref()), typed(&value));
    }
    Ok(open)
}

fn push(open: &mut [Open], text: &str) -> Result<(), CannotConvert> {
    match open.last_mut() {
        Some(inner) => inner.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(not_xml("text outside of the root")),
    }
    Ok(())
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, CannotConvert> {
    if let Some(one) = reference.resolve_char_ref().map_err(not_xml)? {
        return Ok(one.to_string());
    }
    let name = reference.xml10_content();
    let text = quick_xml::escape::resolve_predefined_entity(&name);
    text.map(str::to_owned).ok_or_else(|| not_xml(format!("entity {name} is not known")))
}

fn value_of(open: Open) -> Value {
    let text = open.text.trim();
    let mut members = open.members;
    match (members.is_empty(), text.is_empty()) {
        (true, true) => Value::Null,
        (true, false) => typed(text),
        (false, true) => Value::Object(members),
        (false, false) => {
            members.insert("$".to_owned(), typed(text));
            Value::Object(members)
        }
    }
}

fn add(members: &mut Map<String, Value>, name: String, value: Value) {
    match members.get_mut(&name) {
        None => {
            members.insert(name, value);
        }
        Some(Value::Array(items)) => items.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// Returns the whole document: the names that JSON has no place for go again.
fn rooted(name: String, value: Value) -> Value {
    match (name.as_str(), value) {
        ("jsonObject" | "jsonValue", value) => value,
        ("jsonArray", Value::Object(mut members)) => match members.remove("jsonElement") {
            Some(Value::Array(items)) => Value::Array(items),
            Some(one) => Value::Array(vec![one]),
            None => Value::Array(Vec::new()),
        },
        ("jsonArray", _) => Value::Array(Vec::new()),
        (_, value) => Value::Object([(name, value)].into_iter().collect()),
    }
}

/// Returns a number or truth value where the text is exactly how JSON writes it, else the text.
fn typed(text: &str) -> Value {
    match text {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    let number: Option<Number> = text.parse().ok();
    match number {
        Some(number) if number.to_string() == text => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::json::to_xml;
    use super::*;

    fn read(xml: &str) -> Value {
        serde_json::from_slice(&to_json(xml.as_bytes()).unwrap()).unwrap()
    }

    fn written(value: &Value) -> String {
        String::from_utf8(to_xml(value.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn what_became_xml_becomes_the_same_json_again() {
        let values = [
            json!({"name": "Margherita", "price": 7.5, "isHot": true, "tags": ["a", "b & c"], "of": {"chef": "Ann <A>"}}),
            json!({"order": {"@id": 7, "$": "text", "item": [{"n": 1}, {"n": 2}]}}),
            json!([1, 2, 3]),
            json!("text"),
        ];
        for value in values {
            assert_eq!(read(&written(&value)), value, "{}", written(&value));
        }
        assert_eq!(written(&json!({"a b": 1, "1": null})), "<jsonObject><a_b>1</a_b><_1/></jsonObject>");
    }

    #[test]
    fn xml_is_read_as_the_original_does() {
        let xml = r#"<?xml version="1.0"?><m:menu xmlns:m="urn:x" m:of="7"><!-- no --><m:pizza>1</m:pizza><m:pizza>007</m:pizza>
            <empty/><t><![CDATA[<b>]]> &amp; &#233;</t></m:menu>"#;
        let expected = json!({"menu": {"@of": 7, "pizza": [1, "007"], "empty": null, "t": "<b> & é"}});
        assert_eq!(read(xml), expected);
    }

    #[test]
    fn a_bomb_a_fetch_and_a_fragment_are_refused() {
        let deep = "<a>".repeat(100);
        let bad = [
            "<!DOCTYPE a [<!ENTITY b \"bb\">]><a>&b;</a>",
            "<a>&b;</a>",
            "<a><b></a>",
            "<a/><b/>",
            "<a>",
            "text",
            "",
            deep.as_str(),
        ];
        for xml in bad {
            assert!(to_json(xml.as_bytes()).is_err(), "{xml}");
        }
        assert!(to_xml("[".repeat(100).as_bytes()).is_err());
        let nested = format!("{}1{}", "{\"a\":".repeat(80), "}".repeat(80));
        assert!(matches!(to_xml(nested.as_bytes()), Err(CannotConvert::TooDeep(_))));
    }
}
