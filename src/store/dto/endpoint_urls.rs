//! Where an API is called, in the DevPortal contract: by gateway environment and protocol.

use portcullis_model::api::versioned_context;
use portcullis_model::{Api, ApiKind};
use serde::Serialize;

use crate::settings::GatewayUrls;

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
    pub(crate) fn new(api: &Api, environment: &str, gateway: &GatewayUrls) -> Self {
        let default_version_urls =
            if api.is_default_version { urls(api, gateway, &unversioned_context(api)) } else { UrlsDto::default() };
        Self {
            environment_name: environment.to_owned(),
            environment_display_name: environment.to_owned(),
            environment_type: "hybrid",
            urls: urls(api, gateway, &versioned_context(&api.context, &api.version)),
            default_version_urls,
        }
    }
}

/// Returns the context that calls without a version use.
fn unversioned_context(api: &Api) -> String {
    api.context.replace("/{version}", "").trim_end_matches('/').to_owned()
}

fn urls(api: &Api, gateway: &GatewayUrls, path: &str) -> UrlsDto {
    let http = api.has_http.then(|| format!("{}{path}", gateway.http));
    let https = api.has_https.then(|| format!("{}{path}", gateway.https));
    if matches!(api.kind, ApiKind::Ws) {
        let ws = http.map(|url| url.replacen("http", "ws", 1));
        let wss = https.map(|url| url.replacen("https", "wss", 1));
        return UrlsDto { http: None, https: None, ws, wss };
    }
    UrlsDto { http, https, ws: None, wss: None }
}
