//! Tells clients what is served and where: RFC 8414 and OpenID Connect Discovery. Only what is served is listed.

use axum::routing::get;
use axum::{Json, Router};
use portcullis_jose::Algorithm;
use serde_json::{Value, json};

use crate::assertion_grant::JWT_BEARER;
use crate::device::DEVICE_CODE;
use crate::exchange::TOKEN_EXCHANGE;
use crate::saml::SAML2_BEARER;
use crate::settings::Settings;

/// How clients show who they are.
const AUTHENTICATION: [&str; 4] = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];

pub(super) fn routes(settings: &Settings) -> Router {
    let metadata = metadata(settings);
    let show = get(move || {
        let metadata = metadata.clone();
        async move { Json(metadata) }
    });
    Router::new()
        .route("/.well-known/oauth-authorization-server", show.clone())
        // Where RFC 8414, section 3.1, has it for an issuer with a path.
        .route("/.well-known/oauth-authorization-server/oauth2/token", show.clone())
        .route("/oauth2/token/.well-known/openid-configuration", show)
}

/// The grant types that are served.
pub(crate) const GRANT_TYPES: &[&str] = &[
    "authorization_code",
    "client_credentials",
    "password",
    "refresh_token",
    DEVICE_CODE,
    JWT_BEARER,
    SAML2_BEARER,
    TOKEN_EXCHANGE,
];

fn metadata(settings: &Settings) -> Value {
    let at = |path: &str| format!("{}{path}", settings.base_url);
    let mut grants: Vec<&str> = GRANT_TYPES.to_vec();
    let mut response_types = vec!["code"];
    let mut response_modes = vec!["query"];
    if !settings.is_password_grant_enabled {
        grants.retain(|grant| *grant != "password");
    }
    if settings.is_implicit_grant_enabled {
        grants.push("implicit");
        response_types.extend(["token", "id_token", "id_token token"]);
        response_modes.push("fragment");
    }
    let mut authentication = AUTHENTICATION.to_vec();
    if !settings.client_authorities.is_empty() {
        authentication.extend(["tls_client_auth", "self_signed_tls_client_auth"]);
    }
    let algorithms = Algorithm::SIGNING.map(Algorithm::name);
    let assertion_algorithms = Algorithm::ALL.map(Algorithm::name);
    json!({
        "issuer": settings.issuer,
        "authorization_endpoint": at("/oauth2/authorize"),
        "token_endpoint": at("/oauth2/token"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "introspection_endpoint": at("/oauth2/introspect"),
        "device_authorization_endpoint": at("/oauth2/device_authorization"),
        "pushed_authorization_request_endpoint": at("/oauth2/par"),
        "require_pushed_authorization_requests": false,
        "registration_endpoint": at("/oauth2/register"),
        "userinfo_endpoint": at("/oauth2/userinfo"),
        "end_session_endpoint": at("/oauth2/logout"),
        "jwks_uri": at("/oauth2/jwks"),
        "grant_types_supported": grants,
        "response_types_supported": response_types,
        "response_modes_supported": response_modes,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": ["openid", "profile", "email", "phone", "groups", "roles", "offline_access", "default"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "token_endpoint_auth_methods_supported": authentication,
        "token_endpoint_auth_signing_alg_values_supported": assertion_algorithms,
        "revocation_endpoint_auth_methods_supported": AUTHENTICATION,
        "revocation_endpoint_auth_signing_alg_values_supported": assertion_algorithms,
        "introspection_endpoint_auth_methods_supported": AUTHENTICATION,
        "introspection_endpoint_auth_signing_alg_values_supported": assertion_algorithms,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "azp",
            "preferred_username", "email", "groups", "roles", "name", "given_name", "family_name", "nickname",
            "phone_number"],
        "dpop_signing_alg_values_supported": portcullis_jose::proof::ALGORITHMS.map(Algorithm::name),
        "tls_client_certificate_bound_access_tokens": !settings.client_authorities.is_empty(),
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    })
}
