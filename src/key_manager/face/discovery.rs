//! Tells clients what is served and where: RFC 8414 and OpenID Connect Discovery. Only what is served is listed.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::jws::ES256;
use crate::scope_grant::{DEFAULT, OPENID};
use crate::settings::Settings;

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

fn metadata(settings: &Settings) -> Value {
    let at = |path: &str| format!("{}{path}", settings.base_url);
    let mut grants = vec!["client_credentials", "refresh_token"];
    if settings.is_password_grant_enabled {
        grants.push("password");
    }
    let methods = ["client_secret_basic", "client_secret_post"];
    json!({
        "issuer": settings.issuer,
        "token_endpoint": at("/oauth2/token"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "introspection_endpoint": at("/oauth2/introspect"),
        "userinfo_endpoint": at("/oauth2/userinfo"),
        "jwks_uri": at("/oauth2/jwks"),
        "grant_types_supported": grants,
        "response_types_supported": [],
        "scopes_supported": [OPENID, DEFAULT],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ES256],
        "claims_supported": ["sub", "preferred_username", "email", "groups"],
    })
}
