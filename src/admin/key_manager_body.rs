//! Key managers as the Admin contract has them. What is needed of them is read, and what signs in at them sealed;
//! everything else is kept as it came, without what looks like a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_database::ClusterKey;
use portcullis_http::tls;
use portcullis_model::key_manager::{
    CLAIM_MAPPINGS_MAX, ClaimMapping, KeyManager, KeyManagerLogin, LoginKind, token_pattern,
};
use portcullis_model::{KeyManagerId, Refused, TenantDomain, Timestamp};
use serde_json::{Map, Value, json};

const NAME_CHARS_MAX: usize = 100;
const TYPE_CHARS_MAX: usize = 45;
const CLAIM_CHARS_MAX: usize = 255;
const TEXT_CHARS_MAX: usize = 2_048;
const OTHER_FIELDS_BYTES_MAX: usize = 64 << 10;
/// Roles of the permissions.
const ROLES_MAX: usize = 100;
/// Bytes of certificates.
const PEM_BYTES_MAX: usize = 32 << 10;
/// How an address begins that holds certificates itself.
const INLINE: &str = "data:application/x-pem-file;base64,";
/// The claims where nothing is said.
const CONSUMER_KEY_CLAIM: &str = "azp";
const SCOPES_CLAIM: &str = "scope";

/// What a body is read with.
pub(crate) struct Reading<'a> {
    pub(crate) id: KeyManagerId,
    pub(crate) tenant: TenantDomain,
    /// The key manager that is changed: what is secret is kept where a body does not have it.
    pub(crate) previous: Option<&'a KeyManager>,
    /// Whether it is for all tenants.
    pub(crate) is_global: bool,
    /// What seals secrets.
    pub(crate) key: &'a ClusterKey,
}

/// Reads a body.
///
/// # Errors
/// What is missing or wrong.
pub(crate) fn read(mut body: Map<String, Value>, reading: Reading<'_>) -> Result<KeyManager, Refused> {
    let name = text(&body, "name", NAME_CHARS_MAX)?.unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Refused::invalid("name", "must be there"));
    }
    if text(&body, "type", TYPE_CHARS_MAX)?.is_none_or(|kind| kind.is_empty()) {
        return Err(Refused::invalid("type", "must be there, such as \"custom\""));
    }
    let issuer = text(&body, "issuer", TEXT_CHARS_MAX)?.filter(|issuer| !issuer.is_empty());
    let issuer = issuer.ok_or_else(|| Refused::invalid("issuer", "must be there: what tokens have in `iss`"))?;
    let introspection_url = endpoint(&body, "introspectionEndpoint", "introspection_endpoint")?;
    let registration_url = endpoint(&body, "clientRegistrationEndpoint", "client_registration_endpoint")?;
    let token_url = endpoint(&body, "tokenEndpoint", "token_endpoint")?;
    let jwks_url = jwks_url(&body, introspection_url.is_some())?;
    let (consumer_key_claim, scopes_claim) =
        (claim(&body, "consumerKeyClaim", CONSUMER_KEY_CLAIM)?, claim(&body, "scopesClaim", SCOPES_CLAIM)?);
    let claim_mapping = claim_mapping(&body)?;
    let opaque_tokens = opaque_tokens(&body)?;
    let is_enabled = flag(&body, "enabled")?;
    refuse_what_is_not_served(&body)?;
    let login = login(&body, &reading)?;
    body.shift_remove("id");
    body.insert("global".to_owned(), reading.is_global.into());
    drop_secrets(&mut body);
    let other_fields = Value::Object(body).to_string();
    if other_fields.len() > OTHER_FIELDS_BYTES_MAX {
        return Err(Refused::invalid("body", format!("may have at most {OTHER_FIELDS_BYTES_MAX} bytes")));
    }
    Ok(KeyManager {
        id: reading.id,
        tenant: reading.tenant,
        name,
        issuer,
        jwks_url,
        introspection_url,
        registration_url,
        token_url,
        login,
        opaque_tokens,
        consumer_key_claim,
        scopes_claim,
        claim_mapping,
        is_enabled,
        other_fields,
        created_at: Timestamp::default(),
    })
}

/// Refuses what would let others in than its administrator means.
fn refuse_what_is_not_served(body: &Map<String, Value>) -> Result<(), Refused> {
    let token_type = body.get("tokenType").and_then(Value::as_str);
    if matches!(token_type, Some("EXCHANGED" | "BOTH")) {
        return Err(Refused::invalid("tokenType", "must be DIRECT: tokens are not exchanged for others here"));
    }
    let Some(permissions) = body.get("permissions").filter(|permissions| !permissions.is_null()) else { return Ok(()) };
    match permissions.get("permissionType").and_then(Value::as_str) {
        None | Some("PUBLIC") => Ok(()),
        Some("ALLOW" | "DENY") => {
            let roles = permissions.get("roles").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let is_name = |role: &Value| role.as_str().is_some_and(|role| !role.trim().is_empty());
            if (1..=ROLES_MAX).contains(&roles.len()) && roles.iter().all(is_name) {
                return Ok(());
            }
            Err(Refused::invalid("permissions.roles", format!("must name 1 to {ROLES_MAX} roles")))
        }
        Some(_) => Err(Refused::invalid("permissions.permissionType", "must be PUBLIC, ALLOW or DENY")),
    }
}

fn text(body: &Map<String, Value>, name: &str, chars_max: usize) -> Result<Option<String>, Refused> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= chars_max => Ok(Some(text.clone())),
        Some(_) => Err(Refused::invalid(name, format!("must be a text of at most {chars_max} characters"))),
    }
}

fn flag(body: &Map<String, Value>, name: &str) -> Result<bool, Refused> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Refused::invalid(name, "must be true or false")),
    }
}

fn claim(body: &Map<String, Value>, name: &str, usual: &str) -> Result<String, Refused> {
    let said = text(body, name, CLAIM_CHARS_MAX)?.filter(|claim| !claim.is_empty());
    Ok(said.unwrap_or_else(|| usual.to_owned()))
}

/// Reads an address: from the field of its own, or from the list of endpoints that has taken its place in the contract.
fn endpoint(body: &Map<String, Value>, field: &str, listed: &str) -> Result<Option<String>, Refused> {
    let own = text(body, field, TEXT_CHARS_MAX)?.filter(|url| !url.is_empty());
    let mut all = body.get("endpoints").and_then(Value::as_array).into_iter().flatten();
    let of_list = || {
        let one = all.find(|one| one.get("name").and_then(Value::as_str) == Some(listed))?;
        one.get("value").and_then(Value::as_str).filter(|url| !url.is_empty()).map(str::to_owned)
    };
    let url = own.or_else(of_list);
    if let Some(url) = &url {
        check_url(field, url)?;
    }
    Ok(url)
}

/// Returns where the public keys are; `None` where the server is to be asked about each token instead.
fn jwks_url(body: &Map<String, Value>, has_introspection: bool) -> Result<Option<String>, Refused> {
    const FIELD: &str = "certificates";
    if !flag(body, "enableSelfValidationJWT")? {
        let reason = "must be there where enableSelfValidationJWT is false";
        return if has_introspection { Ok(None) } else { Err(Refused::invalid("introspectionEndpoint", reason)) };
    }
    let certificates = body.get(FIELD).and_then(Value::as_object).filter(|certificates| !certificates.is_empty());
    let Some(certificates) = certificates else {
        let reason = "must be there: {\"type\": \"JWKS\", \"value\": \"https://…\"}, or introspectionEndpoint instead";
        return if has_introspection { Ok(None) } else { Err(Refused::invalid(FIELD, reason)) };
    };
    let value = certificates.get("value").and_then(Value::as_str).unwrap_or_default();
    match certificates.get("type").and_then(Value::as_str) {
        Some("JWKS") => {
            check_url(FIELD, value)?;
            Ok(Some(value.to_owned()))
        }
        Some("PEM") => inline_certificates(FIELD, value).map(Some),
        _ => Err(Refused::invalid(FIELD, "must be of type JWKS or PEM")),
    }
}

/// Reads certificates in PEM, or that in base64, as the original's pages send it.
fn inline_certificates(field: &str, value: &str) -> Result<String, Refused> {
    let decoded = || STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pem = if value.contains("-----BEGIN") { Some(value.to_owned()) } else { decoded() };
    let pem = pem.filter(|pem| pem.len() <= PEM_BYTES_MAX && tls::fingerprints(pem).is_ok());
    let reason = || format!("must be certificates in PEM, at most {PEM_BYTES_MAX} bytes");
    pem.map(|pem| format!("{INLINE}{}", STANDARD.encode(pem))).ok_or_else(|| Refused::invalid(field, reason()))
}

fn claim_mapping(body: &Map<String, Value>) -> Result<Vec<ClaimMapping>, Refused> {
    const FIELD: &str = "claimMapping";
    let items = match body.get(FIELD) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= CLAIM_MAPPINGS_MAX => items,
        Some(_) => return Err(Refused::invalid(FIELD, format!("must be a list of at most {CLAIM_MAPPINGS_MAX}"))),
    };
    let read = |(number, item): (usize, &Value)| {
        let name = |field: &str| {
            let text = item.get(field).and_then(Value::as_str).unwrap_or_default();
            let is_fit = (1..=CLAIM_CHARS_MAX).contains(&text.chars().count());
            let reason = || format!("must be a text of 1 to {CLAIM_CHARS_MAX} characters");
            is_fit
                .then(|| text.to_owned())
                .ok_or_else(|| Refused::invalid(&format!("{FIELD}[{number}].{field}"), reason()))
        };
        Ok(ClaimMapping { remote: name("remoteClaim")?, local: name("localClaim")? })
    };
    items.iter().enumerate().map(read).collect()
}

/// Returns the regular expression of opaque tokens: that of the first rule for them which is on.
fn opaque_tokens(body: &Map<String, Value>) -> Result<Option<String>, Refused> {
    const FIELD: &str = "tokenValidation";
    let mut rules = body.get(FIELD).and_then(Value::as_array).into_iter().flatten();
    let is_meant = |rule: &&Value| {
        rule.get("type").and_then(Value::as_str) == Some("REFERENCE")
            && rule.get("enable").and_then(Value::as_bool).unwrap_or(true)
    };
    let pattern = rules.find(is_meant).and_then(|rule| rule.get("value")?.as_str()).filter(|text| !text.is_empty());
    let Some(pattern) = pattern else { return Ok(None) };
    if pattern.len() > TEXT_CHARS_MAX {
        return Err(Refused::invalid(FIELD, format!("may have at most {TEXT_CHARS_MAX} characters")));
    }
    token_pattern(pattern).map_err(|error| Refused::invalid(FIELD, format!("is no regular expression: {error}")))?;
    Ok(Some(pattern.to_owned()))
}

/// Reads as whom this cluster signs in there, from what the original's connectors call it.
fn login(body: &Map<String, Value>, reading: &Reading<'_>) -> Result<Option<KeyManagerLogin>, Refused> {
    let Some(Value::Object(properties)) = body.get("additionalProperties") else { return Ok(None) };
    let said = |wanted: &str| {
        let found = properties.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.as_str()).filter(|text| !text.is_empty())
    };
    for (kind, name, secret) in
        [(LoginKind::User, "Username", "Password"), (LoginKind::Client, "client_id", "client_secret")]
    {
        let Some(who) = said(name) else { continue };
        if who.len() > TEXT_CHARS_MAX || said(secret).is_some_and(|secret| secret.len() > TEXT_CHARS_MAX) {
            let reason = format!("may have at most {TEXT_CHARS_MAX} bytes");
            return Err(Refused::invalid(&format!("additionalProperties.{secret}"), reason));
        }
        let kept = reading.previous.and_then(|previous| previous.login.as_ref());
        let kept = kept.filter(|login| login.kind == kind && login.name == who).map(|login| login.secret.clone());
        let sealed = said(secret).map(|secret| reading.key.seal(secret.as_bytes())).or(kept);
        let sealed = sealed.ok_or_else(|| {
            Refused::invalid(&format!("additionalProperties.{secret}"), format!("must be there beside {name}"))
        })?;
        return Ok(Some(KeyManagerLogin { kind, name: who.to_owned(), secret: sealed }));
    }
    Ok(None)
}

/// Refuses what is no address of a document.
pub(crate) fn check_url(field: &str, url: &str) -> Result<(), Refused> {
    let parsed: Option<http::Uri> = url.parse().ok();
    let is_fit = parsed.is_some_and(|uri| matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some());
    if is_fit && url.len() <= TEXT_CHARS_MAX {
        return Ok(());
    }
    Err(Refused::invalid(field, format!("`{url}` is no http or https URL of at most {TEXT_CHARS_MAX} characters")))
}

/// Drops passwords and secrets, which would be shown to whoever reads: what signs in is sealed, and the rest of no use.
fn drop_secrets(body: &mut Map<String, Value>) {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["password", "secret", "apikey"].iter().any(|part| name.contains(part)) || name.ends_with("token")
    };
    if let Some(Value::Object(properties)) = body.get_mut("additionalProperties") {
        properties.retain(|name, _| !is_secret(name));
    }
}

/// Fields of the contract that are shown also where nothing was said of them.
const SHOWN: [&str; 17] = [
    "displayName",
    "description",
    "alias",
    "wellKnownEndpoint",
    "introspectionEndpoint",
    "clientRegistrationEndpoint",
    "tokenEndpoint",
    "displayTokenEndpoint",
    "revokeEndpoint",
    "displayRevokeEndpoint",
    "userInfoEndpoint",
    "authorizeEndpoint",
    "scopeManagementEndpoint",
    "certificates",
    "permissions",
    "claimMapping",
    "tokenValidation",
];

/// Writes a key manager.
pub(crate) fn write(one: &KeyManager) -> Value {
    let mut body: Map<String, Value> = SHOWN.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    for name in ["endpoints", "availableGrantTypes", "allowedOrganizations"] {
        body.insert(name.to_owned(), json!([]));
    }
    body.extend(serde_json::from_str::<Map<String, Value>>(&one.other_fields).unwrap_or_default());
    let known = json!({
        "id": one.id.to_string(),
        "name": one.name,
        "issuer": one.issuer,
        "consumerKeyClaim": one.consumer_key_claim,
        "scopesClaim": one.scopes_claim,
        "enabled": one.is_enabled,
        "enableSelfValidationJWT": one.jwks_url.is_some(),
        "tokenType": "DIRECT",
    });
    if let Value::Object(known) = known {
        body.extend(known);
    }
    // Certificates that were sent come back as they were.
    if let Some(url) = one.jwks_url.as_ref().filter(|url| !url.starts_with(INLINE)) {
        body.insert("certificates".to_owned(), json!({ "type": "JWKS", "value": url }));
    }
    Value::Object(body)
}

/// Returns what a list shows of a key manager.
pub(crate) fn brief(one: &KeyManager) -> Value {
    let body: Map<String, Value> = serde_json::from_str(&one.other_fields).unwrap_or_default();
    json!({
        "id": one.id.to_string(),
        "name": one.name,
        "type": body.get("type"),
        "description": body.get("description"),
        "enabled": one.is_enabled,
        "isGlobal": one.is_global(),
        "tokenType": "DIRECT",
    })
}

/// Returns what a well-known document (OpenID Connect Discovery, RFC 8414) says, as a key manager.
pub(crate) fn discovered(kind: &str, well_known: &str, document: &Map<String, Value>) -> Value {
    let said = |name: &str| document.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "type": kind,
        "wellKnownEndpoint": well_known,
        "issuer": said("issuer"),
        "introspectionEndpoint": said("introspection_endpoint"),
        "clientRegistrationEndpoint": said("registration_endpoint"),
        "tokenEndpoint": said("token_endpoint"),
        "revokeEndpoint": said("revocation_endpoint"),
        "userInfoEndpoint": said("userinfo_endpoint"),
        "authorizeEndpoint": said("authorization_endpoint"),
        "certificates": { "type": "JWKS", "value": said("jwks_uri") },
        "availableGrantTypes": said("grant_types_supported"),
        "consumerKeyClaim": CONSUMER_KEY_CLAIM,
        "scopesClaim": SCOPES_CLAIM,
    })
}

#[cfg(test)]
#[path = "key_manager_body_tests.rs"]
mod tests;
