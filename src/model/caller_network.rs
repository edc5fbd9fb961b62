//! Where calls come from, as far as it is told apart: an IPv4 address, or the half of an IPv6 address that a network
//! gives out, whose other half a machine may choose anew with each connection (RFC 8981).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::statistics::{CalledApi, CallerFacts};

/// An IPv4 address, or a /64 of IPv6. The order is that of the stored rows and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CallerNetwork {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first half of an IPv6 address.
    V6([u8; 8]),
}

impl CallerNetwork {
    /// Returns the one that an address is of. An IPv4 address written as an IPv6 one is that IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// Writes `192.0.2.1` or `2001:db8::/64`.
impl fmt::Display for CallerNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(octets) => write!(f, "{}", Ipv4Addr::from(octets)),
            Self::V6([a, b, c, d, e, f1, g, h]) => {
                let address = Ipv6Addr::from([a, b, c, d, e, f1, g, h, 0, 0, 0, 0, 0, 0, 0, 0]);
                write!(f, "{address}/64")
            }
        }
    }
}

/// That an application called from somewhere, as a worker tells it: once a day, and more often where it forgot.
#[derive(Clone, Debug)]
pub struct SeenNetwork {
    /// Who called.
    pub caller: Arc<CallerFacts>,
    /// The API.
    pub api: Arc<CalledApi>,
    /// From where.
    pub network: CallerNetwork,
}

#[cfg(test)]
mod tests {
    use super::CallerNetwork;

    #[test]
    fn machines_of_one_ipv6_network_are_not_told_apart_and_ipv4_addresses_are() {
        for (address, written) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(CallerNetwork::of(address.parse().unwrap()).to_string(), written);
        }
    }
}
