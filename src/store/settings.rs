//! What the Store tells others about this node: where its gateway and its management port are.

/// Settings of the Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where API calls go to on this node.
    pub gateway: GatewayUrls,
    /// Where tokens are asked for: the management port, such as `https://localhost:9443`, without a slash at the end.
    pub management_url: String,
    /// The OAuth 2 grants that the Key Manager serves, as keys may ask for them.
    pub grant_types: Vec<String>,
}

impl Settings {
    /// Returns the settings of a node whose Key Manager serves the grants that are part of Portcullis.
    #[must_use]
    pub fn new(gateway: GatewayUrls, management_url: String) -> Self {
        let grant_types = ["client_credentials", "password", "refresh_token"].map(str::to_owned).to_vec();
        Self { gateway, management_url, grant_types }
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

/// The virtual host that means whatever host this node is reached at.
const DEFAULT_VHOST: &str = "localhost";

impl GatewayUrls {
    /// Returns the addresses with another host, where `vhost` names one.
    #[must_use]
    pub fn at(&self, vhost: &str) -> Self {
        if vhost.is_empty() || vhost == DEFAULT_VHOST {
            return self.clone();
        }
        Self { http: with_host(&self.http, vhost), https: with_host(&self.https, vhost) }
    }
}

/// Puts another host into `scheme://host:port`; the port stays. An IPv6 host is in brackets.
fn with_host(url: &str, host: &str) -> String {
    let Some((scheme, authority)) = url.split_once("://") else { return url.to_owned() };
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[after_host..].rfind(':') {
        Some(colon) => format!("{scheme}://{host}{}", &authority[after_host + colon..]),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_keeps_the_port() {
        let urls = GatewayUrls { http: "http://127.0.0.1:8280".to_owned(), https: "https://[::1]:8243".to_owned() };
        assert_eq!(urls.at("localhost"), urls);
        let other = urls.at("api.example.com");
        assert_eq!(
            (other.http.as_str(), other.https.as_str()),
            ("http://api.example.com:8280", "https://api.example.com:8243")
        );
    }
}
