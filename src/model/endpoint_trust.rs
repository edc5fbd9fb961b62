//! Certificates that backends are trusted by: those of their own, or of authorities that the system does not know.

use serde::{Deserialize, Serialize};

use crate::client_certificate::CertificateDer;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// Certificates of one tenant: all of them travel to gateways in one row.
pub const ENDPOINT_CERTIFICATES_MAX: usize = 500;
/// Characters of the address that a certificate is for.
pub const ENDPOINT_CHARS_MAX: usize = 1_024;

/// Where backends are: a host, in small letters, and a port, or every port of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointPlace {
    /// The host's name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port; `None` for every port.
    pub port: Option<u16>,
}

impl EndpointPlace {
    /// Reads an address: a URL, `HOST:PORT`, or `HOST`, which means every port of it. `None` where it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (usual_port, rest) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let port = match scheme.to_ascii_lowercase().as_str() {
                    "https" | "wss" => 443,
                    "http" | "ws" => 80,
                    _ => return None,
                };
                (Some(port), rest)
            }
            None => (None, text),
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']')?;
                (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
            }
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let is_host =
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
            None => usual_port,
        };
        is_host.then(|| Self { host: host.to_ascii_lowercase(), port })
    }

    /// Says whether a backend is there.
    #[must_use]
    pub fn has(&self, host: &str, port: u16) -> bool {
        self.host.eq_ignore_ascii_case(host) && self.port.is_none_or(|its| its == port)
    }
}

/// A certificate that a tenant's backends at one place are trusted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointCertificate {
    /// The tenant.
    pub tenant: TenantDomain,
    /// What it is called; unique in the tenant.
    pub alias: String,
    /// The address as it was given.
    pub endpoint: String,
    /// The same, read.
    pub place: EndpointPlace,
    /// The certificate.
    pub certificate: CertificateDer,
    /// Who added it.
    pub added_by: Username,
    /// When.
    pub added_at: Timestamp,
}

/// By what a tenant's backends are trusted beside what the system trusts, as gateways need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointTrust {
    /// Places and certificates, in the order of the aliases.
    pub certificates: Vec<(EndpointPlace, CertificateDer)>,
}

impl EndpointTrust {
    /// Returns the certificates for a backend.
    #[must_use]
    pub fn of(&self, host: &str, port: u16) -> Vec<CertificateDer> {
        let there = self.certificates.iter().filter(|(place, _)| place.has(host, port));
        there.map(|(_, certificate)| certificate.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_a_port_or_every_port() {
        let place = |text: &str| EndpointPlace::parse(text).map(|place| (place.host, place.port));
        let at = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(place("https://API.example.com/v1"), at("api.example.com", Some(443)));
        assert_eq!(place("https://user:word@b:8443?x"), at("b", Some(8443)));
        assert_eq!(place("www.abc.com"), at("www.abc.com", None));
        assert_eq!(place("backend:9443"), at("backend", Some(9443)));
        assert_eq!(place("wss://[::1]"), at("::1", Some(443)));
        for bad in ["", "ftp://a", "https://", "a:0", "a:x", "[::1", "a b", "https://a:99999"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
