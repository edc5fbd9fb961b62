//! The topics of an API as the REST contract has them: each is a channel that is read, or written to.

use portcullis_model::ApiKind;
use portcullis_model::api::{Operation, OperationAuth};
use portcullis_model::limit::API_OPERATIONS_MAX;
use serde_json::{Map, Value};

use super::asyncapi::target_of;
use crate::dto::fields::Fields;
use crate::dto::operations::{UNLIMITED, check_target, verbs_of};
use crate::fault::{FieldFault, PublisherError};

/// Characters of a topic's name (REST contract).
const NAME_CHARS_MAX: usize = 50;
/// Characters that a topic's name must not have (REST contract), but for those of templates and paths, which channels of
/// WebSockets have.
const NAME_FORBIDDEN: &str = "~!@#;%^()+=|\\<>\"',&$[]";
const DESCRIPTION_CHARS_MAX: usize = 32_766;

/// Reads a list of topics into the operations of an API.
///
/// # Errors
/// What is wrong, by field.
pub(crate) fn read(body: Map<String, Value>, kind: ApiKind) -> Result<Vec<Operation>, PublisherError> {
    let mut fields = Fields::new("", body);
    for name in ["count", "pagination"] {
        fields.take(name);
    }
    let items = fields.list("list", API_OPERATIONS_MAX).unwrap_or_default();
    let mut faults = Vec::new();
    fields.finish_into(&mut faults);
    let mut operations: Vec<Operation> = Vec::new();
    for (number, item) in items.into_iter().enumerate() {
        let place = format!("list[{number}]");
        match read_one(&place, item, kind, &mut faults) {
            Some(one) if operations.iter().any(|known| known.verb == one.verb && known.target == one.target) => {
                faults.push(FieldFault::new(place, format!("{} {} is there twice", one.verb, one.target)));
            }
            one => operations.extend(one),
        }
    }
    if operations.is_empty() && faults.is_empty() {
        faults.push(FieldFault::new("list", "is empty; an API has at least one topic"));
    }
    if faults.is_empty() { Ok(operations) } else { Err(PublisherError::Fields(faults)) }
}

fn read_one(place: &str, item: Value, kind: ApiKind, faults: &mut Vec<FieldFault>) -> Option<Operation> {
    let Value::Object(item) = item else {
        faults.push(FieldFault::new(place, "must be an object with name and mode"));
        return None;
    };
    let mut fields = Fields::new(format!("{place}."), item);
    fields.take("id");
    let (name, mode) = (fields.text("name", NAME_CHARS_MAX), fields.text("mode", 20));
    fields.text("description", DESCRIPTION_CHARS_MAX);
    let before = faults.len();
    fields.finish_into(faults);
    let mut fault = |field: &str, reason: String| faults.push(FieldFault::new(format!("{place}.{field}"), reason));
    let target = name.filter(|name| !name.is_empty()).map(|name| target_of(&name));
    match &target {
        None => fault("name", "must be there".to_owned()),
        Some(target) => match target.chars().find(|one| NAME_FORBIDDEN.contains(*one)) {
            Some(wrong) => fault("name", format!("must not have {wrong:?}")),
            None => check_target(target).unwrap_or_else(|reason| fault("name", reason)),
        },
    }
    let verb = mode.map(|mode| mode.to_ascii_uppercase());
    let accepted = verbs_of(kind);
    match &verb {
        Some(verb) if accepted.contains(&verb.as_str()) => {}
        Some(verb) => fault("mode", format!("is {verb}; {} is accepted", accepted.join(" or "))),
        None => fault("mode", format!("must be there: {}", accepted.join(" or "))),
    }
    if faults.len() > before {
        return None;
    }
    Some(Operation {
        verb: verb?,
        target: target?,
        auth: OperationAuth::Any,
        policy: UNLIMITED.to_owned(),
        scopes: Vec::new(),
    })
}
