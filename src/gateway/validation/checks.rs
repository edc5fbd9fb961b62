//! What is checked of the calls of one operation and of their answers, and what is said where something is not right.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::mediation::path_parameter;

/// Faults that are told at a time.
const FAULTS_MAX: usize = 5;
/// Characters of what is told.
const TEXT_CHARS_MAX: usize = 1_000;

/// What is checked of the calls of one operation.
pub(crate) struct Checks {
    /// The URI template, for the parameters in paths.
    pub(super) target: String,
    pub(super) parameters: Vec<ParameterCheck>,
    pub(super) body: Option<BodyCheck>,
    pub(super) answers: Vec<AnswerCheck>,
}

/// What is checked of a parameter.
pub(super) struct ParameterCheck {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) is_required: bool,
    pub(super) kind: Option<Kind>,
    pub(super) validator: Option<Validator>,
}

/// Where a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Query,
    Header,
    Path,
}

/// What the text of a parameter is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    Truth,
    /// A list of one of the others.
    Texts,
    Integers,
    Numbers,
    Truths,
}

/// What is checked of a call's body.
pub(super) struct BodyCheck {
    pub(super) is_required: bool,
    /// By media type; without a schema for what is not JSON.
    pub(super) kinds: Vec<(String, Option<Validator>)>,
}

/// What is checked of answers.
pub(super) struct AnswerCheck {
    /// `200`, `2xx` or `default`.
    pub(super) status: String,
    pub(super) kinds: Vec<(String, Option<Validator>)>,
}

impl Kind {
    /// Returns as what a parameter of a schema is read; `None` for what is not read.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        match (simple(schema)?, schema.get("items").and_then(simple)) {
            ("string", _) => Some(Self::Text),
            ("integer", _) => Some(Self::Integer),
            ("number", _) => Some(Self::Number),
            ("boolean", _) => Some(Self::Truth),
            ("array", Some("string") | None) => Some(Self::Texts),
            ("array", Some("integer")) => Some(Self::Integers),
            ("array", Some("number")) => Some(Self::Numbers),
            ("array", Some("boolean")) => Some(Self::Truths),
            _ => None,
        }
    }

    fn item(self) -> Option<Self> {
        match self {
            Self::Texts => Some(Self::Text),
            Self::Integers => Some(Self::Integer),
            Self::Numbers => Some(Self::Number),
            Self::Truths => Some(Self::Truth),
            _ => None,
        }
    }

    /// Reads a text; one that is not of the kind stays a text, which its schema then refuses.
    fn read(self, text: &str) -> Value {
        let read = match self {
            Self::Integer | Self::Number => serde_json::from_str(text).ok().filter(Value::is_number),
            Self::Truth => text.parse().ok().map(Value::Bool),
            _ => None,
        };
        read.unwrap_or_else(|| Value::String(text.to_owned()))
    }
}

/// Returns the type that a schema names, beside `null`.
fn simple(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

/// Says whether a media type is JSON.
pub(super) fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.ends_with("/json") || media.ends_with("+json")
}

impl Checks {
    pub(super) fn is_empty(&self) -> bool {
        let has_answers = self.answers.iter().any(|answer| !answer.kinds.is_empty());
        self.parameters.is_empty() && self.body.is_none() && !has_answers
    }

    /// Says whether it looks into bodies of calls.
    pub(crate) fn reads_calls(&self) -> bool {
        self.body.is_some()
    }

    /// Says whether it looks into bodies of answers.
    pub(crate) fn reads_answers(&self) -> bool {
        self.answers.iter().any(|answer| answer.kinds.iter().any(|(_, validator)| validator.is_some()))
    }

    /// Checks a call's parameters.
    ///
    /// # Errors
    /// What is not right.
    pub(crate) fn check_head(&self, path: &str, query: Option<&str>, headers: &HeaderMap) -> Result<(), String> {
        let mut faults = Faults::default();
        for check in &self.parameters {
            let texts: Vec<Cow<'_, str>> = match check.place {
                Place::Query => of_query(query.unwrap_or_default(), &check.name),
                Place::Header => headers
                    .get_all(check.name.as_str())
                    .iter()
                    .map(|value| String::from_utf8_lossy(value.as_bytes()))
                    .collect(),
                Place::Path => path_parameter(&self.target, path, &check.name).map(decoded).into_iter().collect(),
            };
            check.check(&texts, &mut faults);
        }
        faults.into_result()
    }

    /// Checks a call's body.
    ///
    /// # Errors
    /// What is not right.
    pub(crate) fn check_body(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        let Some(check) = &self.body else { return Ok(()) };
        if body.is_empty() {
            return if check.is_required { Err("the body must be there".to_owned()) } else { Ok(()) };
        }
        check_media(&check.kinds, headers, body, true)
    }

    /// Checks an answer.
    ///
    /// # Errors
    /// What is not right.
    pub(crate) fn check_answer(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        let class = format!("{}xx", status.as_u16() / 100);
        let find = |name: &str| self.answers.iter().find(|answer| answer.status == name);
        let Some(check) = find(status.as_str()).or_else(|| find(&class)).or_else(|| find("default")) else {
            return Ok(());
        };
        if body.is_empty() { Ok(()) } else { check_media(&check.kinds, headers, body, false) }
    }
}

impl ParameterCheck {
    fn check(&self, texts: &[Cow<'_, str>], faults: &mut Faults) {
        let place = match self.place {
            Place::Query => "query parameter",
            Place::Header => "header field",
            Place::Path => "path parameter",
        };
        let Some(first) = texts.first() else {
            if self.is_required {
                faults.add(format!("the {place} {} must be there", self.name));
            }
            return;
        };
        let (Some(kind), Some(validator)) = (self.kind, &self.validator) else { return };
        let value = match kind.item() {
            // Each time that a query names it is an item; in a path or header commas are between them.
            Some(item) if self.place == Place::Query => texts.iter().map(|text| item.read(text)).collect(),
            Some(item) => first.split(',').map(|text| item.read(text.trim())).collect(),
            None => kind.read(first),
        };
        for error in validator.iter_errors(&value).take(FAULTS_MAX) {
            faults.add(format!("the {place} {}: {error}", self.name));
        }
    }
}

fn check_media(
    kinds: &[(String, Option<Validator>)],
    headers: &HeaderMap,
    body: &[u8],
    is_strict: bool,
) -> Result<(), String> {
    if kinds.is_empty() {
        return Ok(());
    }
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    let media = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let range = media.split('/').next().map(|front| format!("{front}/*")).unwrap_or_default();
    let find = |name: &str| kinds.iter().find(|(known, _)| known.split(';').next().unwrap_or_default().trim() == name);
    let Some((_, validator)) = find(&media).or_else(|| find(&range)).or_else(|| find("*/*")) else {
        let known: Vec<&str> = kinds.iter().map(|(known, _)| known.as_str()).collect();
        let told = format!("the body is {media}; {} is accepted", known.join(" or "));
        return if is_strict { Err(told) } else { Ok(()) };
    };
    let Some(validator) = validator else { return Ok(()) };
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let mut faults = Faults::default();
    for error in validator.iter_errors(&value).take(FAULTS_MAX) {
        let at = error.instance_path().to_string();
        let at = if at.is_empty() { "the body".to_owned() } else { at };
        // The value is the caller's, and may be large or none of anybody's business.
        faults.add(format!("{at}: {}", error.masked()));
    }
    faults.into_result()
}

/// What is not right, up to a bound.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, fault: String) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(fault);
        }
    }

    fn into_result(self) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(self.0.join("; ").chars().take(TEXT_CHARS_MAX).collect())
    }
}

/// Returns the values of a query parameter.
fn of_query<'a>(query: &'a str, name: &str) -> Vec<Cow<'a, str>> {
    let pairs = query.split('&').filter(|part| !part.is_empty());
    let pairs = pairs.map(|part| part.split_once('=').unwrap_or((part, "")));
    pairs.filter(|(known, _)| decoded(known) == name).map(|(_, value)| decoded_form(value)).collect()
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// A plus is a space in a query, as forms write it.
fn decoded_form(text: &str) -> Cow<'_, str> {
    if text.contains('+') { Cow::Owned(decoded(&text.replace('+', " ")).into_owned()) } else { decoded(text) }
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks").field("target", &self.target).finish_non_exhaustive()
    }
}
