//! Puts the model that was chosen where a provider's calls say it: into the body, the path, the query or a field.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use portcullis_model::ai::{Part, Place, Source, parts_of};
use portcullis_model::mediation::threat::compile_pattern;
use regex::Regex;
use serde_json::value::{RawValue, to_raw_value};
use tracing::warn;

use super::target;
use crate::forward::Passage;

/// What stands in a segment of a path as it is (RFC 3986 §3.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');
const SEGMENTS: &AsciiSet = &SEGMENT.remove(b'/');
/// The group that is the model.
const MODEL: &str = "model";

/// Where calls say the model.
#[derive(Debug)]
pub(super) enum ModelPlace {
    /// In a JSON body, below these names.
    Payload(Vec<String>),
    /// In the path, where the group is.
    Path(Regex),
    Query(String),
    Header(HeaderName),
    /// Nobody knows: only the backend is chosen.
    Nowhere,
}

/// What of a call is another one with the model in it.
#[derive(Default)]
pub(super) struct Placed {
    pub(super) head: Option<Parts>,
    pub(super) rest: Option<String>,
    pub(super) query: Option<String>,
    pub(super) body: Option<Bytes>,
}

impl ModelPlace {
    /// Compiles the place that a provider's configuration names.
    pub(super) fn new(place: Option<&Place>) -> Self {
        let Some(place) = place else { return Self::Nowhere };
        let made = match place.source {
            Source::Payload => names_of(&place.identifier).map(Self::Payload),
            Source::Path => pattern(&place.identifier).map(Self::Path),
            Source::Query => Some(Self::Query(place.identifier.clone())),
            Source::Header => HeaderName::from_bytes(place.identifier.as_bytes()).ok().map(Self::Header),
        };
        made.unwrap_or_else(|| {
            warn!(identifier = place.identifier, "models not set in calls: where they are said is not understood");
            Self::Nowhere
        })
    }

    /// Puts a model into a call. What has no place for it stays as it is.
    pub(super) fn put(&self, model: &str, passage: &Passage<'_>, body: &[u8]) -> Placed {
        let mut placed = Placed::default();
        match self {
            Self::Payload(names) => placed.body = in_body(body, names, model),
            Self::Path(pattern) => placed.rest = in_path(passage.rest, pattern, model),
            Self::Query(name) => {
                let kept = passage.query.and_then(|query| target::without(query, name));
                let pair = target::pair(name, model);
                placed.query = Some(kept.map_or_else(|| pair.clone(), |kept| format!("{kept}&{pair}")));
            }
            Self::Header(name) => {
                if let Ok(value) = HeaderValue::from_str(model) {
                    let mut head = passage.request.clone();
                    head.headers.insert(name, value);
                    placed.head = Some(head);
                }
            }
            Self::Nowhere => {}
        }
        placed
    }
}

fn names_of(path: &str) -> Option<Vec<String>> {
    let name = |part| if let Part::Name(name) = part { Some(name) } else { None };
    parts_of(path)?.into_iter().map(name).collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
}

/// Compiles a pattern of the original's, which may say what comes before the model and after: `(?<=model/)[a-z]+(?=/)`.
fn pattern(identifier: &str) -> Option<Regex> {
    let (before, rest) = match identifier.strip_prefix("(?<=") {
        Some(rest) => rest.split_once(')')?,
        None => ("", identifier),
    };
    let (model, after) = match rest.strip_suffix(')').and_then(|rest| rest.rsplit_once("(?=")) {
        Some((model, after)) => (model, after),
        None => (rest, ""),
    };
    let text = format!("(?:{before})(?P<{MODEL}>{model})(?:{after})");
    compile_pattern(&text).ok()
}

/// Returns a JSON body with the model below names; `None` where it is no object, or has no such place. All else in it stays
/// as it was written; of a name that is there twice, the last counts.
fn in_body(body: &[u8], names: &[String], model: &str) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    Some(String::from(Box::<str>::from(in_object(text, names, model)?)).into())
}

fn in_object(text: &str, names: &[String], model: &str) -> Option<Box<RawValue>> {
    let (name, below) = names.split_first()?;
    let mut members: BTreeMap<Cow<'_, str>, Box<RawValue>> = serde_json::from_str(text).ok()?;
    let value = match below {
        [] => to_raw_value(model).ok()?,
        below => in_object(members.get(name.as_str())?.get(), below, model)?,
    };
    members.insert(Cow::Borrowed(name), value);
    to_raw_value(&members).ok()
}

fn in_path(rest: &str, pattern: &Regex, model: &str) -> Option<String> {
    // A slash within a segment would become one between two.
    if rest.to_ascii_lowercase().contains("%2f") {
        return None;
    }
    let decoded = percent_decode_str(rest).decode_utf8().ok()?;
    let place = pattern.captures(&decoded)?.name(MODEL)?.range();
    let (before, after) = (&decoded[..place.start], &decoded[place.end..]);
    let encode = utf8_percent_encode;
    Some(format!("{}{}{}", encode(before, SEGMENTS), encode(model, SEGMENT), encode(after, SEGMENTS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_put_into_a_body_and_nothing_else_changes() {
        let names = |path: &str| names_of(path).unwrap();
        let put = |body: &str, path: &str| {
            in_body(body.as_bytes(), &names(path), "b\"c").map(|body| String::from_utf8(body.to_vec()).unwrap())
        };
        let body = r#"{"temperature":0.10,"mo\u0064el":"x","model":"a","seed":123456789012345678901}"#;
        assert_eq!(
            put(body, "$.model").as_deref(),
            Some(r#"{"model":"b\"c","seed":123456789012345678901,"temperature":0.10}"#)
        );
        assert_eq!(put("{}", "$.model").as_deref(), Some(r#"{"model":"b\"c"}"#));
        assert_eq!(put(r#"{"a":{"b":1}}"#, "$.a['model']").as_deref(), Some(r#"{"a":{"b":1,"model":"b\"c"}}"#));
        assert_eq!(put(r#"{"a":1}"#, "$.a.model"), None);
        assert_eq!((put("[]", "$.model"), put("", "$.model")), (None, None));
        assert_eq!((names_of("$.a[0]"), names_of("$..model"), names_of("$")), (None, None, None));
    }

    #[test]
    fn a_model_is_put_into_a_path_where_the_provider_has_it() {
        let bedrock = pattern("(?<=model/)[a-zA-Z0-9.:-]+(?=/)").unwrap();
        let put = |path: &str, model: &str| in_path(path, &bedrock, model);
        assert_eq!(put("/model/a.b%3A0/converse", "c:1").as_deref(), Some("/model/c:1/converse"));
        assert_eq!(put("/model/a/converse", "arn:x/y").as_deref(), Some("/model/arn:x%2Fy/converse"));
        assert_eq!((put("/models", "c"), put("/model/a%2Fb/converse", "c")), (None, None));
        let gemini = pattern(r"(?<=models/)[a-zA-Z0-9.\-]+").unwrap();
        let path = in_path("/v1beta/models/gemini-2.5:generateContent", &gemini, "gemini-3");
        assert_eq!(path.as_deref(), Some("/v1beta/models/gemini-3:generateContent"));
        assert!(pattern("(?<=(a|b)/)x").is_none() || pattern("(").is_none());
    }
}
