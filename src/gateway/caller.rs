//! Where a call comes from. What a client says about itself counts only where a proxy says it that the operator trusts.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::client::Client;
use crate::worker::Worker;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Says whether an address is one of the networks'.
pub(crate) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Returns the address of the client of a call.
pub(crate) fn address(worker: &Worker, client: &Client, headers: &HeaderMap) -> IpAddr {
    let peer = client.address.ip().to_canonical();
    if client.is_trusted_proxy { behind_proxies(peer, headers, &worker.tuning().trusted_proxies) } else { peer }
}

/// Returns the address of the client of a call that a trusted proxy at `peer` passed on: the last one in
/// `X-Forwarded-For` that is no trusted proxy's. Proxies add at the end, so whoever is not trusted cannot choose it.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = peer;
    for value in headers.get_all(X_FORWARDED_FOR).iter().collect::<Vec<_>>().into_iter().rev() {
        for text in value.to_str().unwrap_or_default().rsplit(',') {
            // What is no address was written by nobody who can be trusted.
            let Some(address) = parse(text.trim()) else { return nearest };
            nearest = address;
            if !is_in(trusted, address) {
                return nearest;
            }
        }
    }
    nearest
}

/// Reads an address, with a port or without: some proxies add it.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()));
    let address = address.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use ipnet::IpNet;

    use super::{X_FORWARDED_FOR, behind_proxies};

    fn found(lines: &[&'static str]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
        }
        behind_proxies("10.0.0.1".parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_counts() {
        for (lines, expected) in [
            (&[][..], "10.0.0.1"),
            (&["203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1, evil, 10.2.2.2"], "10.2.2.2"),
            (&["evil"], "10.0.0.1"),
            (&["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
            (&["203.0.113.7:4711"], "203.0.113.7"),
            (&["[2001:db8::1]:443, fd00::2"], "2001:db8::1"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(found(lines), expected, "{lines:?}");
        }
    }
}
