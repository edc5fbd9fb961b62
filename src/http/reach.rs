//! Which addresses this node connects to on the word of a user who does not run the cluster: of who makes
//! APIs, and of administrators of tenants other than the first. Where backends are, such a user
//! may have gateways call already, private networks included; what no backend is at, nobody has to reach. Who only
//! subscribes to APIs has no backends: private networks are barred as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds tell a machine its credentials by IPv6, besides the link-local addresses: AWS, Oracle, Google.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];
/// The same of another cloud (Alibaba).
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Says why this node does not connect to an address for a user; `None` where it does.
#[must_use]
pub fn barred(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => barred_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => barred_v4(address),
            None => barred_v6(address),
        },
    }
}

/// Says why this node does not connect to an address for somebody who only subscribes to APIs; `None` where it does. Besides
/// what is [`barred`] these are loopback addresses, private ones (RFC 1918, RFC 4193) and those behind a carrier's NAT
/// (RFC 6598).
#[must_use]
pub fn barred_to_subscribers(address: IpAddr) -> Option<&'static str> {
    let is_private = match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => is_private_v4(address),
            None => address.is_loopback() || address.is_unique_local(),
        },
    };
    let why = "loopback and private addresses are not called for subscribers (gateway.callbacks_may_be_private)";
    barred(address).or(is_private.then_some(why))
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_loopback() || address.is_private() || (first == 100 && second & 0xc0 == 64)
}

/// Returns the IPv4 address that an IPv6 address stands for: mapped (RFC 4291) or translated (RFC 6052).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let is_translated = octets.starts_with(&[0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]);
    let last = Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    address.to_ipv4_mapped().or(is_translated.then_some(last))
}

fn barred_v4(address: Ipv4Addr) -> Option<&'static str> {
    if address.is_link_local() || address == METADATA_V4 {
        return Some("link-local and metadata addresses are not called");
    }
    // All of 0.0.0.0/8 means this host to many systems.
    let is_nobody = address.octets()[0] == 0 || address.is_multicast() || address.is_broadcast();
    is_nobody.then_some("it is the address of no single host")
}

fn barred_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unicast_link_local() || METADATA_V6.contains(&address) {
        return Some("link-local and metadata addresses are not called");
    }
    // RFC 8215. Where in it the IPv4 address is, each network decides for itself.
    if address.octets().starts_with(&[0x00, 0x64, 0xff, 0x9b, 0x00, 0x01]) {
        return Some("addresses that a network translates by rules of its own are not called");
    }
    (address.is_unspecified() || address.is_multicast()).then_some("it is the address of no single host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_not_reached_however_their_address_is_written() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "fd00:c1::a9fe:a9fe",
            "fd20:ce::254",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1::10.0.0.1",
            "100.100.100.200",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(barred(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "203.0.113.7",
            "::1",
            "2001:db8::1",
            "fd00::1",
            "64:ff9b::10.0.0.1",
        ] {
            assert_eq!(barred(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn subscribers_have_nothing_called_in_private_networks() {
        for text in [
            "127.0.0.1",
            "127.8.0.1",
            "10.0.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fc00::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
        ] {
            assert!(barred_to_subscribers(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in
            ["203.0.113.7", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2001:db8::1", "64:ff9b::203.0.113.7"]
        {
            assert_eq!(barred_to_subscribers(text.parse().unwrap()), None, "{text}");
        }
    }
}
