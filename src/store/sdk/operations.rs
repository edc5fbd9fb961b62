//! What of a definition a client is written from: the operations, with what they are given.

use serde_json::{Map, Value};

const VERBS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// What a client is written from.
pub(super) struct Described {
    pub(super) operations: Vec<DescribedOperation>,
}

/// One operation.
pub(super) struct DescribedOperation {
    /// The verb in capitals.
    pub(super) verb: String,
    /// The path, with its parameters in braces.
    pub(super) path: String,
    /// The words of its name.
    pub(super) words: Vec<String>,
    pub(super) summary: String,
    pub(super) parameters: Vec<Parameter>,
    /// The media type of its body; `None` where it has none.
    pub(super) body: Option<String>,
}

/// Where a parameter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// A parameter.
#[derive(Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) is_required: bool,
    /// What of JSON it is: `string`, `integer`, `number`, `boolean`, `array` or another.
    pub(super) kind: String,
    pub(super) remark: String,
}

impl Described {
    /// Reads a definition; what is not understood is left out.
    pub(super) fn of(document: &Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
            let Some(item) = resolved(document, item).as_object() else { continue };
            for verb in VERBS {
                if let Some(operation) = item.get(verb).and_then(Value::as_object) {
                    operations.push(described(document, path, verb, item, operation));
                }
            }
        }
        Self { operations }
    }
}

fn described(
    document: &Value,
    path: &str,
    verb: &str,
    item: &Map<String, Value>,
    operation: &Map<String, Value>,
) -> DescribedOperation {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut words = super::words(text("operationId"));
    if words.first().is_none_or(|word| word.starts_with(|one: char| one.is_ascii_digit())) {
        words = super::words(&format!("{verb} {path}"));
    }
    let lists = [operation.get("parameters"), item.get("parameters")];
    let all = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut body = None;
    for said in all.map(|said| resolved(document, said)) {
        // Swagger 2.0 has its bodies among the parameters.
        if said["in"] == "body" {
            body = Some("application/json".to_owned());
        }
        let Some(parameter) = parameter(document, said) else { continue };
        if !parameters.iter().any(|known| known.name == parameter.name && known.place == parameter.place) {
            parameters.push(parameter);
        }
    }
    for name in in_braces(path) {
        if !parameters.iter().any(|known| known.place == Place::Path && known.name == name) {
            let kind = "string".to_owned();
            parameters.push(Parameter { name, place: Place::Path, is_required: true, kind, remark: String::new() });
        }
    }
    if let Some(request) = operation.get("requestBody").map(|request| resolved(document, request)) {
        let media = request.get("content").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
        let media: Vec<&String> = media.collect();
        let json = media.iter().find(|name| name.contains("json")).or_else(|| media.first());
        // A range of media types is no type to send.
        let named = json.filter(|name| !name.contains('*'));
        body = Some(named.map_or_else(|| "application/json".to_owned(), |name| (*name).clone()));
    }
    let summary = [text("summary"), text("description")].into_iter().find(|text| !text.is_empty());
    DescribedOperation {
        verb: verb.to_ascii_uppercase(),
        path: path.to_owned(),
        words,
        summary: super::remark(summary.unwrap_or_default()),
        parameters,
        body,
    }
}

fn parameter(document: &Value, said: &Value) -> Option<Parameter> {
    let place = match said.get("in")?.as_str()? {
        "path" => Place::Path,
        "query" => Place::Query,
        "header" => Place::Header,
        _ => return None,
    };
    let schema = said.get("schema").map_or(said, |schema| resolved(document, schema));
    // OpenAPI 3.1 may name several types.
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.and_then(Value::as_str),
    };
    Some(Parameter {
        name: said.get("name")?.as_str()?.to_owned(),
        place,
        is_required: place == Place::Path || said.get("required") == Some(&Value::Bool(true)),
        kind: kind.unwrap_or("string").to_owned(),
        remark: super::remark(said.get("description").and_then(Value::as_str).unwrap_or_default()),
    })
}

/// Follows a reference within the document, once.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    target.and_then(|target| document.pointer(target)).unwrap_or(value)
}

fn in_braces(path: &str) -> Vec<String> {
    let parts = path.split('{').skip(1);
    parts.filter_map(|part| part.split_once('}')).map(|(name, _)| name.to_owned()).collect()
}
