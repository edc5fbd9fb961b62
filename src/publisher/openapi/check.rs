//! Checks an OpenAPI document piece by piece, so that each fault has its place. It changes nothing.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::OpenapiVersion;
use super::part::{Holds, Part};
use super::place::Place;
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
    check.references(Place::Top, document, 0);
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
    fn part<V30: DeserializeOwned, V31: DeserializeOwned>(&mut self, place: &str, part: &Value) {
        let place = Place::Known(place);
        match self.version {
            OpenapiVersion::V3_0 => self.typed::<V30>(place, part),
            OpenapiVersion::V3_1 => self.typed::<V31>(place, part),
        }
    }

    fn typed<T: DeserializeOwned>(&mut self, place: Place<'_>, part: &Value) {
        if let Err(error) = T::deserialize(part) {
            let mut reason = error.to_string();
            if reason.contains("untagged enum") {
                reason = "a part has the wrong shape: a field is missing or of the wrong type".to_owned();
            }
            self.fault(place.to_string(), reason);
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
                match self.version {
                    OpenapiVersion::V3_0 => self.old_part(Part::Operation, Place::Known(&place), operation, 0),
                    OpenapiVersion::V3_1 => self.typed::<oas3::spec::Operation>(Place::Known(&place), operation),
                }
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
                self.component(section, &format!("{place}.{name}"), part);
            }
        }
    }

    fn component(&mut self, section: &str, place: &str, part: &Value) {
        use oas3::spec as v31;
        type New<T> = v31::ObjectOrReference<T>;
        if section == "securitySchemes" {
            type Old = openapiv3::ReferenceOr<openapiv3::SecurityScheme>;
            return self.part::<Old, New<v31::SecurityScheme>>(place, part);
        }
        if self.version == OpenapiVersion::V3_0 {
            let kind = match section {
                "schemas" => Part::Schema,
                "responses" => Part::Response,
                "parameters" => Part::Parameter,
                "requestBodies" => Part::RequestBody,
                "headers" => Part::Header,
                _ => return,
            };
            return self.old_part(kind, Place::Known(place), part, 0);
        }
        let place = Place::Known(place);
        match section {
            "schemas" => self.typed::<v31::Schema>(place, part),
            "responses" => self.typed::<New<v31::Response>>(place, part),
            "parameters" => self.typed::<New<v31::Parameter>>(place, part),
            "requestBodies" => self.typed::<New<v31::RequestBody>>(place, part),
            "headers" => self.typed::<New<v31::Header>>(place, part),
            _ => {}
        }
    }

    /// Checks a part of an OpenAPI 3.0 document and, one by one, the parts in it.
    fn old_part(&mut self, kind: Part, place: Place<'_>, part: &Value, depth: usize) {
        // What is deeper is refused where references are looked at.
        if self.faults.len() >= FAULTS_MAX || depth > DEPTH_MAX || part.get("$ref").is_some_and(Value::is_string) {
            return;
        }
        let alone = match part {
            Value::Object(fields) => Value::Object(self.cut_apart(kind, place, fields, depth)),
            other => other.clone(),
        };
        match kind {
            Part::Schema => self.typed::<openapiv3::Schema>(place, &alone),
            Part::Parameter => self.typed::<openapiv3::Parameter>(place, &alone),
            Part::Header => self.typed::<openapiv3::Header>(place, &alone),
            Part::RequestBody => self.typed::<openapiv3::RequestBody>(place, &alone),
            Part::Response => self.typed::<openapiv3::Response>(place, &alone),
            Part::Operation => self.typed::<openapiv3::Operation>(place, &alone),
            Part::MediaType => self.typed::<openapiv3::MediaType>(place, &alone),
            Part::Encoding => self.typed::<openapiv3::Encoding>(place, &alone),
        }
    }

    /// Checks the parts that a part holds, and returns its fields without them.
    fn cut_apart(
        &mut self,
        kind: Part,
        place: Place<'_>,
        fields: &Map<String, Value>,
        depth: usize,
    ) -> Map<String, Value> {
        let mut alone = Map::new();
        for (name, value) in fields {
            let at = Place::Field(&place, name);
            let kept = match (kind.field(name), value) {
                (Some(Holds::Ignored), _) => continue,
                (Some(Holds::One(inner)), Value::Object(_)) => self.cut_out(inner, at, value, depth),
                (Some(Holds::ByName(inner)), Value::Object(parts)) => {
                    let cut = |(name, part): (&String, &Value)| {
                        let is_part = part.is_object() && !name.starts_with("x-");
                        let at = Place::Field(&at, name);
                        (name.clone(), if is_part { self.cut_out(inner, at, part, depth) } else { part.clone() })
                    };
                    Value::Object(parts.iter().map(cut).collect())
                }
                (Some(Holds::List(inner)), Value::Array(parts)) => {
                    let cut = |(number, part): (usize, &Value)| match part {
                        Value::Object(_) => self.cut_out(inner, Place::Item(&at, number), part, depth),
                        other => other.clone(),
                    };
                    Value::Array(parts.iter().enumerate().map(cut).collect())
                }
                _ => value.clone(),
            };
            alone.insert(name.clone(), kept);
        }
        alone
    }

    fn cut_out(&mut self, kind: Part, place: Place<'_>, part: &Value, depth: usize) -> Value {
        self.old_part(kind, place, part, depth + 1);
        kind.stub()
    }

    /// Checks that references into the document lead somewhere.
    fn references(&mut self, place: Place<'_>, value: &Value, depth: usize) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        if depth > DEPTH_MAX {
            self.fault(place.to_string(), format!("is nested more than {DEPTH_MAX} deep"));
            return;
        }
        match value {
            Value::Object(map) => {
                if let Some(target) = map.get("$ref").and_then(Value::as_str)
                    && target.starts_with("#/components/")
                    && !target.contains('%')
                    && self.document.pointer(&target[1..]).is_none()
                {
                    self.fault(place.to_string(), format!("there is no {target} in the document"));
                }
                let is_example = |name: &str| matches!(name, "example" | "examples") || name.starts_with("x-");
                for (name, part) in map.iter().filter(|(name, _)| !is_example(name)) {
                    self.references(Place::Field(&place, name), part, depth + 1);
                }
            }
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    if item.is_object() || item.is_array() {
                        self.references(Place::Item(&place, number), item, depth + 1);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Says whether a key of a path item is a verb that APIs may have.
pub(crate) fn is_verb(key: &str) -> bool {
    VERBS.iter().any(|verb| verb.eq_ignore_ascii_case(key))
}

/// Follows the references of a path item within the document.
pub(crate) fn resolve_item<'a>(document: &'a Value, item: &'a Value) -> Result<&'a Value, String> {
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
