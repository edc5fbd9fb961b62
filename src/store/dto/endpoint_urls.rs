//! Where an API is called, in the DevPortal contract: by gateway environment and protocol.

use portcullis_model::api::versioned_context;
use portcullis_model::{Api, ApiKind, Environment};
use serde::Serialize;

use crate::settings::Addresses;

/// Where an API is called in one gateway environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointUrlsDto {
    /// The environment.
    pub environment_name: String,
    pub environment_display_name: String,
    pub environment_type: &'static str,
    /// With the version.
    #[serde(rename = "URLs")]
    pub urls: UrlsDto,
    #[serde(rename = "defaultVersionURLs")]
    pub default_version_urls: UrlsDto,
}

/// The addresses of an API, by protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct UrlsDto {
    /// HTTP.
    pub http: Option<String>,
    /// HTTPS.
    pub https: Option<String>,
    /// WebSocket.
    pub ws: Option<String>,
    /// WebSocket over TLS.
    pub wss: Option<String>,
}

impl EndpointUrlsDto {
    /// Makes the body for an environment whose gateways are at `gateway`.
    pub(crate) fn new(api: &Api, environment: &Environment, gateway: &Addresses) -> Self {
        let default_version_urls =
            if api.is_default_version { urls(api, gateway, &unversioned_context(api)) } else { UrlsDto::default() };
        Self {
            environment_name: environment.name.clone(),
            environment_display_name: environment.display_name.clone(),
            environment_type: environment.kind.as_contract(),
            urls: urls(api, gateway, &versioned_context(&api.context, &api.version)),
            default_version_urls,
        }
    }
}

/// Returns the context that calls without a version use.
fn unversioned_context(api: &Api) -> String {
    api.context.replace("/{version}", "").trim_end_matches('/').to_owned()
}

fn urls(api: &Api, gateway: &Addresses, path: &str) -> UrlsDto {
    let below = |is_served: bool, address: &str| is_served.then(|| format!("{address}{path}"));
    if matches!(api.kind, ApiKind::Ws) {
        let (ws, wss) = (below(api.has_http, &gateway.ws), below(api.has_https, &gateway.wss));
        return UrlsDto { http: None, https: None, ws, wss };
    }
    let (http, https) = (below(api.has_http, &gateway.http), below(api.has_https, &gateway.https));
    UrlsDto { http, https, ws: None, wss: None }
}
