//! Calls and answers checked against the API's OpenAPI document (`enableSchemaValidation`), compiled at deployment. What
//! of a document cannot be compiled is logged and not checked: the rest is.

mod checks;
mod dialect;

use jsonschema::{Draft, PatternOptions, Registry, Validator};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use tracing::warn;

pub(crate) use self::checks::Checks;

use self::checks::{AnswerCheck, BodyCheck, ParameterCheck, Place};

/// By what schemas refer to the document.
const DOCUMENT: &str = "urn:portcullis:definition";
/// Bytes that a compiled pattern of a schema may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// What of a pointer is encoded in a fragment.
const IN_FRAGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'~').remove(b'-').remove(b'.').remove(b'_');
/// References that are followed from one to the next.
const REFERENCES_MAX: usize = 16;

/// A document, made ready to compile checks from.
pub(crate) struct Definition {
    document: Value,
    registry: Registry<'static>,
    api: String,
}

/// A document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("it is not YAML: {0}")]
    NotYaml(String),
    #[error("its schemas cannot be read: {0}")]
    Schemas(String),
}

impl Definition {
    /// Reads a document, JSON or YAML; `api` names it in the log.
    pub(crate) fn new(text: &str, api: String) -> Result<Self, Unusable> {
        let mut document: Value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text)?
        } else {
            let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
            serde_saphyr::from_str_with_options(text, options).map_err(|error| Unusable::NotYaml(error.to_string()))?
        };
        dialect::modernise(&mut document);
        let unreadable = |error: jsonschema::ReferencingError| Unusable::Schemas(error.to_string());
        let registry = Registry::new().draft(Draft::Draft202012).add(DOCUMENT, document.clone()).map_err(unreadable)?;
        let registry = registry.prepare().map_err(unreadable)?;
        Ok(Self { document, registry, api })
    }

    /// Compiles the checks of an operation; `None` where the document asks for nothing.
    pub(crate) fn checks(&self, verb: &str, target: &str) -> Option<Checks> {
        let place = format!("/paths/{}", escaped(target));
        let (place, item) = self.resolved(place)?;
        let operation_place = format!("{place}/{}", verb.to_ascii_lowercase());
        let (operation_place, operation) = self.resolved(operation_place)?;
        let mut parameters: Vec<ParameterCheck> = Vec::new();
        for (owner, holder) in [(&operation_place, operation), (&place, item)] {
            let count = holder.get("parameters").and_then(Value::as_array).map_or(0, Vec::len);
            for number in 0..count {
                let check = self.parameter(format!("{owner}/parameters/{number}"));
                // Those of the operation stand in place of those of the path.
                let is_new = |check: &ParameterCheck| {
                    !parameters.iter().any(|known| known.name == check.name && known.place == check.place)
                };
                parameters.extend(check.filter(is_new));
            }
        }
        let body = self.resolved(format!("{operation_place}/requestBody")).map(|(place, body)| BodyCheck {
            is_required: body.get("required") == Some(&Value::Bool(true)),
            kinds: self.media(&place, body),
        });
        let answers = operation.get("responses").and_then(Value::as_object);
        let answers: Vec<AnswerCheck> = answers
            .into_iter()
            .flatten()
            .filter_map(|(status, _)| {
                let (place, answer) = self.resolved(format!("{operation_place}/responses/{}", escaped(status)))?;
                let kinds = self.media(&place, answer);
                Some(AnswerCheck { status: status.to_ascii_lowercase(), kinds })
            })
            .collect();
        let checks = Checks { target: target.to_owned(), parameters, body, answers };
        (!checks.is_empty()).then_some(checks)
    }

    /// Follows references from a place to what is meant, and returns where that is.
    fn resolved(&self, mut place: String) -> Option<(String, &Value)> {
        for _ in 0..REFERENCES_MAX {
            let found = self.document.pointer(&place)?;
            match found.get("$ref").and_then(Value::as_str) {
                Some(reference) => {
                    let inside = reference.strip_prefix('#')?;
                    place = percent_decode_str(inside).decode_utf8().ok()?.into_owned();
                }
                None => return Some((place, found)),
            }
        }
        None
    }

    fn parameter(&self, place: String) -> Option<ParameterCheck> {
        let (place, parameter) = self.resolved(place)?;
        let name = parameter.get("name").and_then(Value::as_str)?.to_owned();
        let at = match parameter.get("in").and_then(Value::as_str)? {
            "query" => Place::Query,
            "header" => Place::Header,
            "path" => Place::Path,
            // Cookies are between the caller and the backend.
            _ => return None,
        };
        // These three the document cannot describe (OpenAPI 3.1 §4.8.12.1).
        let is_own = at == Place::Header
            && ["accept", "content-type", "authorization"].contains(&name.to_ascii_lowercase().as_str());
        if is_own {
            return None;
        }
        let schema_place = format!("{place}/schema");
        let (_, schema) = self.resolved(schema_place.clone()).unzip();
        let kind = schema.and_then(checks::Kind::of);
        let explodes = parameter.get("explode") != Some(&Value::Bool(false));
        let is_plain = parameter.get("style").is_none_or(|style| style == "form" || style == "simple") && explodes;
        let validator = kind.filter(|_| is_plain).and_then(|_| self.validator(&schema_place));
        let is_required = at == Place::Path || parameter.get("required") == Some(&Value::Bool(true));
        (is_required || validator.is_some()).then_some(ParameterCheck { name, place: at, is_required, kind, validator })
    }

    /// Compiles the schemas of JSON bodies, by media type.
    fn media(&self, place: &str, holder: &Value) -> Vec<(String, Option<Validator>)> {
        let content = holder.get("content").and_then(Value::as_object);
        content
            .into_iter()
            .flatten()
            .map(|(media, described)| {
                let is_json = checks::is_json(media);
                let has_schema = described.get("schema").is_some();
                let schema = format!("{place}/content/{}/schema", escaped(media));
                let validator = if is_json && has_schema { self.validator(&schema) } else { None };
                (media.to_ascii_lowercase(), validator)
            })
            .collect()
    }

    fn validator(&self, place: &str) -> Option<Validator> {
        let fragment = utf8_percent_encode(place, IN_FRAGMENT);
        let reference = json!({"$ref": format!("{DOCUMENT}#{fragment}")});
        let built = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(&self.registry)
            // In linear time, whatever a caller sends.
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
            .offline()
            .build(&reference);
        built.inspect_err(|error| warn!(api = self.api, place, %error, "schema not usable; it is not checked")).ok()
    }
}

/// Escapes a name for a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
