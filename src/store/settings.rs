//! What the Store tells others about this node: where its gateway and its management port are.

use portcullis_model::environment::{DEFAULT_VHOST, VirtualHost};

/// Settings of the Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where API calls go to on this node.
    pub gateway: GatewayUrls,
    /// Where tokens are asked for: the management port, such as `https://localhost:9443`, without a slash at the end.
    pub management_url: String,
    /// The OAuth 2 grants that the Key Manager serves, as keys may ask for them.
    pub grant_types: Vec<String>,
    /// Whether there is a service that assists people in their own words.
    pub has_assistant: bool,
}

impl Settings {
    /// Returns the settings of a node whose Key Manager serves the grants that are part of Portcullis.
    #[must_use]
    pub fn new(gateway: GatewayUrls, management_url: String) -> Self {
        let grant_types = ["client_credentials", "password", "refresh_token"].map(str::to_owned).to_vec();
        Self { gateway, management_url, grant_types, has_assistant: false }
    }
}

/// Addresses of a gateway, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayUrls {
    /// Such as `http://localhost:8280`.
    pub http: String,
    /// Such as `https://localhost:8243`.
    pub https: String,
}

/// Addresses of a gateway at one virtual host, by protocol, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// HTTP.
    pub(crate) http: String,
    /// HTTPS.
    pub(crate) https: String,
    /// WebSocket.
    pub(crate) ws: String,
    /// WebSocket over TLS.
    pub(crate) wss: String,
}

impl GatewayUrls {
    /// Returns the addresses at a virtual host: this node's own where it means whatever host this node is reached at.
    #[must_use]
    pub(crate) fn at(&self, vhost: &VirtualHost) -> Addresses {
        if vhost.host == DEFAULT_VHOST {
            let (ws, wss) = (self.http.replacen("http", "ws", 1), self.https.replacen("https", "wss", 1));
            return Addresses { http: self.http.clone(), https: self.https.clone(), ws, wss };
        }
        let below = |scheme: &str, host: &str, port: u16, usual: u16| {
            let port = if port == usual { String::new() } else { format!(":{port}") };
            let slash = if vhost.http_context.is_empty() { "" } else { "/" };
            format!("{scheme}://{host}{port}{slash}{}", vhost.http_context)
        };
        let (host, http_port, https_port) = (&vhost.host, vhost.http_port, vhost.https_port);
        let (ws_host, ws_port) = vhost.ws.as_ref().map_or((host, http_port), |(host, port)| (host, *port));
        let (wss_host, wss_port) = vhost.wss.as_ref().map_or((host, https_port), |(host, port)| (host, *port));
        Addresses {
            http: below("http", host, http_port, 80),
            https: below("https", host, https_port, 443),
            ws: below("ws", ws_host, ws_port, 80),
            wss: below("wss", wss_host, wss_port, 443),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_has_its_own_ports_and_context() {
        let own = GatewayUrls { http: "http://127.0.0.1:8280".to_owned(), https: "https://[::1]:8243".to_owned() };
        let vhost = |host: &str, http_context: &str, ws| VirtualHost {
            host: host.to_owned(),
            http_context: http_context.to_owned(),
            http_port: 80,
            https_port: 8243,
            ws,
            wss: None,
        };
        let at = own.at(&vhost("localhost", "", None));
        assert_eq!((at.http.as_str(), at.wss.as_str()), ("http://127.0.0.1:8280", "wss://[::1]:8243"));
        let at = own.at(&vhost("api.example.com", "edge", Some(("ws.example.com".to_owned(), 9099))));
        assert_eq!(
            (at.http.as_str(), at.https.as_str()),
            ("http://api.example.com/edge", "https://api.example.com:8243/edge")
        );
        assert_eq!(
            (at.ws.as_str(), at.wss.as_str()),
            ("ws://ws.example.com:9099/edge", "wss://api.example.com:8243/edge")
        );
    }
}
