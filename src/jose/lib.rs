//! JSON signatures and keys (RFC 7515, 7517, 7518, 7638, 8037), the proofs of possession of RFC 9449, and the signatures
//! that AWS asks of calls.
//!
//! It signs, checks and reads. What is in the claims, which keys are trusted and for how long is decided by who asks.

mod algorithm;
mod aws;
mod jwk;
pub mod proof;
mod seen_once;
mod signed;
mod signer;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use aws::AwsSigner;
pub use jwk::{Jwk, PublicKey};
pub use seen_once::SeenOnce;
pub use signed::{Header, Unverified};
pub use signer::{CannotSign, Signer};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of a signed text: far above what anybody issues.
pub const SIGNED_BYTES_MAX: usize = 12 << 10;

/// Returns bytes as base64url without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url without padding.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
