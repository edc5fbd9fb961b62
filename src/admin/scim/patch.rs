//! PATCH (RFC 7644, section 3.5.2): applies operations to a resource in the form in which it is kept. All or none: the
//! caller keeps what comes out only where no operation failed.

use serde_json::{Map, Value};

use super::document;
use super::filter::{self, AttributePath, Target, get};
use super::schema::{self, Attribute, Kind, Mutability, Resource};
use super::scim_error::ScimError;

/// Operations of one request.
const OPERATIONS_MAX: usize = 1_000;

/// Applies a PATCH request to a resource.
pub(crate) fn apply(
    kind: Resource,
    resource: &mut Map<String, Value>,
    request: &Map<String, Value>,
) -> Result<(), ScimError> {
    let operations = get(request, "Operations").and_then(Value::as_array);
    let operations = operations.ok_or_else(|| ScimError::syntax("Operations: must be a list of operations."))?;
    if operations.len() > OPERATIONS_MAX {
        return Err(ScimError::syntax(format!("Operations: at most {OPERATIONS_MAX} at once.")));
    }
    for (number, operation) in operations.iter().enumerate() {
        let applied = operation.as_object().ok_or_else(|| ScimError::syntax("must be an object."));
        applied
            .and_then(|operation| one(kind, resource, operation))
            .map_err(|error| ScimError { detail: format!("Operations[{number}]: {}", error.detail), ..error })?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

fn one(kind: Resource, resource: &mut Map<String, Value>, operation: &Map<String, Value>) -> Result<(), ScimError> {
    let verb = get(operation, "op").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let verb = match verb.as_str() {
        "add" => Verb::Add,
        "replace" => Verb::Replace,
        "remove" => Verb::Remove,
        _ => return Err(ScimError::syntax("op: must be add, replace or remove.")),
    };
    let value = get(operation, "value");
    let path = match get(operation, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
        Some(_) => return Err(ScimError::path("path: must be a text.")),
    };
    match (path, verb, value) {
        (Some(path), Verb::Remove, value) => remove(kind, resource, &filter::parse_target(kind, path)?, value),
        (None, Verb::Remove, _) => Err(ScimError::new(400, Some("noTarget"), "remove needs a path.")),
        (_, _, None) => Err(ScimError::value("value: is missing.")),
        (Some(path), verb, Some(value)) => set(kind, resource, &filter::parse_target(kind, path)?, value, verb),
        (None, verb, Some(Value::Object(values))) => {
            for (name, value) in values {
                merge(kind, resource, name, value, verb)?;
            }
            Ok(())
        }
        (None, _, Some(_)) => Err(ScimError::value("value: must be an object where there is no path.")),
    }
}

/// Sets one member of a value without a path: an attribute, an extension, or a path as some clients write it.
fn merge(
    kind: Resource,
    resource: &mut Map<String, Value>,
    name: &str,
    value: &Value,
    verb: Verb,
) -> Result<(), ScimError> {
    if name.eq_ignore_ascii_case("schemas") {
        return Ok(());
    }
    if let Some(urn) = kind.extension(name) {
        let path = AttributePath { extension: Some(urn), name: String::new(), part: None };
        return set(kind, resource, &Target { path, filter: None }, value, verb);
    }
    // A whole resource may be sent: what is the server's is left alone, as with PUT.
    if kind.attribute(name).is_some_and(|attribute| attribute.mutability == Mutability::ReadOnly) {
        return Ok(());
    }
    set(kind, resource, &filter::parse_target(kind, name)?, value, verb)
}

fn set(
    kind: Resource,
    resource: &mut Map<String, Value>,
    target: &Target,
    value: &Value,
    verb: Verb,
) -> Result<(), ScimError> {
    let path = &target.path;
    if let (Some(urn), true) = (path.extension, path.name.is_empty()) {
        return set_extension(resource, urn, value, verb);
    }
    if path.extension == Some(schema::CUSTOM) {
        return set_custom(resource, path, value);
    }
    let attribute = changeable(kind, path)?;
    let container = container(resource, path.extension);
    match (&target.filter, &path.part) {
        (Some(_), _) if !attribute.is_multi => {
            Err(ScimError::path(format!("{}: has one value, from which none is chosen.", attribute.name)))
        }
        (Some(_), part) => set_chosen(kind, container, attribute, target, part.as_deref(), value, verb),
        (None, Some(part)) => set_part(container, attribute, part, value),
        (None, None) => set_whole(container, attribute, value, verb),
    }
}

fn changeable(kind: Resource, path: &AttributePath) -> Result<&'static Attribute, ScimError> {
    let attribute = path.whole_definition(kind).ok_or_else(|| {
        let unknown = document::unknown(kind, &path.name);
        ScimError::path(unknown.detail)
    })?;
    if attribute.mutability == Mutability::ReadOnly {
        return Err(ScimError::mutability(format!("{}: cannot be changed by clients.", attribute.name)));
    }
    Ok(attribute)
}

fn container<'a>(resource: &'a mut Map<String, Value>, extension: Option<&'static str>) -> &'a mut Map<String, Value> {
    let Some(urn) = extension else { return resource };
    let object = resource.entry(urn).or_insert_with(|| Value::Object(Map::new()));
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    match object {
        Value::Object(object) => object,
        _ => unreachable!("it was made one a moment ago"),
    }
}

fn set_extension(
    resource: &mut Map<String, Value>,
    urn: &'static str,
    value: &Value,
    verb: Verb,
) -> Result<(), ScimError> {
    let given = document::extension(urn, value)?;
    let Some(Value::Object(given)) = given else {
        if verb == Verb::Replace {
            resource.remove(urn);
        }
        return Ok(());
    };
    // Both add and replace leave alone what is not named (section 3.5.2.3).
    container(resource, Some(urn)).extend(given);
    Ok(())
}

fn set_custom(resource: &mut Map<String, Value>, path: &AttributePath, value: &Value) -> Result<(), ScimError> {
    let object = container(resource, Some(schema::CUSTOM));
    let whole = match &path.part {
        None => value.clone(),
        Some(part) => {
            let mut whole = object.get(&path.name).and_then(Value::as_object).cloned().unwrap_or_default();
            whole.insert(part.clone(), value.clone());
            Value::Object(whole)
        }
    };
    let wrapped = Value::Object(Map::from_iter([(path.name.clone(), whole)]));
    match document::extension(schema::CUSTOM, &wrapped)? {
        Some(Value::Object(kept)) => object.extend(kept),
        _ => drop(object.remove(&path.name)),
    }
    Ok(())
}

fn set_whole(
    container: &mut Map<String, Value>,
    attribute: &'static Attribute,
    value: &Value,
    verb: Verb,
) -> Result<(), ScimError> {
    let Some(given) = document::value_of(attribute, value)? else {
        if verb == Verb::Replace {
            container.remove(attribute.name);
        }
        return Ok(());
    };
    let before = container.get_mut(attribute.name);
    match (attribute.kind, before, given) {
        (_, Some(Value::Array(values)), Value::Array(given)) if verb == Verb::Add => add_values(values, given),
        (Kind::Complex(_), Some(Value::Object(object)), Value::Object(given)) if !attribute.is_multi => {
            object.extend(given);
        }
        (_, _, given) => drop(container.insert(attribute.name.to_owned(), given)),
    }
    Ok(())
}

/// Adds values that are not there yet. One that is primary takes that from the others.
fn add_values(values: &mut Vec<Value>, given: Vec<Value>) {
    let is_primary = |value: &Value| value.get("primary") == Some(&Value::Bool(true));
    if given.iter().any(is_primary) {
        for object in values.iter_mut().filter_map(Value::as_object_mut) {
            object.remove("primary");
        }
    }
    for value in given {
        let is_same = |other: &Value| {
            *other == value
                || (value.get("value").is_some() && only_names(&value) && other.get("value") == value.get("value"))
        };
        if !values.iter().any(is_same) {
            values.push(value);
        }
    }
}

/// Says whether a value says nothing but which one it is, as members of groups do.
fn only_names(value: &Value) -> bool {
    value.as_object().is_some_and(|object| {
        object.keys().all(|key| matches!(key.as_str(), "value" | "$ref" | "display" | "type"))
            && !object.contains_key("primary")
    })
}

fn set_part(
    container: &mut Map<String, Value>,
    attribute: &'static Attribute,
    part: &str,
    value: &Value,
) -> Result<(), ScimError> {
    let definition = part_of(attribute, part)?;
    let given = document::value_of(definition, value)?;
    if attribute.is_multi {
        // All values are meant (section 3.5.2.3).
        for object in values_mut(container, attribute).iter_mut().filter_map(Value::as_object_mut) {
            put_or_drop(object, definition.name, given.clone());
        }
        return Ok(());
    }
    let object = container.entry(attribute.name).or_insert_with(|| Value::Object(Map::new()));
    if let Some(object) = object.as_object_mut() {
        put_or_drop(object, definition.name, given);
    }
    Ok(())
}

fn part_of(attribute: &'static Attribute, part: &str) -> Result<&'static Attribute, ScimError> {
    let found = match attribute.kind {
        Kind::Complex(parts) => schema::find(parts, part),
        _ => None,
    };
    let found =
        found.ok_or_else(|| ScimError::path(format!("{}.{part}: there is no such attribute.", attribute.name)))?;
    if found.mutability == Mutability::ReadOnly {
        return Err(ScimError::mutability(format!("{}.{part}: cannot be changed by clients.", attribute.name)));
    }
    Ok(found)
}

fn put_or_drop(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(object.insert(name.to_owned(), value)),
        None => drop(object.remove(name)),
    }
}

fn values_mut<'a>(container: &'a mut Map<String, Value>, attribute: &Attribute) -> &'a mut Vec<Value> {
    let values = container.entry(attribute.name).or_insert_with(|| Value::Array(Vec::new()));
    if !values.is_array() {
        *values = Value::Array(Vec::new());
    }
    match values {
        Value::Array(values) => values,
        _ => unreachable!("it was made one a moment ago"),
    }
}

fn set_chosen(
    kind: Resource,
    container: &mut Map<String, Value>,
    attribute: &'static Attribute,
    target: &Target,
    part: Option<&str>,
    value: &Value,
    verb: Verb,
) -> Result<(), ScimError> {
    let Some(chosen) = &target.filter else { return Ok(()) };
    let values = values_mut(container, attribute);
    let mut is_any = false;
    for one in values.iter_mut().filter(|one| chosen.is_met_by_value(kind, &target.path, one)) {
        is_any = true;
        change_one(attribute, one, part, value)?;
    }
    if !is_any {
        // What was to be changed is not there; the parts that the filter demands make a new one where they say enough.
        let mut new = Map::new();
        for name in ["type", "value", "display"] {
            if let Some(demanded) = chosen.demanded(name) {
                new.insert(name.to_owned(), demanded.into());
            }
        }
        if verb == Verb::Replace && new.is_empty() || new.is_empty() && part.is_none() {
            return Err(ScimError::new(
                400,
                Some("noTarget"),
                format!("{}: no value is chosen by the filter.", attribute.name),
            ));
        }
        let mut new = Value::Object(new);
        change_one(attribute, &mut new, part, value)?;
        values.push(new);
    }
    check_primary(attribute, values)
}

fn change_one(
    attribute: &'static Attribute,
    one: &mut Value,
    part: Option<&str>,
    value: &Value,
) -> Result<(), ScimError> {
    let Some(object) = one.as_object_mut() else { return Ok(()) };
    match part {
        Some(part) => {
            let definition = part_of(attribute, part)?;
            put_or_drop(object, definition.name, document::value_of(definition, value)?);
        }
        None => {
            if let Some(Value::Array(given)) = document::value_of(attribute, value)?
                && let Some(Value::Object(given)) = given.into_iter().next()
            {
                object.extend(given);
            }
        }
    }
    Ok(())
}

fn check_primary(attribute: &Attribute, values: &[Value]) -> Result<(), ScimError> {
    if values.iter().filter(|value| value.get("primary") == Some(&Value::Bool(true))).count() > 1 {
        return Err(ScimError::value(format!("{}: at most one is primary.", attribute.name)));
    }
    Ok(())
}

fn remove(
    kind: Resource,
    resource: &mut Map<String, Value>,
    target: &Target,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    let path = &target.path;
    if let (Some(urn), true) = (path.extension, path.name.is_empty()) {
        resource.remove(urn);
        return Ok(());
    }
    if path.extension == Some(schema::CUSTOM) {
        let object = container(resource, Some(schema::CUSTOM));
        match (&path.part, object.get_mut(&path.name).and_then(Value::as_object_mut)) {
            (Some(part), Some(whole)) => drop(whole.remove(part)),
            _ => drop(object.remove(&path.name)),
        }
        return Ok(());
    }
    let attribute = changeable(kind, path)?;
    if attribute.is_required && path.part.is_none() {
        return Err(ScimError::mutability(format!("{}: cannot be removed.", attribute.name)));
    }
    let container = container(resource, path.extension);
    let Some(before) = container.get_mut(attribute.name) else { return Ok(()) };
    match (before, &target.filter, &path.part) {
        (Value::Array(values), Some(chosen), Some(part)) => {
            let is_chosen = |one: &&mut Value| chosen.is_met_by_value(kind, path, one);
            for object in values.iter_mut().filter(is_chosen).filter_map(Value::as_object_mut) {
                object.retain(|key, _| !key.eq_ignore_ascii_case(part));
            }
        }
        (Value::Array(values), Some(chosen), None) => values.retain(|one| !chosen.is_met_by_value(kind, path, one)),
        (Value::Array(values), None, None) if value.is_some_and(|value| !value.is_null()) => {
            // As several clients do it: remove, with the values to be removed.
            let given = value.map(|value| document::value_of(attribute, value)).transpose()?.flatten();
            let given = given.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
            values.retain(|one| {
                !given.iter().any(|given| {
                    given == one || (given.get("value").is_some() && given.get("value") == one.get("value"))
                })
            });
        }
        (Value::Array(values), None, Some(part)) => {
            for object in values.iter_mut().filter_map(Value::as_object_mut) {
                object.retain(|key, _| !key.eq_ignore_ascii_case(part));
            }
        }
        (Value::Object(object), None, Some(part)) => object.retain(|key, _| !key.eq_ignore_ascii_case(part)),
        (_, Some(_), _) => {
            return Err(ScimError::path(format!("{}: has one value, from which none is chosen.", attribute.name)));
        }
        (_, None, _) => drop(container.remove(attribute.name)),
    }
    let is_empty =
        |value: &Value| value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
    if container.get(attribute.name).is_some_and(is_empty) {
        container.remove(attribute.name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(kind: Resource, before: &Value, operations: &Value) -> Result<Value, ScimError> {
        let mut resource = before.as_object().unwrap().clone();
        let request = json!({"Operations": operations});
        apply(kind, &mut resource, request.as_object().unwrap())?;
        Ok(Value::Object(resource))
    }

    #[test]
    fn members_are_added_once_and_removed_by_filter_or_value() {
        let before = json!({"displayName": "d", "members": [{"value": "1"}, {"value": "2"}]});
        let add =
            json!([{"op": "Add", "path": "members", "value": [{"value": "2", "display": "two"}, {"value": "3"}]}]);
        let after = patched(Resource::Group, &before, &add).unwrap();
        assert_eq!(after["members"], json!([{"value": "1"}, {"value": "2"}, {"value": "3"}]));
        let remove = json!([{"op": "remove", "path": "members[value eq \"1\"]"}, {"op": "remove", "path": "members", "value": [{"value": "3"}]}]);
        assert_eq!(patched(Resource::Group, &after, &remove).unwrap()["members"], json!([{"value": "2"}]));
        let all = json!([{"op": "remove", "path": "members"}]);
        assert_eq!(patched(Resource::Group, &after, &all).unwrap(), json!({"displayName": "d"}));
        let whole = json!([{"op": "replace", "value": {"members": [{"value": "9"}], "id": "x"}}]);
        assert_eq!(patched(Resource::Group, &after, &whole).unwrap()["members"], json!([{"value": "9"}]));
    }

    #[test]
    fn parts_extensions_and_chosen_values_change_alone() {
        let before = json!({"userName": "a", "name": {"givenName": "A"}, "emails": [{"type": "work", "value": "w"}, {"type": "home", "value": "h"}]});
        let operations = json!([
            {"op": "replace", "path": "name.familyName", "value": "B"},
            {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "W"},
            {"op": "add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "1"},
            {"op": "add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization", "value": "O"},
            {"op": "add", "value": {"urn:scim:schemas:extension:custom:User": {"country": "FR"}, "nickName": "n"}},
            {"op": "remove", "path": "emails[type eq \"home\"]"},
        ]);
        let after = patched(Resource::User, &before, &operations).unwrap();
        let wanted = json!({
            "userName": "a", "name": {"givenName": "A", "familyName": "B"}, "emails": [{"type": "work", "value": "W"}],
            "phoneNumbers": [{"type": "mobile", "value": "1"}], schema::ENTERPRISE: {"organization": "O"},
            schema::CUSTOM: {"country": "FR"}, "nickName": "n",
        });
        assert_eq!(after, wanted);
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_operation_and_the_type() {
        let before = json!({"userName": "a"});
        for (operation, kind) in [
            (json!({"op": "move", "path": "title"}), "invalidSyntax"),
            (json!({"op": "remove"}), "noTarget"),
            (json!({"op": "add", "path": "shoe", "value": 1}), "invalidPath"),
            (json!({"op": "replace", "path": "id", "value": "1"}), "mutability"),
            (json!({"op": "add", "path": "groups", "value": [{"value": "1"}]}), "mutability"),
            (json!({"op": "remove", "path": "userName"}), "mutability"),
            (json!({"op": "replace", "path": "title"}), "invalidValue"),
            (json!({"op": "replace", "path": "emails[", "value": 1}), "invalidPath"),
            (json!({"op": "replace", "path": "emails[value eq 1].x", "value": "1"}), "noTarget"),
        ] {
            let error = patched(Resource::User, &before, &json!([operation])).unwrap_err();
            assert_eq!(error.kind, Some(kind), "{operation}: {}", error.detail);
            assert!(error.detail.starts_with("Operations[0]"), "{}", error.detail);
        }
    }
}
