//! What each component is told at start: the node's configuration in the component's own words.

use std::sync::Arc;
use std::time::Duration;

use portcullis_gateway::HttpsSettings;

use crate::config::{Config, OnNoQuorum};

/// The OAuth 2 grants that keys may be made for.
const GRANT_TYPES: [&str; 3] = ["client_credentials", "password", "refresh_token"];

/// Returns the settings of the gateway.
pub(crate) fn gateway_settings(config: &Config, tls: &Arc<rustls::ServerConfig>) -> portcullis_gateway::Settings {
    let https = HttpsSettings { address: config.bound(config.gateway.https_port), tls: Arc::clone(tls) };
    portcullis_gateway::Settings {
        http: Some(config.bound(config.gateway.http_port)),
        https: Some(https),
        workers: config.gateway_workers(),
        grant_wait: Duration::from_millis(config.throttling.grant_wait_ms),
        on_no_quorum: match config.throttling.on_no_quorum {
            OnNoQuorum::Deny => portcullis_gateway::OnNoQuorum::Deny,
            OnNoQuorum::Allow => portcullis_gateway::OnNoQuorum::Allow,
        },
        ..portcullis_gateway::Settings::default()
    }
}

/// Returns the settings of the Store.
pub(crate) fn store_settings(config: &Config) -> portcullis_store::Settings {
    let at = config.addresses();
    portcullis_store::Settings {
        gateway: portcullis_store::GatewayUrls {
            http: format!("http://{}", at.gateway_http),
            https: format!("https://{}", at.gateway_https),
        },
        management_url: format!("https://{}", at.management),
        grant_types: GRANT_TYPES.map(str::to_owned).to_vec(),
    }
}
