//! Checks an OpenAPI document piece by piece, so that each fault has its place. It changes nothing.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::OpenapiVersion;
use crate::dto::fields::name_of_type;
use crate::dto::operations::{VERBS, check_target};
use crate::fault::FieldFault;

/// Faults that are looked for; a document with more is not read further.
const FAULTS_MAX: usize = 50;
/// How deep a document may be nested.
const DEPTH_MAX: usize = 120;
/// How many references may lead to one path item.
const REFERENCES_MAX: usize = 8;

/// Returns every fault of a document, up to a bound.
#[must_use]
pub fn check(document: &Value, version: OpenapiVersion) -> Vec<FieldFault> {
    let mut check = Check { document, version, faults: Vec::new() };
    check.top();
    check.paths();
    check.components();
    check.references("", document, 0);
    check.faults.truncate(FAULTS_MAX);
    check.faults
}

struct Check<'a> {
    document: &'a Value,
    version: OpenapiVersion,
    faults: Vec<FieldFault>,
}

impl<'a> Check<'a> {
    fn fault(&mut self, place: impl Into<String>, reason: impl Into<String>) {
        self.faults.push(FieldFault::new(place, reason));
    }

    /// Checks a part against the types of its version of OpenAPI.
    fn part<V30: DeserializeOwned, V31: DeserializeOwned>(&mut self, place: impl Into<String>, part: &Value) {
        let outcome = match self.version {
            OpenapiVersion::V3_0 => V30::deserialize(part).map(drop),
            OpenapiVersion::V3_1 => V31::deserialize(part).map(drop),
        };
        if let Err(error) = outcome {
            let mut reason = error.to_string();
            if reason.contains("untagged enum") {
                reason = "a part has the wrong shape: a field is missing or of the wrong type".to_owned();
            }
            self.fault(place, reason);
        }
    }

    fn object(&mut self, place: &str, value: Option<&'a Value>) -> Option<&'a Map<String, Value>> {
        match value? {
            Value::Object(map) => Some(map),
            other => {
                self.fault(place, format!("must be an object, not {}", name_of_type(other)));
                None
            }
        }
    }

    fn top(&mut self) {
        match self.document.get("info") {
            Some(info) => self.part::<openapiv3::Info, oas3::spec::Info>("info", info),
            None => self.fault("info", "must be there"),
        }
        if let Some(servers) = self.document.get("servers") {
            self.part::<Vec<openapiv3::Server>, Vec<oas3::spec::Server>>("servers", servers);
        }
        if let Some(security) = self.document.get("security") {
            type Requirements = Vec<BTreeMap<String, Vec<String>>>;
            self.part::<Requirements, Requirements>("security", security);
        }
        let has_paths = self.document.get("paths").is_some();
        if !has_paths && self.version == OpenapiVersion::V3_0 {
            self.fault("paths", "must be there");
        } else if !has_paths {
            self.fault("paths", "must be there: an API that is called needs operations");
        }
    }

    fn paths(&mut self) {
        let Some(paths) = self.object("paths", self.document.get("paths")) else { return };
        let mut operation_ids: BTreeMap<&str, String> = BTreeMap::new();
        for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
            let place = format!("paths.{path}");
            if let Err(reason) = check_target(path) {
                self.fault(&place, reason);
            }
            let item = match resolve_item(self.document, item) {
                Ok(item) => item,
                Err(reason) => {
                    self.fault(&place, reason);
                    continue;
                }
            };
            let Some(item) = self.object(&place, Some(item)) else { continue };
            for (verb, operation) in item.iter().filter(|(verb, _)| is_verb(verb)) {
                let place = format!("{place}.{verb}");
                self.part::<openapiv3::Operation, oas3::spec::Operation>(&place, operation);
                let Some(id) = operation.get("operationId").and_then(Value::as_str) else { continue };
                if let Some(first) = operation_ids.insert(id, place.clone()) {
                    self.fault(place, format!("the operationId {id} is that of {first}"));
                }
            }
            if self.faults.len() >= FAULTS_MAX {
                return;
            }
        }
    }

    fn components(&mut self) {
        let Some(components) = self.object("components", self.document.get("components")) else { return };
        for (section, parts) in components.iter().filter(|(section, _)| !section.starts_with("x-")) {
            let place = format!("components.{section}");
            let Some(parts) = self.object(&place, Some(parts)) else { continue };
            for (name, part) in parts {
                if self.faults.len() >= FAULTS_MAX {
                    return;
                }
                self.component(section, format!("{place}.{name}"), part);
            }
        }
    }

    fn component(&mut self, section: &str, place: String, part: &Value) {
        use oas3::spec as v31;
        use openapiv3 as v30;
        type Old<T> = v30::ReferenceOr<T>;
        type New<T> = v31::ObjectOrReference<T>;
        match section {
            "schemas" => self.part::<Old<v30::Schema>, v31::Schema>(place, part),
            "responses" => self.part::<Old<v30::Response>, New<v31::Response>>(place, part),
            "parameters" => self.part::<Old<v30::Parameter>, New<v31::Parameter>>(place, part),
            "requestBodies" => self.part::<Old<v30::RequestBody>, New<v31::RequestBody>>(place, part),
            "headers" => self.part::<Old<v30::Header>, New<v31::Header>>(place, part),
            "securitySchemes" => self.part::<Old<v30::SecurityScheme>, New<v31::SecurityScheme>>(place, part),
            _ => {}
        }
    }

    /// Checks that references into the document lead somewhere.
    fn references(&mut self, place: &str, value: &Value, depth: usize) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        if depth > DEPTH_MAX {
            self.fault(place, format!("is nested more than {DEPTH_MAX} deep"));
            return;
        }
        match value {
            Value::Object(map) => {
                if let Some(target) = map.get("$ref").and_then(Value::as_str)
                    && target.starts_with("#/components/")
                    && !target.contains('%')
                    && self.document.pointer(&target[1..]).is_none()
                {
                    self.fault(place, format!("there is no {target} in the document"));
                }
                let is_example = |name: &str| matches!(name, "example" | "examples") || name.starts_with("x-");
                for (name, part) in map.iter().filter(|(name, _)| !is_example(name)) {
                    let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                    self.references(&place, part, depth + 1);
                }
            }
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    if item.is_object() || item.is_array() {
                        self.references(&format!("{place}[{number}]"), item, depth + 1);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Says whether a key of a path item is a verb that APIs may have.
pub(super) fn is_verb(key: &str) -> bool {
    VERBS.iter().any(|verb| verb.eq_ignore_ascii_case(key))
}

/// Follows the references of a path item within the document.
pub(super) fn resolve_item<'a>(document: &'a Value, item: &'a Value) -> Result<&'a Value, String> {
    let mut item = item;
    for _ in 0..REFERENCES_MAX {
        let Some(target) = item.get("$ref").and_then(Value::as_str) else { return Ok(item) };
        let pointer = target.strip_prefix('#').ok_or_else(|| {
            format!("the reference {target} leads out of the document; references to other files are not fetched")
        })?;
        item = document.pointer(pointer).ok_or_else(|| format!("there is no {target} in the document"))?;
    }
    Err("the references go in a circle".to_owned())
}
