//! Parses the text of an OpenAPI document and finds out its version. What the document says is not looked at here.

use std::sync::Arc;

use portcullis_model::limit::DEFINITION_BYTES_MAX;
use serde_json::Value;

use super::{check, swagger2};
use crate::fault::{FieldFault, PublisherError};

/// An OpenAPI document that was parsed and found acceptable.
#[derive(Clone, Debug)]
pub struct Document {
    /// The text as it was given; of a document in Swagger 2.0, what it became.
    pub text: Arc<str>,
    /// Its content.
    pub value: Value,
    /// Its version.
    pub version: OpenapiVersion,
    /// Whether it was given in Swagger 2.0.
    pub was_swagger2: bool,
}

/// The versions of OpenAPI that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenapiVersion {
    /// 3.0.x
    V3_0,
    /// 3.1.x
    V3_1,
}

impl Document {
    /// Parses and checks a document, JSON or YAML.
    ///
    /// # Errors
    /// [`PublisherError::Definition`] with what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, PublisherError> {
        if text.len() > DEFINITION_BYTES_MAX {
            let reason = format!("the document has {} bytes; at most {DEFINITION_BYTES_MAX} are accepted", text.len());
            return Err(refuse("", reason));
        }
        let text = text.trim_start_matches('\u{feff}');
        let mut value = parse_text(text)?;
        let mut became = None;
        if swagger2::is_swagger2(&value) {
            value = swagger2::converted(value)?;
            became = Some(format!("{value:#}"));
        }
        let text = became.as_deref().unwrap_or(text);
        let version = version_of(&value)?;
        make_versions_text(&mut value);
        let faults = check::check(&value, version);
        if !faults.is_empty() {
            return Err(PublisherError::Definition(faults));
        }
        Ok(Self { text: Arc::from(text), value, version, was_swagger2: became.is_some() })
    }
}

fn refuse(place: &str, reason: impl Into<String>) -> PublisherError {
    PublisherError::Definition(vec![FieldFault::new(place, reason)])
}

/// Parses JSON or YAML into a value.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse_text(text: &str) -> Result<Value, PublisherError> {
    let begin = text.trim_start();
    if begin.is_empty() {
        return Err(refuse("", "the document is empty"));
    }
    if let Some(other) = other_language(begin) {
        let reason =
            format!("this is {other}; OpenAPI 3.0 and 3.1 and Swagger 2.0 are accepted, for APIs of the type HTTP");
        return Err(refuse("line 1", reason));
    }
    if begin.starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            // The message ends with the place, which is told beside it.
            let message = error.to_string();
            let reason = message.split(" at line ").next().unwrap_or(&message).to_owned();
            refuse(&format!("line {}, column {}", error.line(), error.column()), format!("not valid JSON: {reason}"))
        });
    }
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().filter(|at| at.line() > 0);
        let place = place.map(|at| format!("line {}, column {}", at.line(), at.column())).unwrap_or_default();
        refuse(&place, format!("not valid YAML: {}", first_line(&error.to_string())))
    })
}

/// Says what a document is that is neither JSON nor YAML but describes an API too.
fn other_language(begin: &str) -> Option<&'static str> {
    if begin.starts_with('<') {
        return Some("XML; WSDL is taken by /apis/import-wsdl");
    }
    is_graphql(begin).then_some("a GraphQL schema, which /apis/import-graphql-schema takes")
}

/// Says whether a text begins as a schema of GraphQL does.
pub(crate) fn is_graphql(text: &str) -> bool {
    let is_schema = [
        "type Query",
        "type Mutation",
        "schema {",
        "schema{",
        "extend type ",
        "directive @",
        "\"\"\"",
        "scalar ",
        "interface ",
        "input ",
        "enum ",
        "union ",
    ];
    let mut lines = text.lines().map(str::trim_start);
    let Some(first) = lines.find(|line| !line.is_empty() && !line.starts_with('#')) else { return false };
    is_schema.iter().any(|start| first.starts_with(start))
        || (first.starts_with("type ") && first.trim_end().ends_with('{'))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn version_of(value: &Value) -> Result<OpenapiVersion, PublisherError> {
    const ACCEPTED: &str = "OpenAPI 3.0 and 3.1 and Swagger 2.0 are accepted";
    let Some(document) = value.as_object() else {
        return Err(refuse("", "the document must be an object with `openapi`, `info` and `paths`"));
    };
    if let Some(swagger) = document.get("swagger") {
        let reason = format!("this is a Swagger {} document; {ACCEPTED}", plain(swagger));
        return Err(refuse("swagger", reason));
    }
    if document.contains_key("asyncapi") {
        let reason = format!("this is an AsyncAPI document, which /apis/import-asyncapi takes; {ACCEPTED}");
        return Err(refuse("asyncapi", reason));
    }
    let Some(openapi) = document.get("openapi") else {
        return Err(refuse("openapi", format!("the version of OpenAPI must be there; {ACCEPTED}")));
    };
    let version = plain(openapi);
    match version.split('.').collect::<Vec<_>>()[..] {
        ["3", "0"] | ["3", "0", _] => Ok(OpenapiVersion::V3_0),
        ["3", "1"] | ["3", "1", _] => Ok(OpenapiVersion::V3_1),
        _ => Err(refuse("openapi", format!("is {version}; {ACCEPTED}"))),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Makes texts of versions that YAML reads as numbers when their author left out the quotes: `version: 1.0`.
fn make_versions_text(value: &mut Value) {
    for place in ["/openapi", "/info/version"] {
        if let Some(version) = value.pointer_mut(place)
            && version.is_number()
        {
            *version = Value::String(version.to_string());
        }
    }
}
