//! Reads out of an OpenAPI document what an API needs: operations with their kinds of token, policies and scopes, and
//! the scopes with their roles.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_model::api::{ApiScope, Operation, OperationAuth};
use portcullis_model::limit::{API_DESCRIPTION_CHARS_MAX, API_OPERATIONS_MAX};
use portcullis_model::user::Role;
use serde_json::{Map, Value};

use super::check::{is_verb, resolve_item};
use super::extensions;
use crate::dto::operations::{UNLIMITED, auth_from_contract};
use crate::dto::scopes::SCOPES_MAX;
use crate::fault::{FieldFault, PublisherError};

/// What a document says about an API.
#[derive(Clone, Debug, Default)]
pub struct Extracted {
    /// `info.title`.
    pub title: String,
    /// `info.version`.
    pub version: String,
    /// `info.description`, cut to what an API may have.
    pub description: String,
    /// The operations in the order of the document.
    pub operations: Vec<Operation>,
    /// The scopes that its OAuth 2 schemes and operations name.
    pub scopes: Vec<ApiScope>,
    /// Fields of the REST contract that its `x-wso2-…` extensions set.
    pub fields: Map<String, Value>,
}

/// Reads a checked document.
///
/// # Errors
/// More operations than an API may have, or extensions that mean nothing.
pub fn extract(document: &Value) -> Result<Extracted, PublisherError> {
    let text = |place: &str| document.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let schemes = oauth_schemes(document);
    let mut faults = Vec::new();
    let operations = operations_of(document, &schemes, &mut faults);
    if operations.len() > API_OPERATIONS_MAX {
        let reason = format!("there are {} operations; at most {API_OPERATIONS_MAX} are accepted", operations.len());
        faults.push(FieldFault::new("paths", reason));
    }
    if operations.is_empty() {
        faults.push(FieldFault::new("paths", "there is no operation in the document"));
    }
    let scopes = scopes_of(&schemes, &operations);
    if scopes.len() > SCOPES_MAX {
        faults.push(FieldFault::new("components.securitySchemes", format!("at most {SCOPES_MAX} scopes are accepted")));
    }
    if !faults.is_empty() {
        return Err(PublisherError::Definition(faults));
    }
    Ok(Extracted {
        title: text("/info/title").trim().to_owned(),
        version: text("/info/version").trim().to_owned(),
        description: text("/info/description").chars().take(API_DESCRIPTION_CHARS_MAX).collect(),
        operations,
        scopes,
        fields: extensions::fields_of(document),
    })
}

/// The OAuth 2 schemes of a document: name, and scope by scope its description and roles.
#[derive(Debug, Default)]
pub(crate) struct OauthSchemes<'a>(BTreeMap<&'a str, BTreeMap<&'a str, DeclaredScope<'a>>>);

#[derive(Debug)]
pub(crate) struct DeclaredScope<'a> {
    description: &'a str,
    roles: Vec<Role>,
}

pub(crate) fn oauth_schemes(document: &Value) -> OauthSchemes<'_> {
    let mut found = OauthSchemes::default();
    let schemes = document.pointer("/components/securitySchemes").and_then(Value::as_object);
    for (name, scheme) in schemes.into_iter().flatten().filter(|(_, scheme)| scheme["type"] == "oauth2") {
        let scopes = found.0.entry(name).or_default();
        for flow in scheme.get("flows").and_then(Value::as_object).into_iter().flatten().map(|(_, flow)| flow) {
            let bindings = &flow["x-scopes-bindings"];
            for (scope, description) in flow.get("scopes").and_then(Value::as_object).into_iter().flatten() {
                let roles = bindings[scope.as_str()].as_str().unwrap_or_default().split(',').map(str::trim);
                let roles = roles.filter(|role| !role.is_empty()).map(|role| Role(role.to_owned())).collect();
                let description = description.as_str().unwrap_or_default();
                scopes.entry(scope.as_str()).or_insert(DeclaredScope { description, roles });
            }
        }
    }
    found
}

fn operations_of(document: &Value, schemes: &OauthSchemes<'_>, faults: &mut Vec<FieldFault>) -> Vec<Operation> {
    let mut operations = Vec::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten().filter(|(path, _)| path.starts_with('/')) {
        let Ok(item) = resolve_item(document, item) else { continue };
        for (verb, operation) in item.as_object().into_iter().flatten().filter(|(verb, _)| is_verb(verb)) {
            match operation_of(document, schemes, path, verb, operation) {
                Ok(operation) => operations.push(operation),
                Err(reason) => faults.push(FieldFault::new(format!("paths.{path}.{verb}"), reason)),
            }
        }
    }
    operations
}

/// Reads one operation.
pub(crate) fn operation_of(
    document: &Value,
    schemes: &OauthSchemes<'_>,
    path: &str,
    verb: &str,
    operation: &Value,
) -> Result<Operation, String> {
    let auth = match operation.get("x-auth-type") {
        _ if operation["x-wso2-disable-security"] == true => OperationAuth::None,
        None | Some(Value::Null) => OperationAuth::Any,
        Some(text) => text.as_str().and_then(auth_from_contract).ok_or_else(|| {
            format!("x-auth-type is {text}; None, Any, Application and Application_User are accepted")
        })?,
    };
    let policy = ["x-throttling-tier", "x-wso2-throttling-tier"]
        .iter()
        .find_map(|name| operation.get(*name).and_then(Value::as_str))
        .filter(|policy| !policy.is_empty())
        .unwrap_or(UNLIMITED)
        .to_owned();
    let scopes = if auth == OperationAuth::None { Vec::new() } else { scopes_needed(document, schemes, operation) };
    Ok(Operation { verb: verb.to_ascii_uppercase(), target: path.to_owned(), auth, policy, scopes })
}

/// Returns the scopes of which a token must hold one: those of the operation's OAuth 2 requirements, else of the
/// document's; or the one of the older extension `x-scope`.
fn scopes_needed(document: &Value, schemes: &OauthSchemes<'_>, operation: &Value) -> Vec<String> {
    let requirements = operation.get("security").or_else(|| document.get("security")).and_then(Value::as_array);
    let mut scopes: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    for requirement in requirements.into_iter().flatten().filter_map(Value::as_object) {
        for (_, names) in requirement.iter().filter(|(scheme, _)| schemes.0.contains_key(scheme.as_str())) {
            for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
                if known.insert(name) {
                    scopes.push(name.to_owned());
                }
            }
        }
    }
    if scopes.is_empty()
        && let Some(scope) = operation.get("x-scope").and_then(Value::as_str).filter(|scope| !scope.is_empty())
    {
        scopes.push(scope.to_owned());
    }
    scopes
}

/// Returns the scopes that a document declares or its operations name.
pub(crate) fn scopes_of(schemes: &OauthSchemes<'_>, operations: &[Operation]) -> Vec<ApiScope> {
    let mut scopes: Vec<ApiScope> = Vec::new();
    let mut known = BTreeSet::new();
    let mut add = |name: &str, description: &str, roles: &[Role]| {
        if known.insert(name.to_owned()) {
            scopes.push(ApiScope {
                name: name.to_owned(),
                display_name: name.to_owned(),
                description: description.chars().take(512).collect(),
                roles: roles.to_vec(),
                is_shared: false,
            });
        }
    };
    for (name, scope) in schemes.0.values().flatten() {
        add(name, scope.description, &scope.roles);
    }
    for name in operations.iter().flat_map(|operation| &operation.scopes) {
        add(name, "", &[]);
    }
    scopes
}

/// Returns the scopes an API has after its definition changed: those of the definition, with what the API said of
/// them where the definition says less, and the shared ones it had.
#[must_use]
pub fn merged_scopes(before: &[ApiScope], extracted: Vec<ApiScope>) -> Vec<ApiScope> {
    let mut merged: Vec<ApiScope> = before.iter().filter(|scope| scope.is_shared).cloned().collect();
    for scope in extracted {
        if merged.iter().any(|known| known.name == scope.name) {
            continue;
        }
        let known = before.iter().find(|known| known.name == scope.name);
        merged.push(match known {
            Some(known) if scope.roles.is_empty() => known.clone(),
            Some(known) => ApiScope { display_name: known.display_name.clone(), ..scope },
            None => scope,
        });
    }
    merged
}
