//! Entries of the log: a command with what its proposer stamped on it, and the outcome of applying it.

use std::fmt;

use portcullis_model::{Principal, Refused, Timestamp};
use serde::{Deserialize, Serialize};

/// A command on its way through the log. Everything that `apply` may depend on is in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The command's frozen number.
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
    pub payload: Vec<u8>,
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
        write!(f, "Entry(command {}, {} bytes, by {})", self.command, self.payload.len(), self.principal)
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
