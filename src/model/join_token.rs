//! The join token that an operator pastes: where the cluster is, how to know it, and the secret that proves the
//! invitation. Who may use it, and how often, is the state machine's to say.
//!
//! The text is `pc1.` and base64url (RFC 4648, without padding) of: length of all that follows (2 bytes), number of
//! addresses (1), each address (family 4 or 6, the octets, the port), SHA-256 of the authority's certificate (32),
//! secret (32), CRC-32 of everything before it (4). Numbers are big-endian. Length and checksum tell a text that was
//! cut off or mistyped from one that the cluster does not accept.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::oauth::TokenDigest;

/// What every token begins with: the name and version of the form.
const PREFIX: &str = "pc1.";
/// Addresses in a token: enough to find a cluster of which some nodes are down, and short enough to paste.
pub const ADDRESSES_MAX: usize = 8;
/// Characters of the longest token that is looked at.
const CHARS_MAX: usize = 1024;

/// The secret of a join token. Only its digest enters the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct JoinSecret(pub [u8; 32]);

impl JoinSecret {
    /// Returns the digest under which the state knows the token: the SHA-256 of the 32 bytes.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0).into())
    }

    /// Returns the secret in hexadecimal, as a join request carries it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads a secret in hexadecimal, 64 characters.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(…)")
    }
}

/// What a join token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// Management addresses of the cluster's nodes, to be tried in turn; 1 to 8.
    pub addresses: Vec<SocketAddr>,
    /// The SHA-256 of the cluster's certificate authority (DER).
    pub ca_sha256: [u8; 32],
    /// The secret.
    pub secret: JoinSecret,
}

/// Why a text is no join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAJoinToken {
    /// It does not begin as one.
    #[error("this is not a join token: one begins with `pc1.`")]
    OtherForm,
    /// Its end is missing.
    #[error("the join token was cut off: copy it whole, it is one line")]
    CutOff,
    /// A character is wrong or one was added.
    #[error("the join token was changed on its way: copy it again")]
    Damaged,
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = Vec::new();
        let addresses = &self.addresses[..self.addresses.len().min(ADDRESSES_MAX)];
        body.push(u8::try_from(addresses.len()).unwrap_or(u8::MAX));
        for address in addresses {
            match address.ip() {
                IpAddr::V4(ip) => {
                    body.push(4);
                    body.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    body.push(6);
                    body.extend_from_slice(&ip.octets());
                }
            }
            body.extend_from_slice(&address.port().to_be_bytes());
        }
        body.extend_from_slice(&self.ca_sha256);
        body.extend_from_slice(&self.secret.0);
        let length = u16::try_from(body.len() + 4).unwrap_or(u16::MAX);
        let mut whole = length.to_be_bytes().to_vec();
        whole.extend_from_slice(&body);
        let checksum = crc32fast::hash(&whole);
        whole.extend_from_slice(&checksum.to_be_bytes());
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(whole))
    }
}

impl FromStr for JoinToken {
    type Err = NotAJoinToken;

    fn from_str(text: &str) -> Result<Self, NotAJoinToken> {
        let text = text.trim();
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            let is_beginning = !text.is_empty() && PREFIX.starts_with(text);
            return Err(if is_beginning { NotAJoinToken::CutOff } else { NotAJoinToken::OtherForm });
        };
        if encoded.len() > CHARS_MAX {
            return Err(NotAJoinToken::Damaged);
        }
        let bytes = decode(encoded)?;
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or(NotAJoinToken::CutOff)?;
        match rest.len().cmp(&usize::from(u16::from_be_bytes(*length))) {
            std::cmp::Ordering::Less => return Err(NotAJoinToken::CutOff),
            std::cmp::Ordering::Greater => return Err(NotAJoinToken::Damaged),
            std::cmp::Ordering::Equal => {}
        }
        let (signed, checksum) = bytes.split_last_chunk::<4>().ok_or(NotAJoinToken::Damaged)?;
        if crc32fast::hash(signed) != u32::from_be_bytes(*checksum) {
            return Err(NotAJoinToken::Damaged);
        }
        Reader(&signed[2..]).token().ok_or(NotAJoinToken::Damaged)
    }
}

/// Decodes base64url; where the text was cut within a group of four, what comes before it.
fn decode(encoded: &str) -> Result<Vec<u8>, NotAJoinToken> {
    if let Ok(bytes) = URL_SAFE_NO_PAD.decode(encoded) {
        return Ok(bytes);
    }
    let whole_groups = encoded.get(..encoded.len() / 4 * 4).ok_or(NotAJoinToken::Damaged)?;
    URL_SAFE_NO_PAD.decode(whole_groups).map_err(|_| NotAJoinToken::Damaged)
}

/// Takes one thing after another off the bytes; `None` where there is too little or too much.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn token(mut self) -> Option<JoinToken> {
        let [count] = self.take::<1>()?;
        if count == 0 || usize::from(count) > ADDRESSES_MAX {
            return None;
        }
        let addresses = (0..count).map(|_| self.address()).collect::<Option<Vec<_>>>()?;
        let ca_sha256 = self.take()?;
        let secret = JoinSecret(self.take()?);
        self.0.is_empty().then_some(JoinToken { addresses, ca_sha256, secret })
    }

    fn address(&mut self) -> Option<SocketAddr> {
        let ip = match self.take::<1>()? {
            [4] => IpAddr::V4(Ipv4Addr::from(self.take::<4>()?)),
            [6] => IpAddr::V6(Ipv6Addr::from(self.take::<16>()?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(self.take()?)))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            addresses: vec!["127.0.0.1:9443".parse().unwrap(), "[2001:db8::1]:9443".parse().unwrap()],
            ca_sha256: [7; 32],
            secret: JoinSecret([9; 32]),
        }
    }

    #[test]
    fn a_token_says_what_was_put_into_it() {
        let text = token().to_string();
        assert!(text.starts_with("pc1."));
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
        assert_eq!(JoinSecret::from_hex(&token().secret.to_hex()), Some(token().secret));
    }

    #[test]
    fn a_token_that_was_cut_off_anywhere_is_told_from_a_damaged_one() {
        let text = token().to_string();
        for length in 1..text.len() {
            assert_eq!(text[..length].parse::<JoinToken>(), Err(NotAJoinToken::CutOff), "at {length}");
        }
        assert_eq!("eyJhbGciOi".parse::<JoinToken>(), Err(NotAJoinToken::OtherForm));
        assert_eq!("".parse::<JoinToken>(), Err(NotAJoinToken::OtherForm));
        assert_eq!(format!("{text}AAAA").parse::<JoinToken>(), Err(NotAJoinToken::Damaged));
        let at = PREFIX.len() + 20;
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        let mistyped = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        assert_eq!(mistyped.parse::<JoinToken>(), Err(NotAJoinToken::Damaged));
    }
}
