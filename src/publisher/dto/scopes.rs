//! The scopes of an API as the contract has them: `[{scope: {name, displayName, description, bindings}, shared}]`.

use portcullis_model::api::ApiScope;
use portcullis_model::user::Role;
use serde_json::{Value, json};

use super::fields::{Fields, name_of_type};
use crate::fault::FieldFault;

/// Scopes of one API.
pub const SCOPES_MAX: usize = 1_000;
/// Characters in a scope's name (REST contract).
pub const SCOPE_NAME_CHARS_MAX: usize = 255;
const SCOPE_DESCRIPTION_CHARS_MAX: usize = 512;
const ROLES_MAX: usize = 100;

/// Reads `scopes`.
pub fn read(items: Vec<Value>, faults: &mut Vec<FieldFault>) -> Vec<ApiScope> {
    let mut scopes: Vec<ApiScope> = Vec::new();
    for (number, item) in items.into_iter().enumerate() {
        let place = format!("scopes[{number}]");
        let Value::Object(map) = item else {
            faults.push(FieldFault::new(place, format!("must be an object, not {}", name_of_type(&item))));
            continue;
        };
        let mut outer = Fields::new(format!("{place}."), map);
        let is_shared = outer.flag("shared").unwrap_or(false);
        let inner = outer.object("scope");
        outer.finish_into(faults);
        let Some(inner) = inner else {
            faults.push(FieldFault::new(format!("{place}.scope"), "must be there"));
            continue;
        };
        let Some(scope) = read_one(&place, Fields::new(format!("{place}.scope."), inner), is_shared, faults) else {
            continue;
        };
        if scopes.iter().any(|other| other.name == scope.name) {
            faults.push(FieldFault::new(place, format!("the scope {} is there twice", scope.name)));
            continue;
        }
        scopes.push(scope);
    }
    scopes
}

fn read_one(place: &str, mut fields: Fields, is_shared: bool, faults: &mut Vec<FieldFault>) -> Option<ApiScope> {
    let name = fields.text("name", SCOPE_NAME_CHARS_MAX).filter(|name| !name.is_empty());
    let display_name = fields.text("displayName", SCOPE_NAME_CHARS_MAX);
    let description = fields.text("description", SCOPE_DESCRIPTION_CHARS_MAX).unwrap_or_default();
    let roles = fields.texts("bindings", ROLES_MAX, SCOPE_NAME_CHARS_MAX).unwrap_or_default();
    fields.finish_into(faults);
    let Some(name) = name else {
        faults.push(FieldFault::new(format!("{place}.scope.name"), "must be there"));
        return None;
    };
    // A scope's name is a word of a token (RFC 6749, 3.3).
    if !name.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
        faults.push(FieldFault::new(format!("{place}.scope.name"), "may have visible ASCII but no space, \" and \\"));
        return None;
    }
    let display_name = display_name.unwrap_or_else(|| name.clone());
    let roles = roles.into_iter().filter(|role| !role.is_empty()).map(Role).collect();
    Some(ApiScope { name, display_name, description, roles, is_shared })
}

/// Writes `scopes`.
#[must_use]
pub fn write(scopes: &[ApiScope]) -> Value {
    let one = |scope: &ApiScope| {
        let bindings: Vec<&str> = scope.roles.iter().map(|role| role.0.as_str()).collect();
        json!({
            "scope": {
                "id": null,
                "name": scope.name,
                "displayName": scope.display_name,
                "description": scope.description,
                "bindings": bindings,
                "usageCount": null,
            },
            "shared": scope.is_shared,
        })
    };
    scopes.iter().map(one).collect()
}
