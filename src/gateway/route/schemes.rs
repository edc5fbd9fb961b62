//! How callers of an API may prove who they are (`securityScheme`), compiled.

use http::HeaderName;
use http::header::AUTHORIZATION;
use portcullis_model::api::Security;
use portcullis_model::{DeployedApi, EdgeSecurity};
use tracing::warn;

/// The header of API keys where the API names none.
const API_KEY: HeaderName = HeaderName::from_static("apikey");

/// The ways in which callers of an API may prove who they are.
#[derive(Debug)]
pub(crate) struct Schemes {
    /// By an access token and nothing else: what most APIs ask for, and what costs the least to check.
    pub(crate) is_token_alone: bool,
    pub(crate) security: Security,
    /// The header of access tokens and passwords.
    pub(crate) authorization_header: HeaderName,
    /// The header of API keys.
    pub(crate) api_key_header: HeaderName,
    /// The headers that hold credentials and are not the backend's business.
    pub(crate) secret_headers: Vec<HeaderName>,
}

impl Schemes {
    pub(crate) fn new(api: &DeployedApi, edge: Option<&EdgeSecurity>) -> Self {
        let security = api.security;
        let authorization_header = header(api, api.authorization_header.as_deref(), AUTHORIZATION);
        let api_key_header = header(api, edge.and_then(|edge| edge.api_key_header.as_deref()), API_KEY);
        let mut secret_headers = Vec::new();
        if security.has_oauth2 || security.has_basic_auth {
            secret_headers.push(authorization_header.clone());
        }
        if security.has_api_key {
            secret_headers.push(api_key_header.clone());
        }
        let has_other = security.has_api_key || security.has_basic_auth || security.has_mutual_tls;
        Self {
            is_token_alone: security.has_oauth2 && !has_other,
            security,
            authorization_header,
            api_key_header,
            secret_headers,
        }
    }
}

fn header(api: &DeployedApi, name: Option<&str>, usual: HeaderName) -> HeaderName {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return usual };
    HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|error| {
        warn!(api = %api.id, name, %error, header = %usual, "header for credentials not usable; the usual one is");
        usual
    })
}
