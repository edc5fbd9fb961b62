//! HTTP/1.1 on the wire (RFC 9112), as both sides of the gateway read it: where fields are in a head, where a body
//! ends, and which fields are about one connection alone. Read strictly: what another server could read in another way
//! is refused.

pub(crate) mod fields;
pub(crate) mod framing;
pub(crate) mod hop;
#[cfg(test)]
pub(crate) mod mutation;
pub(crate) mod scan;
pub(crate) mod socket;
pub(crate) mod stream;

/// A piece of a body up to this size is copied behind what is to be written, so that one system call writes both.
pub(crate) const COPIED_BYTES_MAX: usize = 16 << 10;

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);
