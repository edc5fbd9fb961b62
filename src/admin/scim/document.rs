//! Resources as clients send them: brought into the form in which they are kept, and refused where they are not in the
//! form of their schema. What clients cannot set is dropped (RFC 7643, section 2.2), `null` and `[]` are the same as
//! nothing (section 2.5).

use serde_json::{Map, Value};

use super::schema::{self, Attribute, Kind, Mutability, Resource};
use super::scim_error::ScimError;

/// Values of one multi-valued attribute.
const VALUES_MAX: usize = 10_000;
/// Characters of one text.
const TEXT_CHARS_MAX: usize = 8_192;
/// How deep an attribute of one's own may be nested.
const CUSTOM_DEPTH_MAX: usize = 4;
/// The original's further schema, which says how to ask a user for a password; it is taken and not kept.
const IGNORED: &str = "urn:scim:wso2:schema";

/// Brings a whole resource into the form in which it is kept.
pub(crate) fn canonical(resource: Resource, document: &Map<String, Value>) -> Result<Map<String, Value>, ScimError> {
    let mut canonical = Map::new();
    for (name, value) in document {
        if name.eq_ignore_ascii_case(IGNORED) {
            continue;
        }
        if let Some(urn) = resource.extension(name) {
            if let Some(value) = extension(urn, value)? {
                put(&mut canonical, urn, value)?;
            }
            continue;
        }
        let attribute = resource.attribute(name).ok_or_else(|| unknown(resource, name))?;
        if attribute.mutability == Mutability::ReadOnly || attribute.name == "schemas" {
            continue;
        }
        if let Some(value) = value_of(attribute, value)? {
            put(&mut canonical, attribute.name, value)?;
        }
    }
    Ok(canonical)
}

fn put(object: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), ScimError> {
    match object.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(ScimError::syntax(format!("{name} is there twice, in different case."))),
    }
}

/// The refusal of an attribute that the schema does not have.
pub(crate) fn unknown(resource: Resource, name: &str) -> ScimError {
    let name: String = name.chars().take(100).collect();
    ScimError::syntax(format!(
        "{name}: a {} has no such attribute; /scim2/Schemas lists them. Attributes of your own go below {}.",
        resource.name(),
        schema::CUSTOM
    ))
}

/// Brings an extension into the form in which it is kept; `None` where it says nothing.
pub(crate) fn extension(urn: &'static str, value: &Value) -> Result<Option<Value>, ScimError> {
    let Value::Object(object) = value else {
        return if value.is_null() { Ok(None) } else { Err(ScimError::value(format!("{urn}: must be an object."))) };
    };
    let mut canonical = Map::new();
    for (name, value) in object {
        if urn == schema::CUSTOM {
            if let Some(value) = custom(name, value, 0)? {
                put(&mut canonical, name, value)?;
            }
            continue;
        }
        // Some clients name an extension's schema in it, too.
        if name.eq_ignore_ascii_case("schemas") {
            continue;
        }
        let attribute = schema::find(schema::ENTERPRISE_ATTRIBUTES, name)
            .ok_or_else(|| ScimError::syntax(format!("{name}: {urn} has no such attribute.")))?;
        // Older clients send the manager's id alone.
        let value = match (attribute.name, value) {
            ("manager", Value::String(id)) => &Value::Object(Map::from_iter([("value".to_owned(), id.clone().into())])),
            _ => value,
        };
        if let Some(value) = value_of(attribute, value)? {
            put(&mut canonical, attribute.name, value)?;
        }
    }
    Ok((!canonical.is_empty()).then_some(Value::Object(canonical)))
}

/// Takes an attribute of one's own as it is.
fn custom(name: &str, value: &Value, depth: usize) -> Result<Option<Value>, ScimError> {
    if depth > CUSTOM_DEPTH_MAX {
        return Err(ScimError::value(format!("{name}: is nested more than {CUSTOM_DEPTH_MAX} deep.")));
    }
    Ok(match value {
        Value::Null => None,
        Value::String(text) => {
            check_text(name, text)?;
            Some(value.clone())
        }
        Value::Array(values) => {
            let mut kept = Vec::new();
            for one in values {
                kept.extend(custom(name, one, depth + 1)?);
            }
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Object(object) => {
            let mut kept = Map::new();
            for (name, one) in object {
                if let Some(one) = custom(name, one, depth + 1)? {
                    kept.insert(name.clone(), one);
                }
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Bool(_) | Value::Number(_) => Some(value.clone()),
    })
}

/// Brings the value of an attribute into the form in which it is kept; `None` where it is nothing.
pub(crate) fn value_of(attribute: &Attribute, value: &Value) -> Result<Option<Value>, ScimError> {
    if !attribute.is_multi {
        let value = match value {
            // A client that takes the attribute for a multi-valued one.
            Value::Array(values) if values.len() <= 1 => values.first().unwrap_or(&Value::Null),
            value => value,
        };
        return single(attribute, value);
    }
    let values: &[Value] = match value {
        Value::Null => return Ok(None),
        Value::Array(values) => values,
        one => std::slice::from_ref(one),
    };
    if values.len() > VALUES_MAX {
        return Err(ScimError::value(format!("{}: has more than {VALUES_MAX} values.", attribute.name)));
    }
    let mut kept: Vec<Value> = Vec::new();
    for value in values {
        // The original's clients send e-mail addresses and phone numbers as mere texts.
        let value = match (attribute.kind, value) {
            (Kind::Complex(_), Value::String(text)) if !text.is_empty() => {
                &Value::Object(Map::from_iter([("value".to_owned(), text.clone().into())]))
            }
            _ => value,
        };
        kept.extend(single(attribute, value)?.filter(|value| !kept.contains(value)));
    }
    let primaries = kept.iter().filter(|value| value.get("primary") == Some(&Value::Bool(true))).count();
    if primaries > 1 {
        return Err(ScimError::value(format!("{}: at most one is primary.", attribute.name)));
    }
    Ok((!kept.is_empty()).then_some(Value::Array(kept)))
}

fn single(attribute: &Attribute, value: &Value) -> Result<Option<Value>, ScimError> {
    let name = attribute.name;
    let wrong = |wanted: &str| Err(ScimError::value(format!("{name}: must be {wanted}.")));
    match (attribute.kind, value) {
        (_, Value::Null) => Ok(None),
        (Kind::Text | Kind::DateTime | Kind::Reference | Kind::Binary, Value::String(text)) => {
            check_text(name, text)?;
            Ok((!text.is_empty()).then(|| value.clone()))
        }
        (Kind::Text, _) => wrong("a text"),
        (Kind::DateTime | Kind::Reference | Kind::Binary, _) => wrong("a text of its form"),
        (Kind::Boolean, Value::Bool(_)) => Ok(Some(value.clone())),
        // Some clients send truth values as texts.
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(Value::Bool(true))),
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(Value::Bool(false))),
        (Kind::Boolean, _) => wrong("true or false"),
        (Kind::Complex(parts), Value::Object(object)) => {
            let mut kept = Map::new();
            for (part, value) in object {
                let definition = schema::find(parts, part)
                    .ok_or_else(|| ScimError::syntax(format!("{name}.{part}: there is no such attribute.")))?;
                if definition.mutability == Mutability::ReadOnly {
                    continue;
                }
                if let Some(value) = value_of(definition, value)? {
                    put(&mut kept, definition.name, value)?;
                }
            }
            Ok((!kept.is_empty()).then_some(Value::Object(kept)))
        }
        (Kind::Complex(_), _) => wrong("an object"),
    }
}

fn check_text(name: &str, text: &str) -> Result<(), ScimError> {
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(ScimError::value(format!("{name}: is longer than {TEXT_CHARS_MAX} characters.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(document: &Value) -> Result<Value, ScimError> {
        canonical(Resource::User, document.as_object().unwrap()).map(Value::Object)
    }

    #[test]
    fn names_get_their_case_and_what_says_nothing_or_is_not_the_clients_is_dropped() {
        let sent = json!({
            "USERNAME": "anna", "id": "1", "groups": [{"value": "x"}], "title": null, "phoneNumbers": [], "active": "True",
            "emails": ["a@b.c", {"VALUE": "d@e.f", "primary": true}], "urn:scim:wso2:schema": {"askPassword": "true"},
            schema::CUSTOM: {"country": "FR", "empty": null},
        });
        let wanted = json!({
            "userName": "anna", "active": true, "emails": [{"value": "a@b.c"}, {"value": "d@e.f", "primary": true}],
            schema::CUSTOM: {"country": "FR"},
        });
        assert_eq!(kept(&sent).unwrap(), wanted);
    }

    #[test]
    fn what_is_not_in_the_schemas_form_is_refused_by_name() {
        for (sent, told) in [
            (json!({"shoe": 1}), "shoe"),
            (json!({"userName": 1}), "userName: must be a text"),
            (json!({"name": "Anna"}), "name: must be an object"),
            (json!({"userName": "a", "username": "b"}), "twice"),
            (json!({"emails": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}), "at most one"),
            (json!({"name": {"first": "Anna"}}), "name.first"),
            (json!({"displayName": "x".repeat(9_000)}), "longer than"),
        ] {
            let error = kept(&sent).unwrap_err();
            assert!(error.detail.contains(told), "{sent}: {}", error.detail);
        }
    }
}
