//! The signed tokens of this cluster: their types, and the digest that stands for one.

use portcullis_model::TokenDigest;
use sha2::{Digest as _, Sha256};

/// The type of an access token (RFC 9068).
pub(crate) const ACCESS_TOKEN: &str = "at+jwt";
/// The type of an id token.
pub(crate) const ID_TOKEN: &str = "JWT";

/// Returns the digest that stands for a signed token: over what is signed and not over the signature, because anybody
/// can rewrite an ECDSA signature `(r, s)` into the equally good `(r, n − s)`, and a revoked token must stay revoked.
pub(crate) fn digest_of(text: &str) -> TokenDigest {
    let signed = text.rsplit_once('.').map_or(text, |(signed, _)| signed);
    TokenDigest(Sha256::digest(signed.as_bytes()).into())
}
