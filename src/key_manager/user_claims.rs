//! What clients are told about users: the claims of the original's dialect, their names in OpenID Connect, which scopes
//! tell them, and what an administrator set for one client. It does not decide whether a client is told anything.

use std::sync::{Arc, LazyLock};

use portcullis_database::Userdb;
use portcullis_model::claim_settings::{ClaimDialect, ClaimScope, ClaimSettings, ExternalClaim, LocalClaim};
use portcullis_model::oauth::OauthClient;
use portcullis_model::{TenantDomain, User};
use serde_json::{Map, Value, json};

/// The original's own dialect: what stands before the name of a claim.
pub(crate) const LOCAL_DIALECT: &str = "http://wso2.org/claims";
/// The dialect of OpenID Connect.
pub(crate) const OIDC_DIALECT: &str = "http://wso2.org/oidc/claim";
/// Where the record of a client keeps the configuration.
pub(crate) const FIELD: &str = "claimConfiguration";
/// SCIM's schemas in which attributes are kept.
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const CUSTOM: &str = "urn:scim:schemas:extension:custom:User";
/// What every client with the scope `openid` is told.
const ALWAYS: [&str; 3] = ["preferred_username", "email", "groups"];
/// Claims, mappings and roles of one configuration, each.
const ENTRIES_MAX: usize = 100;
/// Bytes of a configuration.
const DOCUMENT_BYTES_MAX: usize = 16 << 10;

/// A claim that is known by name.
#[derive(Debug)]
pub(crate) struct ClaimKind {
    /// Its name in the original's dialect.
    pub local: &'static str,
    /// Its name in OpenID Connect.
    pub oidc: &'static str,
    /// The attribute of SCIM that it is kept as.
    pub attribute: &'static str,
    /// What people call it.
    pub title: &'static str,
}

const fn kind(local: &'static str, oidc: &'static str, attribute: &'static str, title: &'static str) -> ClaimKind {
    ClaimKind { local, oidc, attribute, title }
}

/// Every claim that is known by name; others are custom attributes of SCIM.
pub(crate) const CLAIMS: &[ClaimKind] = &[
    kind("username", "preferred_username", "userName", "User name"),
    kind("emailaddress", "email", "emails", "E-mail"),
    kind("fullname", "name", "name.formatted", "Full name"),
    kind("givenname", "given_name", "name.givenName", "First name"),
    kind("lastname", "family_name", "name.familyName", "Last name"),
    kind("nickname", "nickname", "nickName", "Nickname"),
    kind("mobile", "phone_number", "phoneNumbers.mobile", "Mobile"),
    kind("organization", "organization", "organization", "Organization"),
    kind("groups", "groups", "groups", "Groups"),
    kind("roles", "roles", "roles", "Roles"),
];

/// A scope of OpenID Connect.
#[derive(Debug)]
struct ScopeKind {
    name: &'static str,
    title: &'static str,
    claims: &'static [&'static str],
}

/// The scopes that tell claims where a tenant did not say otherwise.
const SCOPES: &[ScopeKind] = &[
    ScopeKind { name: "openid", title: "OpenID", claims: &["sub", "preferred_username", "email", "groups"] },
    ScopeKind {
        name: "profile",
        title: "Profile",
        claims: &["preferred_username", "name", "given_name", "family_name", "nickname"],
    },
    ScopeKind { name: "email", title: "E-mail", claims: &["email"] },
    ScopeKind { name: "phone", title: "Phone", claims: &["phone_number"] },
    ScopeKind { name: "groups", title: "Groups", claims: &["groups"] },
    ScopeKind { name: "roles", title: "Roles", claims: &["roles"] },
];

/// The claims of a tenant that never changed them.
static USUAL: LazyLock<Arc<ClaimSettings>> = LazyLock::new(|| {
    let local = |kind: &ClaimKind| LocalClaim {
        name: kind.local.to_owned(),
        attribute: kind.attribute.to_owned(),
        title: kind.title.to_owned(),
        description: kind.title.to_owned(),
    };
    let external = |kind: &ClaimKind| ExternalClaim { uri: kind.oidc.to_owned(), local: kind.local.to_owned() };
    let scope = |kind: &ScopeKind| ClaimScope {
        name: kind.name.to_owned(),
        title: kind.title.to_owned(),
        description: kind.title.to_owned(),
        claims: kind.claims.iter().map(|claim| (*claim).to_owned()).collect(),
    };
    let oidc = ClaimDialect { uri: OIDC_DIALECT.to_owned(), claims: CLAIMS.iter().map(external).collect() };
    Arc::new(ClaimSettings {
        version: 0,
        local: CLAIMS.iter().map(local).collect(),
        dialects: vec![oidc],
        scopes: SCOPES.iter().map(scope).collect(),
    })
});

/// Returns the claims of a tenant.
pub(crate) fn settings_of(users: &Userdb, tenant: &TenantDomain) -> Arc<ClaimSettings> {
    Arc::clone(users.claim_settings.get(tenant).unwrap_or(&USUAL))
}

/// What an administrator set for a client: the original's `claimConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimConfiguration {
    /// The claims it is told, whatever the scopes, each with its name for the client where that is another than in OpenID
    /// Connect; empty where the scopes decide.
    requested: Vec<(String, Option<String>)>,
    /// Roles of the tenant and what the client calls them.
    roles: Vec<(String, String)>,
}

impl ClaimConfiguration {
    /// Returns what is set for a client.
    pub fn of(client: &OauthClient) -> Self {
        let fields: Value = serde_json::from_str(&client.other_fields).unwrap_or_default();
        // It was checked when it was put.
        fields.get(FIELD).and_then(|document| Self::read(document).ok()).unwrap_or_default()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it, by the name of the member.
    pub fn read(document: &Value) -> Result<Self, String> {
        if !document.is_object() || document.to_string().len() > DOCUMENT_BYTES_MAX {
            return Err(format!("claimConfiguration: must be an object of at most {DOCUMENT_BYTES_MAX} bytes"));
        }
        let is_custom = match document.get("dialect").and_then(Value::as_str) {
            None | Some("LOCAL") => false,
            Some("CUSTOM") => true,
            Some(_) => return Err("claimConfiguration.dialect: must be LOCAL or CUSTOM".to_owned()),
        };
        let mappings = pairs(document, "/claimMappings", "/localClaim/uri", "/applicationClaim")?;
        let uris = list(document, "/requestedClaims")?.iter().map(|one| one.pointer("/claim/uri")?.as_str());
        let uris =
            uris.collect::<Option<Vec<_>>>().ok_or("claimConfiguration.requestedClaims: each has a claim.uri")?;
        let roles = pairs(document, "/role/mappings", "/localRole", "/applicationRole")?;
        let mut requested = Vec::with_capacity(uris.len());
        for uri in uris {
            let mapping = mappings.iter().find(|(local, own)| is_custom && (local == uri || own == uri));
            let (uri, own) = mapping.map_or((uri, None), |(local, own)| (local.as_str(), Some(own)));
            let local = uri.strip_prefix(LOCAL_DIALECT).and_then(|rest| rest.strip_prefix('/'));
            let local = local.filter(|name| !name.is_empty()).ok_or_else(|| {
                format!("claimConfiguration.requestedClaims: {uri} is none of {LOCAL_DIALECT}, and no mapping has it")
            })?;
            requested.push((local.to_owned(), own.cloned()));
        }
        Ok(Self { requested, roles })
    }
}

fn list<'a>(document: &'a Value, pointer: &str) -> Result<&'a [Value], String> {
    match document.pointer(pointer) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) if list.len() <= ENTRIES_MAX => Ok(list),
        Some(_) => {
            Err(format!("claimConfiguration{}: must be a list of at most {ENTRIES_MAX}", pointer.replace('/', ".")))
        }
    }
}

fn pairs(document: &Value, pointer: &str, from: &str, to: &str) -> Result<Vec<(String, String)>, String> {
    let text = |one: &Value, pointer: &str| one.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let pairs = list(document, pointer)?.iter().map(|one| Some((text(one, from)?, text(one, to)?)));
    let name = |pointer: &str| pointer[1..].replace('/', ".");
    pairs.collect::<Option<Vec<_>>>().ok_or_else(|| {
        format!("claimConfiguration.{}: each has {} and {}, both texts", name(pointer), name(from), name(to))
    })
}

/// Returns what a client is told about a user: what is set for it, else what the scopes tell.
pub(crate) fn told(
    user: &User,
    attributes: &str,
    scopes: &[String],
    configuration: &ClaimConfiguration,
    settings: &ClaimSettings,
) -> Map<String, Value> {
    let document: Value = serde_json::from_str(attributes).unwrap_or_default();
    let value = |local: &str| {
        let attribute = settings.local.iter().find(|claim| claim.name == local).map(|claim| claim.attribute.as_str());
        value_of(attribute.unwrap_or(local), user, &document, configuration)
    };
    let oidc = settings.dialect(OIDC_DIALECT).map_or(&[][..], |dialect| &dialect.claims);
    if !configuration.requested.is_empty() {
        let named = |local: &String, own: &Option<String>| {
            let usual = || oidc.iter().find(|claim| claim.local == *local).map(|claim| claim.uri.clone());
            own.clone().or_else(usual).unwrap_or_else(|| local.clone())
        };
        let requested = configuration.requested.iter();
        return requested.filter_map(|(local, own)| Some((named(local, own), value(local)?))).collect();
    }
    let of_scopes = settings.scopes.iter().filter(|one| scopes.contains(&one.name));
    let wanted: Vec<&str> = of_scopes.flat_map(|one| &one.claims).map(String::as_str).chain(ALWAYS).collect();
    let claims = oidc.iter().filter(|claim| wanted.contains(&claim.uri.as_str()));
    claims.filter_map(|claim| Some((claim.uri.clone(), value(&claim.local)?))).collect()
}

/// Returns what a user has as an attribute of SCIM; `None` where there is nothing to tell.
fn value_of(attribute: &str, user: &User, document: &Value, configuration: &ClaimConfiguration) -> Option<Value> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(Value::from);
    let name = &document["name"];
    match attribute {
        "userName" => Some(json!(user.username.0)),
        "emails" => (!user.email.is_empty()).then(|| json!(user.email)),
        "name.formatted" => text(&name["formatted"]).or_else(|| {
            let parts = ["givenName", "familyName"].map(|part| name[part].as_str().unwrap_or_default());
            let whole = parts.join(" ").trim().to_owned();
            (!whole.is_empty()).then(|| whole.into())
        }),
        "organization" => text(&document[ENTERPRISE]["organization"]),
        "groups" | "roles" => {
            let called = |role: &str| {
                let mapping = configuration.roles.iter().find(|(local, _)| local == role);
                mapping.map_or_else(|| role.to_owned(), |(_, own)| own.clone())
            };
            Some(user.roles.iter().map(|role| called(&role.0)).collect::<Vec<_>>().into())
        }
        other => {
            let (head, rest) = other.split_once('.').map_or((other, None), |(head, rest)| (head, Some(rest)));
            let found = match (&document[head], rest) {
                (Value::Array(items), Some(kind)) => &items.iter().find(|item| item["type"] == kind)?["value"],
                (Value::Object(parts), Some(part)) => parts.get(part)?,
                (whole @ Value::String(_), None) => whole,
                _ => [CUSTOM, ENTERPRISE].into_iter().find_map(|schema| document[schema].get(other))?,
            };
            (!found.is_null() && found != "").then(|| found.clone())
        }
    }
}

/// Sets an attribute of SCIM in a document; what is none that is known is kept as a custom one.
pub(crate) fn put_attribute(document: &mut Value, attribute: &str, value: &Value) {
    match attribute {
        // They are not attributes of the profile.
        "userName" | "emails" | "groups" | "roles" => {}
        "organization" => document[ENTERPRISE]["organization"] = value.clone(),
        "nickName" => document["nickName"] = value.clone(),
        "phoneNumbers.mobile" => document["phoneNumbers"] = json!([{"type": "mobile", "value": value}]),
        other => match other.strip_prefix("name.") {
            Some(part) => document["name"][part] = value.clone(),
            None => document[CUSTOM][other] = value.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::{Role, TenantDomain, Timestamp, Username};

    use super::*;

    fn ann() -> (User, String) {
        let user = User {
            tenant: TenantDomain::super_tenant(),
            username: Username("ann".to_owned()),
            password_hash: String::new(),
            roles: vec![Role("clerk".to_owned())],
            email: "ann@example.com".to_owned(),
            is_locked: false,
            created_at: Timestamp(0),
        };
        let attributes = json!({
            "name": {"givenName": "Ann", "familyName": "Lee"}, "phoneNumbers": [{"type": "mobile", "value": "+1"}],
            CUSTOM: {"shoe": "41"}, ENTERPRISE: {"organization": "Acme"},
        });
        (user, attributes.to_string())
    }

    #[test]
    fn scopes_tell_claims_and_what_is_set_for_a_client_goes_before_them() {
        let (user, attributes) = ann();
        let tell = |scopes: &[&str], document: &Value| {
            let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            Value::Object(told(&user, &attributes, &scopes, &ClaimConfiguration::read(document).unwrap(), &USUAL))
        };
        let openid = json!({"preferred_username": "ann", "email": "ann@example.com", "groups": ["clerk"]});
        assert_eq!(tell(&["openid"], &json!({})), openid);
        let profile = tell(&["openid", "profile", "phone"], &json!({}));
        assert_eq!((&profile["name"], &profile["phone_number"]), (&json!("Ann Lee"), &json!("+1")));
        let uri = |name: &str| format!("{LOCAL_DIALECT}/{name}");
        let document = json!({
            "dialect": "CUSTOM",
            "claimMappings": [{"applicationClaim": "size", "localClaim": {"uri": uri("shoe")}}],
            "requestedClaims": [{"claim": {"uri": uri("shoe")}}, {"claim": {"uri": uri("organization")}},
                {"claim": {"uri": uri("roles")}}, {"claim": {"uri": uri("absent")}}],
            "role": {"mappings": [{"localRole": "clerk", "applicationRole": "seller"}]},
        });
        let own = json!({"size": "41", "organization": "Acme", "roles": ["seller"]});
        assert_eq!(tell(&["openid", "profile"], &document), own);
    }

    #[test]
    fn what_a_tenant_calls_its_claims_and_which_scopes_tell_them_is_its_own() {
        let (user, attributes) = ann();
        let mut settings = ClaimSettings::clone(&USUAL);
        let claim = |name: &str, attribute: &str| LocalClaim {
            name: name.to_owned(),
            attribute: attribute.to_owned(),
            title: String::new(),
            description: String::new(),
        };
        settings.local.extend([claim("shoesize", "shoe"), claim("call", "phoneNumbers.mobile")]);
        let external = |uri: &str, local: &str| ExternalClaim { uri: uri.to_owned(), local: local.to_owned() };
        settings.dialects[0].claims.extend([external("shoe_size", "shoesize"), external("call_me", "call")]);
        settings.dialects[0].claims.retain(|claim| claim.uri != "email");
        let claims = vec!["shoe_size".to_owned(), "call_me".to_owned(), "nickname".to_owned()];
        settings.scopes.push(ClaimScope {
            name: "dress".to_owned(),
            title: String::new(),
            description: String::new(),
            claims,
        });
        let scopes = ["openid", "dress"].map(str::to_owned);
        let told = told(&user, &attributes, &scopes, &ClaimConfiguration::default(), &settings);
        let wanted = json!({"preferred_username": "ann", "groups": ["clerk"], "shoe_size": "41", "call_me": "+1"});
        assert_eq!(Value::Object(told), wanted);
    }

    #[test]
    fn what_cannot_be_understood_is_refused_by_its_name() {
        for (document, told) in [
            (json!(7), "must be an object"),
            (json!({"dialect": "OTHER"}), "dialect"),
            (json!({"requestedClaims": {}}), ".requestedClaims: must be a list"),
            (json!({"requestedClaims": [{"claim": {}}]}), "claim.uri"),
            (json!({"requestedClaims": [{"claim": {"uri": "urn:x"}}]}), "urn:x"),
            (json!({"claimMappings": [{"applicationClaim": "a"}]}), "localClaim.uri"),
            (json!({"role": {"mappings": [{"localRole": 1}]}}), "role.mappings"),
        ] {
            let error = ClaimConfiguration::read(&document).unwrap_err();
            assert!(error.contains(told), "{document}: {error}");
        }
    }
}
