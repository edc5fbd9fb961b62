//! Places in JSON as it was written, and texts in it: one is found or replaced, and all else stays as it is, byte by byte.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use portcullis_model::ai::Part;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// A value that is offered for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    /// A text, its escapes resolved.
    Text(&'a str),
    /// A number, as it was written.
    Number(&'a str),
}

/// Returns where the value at a place is in a document; `None` where there is none, or the document is not JSON.
pub(super) fn range_of(document: &str, place: &[Part]) -> Option<Range<usize>> {
    let whole: &RawValue = serde_json::from_str(document).ok()?;
    let mut found = whole;
    for part in place {
        found = match part {
            Part::Name(name) => {
                let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(found.get()).ok()?;
                members.get(name.as_str()).copied()?
            }
            Part::At(index) => {
                let items: Vec<&RawValue> = serde_json::from_str(found.get()).ok()?;
                let distance = usize::try_from(index.unsigned_abs()).ok()?;
                let index = if *index < 0 { items.len().checked_sub(distance)? } else { distance };
                items.get(index).copied()?
            }
        };
    }
    // It borrows from the document.
    let start = found.get().as_ptr().addr() - document.as_ptr().addr();
    Some(start..start + found.get().len())
}

/// Returns the text at a place of a body: what is in a text, and another value as it was written.
pub(super) fn text_at<'a>(body: &'a [u8], place: &[Part]) -> Option<Cow<'a, str>> {
    if place.is_empty() {
        return Some(String::from_utf8_lossy(body));
    }
    let document = std::str::from_utf8(body).ok()?;
    let found = &document[range_of(document, place)?];
    Some(if found.starts_with('"') { Cow::Owned(serde_json::from_str(found).ok()?) } else { Cow::Borrowed(found) })
}

/// Says whether a text is JSON.
pub(super) fn is_json(document: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(document).is_ok()
}

/// Writes a text as JSON.
pub(super) fn written(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Offers the texts and numbers of a part of JSON, names of members aside, and puts texts in their places; returns the whole
/// document with them, or `None` where all stay. The document must be JSON, and the part one value of it.
pub(super) fn replace(
    document: &str,
    part: Range<usize>,
    mut other: impl FnMut(Scalar<'_>) -> Option<String>,
) -> Option<String> {
    let bytes = document.as_bytes();
    let (mut at, mut copied, mut written_anew) = (part.start, 0, String::new());
    while at < part.end {
        let end = match bytes[at] {
            b'"' => end_of_text(bytes, at),
            b'-' | b'0'..=b'9' => end_of_number(bytes, at),
            _ => {
                at += 1;
                continue;
            }
        };
        let token = &document[at..end];
        let replaced = if token.starts_with('"') {
            if is_name(bytes, end) { None } else { decoded(token).and_then(|text| other(Scalar::Text(&text))) }
        } else {
            other(Scalar::Number(token))
        };
        if let Some(text) = replaced {
            written_anew.push_str(&document[copied..at]);
            written_anew.push_str(&written(&text));
            copied = end;
        }
        at = end;
    }
    if copied == 0 {
        return None;
    }
    written_anew.push_str(&document[copied..]);
    Some(written_anew)
}

/// Returns where a text ends that begins here.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    start + bytes[start..].iter().take_while(|byte| is_part(byte)).count()
}

/// Says whether what ended here is the name of a member.
fn is_name(bytes: &[u8], end: usize) -> bool {
    bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

fn decoded(token: &str) -> Option<Cow<'_, str>> {
    let inside = token.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') { serde_json::from_str(token).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
}

#[cfg(test)]
mod tests {
    use portcullis_model::ai::parts_of;

    use super::*;

    #[test]
    fn a_place_is_found_as_it_was_written() {
        let document = r#" {"a": [ {"b" : "x\"y"}, [1.0, {"c":{ }}] ], "a b": null, "\u0064": 7} "#;
        for (path, found) in [
            ("$", Some(document.trim())),
            ("$.a[0].b", Some(r#""x\"y""#)),
            ("$.a[-1][-2]", Some("1.0")),
            ("$.a[1][1].c", Some("{ }")),
            ("$['a b']", Some("null")),
            ("$.d", Some("7")),
            ("$.a[2]", None),
            ("$.a[-3]", None),
            ("$.a.b", None),
            ("$.b", None),
        ] {
            let range = range_of(document, &parts_of(path).unwrap());
            assert_eq!(range.map(|range| &document[range]), found, "{path}");
        }
        assert_eq!(range_of("{", &[]), None);
        let text = |path: &str| text_at(document.as_bytes(), &parts_of(path).unwrap());
        assert_eq!(text("$.a[0].b").as_deref(), Some("x\"y"));
        assert_eq!(text("$.d").as_deref(), Some("7"));
    }

    #[test]
    fn texts_are_replaced_and_nothing_else_changes() {
        let document = r#"{"x": "x", "n":[ -1.50e+2,"\u0078", {"x" :"y\\"}], "t": true}"#;
        let all = 0..document.len();
        let mut seen = Vec::new();
        let other = replace(document, all.clone(), |scalar| match scalar {
            Scalar::Text(text) => (text == "x").then(|| "a\"b".to_owned()),
            Scalar::Number(number) => {
                seen.push(number.to_owned());
                Some("n".to_owned())
            }
        });
        assert_eq!(other.as_deref(), Some(r#"{"x": "a\"b", "n":[ "n","a\"b", {"x" :"y\\"}], "t": true}"#));
        assert_eq!(seen, ["-1.50e+2"]);
        assert_eq!(replace(document, all, |_| None), None);
        let place = range_of(document, &parts_of("$.n[1]").unwrap()).unwrap();
        let other = replace(document, place, |_| Some("z".to_owned()));
        assert_eq!(other.as_deref(), Some(r#"{"x": "x", "n":[ -1.50e+2,"z", {"x" :"y\\"}], "t": true}"#));
    }
}
