//! Entries of the log: a command with what its proposer stamped on it, and the outcome of applying it.

use std::fmt;
use std::net::IpAddr;

use portcullis_model::{Principal, Refused, RequestId, Timestamp};
use serde::{Deserialize, Serialize};

/// A command on its way through the log. Everything that `apply` may depend on is in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The command's frozen number; with the highest bit where the payload begins with the address it came from, and with
    /// the next one where the id of the request comes before that.
    pub command: u16,
    /// The proposer's time; the state machine's clock moves to it if it is ahead.
    pub proposed_at: Timestamp,
    /// Random bytes drawn by the proposer.
    pub random: [u8; 32],
    /// On whose behalf.
    pub principal: Principal,
    /// Makes a retry of the same request, on whatever node, act once.
    pub idempotency: Option<Idempotency>,
    /// The command, encoded.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
}

/// Set in an entry's command number where its payload begins with the address it came from.
const WITH_ORIGIN: u16 = 0x8000;
/// Set in an entry's command number where its payload begins with the id of the request.
const WITH_REQUEST: u16 = 0x4000;

/// What an entry carries.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    /// The command's number.
    pub(crate) number: u16,
    /// The address that the request came from.
    pub(crate) origin: Option<IpAddr>,
    /// The id of the request.
    pub(crate) request: Option<RequestId>,
    /// The command, encoded.
    pub(crate) payload: &'a [u8],
}

impl Entry {
    /// Notes the address that a request came from, for the audit.
    pub(crate) fn come_from(&mut self, origin: IpAddr) {
        let address = match origin {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let mut payload = Vec::with_capacity(1 + address.len() + self.payload.len());
        payload.push(if origin.is_ipv4() { 4 } else { 16 });
        payload.extend_from_slice(&address);
        payload.append(&mut self.payload);
        self.payload = payload;
        self.command |= WITH_ORIGIN;
    }

    /// Notes the id of the request, for the audit and the leader's log. After the address, where that is noted too.
    pub(crate) fn belong_to(&mut self, request: &RequestId) {
        let id = request.as_str().as_bytes();
        let length = u8::try_from(id.len()).expect("an id has 128 characters at most");
        let mut payload = Vec::with_capacity(1 + id.len() + self.payload.len());
        payload.push(length);
        payload.extend_from_slice(id);
        payload.append(&mut self.payload);
        self.payload = payload;
        self.command |= WITH_REQUEST;
    }

    /// Returns the number of the command that it carries.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.command & !(WITH_ORIGIN | WITH_REQUEST)
    }

    /// Says whether it names its request.
    #[must_use]
    pub fn has_request(&self) -> bool {
        self.command & WITH_REQUEST != 0
    }

    /// Returns the id of the request that it belongs to, where that is known.
    #[must_use]
    pub fn request(&self) -> Option<RequestId> {
        self.has_request().then(|| take_request(&self.payload)).flatten().map(|(request, _)| request)
    }

    /// Says whether it names the address it came from.
    #[must_use]
    pub fn has_origin(&self) -> bool {
        self.command & WITH_ORIGIN != 0
    }

    /// Returns what it carries; `None` where it is damaged.
    pub(crate) fn opened(&self) -> Option<Opened<'_>> {
        let (mut request, mut origin, mut payload) = (None, None, self.payload.as_slice());
        if self.has_request() {
            let (id, rest) = take_request(payload)?;
            (request, payload) = (Some(id), rest);
        }
        if self.has_origin() {
            let (length, rest) = payload.split_first()?;
            let (address, rest) = match length {
                4 => rest.split_first_chunk::<4>().map(|(address, rest)| (IpAddr::from(*address), rest))?,
                16 => rest.split_first_chunk::<16>().map(|(address, rest)| (IpAddr::from(*address), rest))?,
                _ => return None,
            };
            (origin, payload) = (Some(address), rest);
        }
        Some(Opened { number: self.number(), origin, request, payload })
    }
}

/// Takes the id of a request from the beginning of a payload.
fn take_request(payload: &[u8]) -> Option<(RequestId, &[u8])> {
    let (length, rest) = payload.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((RequestId::of(id)?, rest))
}

/// How a retry of a request is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The caller's key (`Idempotency-Key`), at most 255 characters; counts per principal.
    pub key: String,
    /// The SHA-256 of the request (verb, path, body): another request with the same key is refused.
    pub request: [u8; 32],
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry(command {}, {} bytes, by {})", self.number(), self.payload.len(), self.principal)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry gave: the encoded reply, or the refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The entry's index in the log.
    pub index: u64,
    /// The reply or the refusal.
    pub result: Result<Vec<u8>, Refused>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outcome of entry {}: {}", self.index, if self.result.is_ok() { "applied" } else { "refused" })
    }
}
