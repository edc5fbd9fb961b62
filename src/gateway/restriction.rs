//! From where a key may be used: networks of the caller, and the page that it says it comes from.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::REFERER;
use ipnet::IpNet;
use portcullis_model::KeyRestriction;

/// Where a key may be used, ready to be compared.
#[derive(Debug)]
pub(crate) struct Restriction {
    networks: Vec<IpNet>,
    has_networks: bool,
    referrers: Vec<String>,
}

impl Restriction {
    /// Reads a restriction. A network that is not readable matches nobody: it must not open what it was to close.
    pub(crate) fn new(given: &KeyRestriction) -> Self {
        let network = |text: &String| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>().or_else(|_| address()).ok().map(canonical)
        };
        Self {
            networks: given.networks.iter().filter_map(network).collect(),
            has_networks: !given.networks.is_empty(),
            referrers: given.referrers.clone(),
        }
    }

    /// Says whether a call may be made.
    pub(crate) fn permits(&self, client: IpAddr, headers: &HeaderMap) -> bool {
        let is_near = !self.has_networks || self.networks.iter().any(|network| network.contains(&client));
        is_near && (self.referrers.is_empty() || self.is_referred(headers))
    }

    fn is_referred(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(REFERER).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        value.to_str().is_ok_and(|from| self.referrers.iter().any(|pattern| matches(pattern, from)))
    }
}

/// Returns a network as addresses are compared: an IPv4 network that is written as IPv6 is IPv4.
fn canonical(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(six) => match (six.addr().to_ipv4_mapped(), six.prefix_len().checked_sub(96)) {
            (Some(four), Some(length)) => ipnet::Ipv4Net::new(four, length).map_or(network, IpNet::V4),
            _ => network,
        },
        IpNet::V4(_) => network,
    }
}

/// Says whether `text` matches `pattern` as a whole, where `*` stands for any text without spaces.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // The last star, and how much of the text it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((star_at, until)) if text[until] != b' ' => {
                    star = Some((star_at, until + 1));
                    at = star_at + 1;
                    seen = until + 1;
                }
                _ => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use portcullis_model::KeyRestriction;
    use proptest::prelude::*;

    use super::{Restriction, matches};

    fn restriction(networks: &[&str], referrers: &[&str]) -> Restriction {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Restriction::new(&KeyRestriction { networks: owned(networks), referrers: owned(referrers) })
    }

    #[test]
    fn a_caller_is_looked_for_in_the_networks() {
        let permits = |networks: &[&str], client: &str| {
            restriction(networks, &[]).permits(client.parse().unwrap(), &HeaderMap::new())
        };
        assert!(permits(&[], "203.0.113.7"));
        let networks = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::ffff:198.51.100.0/120"];
        for inside in ["10.1.2.3", "192.0.2.1", "2001:db8:7::1", "198.51.100.9"] {
            assert!(permits(&networks, inside), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.2", "2001:db9::1", "::1"] {
            assert!(!permits(&networks, outside), "{outside}");
        }
        assert!(!permits(&["nonsense"], "10.0.0.1"), "what is not readable opens nothing");
    }

    #[test]
    fn a_referrer_must_match_and_be_said_once() {
        let both = restriction(&[], &["https://shop.example/*", "*.partner.example/cart"]);
        let permits = |from: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for from in from {
                headers.append("referer", HeaderValue::from_static(from));
            }
            both.permits("127.0.0.1".parse().unwrap(), &headers)
        };
        assert!(permits(&["https://shop.example/"]));
        assert!(permits(&["https://shop.example/a/b?c=d"]));
        assert!(permits(&["https://eu.partner.example/cart"]));
        for bad in [&[][..], &["https://shop.example.evil/"], &["https://shop.example/", "https://shop.example/"]] {
            assert!(!permits(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text_without_spaces() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "a b", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("a**c", "ac", true),
            ("*a*a*", "banana", true),
            ("abc", "abcd", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_a_regular_expression(pattern in "[ab*]{0,8}", text in "[ab ]{0,10}") {
            let expression: String = pattern.chars().map(|c| if c == '*' { "[^ ]*".to_owned() } else { c.to_string() }).collect();
            let expected = regex::Regex::new(&format!("^{expression}$")).unwrap().is_match(&text);
            prop_assert_eq!(matches(&pattern, &text), expected);
        }
    }
}
