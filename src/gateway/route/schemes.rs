//! How callers of an API may prove who they are (`securityScheme`), compiled.

use http::HeaderName;
use http::header::AUTHORIZATION;
use portcullis_model::api::Security;
use portcullis_model::{DeployedApi, EdgeSecurity};
use tracing::warn;

use super::trust::Trust;
use crate::credentials::INTERNAL_KEY;
use crate::upstream::request::read_alike;

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
    /// The headers that are never the backend's business: those in which only the gateway tells who calls, and the one with
    /// which publishers try out APIs, whatever the API asks for.
    pub(crate) own_headers: Vec<HeaderName>,
    /// The client certificates that are trusted.
    pub(crate) trust: Trust,
}

impl Schemes {
    /// Compiles what an API says; `certificate_header` is that by which proxies pass on clients' certificates.
    pub(crate) fn new(
        api: &DeployedApi,
        edge: Option<&EdgeSecurity>,
        certificate_header: Option<&HeaderName>,
        assertion_header: Option<&HeaderName>,
    ) -> Self {
        let mut security = api.security;
        // What must be there is looked at, whatever else is said.
        security.has_mutual_tls |= security.is_mutual_tls_mandatory;
        let authorization_header = header(api, api.authorization_header.as_deref(), AUTHORIZATION);
        let api_key_header = header(api, edge.and_then(|edge| edge.api_key_header.as_deref()), API_KEY);
        let mut own_headers: Vec<HeaderName> = assertion_header.cloned().into_iter().chain([INTERNAL_KEY]).collect();
        let mut secret_headers = own_headers.clone();
        if security.has_oauth2 || security.has_basic_auth {
            secret_headers.push(authorization_header.clone());
        }
        if security.has_api_key {
            secret_headers.push(api_key_header.clone());
        }
        let mut trust = Trust::default();
        if security.has_mutual_tls {
            secret_headers.extend(certificate_header.cloned());
            trust = Trust::new(api.id, edge.map(|edge| edge.certificates.as_slice()).unwrap_or_default());
        }
        with_read_alike(&mut own_headers);
        with_read_alike(&mut secret_headers);
        let has_other = security.has_api_key || security.has_basic_auth || security.has_mutual_tls;
        Self {
            is_token_alone: security.has_oauth2 && !has_other,
            security,
            authorization_header,
            api_key_header,
            secret_headers,
            own_headers,
            trust,
        }
    }
}

/// Adds to names with `_` those with `-` in its place. A call's fields are looked for as they came and with `-`: so each spelling
/// is found, and names without `_` cost a call nothing.
fn with_read_alike(names: &mut Vec<HeaderName>) {
    let alike: Vec<HeaderName> = names.iter().filter_map(read_alike).collect();
    names.extend(alike);
}

fn header(api: &DeployedApi, name: Option<&str>, usual: HeaderName) -> HeaderName {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return usual };
    HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|error| {
        warn!(api = %api.id, name, %error, header = %usual, "header for credentials not usable; the usual one is");
        usual
    })
}
