//! What of a definition a client is written from: the operations, with what they are given.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::check_written;

const VERBS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// Parameters of one operation, with those that its path shares.
const PARAMETERS_MAX: usize = 200;
/// Bytes of a parameter's name.
const NAME_BYTES_MAX: usize = 1_024;
/// Bytes of a reference.
const REFERENCE_BYTES_MAX: usize = 1_024;
/// Media types of a body that are looked at, and types of a parameter.
const TYPES_READ: usize = 100;
/// Bytes that are written around an operation, and around a parameter, at least.
const AROUND_OPERATION: usize = 200;
const AROUND_PARAMETER: usize = 40;
/// What of JSON is told apart.
const KINDS: [&str; 6] = ["string", "integer", "number", "boolean", "array", "object"];

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// What of JSON it is: one of [`KINDS`].
    pub(super) kind: &'static str,
    pub(super) remark: String,
}

impl Described {
    /// Reads a definition; what is not understood is left out.
    ///
    /// # Errors
    /// Where an operation, or all of them, say more than a client may hold. Operations may share what they refer to, so
    /// that a small document says much.
    pub(super) fn of(document: &Value) -> Result<Self, String> {
        let mut operations = Vec::new();
        let mut bytes = 0;
        for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
            let Some(item) = resolved(document, item).as_object() else { continue };
            for verb in VERBS {
                if let Some(operation) = item.get(verb).and_then(Value::as_object) {
                    let operation = described(document, path, verb, item, operation)?;
                    bytes += operation.bytes();
                    check_written(bytes)?;
                    operations.push(operation);
                }
            }
        }
        Ok(Self { operations })
    }
}

impl DescribedOperation {
    /// Returns how many bytes are written for it at least.
    fn bytes(&self) -> usize {
        let of_parameter = |one: &Parameter| one.name.len() + one.remark.len() + AROUND_PARAMETER;
        let words = self.words.iter().map(String::len).sum::<usize>();
        let body = self.body.as_ref().map_or(0, String::len);
        let parameters = self.parameters.iter().map(of_parameter).sum::<usize>();
        AROUND_OPERATION + self.path.len() + self.summary.len() + words + body + parameters
    }
}

fn described(
    document: &Value,
    path: &str,
    verb: &str,
    item: &Map<String, Value>,
    operation: &Map<String, Value>,
) -> Result<DescribedOperation, String> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut words = super::words(text("operationId"));
    if words.first().is_none_or(|word| word.starts_with(|one: char| one.is_ascii_digit())) {
        words = super::words(&format!("{verb} {path}"));
    }
    let lists = [operation.get("parameters"), item.get("parameters")];
    let lists: Vec<&Vec<Value>> = lists.into_iter().flatten().filter_map(Value::as_array).collect();
    // Before they are looked at: others of the document may share them.
    let count = lists.iter().map(|list| list.len()).sum::<usize>() + path.matches('{').count();
    let whose = || format!("{} {}", verb.to_ascii_uppercase(), path.chars().take(100).collect::<String>());
    if count > PARAMETERS_MAX {
        return Err(format!(
            "{} has {count} parameters; clients are written for at most {PARAMETERS_MAX} of an operation",
            whose()
        ));
    }
    let mut known: BTreeSet<(Place, String)> = BTreeSet::new();
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut body = None;
    for said in lists.into_iter().flatten().map(|said| resolved(document, said)) {
        // Swagger 2.0 has its bodies among the parameters.
        if said["in"] == "body" {
            body = Some("application/json".to_owned());
        }
        let Some(parameter) = parameter(document, said) else { continue };
        check_name(&parameter.name).map_err(|reason| format!("{} {reason}", whose()))?;
        if known.insert((parameter.place, parameter.name.clone())) {
            parameters.push(parameter);
        }
    }
    for name in in_braces(path) {
        check_name(&name).map_err(|reason| format!("{} {reason}", whose()))?;
        if known.insert((Place::Path, name.clone())) {
            let (place, kind) = (Place::Path, "string");
            parameters.push(Parameter { name, place, is_required: true, kind, remark: String::new() });
        }
    }
    if let Some(request) = operation.get("requestBody").map(|request| resolved(document, request)) {
        let media = request.get("content").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
        let media: Vec<&String> = media.take(TYPES_READ).collect();
        let json = media.iter().find(|name| name.contains("json")).or_else(|| media.first());
        // A range of media types is no type to send.
        let named = json.filter(|name| !name.contains('*'));
        body = Some(named.map_or_else(|| "application/json".to_owned(), |name| (*name).clone()));
    }
    let summary = [text("summary"), text("description")].into_iter().find(|text| !text.is_empty());
    Ok(DescribedOperation {
        verb: verb.to_ascii_uppercase(),
        path: path.to_owned(),
        words,
        summary: super::remark(summary.unwrap_or_default()),
        parameters,
        body,
    })
}

fn check_name(name: &str) -> Result<(), String> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let length = name.len();
    Err(format!("has a parameter with a name of {length} bytes; clients are written for at most {NAME_BYTES_MAX}"))
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
        Some(Value::Array(kinds)) => {
            kinds.iter().take(TYPES_READ).filter_map(Value::as_str).find(|kind| *kind != "null")
        }
        kind => kind.and_then(Value::as_str),
    };
    Some(Parameter {
        name: said.get("name")?.as_str()?.to_owned(),
        place,
        is_required: place == Place::Path || said.get("required") == Some(&Value::Bool(true)),
        kind: KINDS.into_iter().find(|known| kind == Some(*known)).unwrap_or("string"),
        remark: super::remark(said.get("description").and_then(Value::as_str).unwrap_or_default()),
    })
}

/// Follows a reference within the document, once.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    let target = target.filter(|target| target.len() <= REFERENCE_BYTES_MAX);
    target.and_then(|target| document.pointer(target)).unwrap_or(value)
}

fn in_braces(path: &str) -> Vec<String> {
    let parts = path.split('{').skip(1);
    parts.filter_map(|part| part.split_once('}')).map(|(name, _)| name.to_owned()).collect()
}
