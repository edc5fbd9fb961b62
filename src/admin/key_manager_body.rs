//! Key managers as the Admin contract has them. What gateways need is read; everything else is kept as it came, without
//! what looks like a secret.

use portcullis_model::key_manager::KeyManager;
use portcullis_model::{KeyManagerId, Refused, TenantDomain, Timestamp};
use serde_json::{Map, Value, json};

const NAME_CHARS_MAX: usize = 100;
const TYPE_CHARS_MAX: usize = 45;
const TEXT_CHARS_MAX: usize = 2_048;
const OTHER_FIELDS_BYTES_MAX: usize = 64 << 10;
/// The claims where nothing is said.
const CONSUMER_KEY_CLAIM: &str = "azp";
const SCOPES_CLAIM: &str = "scope";

/// Reads a body.
///
/// # Errors
/// What is missing or wrong.
pub(crate) fn read(
    mut body: Map<String, Value>,
    id: KeyManagerId,
    tenant: TenantDomain,
) -> Result<KeyManager, Refused> {
    let name = text(&body, "name", NAME_CHARS_MAX)?.unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Refused::invalid("name", "must be there"));
    }
    if text(&body, "type", TYPE_CHARS_MAX)?.is_none_or(|kind| kind.is_empty()) {
        return Err(Refused::invalid("type", "must be there, such as \"custom\""));
    }
    let issuer = text(&body, "issuer", TEXT_CHARS_MAX)?.filter(|issuer| !issuer.is_empty());
    let issuer = issuer.ok_or_else(|| Refused::invalid("issuer", "must be there: what tokens have in `iss`"))?;
    let jwks_url = jwks_url(&body)?;
    let claim = |field: &str, usual: &str| {
        text(&body, field, 255).map(|claim| claim.filter(|claim| !claim.is_empty()).unwrap_or_else(|| usual.to_owned()))
    };
    let (consumer_key_claim, scopes_claim) =
        (claim("consumerKeyClaim", CONSUMER_KEY_CLAIM)?, claim("scopesClaim", SCOPES_CLAIM)?);
    let is_enabled = match body.get("enabled") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Err(Refused::invalid("enabled", "must be true or false")),
    };
    if body.get("tokenType").and_then(Value::as_str) == Some("EXCHANGED") {
        return Err(Refused::invalid("tokenType", "must be DIRECT: tokens are not exchanged for others here"));
    }
    body.shift_remove("id");
    drop_secrets(&mut body);
    let other_fields = Value::Object(body).to_string();
    if other_fields.len() > OTHER_FIELDS_BYTES_MAX {
        return Err(Refused::invalid("body", format!("may have at most {OTHER_FIELDS_BYTES_MAX} bytes")));
    }
    Ok(KeyManager {
        id,
        tenant,
        name,
        issuer,
        jwks_url,
        consumer_key_claim,
        scopes_claim,
        is_enabled,
        other_fields,
        created_at: Timestamp::default(),
    })
}

fn text(body: &Map<String, Value>, name: &str, chars_max: usize) -> Result<Option<String>, Refused> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= chars_max => Ok(Some(text.clone())),
        Some(_) => Err(Refused::invalid(name, format!("must be a text of at most {chars_max} characters"))),
    }
}

fn jwks_url(body: &Map<String, Value>) -> Result<String, Refused> {
    const FIELD: &str = "certificates";
    let certificates = body.get(FIELD).and_then(Value::as_object);
    let certificates = certificates
        .ok_or_else(|| Refused::invalid(FIELD, "must be there: {\"type\": \"JWKS\", \"value\": \"https://…\"}"))?;
    if certificates.get("type").and_then(Value::as_str) != Some("JWKS") {
        return Err(Refused::invalid(FIELD, "must be of type JWKS: other kinds are not served here"));
    }
    let url = certificates.get("value").and_then(Value::as_str).unwrap_or_default();
    check_url(FIELD, url)?;
    Ok(url.to_owned())
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

/// Drops passwords and secrets: they are of no use here and would be shown to whoever reads.
fn drop_secrets(body: &mut Map<String, Value>) {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.contains("password") || name.contains("secret")
    };
    if let Some(Value::Object(properties)) = body.get_mut("additionalProperties") {
        properties.retain(|name, _| !is_secret(name));
    }
}

/// Writes a key manager.
pub(crate) fn write(one: &KeyManager) -> Value {
    let mut body: Map<String, Value> = serde_json::from_str(&one.other_fields).unwrap_or_default();
    let known = json!({
        "id": one.id.to_string(),
        "name": one.name,
        "issuer": one.issuer,
        "certificates": { "type": "JWKS", "value": one.jwks_url },
        "consumerKeyClaim": one.consumer_key_claim,
        "scopesClaim": one.scopes_claim,
        "enabled": one.is_enabled,
        "enableSelfValidationJWT": true,
        "tokenType": "DIRECT",
    });
    if let Value::Object(known) = known {
        body.extend(known);
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
        "isGlobal": false,
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
mod tests {
    use super::*;

    fn parse(body: Value) -> Result<KeyManager, Refused> {
        let Value::Object(body) = body else { panic!("an object is meant") };
        read(body, KeyManagerId::from_random([1; 16]), TenantDomain::super_tenant())
    }

    #[test]
    fn what_is_not_understood_comes_back_and_secrets_do_not() {
        let sent = json!({
            "name": "Okta", "type": "Okta", "issuer": "https://okta.example", "displayName": "Our Okta",
            "certificates": {"type": "JWKS", "value": "https://okta.example/keys"}, "scopesClaim": "scp",
            "additionalProperties": {"Username": "admin", "Password": "hunter2", "client_secret": "x"},
            "claimMapping": [{"remoteClaim": "a", "localClaim": "b"}],
        });
        let one = parse(sent).unwrap();
        assert_eq!((one.consumer_key_claim.as_str(), one.scopes_claim.as_str()), ("azp", "scp"));
        let written = write(&one);
        assert_eq!((&written["displayName"], &written["enabled"]), (&json!("Our Okta"), &json!(true)));
        assert_eq!(written["claimMapping"][0]["localClaim"], "b");
        assert_eq!(written["additionalProperties"], json!({"Username": "admin"}));
        assert!(!one.other_fields.contains("hunter2"));
    }

    #[test]
    fn each_fault_names_its_field() {
        let good =
            json!({"name": "a", "type": "t", "issuer": "i", "certificates": {"type": "JWKS", "value": "https://a/k"}});
        assert!(parse(good.clone()).is_ok());
        for (field, value) in [
            ("name", json!("")),
            ("name", json!("x".repeat(101))),
            ("type", json!(null)),
            ("issuer", json!(7)),
            ("certificates", json!({"type": "PEM", "value": "x"})),
            ("certificates", json!({"type": "JWKS", "value": "file:///etc/passwd"})),
            ("enabled", json!("yes")),
            ("tokenType", json!("EXCHANGED")),
        ] {
            let mut body = good.clone();
            body[field] = value;
            let refused = parse(body.clone()).unwrap_err().to_string();
            assert!(refused.starts_with(field), "{body}: {refused}");
        }
    }
}
