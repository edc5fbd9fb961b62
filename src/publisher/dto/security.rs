//! How a caller of an API proves who it is, as the contract has it (`securityScheme`, `authorizationHeader`).

use portcullis_model::Api;
use portcullis_model::api::Security;
use serde_json::Value;

use super::fields::{Fields, name_of_type};

const NAME_CHARS_MAX: usize = 255;

/// Reads both fields into `api`.
pub fn read_security(fields: &mut Fields, api: &mut Api) {
    if let Some(header) = fields.text("authorizationHeader", NAME_CHARS_MAX) {
        if header.is_empty() {
            api.authorization_header = None;
        } else if http::HeaderName::from_bytes(header.as_bytes()).is_err() {
            fields.fault("authorizationHeader", format!("`{header}` is not the name of a header"));
        } else {
            api.authorization_header = Some(header).filter(|name| !name.eq_ignore_ascii_case("authorization"));
        }
    }
    check_api_key_header(fields);
    if let Some(schemes) = fields.texts("securityScheme", 16, 64) {
        match security_of(&schemes) {
            Ok(security) => api.security = security,
            Err(unknown) => fields.fault("securityScheme", format!("has {unknown}, which is not known")),
        }
    }
}

/// Checks the header of API keys, which stays among the fields that are kept as they came.
fn check_api_key_header(fields: &mut Fields) {
    let fault = match fields.rest().get("apiKeyHeader") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) if name.is_empty() => None,
        Some(Value::String(name))
            if name.len() <= NAME_CHARS_MAX && http::HeaderName::from_bytes(name.as_bytes()).is_ok() =>
        {
            let is_other = ["host", "content-length", "transfer-encoding", "connection", "cookie"];
            is_other.contains(&name.to_ascii_lowercase().as_str()).then(|| format!("`{name}` means something else"))
        }
        Some(Value::String(name)) => Some(format!("`{name}` is not the name of a header")),
        Some(other) => Some(format!("must be a text, not {}", name_of_type(other))),
    };
    if let Some(fault) = fault {
        fields.fault("apiKeyHeader", fault);
    }
}

/// Returns the switches that a list of security schemes sets; OAuth 2 where it names no way to sign in.
///
/// # Errors
/// The first name that is not known.
pub fn security_of(schemes: &[String]) -> Result<Security, String> {
    let mut security = Security {
        has_oauth2: false,
        has_api_key: false,
        has_basic_auth: false,
        has_mutual_tls: false,
        is_mutual_tls_mandatory: false,
        is_token_mandatory: false,
    };
    for scheme in schemes {
        match scheme.as_str() {
            "oauth2" => security.has_oauth2 = true,
            "api_key" => security.has_api_key = true,
            "basic_auth" => security.has_basic_auth = true,
            "mutualssl" => security.has_mutual_tls = true,
            // What must be there is looked at.
            "mutualssl_mandatory" => (security.has_mutual_tls, security.is_mutual_tls_mandatory) = (true, true),
            "oauth_basic_auth_api_key_mandatory" => security.is_token_mandatory = true,
            other => return Err(other.to_owned()),
        }
    }
    let has_token = security.has_oauth2 || security.has_api_key || security.has_basic_auth;
    if !has_token && !security.has_mutual_tls {
        return Ok(Security::default());
    }
    // Without mutual TLS a token is the only proof there is, whatever the list says.
    security.is_token_mandatory = has_token && (security.is_token_mandatory || !security.has_mutual_tls);
    Ok(security)
}

/// Returns the list of security schemes that sets these switches.
#[must_use]
pub fn security_schemes(security: Security) -> Vec<&'static str> {
    let names = [
        (security.has_oauth2, "oauth2"),
        (security.has_api_key, "api_key"),
        (security.has_basic_auth, "basic_auth"),
        (security.has_mutual_tls, "mutualssl"),
        (security.is_mutual_tls_mandatory, "mutualssl_mandatory"),
        (security.is_token_mandatory, "oauth_basic_auth_api_key_mandatory"),
    ];
    names.into_iter().filter_map(|(is_on, name)| is_on.then_some(name)).collect()
}
