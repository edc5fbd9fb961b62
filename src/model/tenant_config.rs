//! The configuration of a tenant: the JSON document of the Admin contract, and what of it governs something.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::external_store::ExternalStores;
use crate::rest_scope::{self, REST_SCOPES};
use crate::task::TaskKind;
use crate::user::Role;

/// Bytes of the document.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// Scopes of the REST APIs, aliases of one role, scopes allowed for everybody.
const ENTRIES_MAX: usize = 1_000;

/// The configuration of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantConfig {
    /// The document as it was put, a JSON object.
    pub document: String,
    /// The scopes of the REST APIs with the roles that may have them, by name.
    pub rest_scopes: Vec<(String, Vec<Role>)>,
    /// Roles and the other roles that count as them.
    pub role_aliases: Vec<(Role, Vec<Role>)>,
    /// Scopes that anybody may have, whatever their roles.
    pub allowed_scopes: Vec<AllowedScope>,
    /// The roles of those who sign up by themselves; `None` where nobody can.
    pub sign_up_roles: Option<Vec<Role>>,
    /// Changes that wait for an administrator's decision.
    pub approvals: Vec<TaskKind>,
}

/// A scope that anybody may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllowedScope {
    /// This one.
    Exactly(String),
    /// All that begin so (`^device_.*`).
    Beginning(String),
}

impl AllowedScope {
    fn read(text: &str) -> Option<Self> {
        let is_plain = |text: &str| {
            !text.is_empty() && !text.contains(|one: char| one.is_whitespace() || "^$*+?()[]{}|\\".contains(one))
        };
        let stem = text.strip_prefix('^').and_then(|rest| rest.strip_suffix(".*"));
        match stem {
            Some(stem) if is_plain(stem) => Some(Self::Beginning(stem.to_owned())),
            _ if is_plain(text) => Some(Self::Exactly(text.to_owned())),
            _ => None,
        }
    }

    fn is_met_by(&self, scope: &str) -> bool {
        match self {
            Self::Exactly(name) => name == scope,
            Self::Beginning(stem) => scope.starts_with(stem.as_str()),
        }
    }
}

impl TenantConfig {
    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it, by the name of the member.
    pub fn read(document: &Value) -> Result<Self, String> {
        let object = document.as_object().ok_or("the configuration must be a JSON object")?;
        let text = document.to_string();
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(format!("the configuration is larger than {DOCUMENT_BYTES_MAX} bytes"));
        }
        ExternalStores::read(object)?;
        Ok(Self {
            rest_scopes: read_scopes(object)?,
            role_aliases: read_aliases(object)?,
            allowed_scopes: read_allowed(object)?,
            sign_up_roles: read_sign_up(object)?,
            approvals: read_workflows(object)?,
            document: text,
        })
    }

    /// Returns the document that a tenant has until it puts another: the original's.
    #[must_use]
    pub fn default_document() -> Value {
        let scope = |(name, roles): &(&str, &[&str])| json!({"Name": name, "Roles": roles.join(",")});
        json!({
            "EnableMonetization": false,
            "IsUnlimitedTierPaid": false,
            "ExtensionHandlerPosition": "bottom",
            "RESTAPIScopes": {"Scope": REST_SCOPES.iter().map(scope).collect::<Vec<_>>()},
            "RoleMappings": {},
            "AllowedScopes": ["^device_.*", "openid"],
            "SelfSignUp": {"EnableSignup": true, "SignUpRoles": [Role::SUBSCRIBER]},
            "Workflows": {},
            "NotificationsEnabled": "false",
        })
    }

    /// Returns the default configuration.
    #[must_use]
    pub fn default_config() -> Self {
        // Its own document is always acceptable; a test sees to it.
        Self::read(&Self::default_document()).unwrap_or_else(|_| Self {
            document: "{}".to_owned(),
            rest_scopes: Vec::new(),
            role_aliases: Vec::new(),
            allowed_scopes: Vec::new(),
            sign_up_roles: None,
            approvals: Vec::new(),
        })
    }

    /// Returns the schema of the document (JSON Schema).
    #[must_use]
    pub fn schema() -> Value {
        let text = || json!({"type": "string"});
        json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "title": "Tenant Configuration Schema",
            "required": ["RESTAPIScopes"],
            "properties": {
                "EnableMonetization": {"type": "boolean"},
                "IsUnlimitedTierPaid": {"type": "boolean"},
                "ExtensionHandlerPosition": {"type": "string", "enum": ["top", "bottom"]},
                "RESTAPIScopes": {
                    "type": "object", "required": ["Scope"],
                    "properties": {"Scope": {"type": "array", "items": {
                        "type": "object", "required": ["Name", "Roles"], "properties": {"Name": text(), "Roles": text()},
                    }}},
                },
                "RoleMappings": {"type": "object", "additionalProperties": text()},
                "AllowedScopes": {"type": "array", "items": text()},
                "SelfSignUp": {
                    "type": "object",
                    "properties": {"EnableSignup": {"type": "boolean"}, "SignUpRoles": {"type": "array", "items": text()}},
                },
                "Workflows": {
                    "type": "object", "additionalProperties": {"type": "string", "enum": ["simple", "approval"]},
                },
                "NotificationsEnabled": text(),
                "ExternalAPIStores": {
                    "type": "object",
                    "properties": {
                        "StoreURL": text(),
                        "ExternalAPIStore": {"type": "array", "items": {
                            "type": "object", "required": ["id", "Endpoint"],
                            "properties": {
                                "id": text(), "type": {"type": "string", "enum": ["wso2"]}, "className": text(),
                                "DisplayName": text(), "Endpoint": text(), "Username": text(), "Password": text(),
                            },
                        }},
                    },
                },
            },
        })
    }

    /// Says whether a scope may be had by anybody.
    #[must_use]
    pub fn is_allowed_to_all(config: Option<&Self>, scope: &str) -> bool {
        match config {
            Some(config) => config.allowed_scopes.iter().any(|allowed| allowed.is_met_by(scope)),
            None => scope == "openid" || scope.starts_with("device_"),
        }
    }

    /// Returns the roles of those who sign up by themselves; `None` where nobody can.
    #[must_use]
    pub fn sign_up_roles(config: Option<&Self>) -> Option<Vec<Role>> {
        match config {
            Some(config) => config.sign_up_roles.clone(),
            None => Some(vec![Role(Role::SUBSCRIBER.to_owned())]),
        }
    }
}

fn roles_of(text: &str) -> Vec<Role> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| Role(name.to_owned())).collect()
}

/// Reads which changes wait for a decision. A change that cannot be made to wait is not accepted as one that does.
fn read_workflows(object: &Map<String, Value>) -> Result<Vec<TaskKind>, String> {
    let workflows = match object.get("Workflows") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(workflows)) if workflows.len() <= ENTRIES_MAX => workflows,
        Some(_) => return Err(format!("Workflows: must be an object of at most {ENTRIES_MAX} kinds")),
    };
    let mut read = Vec::new();
    for (name, executor) in workflows {
        let waits = match executor.as_str() {
            Some("approval") => true,
            Some("simple") => false,
            _ => return Err(format!("Workflows.{name}: must be \"simple\" or \"approval\"")),
        };
        match TaskKind::named(name) {
            Some(kind) if waits => read.push(kind),
            None if waits => {
                let all = TaskKind::ALL.map(|(_, contract, _)| contract).join(", ");
                return Err(format!("Workflows.{name}: cannot be made to wait for approval; {all} can"));
            }
            _ => {}
        }
    }
    read.sort_unstable();
    read.dedup();
    Ok(read)
}

fn read_scopes(object: &Map<String, Value>) -> Result<Vec<(String, Vec<Role>)>, String> {
    let scopes = object.get("RESTAPIScopes").and_then(|scopes| scopes.get("Scope")).and_then(Value::as_array);
    let scopes = scopes.ok_or("RESTAPIScopes.Scope: must be a list of {Name, Roles}")?;
    if scopes.len() > ENTRIES_MAX {
        return Err(format!("RESTAPIScopes.Scope: at most {ENTRIES_MAX} scopes"));
    }
    let mut read: Vec<(String, Vec<Role>)> = Vec::new();
    for scope in scopes {
        let (Some(name), Some(roles)) = (scope["Name"].as_str(), scope["Roles"].as_str()) else {
            return Err("RESTAPIScopes.Scope: each has a Name and Roles, both texts".to_owned());
        };
        read.push((name.to_owned(), roles_of(roles)));
    }
    read.sort();
    if let Some(twice) = read.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("RESTAPIScopes.Scope: {} is there twice", twice[0].0));
    }
    let keeps = ["apim:admin", "apim:scope_manage"].iter().any(|needed| {
        read.iter().any(|(name, roles)| name == needed && roles.iter().any(|role| role.0 == Role::ADMIN))
    });
    if !keeps {
        return Err("RESTAPIScopes.Scope: the role admin must have apim:admin or apim:scope_manage: nobody could change it back".to_owned());
    }
    Ok(read)
}

fn read_aliases(object: &Map<String, Value>) -> Result<Vec<(Role, Vec<Role>)>, String> {
    let mappings = match object.get("RoleMappings") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(mappings)) if mappings.len() <= ENTRIES_MAX => mappings,
        Some(_) => return Err(format!("RoleMappings: must be an object of at most {ENTRIES_MAX} roles")),
    };
    let mut read = Vec::new();
    for (role, aliases) in mappings {
        let aliases = aliases.as_str().ok_or("RoleMappings: each role has a text of roles between commas")?;
        read.push((Role(role.clone()), roles_of(aliases)));
    }
    read.sort();
    Ok(read)
}

fn read_allowed(object: &Map<String, Value>) -> Result<Vec<AllowedScope>, String> {
    let wrong = || "AllowedScopes: must be a list of scopes, or of what they begin with, such as ^device_.*".to_owned();
    let scopes = match object.get("AllowedScopes") {
        None | Some(Value::Null) => {
            return Ok(vec![AllowedScope::Beginning("device_".into()), AllowedScope::Exactly("openid".into())]);
        }
        Some(Value::Array(scopes)) if scopes.len() <= ENTRIES_MAX => scopes,
        Some(_) => return Err(wrong()),
    };
    scopes
        .iter()
        .map(|scope| {
            scope.as_str().and_then(AllowedScope::read).filter(|allowed| !opens_rest(allowed)).ok_or_else(wrong)
        })
        .collect()
}

/// Says whether a scope of the REST APIs would be anybody's.
fn opens_rest(allowed: &AllowedScope) -> bool {
    REST_SCOPES.iter().any(|(scope, _)| allowed.is_met_by(scope))
}

fn read_sign_up(object: &Map<String, Value>) -> Result<Option<Vec<Role>>, String> {
    let sign_up = match object.get("SelfSignUp") {
        None | Some(Value::Null) => return Ok(Some(vec![Role(Role::SUBSCRIBER.to_owned())])),
        Some(sign_up) => sign_up,
    };
    match sign_up.get("EnableSignup") {
        Some(Value::Bool(false)) => return Ok(None),
        None | Some(Value::Bool(true)) => {}
        Some(_) => return Err("SelfSignUp.EnableSignup: must be true or false".to_owned()),
    }
    let roles = match sign_up.get("SignUpRoles") {
        None | Some(Value::Null) => return Ok(Some(vec![Role(Role::SUBSCRIBER.to_owned())])),
        Some(Value::Array(roles)) if roles.len() <= ENTRIES_MAX => roles,
        Some(_) => return Err("SelfSignUp.SignUpRoles: must be a list of roles".to_owned()),
    };
    let read: Option<Vec<Role>> = roles.iter().map(|role| role.as_str().map(|name| Role(name.to_owned()))).collect();
    let read = read.ok_or("SelfSignUp.SignUpRoles: must be a list of roles")?;
    if read.iter().any(|role| role.0 == Role::ADMIN) {
        return Err("SelfSignUp.SignUpRoles: nobody makes himself an administrator".to_owned());
    }
    Ok(Some(read))
}

/// Says whether a scope belongs to the REST APIs.
#[must_use]
pub fn is_rest_scope(config: Option<&TenantConfig>, scope: &str) -> bool {
    rest_scope::default_roles(scope).is_some()
        || config.is_some_and(|config| config.rest_scopes.iter().any(|(name, _)| name == scope))
}

/// Says whether one of the roles may have a scope of the REST APIs.
#[must_use]
pub fn is_rest_scope_allowed(config: Option<&TenantConfig>, scope: &str, roles: &[Role]) -> bool {
    match config {
        None => rest_scope::default_roles(scope)
            .is_some_and(|allowed| roles.iter().any(|role| allowed.contains(&role.0.as_str()))),
        Some(config) => {
            let place = config.rest_scopes.binary_search_by(|(name, _)| name.as_str().cmp(scope));
            place.is_ok_and(|place| config.rest_scopes[place].1.iter().any(|allowed| config.counts_as(roles, allowed)))
        }
    }
}

/// Returns all scopes of the REST APIs that the roles may have.
#[must_use]
pub fn rest_scopes_of(config: Option<&TenantConfig>, roles: &[Role]) -> Vec<String> {
    match config {
        None => {
            let allowed = |(_, allowed): &&(&str, &[&str])| roles.iter().any(|role| allowed.contains(&role.0.as_str()));
            REST_SCOPES.iter().filter(allowed).map(|(scope, _)| (*scope).to_owned()).collect()
        }
        Some(config) => {
            let allowed =
                config.rest_scopes.iter().filter(|(_, allowed)| allowed.iter().any(|one| config.counts_as(roles, one)));
            allowed.map(|(scope, _)| scope.clone()).collect()
        }
    }
}

impl TenantConfig {
    /// Says whether somebody with these roles holds `wanted`, or a role that counts as it.
    fn counts_as(&self, roles: &[Role], wanted: &Role) -> bool {
        let aliases = self
            .role_aliases
            .iter()
            .find(|(role, _)| role == wanted)
            .map_or(&[][..], |(_, aliases)| aliases.as_slice());
        roles.iter().any(|role| role == wanted || aliases.contains(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(names: &[&str]) -> Vec<Role> {
        names.iter().map(|name| Role((*name).to_owned())).collect()
    }

    #[test]
    fn the_default_document_says_what_holds_without_one() {
        let config = TenantConfig::default_config();
        assert_ne!(config.document, "{}");
        for held in [&["admin"][..], &["Internal/subscriber"], &["Internal/creator", "x"], &[]] {
            let held = roles(held);
            assert_eq!(rest_scopes_of(Some(&config), &held), rest_scopes_of(None, &held));
        }
        for scope in ["openid", "device_1", "default", "apim:subscribe"] {
            assert_eq!(
                TenantConfig::is_allowed_to_all(Some(&config), scope),
                TenantConfig::is_allowed_to_all(None, scope)
            );
        }
        assert_eq!(TenantConfig::sign_up_roles(Some(&config)), TenantConfig::sign_up_roles(None));
    }

    #[test]
    fn scopes_go_to_the_roles_of_the_document_and_to_what_counts_as_them() {
        let document = json!({
            "RESTAPIScopes": {"Scope": [
                {"Name": "apim:subscribe", "Roles": "admin, Internal/subscriber"},
                {"Name": "apim:admin", "Roles": "admin"},
            ]},
            "RoleMappings": {"Internal/subscriber": "partner,guest"},
            "SelfSignUp": {"EnableSignup": false},
        });
        let config = TenantConfig::read(&document).unwrap();
        let may = |scope: &str, held: &[&str]| is_rest_scope_allowed(Some(&config), scope, &roles(held));
        assert!(may("apim:subscribe", &["guest"]) && may("apim:subscribe", &["Internal/subscriber"]));
        assert!(!may("apim:admin", &["guest"]) && !may("apim:api_create", &["admin"]));
        assert_eq!(TenantConfig::sign_up_roles(Some(&config)), None);
    }

    #[test]
    fn what_would_lock_everybody_out_or_let_everybody_in_is_refused() {
        let with = |name: &str, value: Value| {
            let mut document = TenantConfig::default_document();
            document[name] = value;
            TenantConfig::read(&document)
        };
        for (name, value, told) in [
            ("RESTAPIScopes", json!({"Scope": []}), "nobody could change it back"),
            ("RESTAPIScopes", json!(1), "must be a list"),
            ("RESTAPIScopes", json!({"Scope": [{"Name": "a"}]}), "both texts"),
            (
                "RESTAPIScopes",
                json!({"Scope": [{"Name": "apim:admin", "Roles": "admin"}, {"Name": "apim:admin", "Roles": ""}]}),
                "twice",
            ),
            ("RoleMappings", json!([]), "RoleMappings"),
            ("AllowedScopes", json!(["^.*"]), "AllowedScopes"),
            ("AllowedScopes", json!(["^apim:.*"]), "AllowedScopes"),
            ("SelfSignUp", json!({"SignUpRoles": ["admin"]}), "administrator"),
        ] {
            let error = with(name, value.clone()).unwrap_err();
            assert!(error.contains(told), "{value}: {error}");
        }
    }
}
