//! Mocks: what an API answers without a backend, out of the examples in its OpenAPI document. As in the original, each
//! operation has a script, which a publisher can see and change; what it answers is read out of the script. Scripts are
//! not run: one that does more than answer is refused.

mod example;
mod script;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use portcullis_model::mediation::own_answer::MockAnswers;
use serde_json::Value;

use self::example::{BYTES_MAX, Budget};
use crate::fault::{FieldFault, PublisherError};
use crate::openapi::check::{is_verb, resolve_item};

/// The field of an operation in which its script is.
pub(crate) const SCRIPT: &str = "x-mediation-script";
/// Bytes of all scripts of a document together that are written.
const SCRIPTS_BYTES_MAX: usize = 1 << 20;

/// The script of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) path: String,
    /// In capitals.
    pub(crate) verb: String,
    pub(crate) content: String,
}

/// Goes through the operations of a document.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    let items = paths.filter(|(path, _)| path.starts_with('/')).filter_map(|(path, item)| {
        let item = resolve_item(document, item).ok()?.as_object()?;
        Some(item.iter().filter(|(verb, _)| is_verb(verb)).map(move |(verb, operation)| (&**path, &**verb, operation)))
    });
    items.flatten()
}

/// Writes the script of each operation out of its examples.
///
/// # Errors
/// Where they are more than a document may have.
pub(crate) fn generate(document: &Value) -> Result<Vec<Script>, PublisherError> {
    let (mut scripts, mut left) = (Vec::new(), Budget::new());
    let mut bytes = 0;
    for (path, verb, operation) in operations(document) {
        let mock = example::answers(document, operation, &mut left);
        let mock = mock.ok_or_else(|| PublisherError::Definition(vec![too_large(path, verb)]))?;
        let content = script::write(&mock);
        bytes += content.len();
        if bytes > SCRIPTS_BYTES_MAX {
            let reason = format!("the scripts of all operations have more than {SCRIPTS_BYTES_MAX} bytes together");
            return Err(PublisherError::Definition(vec![FieldFault::new("paths", reason)]));
        }
        scripts.push(Script { path: path.to_owned(), verb: verb.to_ascii_uppercase(), content });
    }
    Ok(scripts)
}

/// Says that the examples of a document are too large from an operation on.
fn too_large(path: &str, verb: &str) -> FieldFault {
    let reason = format!(
        "the examples of all operations up to this one have more than {BYTES_MAX} bytes together as answers: make them \
         shorter or fewer"
    );
    FieldFault::new(format!("paths.{path}.{verb}.responses"), reason)
}

/// Puts scripts into a document, in the place of those that are there.
pub(crate) fn put(document: &mut Value, scripts: &[Script]) {
    for one in scripts {
        let mut item = format!("/paths/{}", one.path.replace('~', "~0").replace('/', "~1"));
        // A document that was read has no circle of them.
        while let Some(target) = document.pointer(&item).and_then(|item| item.get("$ref")).and_then(Value::as_str) {
            item = target.trim_start_matches('#').to_owned();
        }
        let item = document.pointer_mut(&item).and_then(Value::as_object_mut).into_iter().flatten();
        for (_, operation) in item.filter(|(verb, _)| verb.eq_ignore_ascii_case(&one.verb)) {
            operation[SCRIPT] = one.content.clone().into();
        }
    }
}

/// Returns what the operations of a document answer, by `VERB path`: those with a script what it says, and the others
/// what their examples say.
///
/// # Errors
/// What of a script is not understood, and where the examples are more than an API may have.
pub(crate) fn answers(document: &Value) -> Result<BTreeMap<String, MockAnswers>, PublisherError> {
    let (mut all, mut faults, mut left) = (BTreeMap::new(), Vec::new(), Budget::new());
    for (path, verb, operation) in operations(document) {
        let text = operation.get(SCRIPT).and_then(Value::as_str).filter(|script| !script.trim().is_empty());
        let read = if let Some(text) = text {
            script::read(text)
        } else {
            let Some(mock) = example::answers(document, operation, &mut left) else {
                faults.push(too_large(path, verb));
                break;
            };
            Ok(mock)
        };
        match read {
            Ok(mock) => drop(all.insert(format!("{} {path}", verb.to_ascii_uppercase()), mock)),
            Err(reason) => faults.push(FieldFault::new(format!("paths.{path}.{verb}.{SCRIPT}"), reason)),
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(PublisherError::Definition(faults)) }
}
