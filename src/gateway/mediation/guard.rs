//! Calls that look like attacks are turned away: a JSON or XML body that passes a bound, or a pattern that is found. A body
//! is read once, as a stream of its parts: nothing is built of it.

use std::fmt;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use portcullis_model::mediation::threat::{Forbidden, JsonLimits, XmlLimits};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use regex::bytes::Regex;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// What turns calls away.
#[derive(Debug)]
pub(super) enum Guard {
    Json(JsonLimits),
    Xml(XmlLimits),
    Pattern { forbidden: Forbidden, regex: Regex },
}

/// Why a call is turned away.
#[derive(Debug, thiserror::Error)]
pub(super) enum Threat {
    #[error("the JSON body is not acceptable: {0}")]
    Json(serde_json::Error),
    #[error("the XML body is not acceptable: {0}")]
    Xml(String),
    #[error("the {0} holds what is not accepted here")]
    Pattern(&'static str),
}

impl Guard {
    /// Compiles a pattern.
    pub(super) fn pattern(forbidden: Forbidden) -> Result<Self, regex::Error> {
        let regex = Forbidden::compile(&forbidden.pattern)?;
        Ok(Self::Pattern { forbidden, regex })
    }

    /// Says whether it looks into the body of a call with these headers.
    pub(super) fn reads_body(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Json(_) => is_kind(headers, "json"),
            Self::Xml(_) => is_kind(headers, "xml"),
            Self::Pattern { forbidden, .. } => forbidden.in_body,
        }
    }

    /// Looks at a call's target and headers.
    pub(super) fn check_head(&self, path: &str, query: Option<&str>, headers: &HeaderMap) -> Result<(), Threat> {
        let Self::Pattern { forbidden, regex } = self else { return Ok(()) };
        let is_found = |text: &str| {
            // As it is written, and as it is meant.
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(text).collect();
            regex.is_match(text.as_bytes()) || regex.is_match(&decoded)
        };
        if forbidden.in_target && (is_found(path) || query.is_some_and(is_found)) {
            return Err(Threat::Pattern("path or query"));
        }
        if forbidden.in_headers && headers.values().any(|value| regex.is_match(value.as_bytes())) {
            return Err(Threat::Pattern("head"));
        }
        Ok(())
    }

    /// Looks at a call's body.
    pub(super) fn check_body(&self, body: &[u8]) -> Result<(), Threat> {
        match self {
            _ if body.is_empty() => Ok(()),
            Self::Json(limits) => check_json(limits, body).map_err(Threat::Json),
            Self::Xml(limits) => check_xml(limits, body).map_err(Threat::Xml),
            Self::Pattern { regex, .. } if regex.is_match(body) => Err(Threat::Pattern("body")),
            Self::Pattern { .. } => Ok(()),
        }
    }
}

/// Says whether a body is of a kind, or of none that is named.
pub(super) fn is_kind(headers: &HeaderMap, kind: &str) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let media = text.split(';').next().unwrap_or_default().trim();
    media.is_empty() || media.split(['/', '+']).any(|part| part == kind)
}

fn check_json(limits: &JsonLimits, body: &[u8]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    Inside { limits, depth: 0 }.deserialize(&mut reader)?;
    reader.end()
}

/// A value at some depth.
#[derive(Clone, Copy)]
struct Inside<'a> {
    limits: &'a JsonLimits,
    depth: usize,
}

impl Inside<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= self.limits.depth {
            return Err(E::custom(format_args!("it is nested more than {} deep", self.limits.depth)));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

fn within<E: serde::de::Error>(what: &str, count: usize, max: usize) -> Result<(), E> {
    if count <= max { Ok(()) } else { Err(E::custom(format_args!("{what} has more than {max}"))) }
}

impl<'de> DeserializeSeed<'de> for Inside<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inside<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        within("a text's number of characters", text.chars().count(), self.limits.text_chars)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut count = 0;
        while items.next_element_seed(inner)?.is_some() {
            count += 1;
            within("a list's number of items", count, self.limits.items)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut count = 0;
        while let Some(chars) = members.next_key_seed(NameChars)? {
            count += 1;
            within("an object's number of members", count, self.limits.members)?;
            within("a name's number of characters", chars, self.limits.name_chars)?;
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// How many characters a name has.
struct NameChars;

impl<'de> DeserializeSeed<'de> for NameChars {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameChars {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<usize, E> {
        Ok(text.chars().count())
    }
}

fn check_xml(limits: &XmlLimits, body: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    // How many children each open element has.
    let mut open: Vec<usize> = Vec::new();
    let (mut elements, mut references) = (0, 0);
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                elements += 1;
                bounded("elements", elements, limits.elements)?;
                if let Some(children) = open.last_mut() {
                    *children += 1;
                    bounded("elements in one element", *children, limits.children)?;
                }
                open.push(0);
                bounded("elements in each other", open.len(), limits.depth)?;
                references += check_attributes(limits, &start)?;
            }
            Event::End(_) => {
                open.pop();
            }
            Event::GeneralRef(_) => references += 1,
            Event::DocType(_) if !limits.has_document_type => {
                return Err("document types are not accepted".to_owned());
            }
            Event::DocType(declared) => check_document_type(limits, &declared.xml10_content())?,
            Event::Eof if open.is_empty() => return Ok(()),
            Event::Eof => return Err("it ends before its end".to_owned()),
            _ => {}
        }
        bounded("references to entities", references, limits.references)?;
    }
}

fn bounded(what: &str, count: usize, max: usize) -> Result<(), String> {
    if count <= max { Ok(()) } else { Err(format!("it has more than {max} {what}")) }
}

/// Returns how many references there are in the attributes.
fn check_attributes(limits: &XmlLimits, start: &BytesStart<'_>) -> Result<usize, String> {
    let mut references = 0;
    for (number, attribute) in start.attributes().enumerate() {
        bounded("attributes at one element", number + 1, limits.attributes)?;
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value: &str = &attribute.value;
        bounded("characters in an attribute", value.chars().count(), limits.attribute_chars)?;
        references += value.matches('&').count();
    }
    Ok(references)
}

/// Declarations that name each other grow without bound when they are expanded, and those that are elsewhere are fetched.
fn check_document_type(limits: &XmlLimits, declared: &str) -> Result<(), String> {
    let is_external = |part: &str| part.split_whitespace().any(|word| word == "SYSTEM" || word == "PUBLIC");
    let (outer, inner) = declared.split_once('[').unwrap_or((declared, ""));
    if !limits.has_external_entities && (is_external(outer) || inner.split('<').any(is_external)) {
        return Err("external entities are not accepted".to_owned());
    }
    if inner.split('<').any(|part| part.starts_with("!ENTITY") && part.contains(['&', '%'])) {
        return Err("entities made of others are not accepted".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: JsonLimits = JsonLimits { depth: 2, members: 2, name_chars: 3, text_chars: 4, items: 2 };
    const XML: XmlLimits = XmlLimits {
        depth: 2,
        elements: 4,
        children: 2,
        attributes: 1,
        attribute_chars: 3,
        references: 1,
        has_document_type: false,
        has_external_entities: false,
    };

    #[test]
    fn json_within_its_bounds_passes_and_beyond_each_is_refused() {
        for (body, is_good) in [
            (r#"{"abc": "four", "b": [1, 2]}"#, true),
            (r#""übér""#, true),
            (r#"{"a": [[1]]}"#, false),
            (r#"{"a": 1, "b": 2, "c": 3}"#, false),
            (r#"{"abcd": 1}"#, false),
            (r#"["fives"]"#, false),
            ("[1, 2, 3]", false),
            ("[1, 2", false),
            ("[1] [2]", false),
        ] {
            assert_eq!(check_json(&JSON, body.as_bytes()).is_ok(), is_good, "{body}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(check_json(&JsonLimits { depth: usize::MAX, ..JSON }, deep.as_bytes()).is_err());
    }

    #[test]
    fn xml_within_its_bounds_passes_and_beyond_each_is_refused() {
        for (body, is_good) in [
            ("<a x='1'><b/><c>text &amp;</c></a>", true),
            ("<a><b><c/></b></a>", false),
            ("<a><b/><b/><b/></a>", false),
            ("<a x='1' y='2'/>", false),
            ("<a x='1234'/>", false),
            ("<a>&lt;&lt;</a>", false),
            ("<a x='&lt;'>&lt;</a>", false),
            ("<!DOCTYPE a><a/>", false),
            ("<a>", false),
        ] {
            assert_eq!(
                check_xml(&XML, body.as_bytes()).is_ok(),
                is_good,
                "{body}: {:?}",
                check_xml(&XML, body.as_bytes())
            );
        }
    }

    #[test]
    fn a_document_type_must_not_reach_out_or_grow() {
        let limits = XmlLimits { has_document_type: true, ..XML };
        for (body, is_good) in [
            ("<!DOCTYPE a [<!ENTITY b 'text'>]><a>&b;</a>", true),
            ("<!DOCTYPE a [<!ENTITY b 'x'><!ENTITY c '&b;&b;'>]><a>&c;</a>", false),
            ("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", false),
            ("<!DOCTYPE a SYSTEM 'http://elsewhere/a.dtd'><a/>", false),
        ] {
            assert_eq!(check_xml(&limits, body.as_bytes()).is_ok(), is_good, "{body}");
        }
        let open = XmlLimits { has_external_entities: true, ..limits };
        assert!(check_xml(&open, b"<!DOCTYPE a SYSTEM 'http://elsewhere/a.dtd'><a/>").is_ok());
    }

    #[test]
    fn patterns_are_found_in_what_is_meant_too() {
        let forbidden =
            Forbidden { pattern: "drop +table".to_owned(), in_body: true, in_headers: true, in_target: true };
        let guard = Guard::pattern(forbidden).unwrap();
        let nothing = HeaderMap::new();
        assert!(guard.check_head("/menu", Some("q=table"), &nothing).is_ok());
        assert!(guard.check_head("/menu", Some("q=%44ROP%20Table"), &nothing).is_err());
        assert!(guard.check_body(b"; DROP   TABLE x").is_err() && guard.check_body(b"drop").is_ok());
        let headers = HeaderMap::from_iter([(http::header::USER_AGENT, http::HeaderValue::from_static("drop table"))]);
        assert!(guard.check_head("/menu", None, &headers).is_err());
    }
}
