//! Keys with which publishers try out an API that nobody is subscribed to. One says itself what it is good for, sealed
//! with the cluster's key; nothing is kept of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::id::ApiId;
use crate::sealed::Sealed;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// How long one is good, in seconds.
pub const INTERNAL_KEY_VALIDITY_S: u64 = 3_600;
/// What the text of a key begins with.
const PREFIX: &str = "pik_";
/// What the sealed text begins with, so that nothing else that was sealed is taken for a key.
const MARK: &[u8] = b"portcullis internal key 1\n";

/// What a key is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternalKey {
    /// The only API that is called with it.
    pub api: ApiId,
    /// The tenant of whom it was made for.
    pub tenant: TenantDomain,
    /// Whom it was made for.
    pub username: Username,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl InternalKey {
    /// Returns what is to be sealed.
    #[must_use]
    pub fn to_seal(&self) -> Vec<u8> {
        let mut text = MARK.to_vec();
        text.extend(serde_json::to_vec(self).unwrap_or_default());
        text
    }

    /// Reads what was sealed; `None` for anything else.
    #[must_use]
    pub fn of_opened(opened: &[u8]) -> Option<Self> {
        serde_json::from_slice(opened.strip_prefix(MARK)?).ok()
    }

    /// Writes a sealed key as it is shown.
    #[must_use]
    pub fn text_of(sealed: &Sealed) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&sealed.0))
    }

    /// Reads a key as it was shown; `None` for a text that cannot be one.
    #[must_use]
    pub fn sealed_of(text: &str) -> Option<Sealed> {
        URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok().map(Sealed)
    }

    /// Says whether a text looks like a key.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.starts_with(PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_not_read_as_one() {
        let key = InternalKey {
            api: ApiId::from_random([1; 16]),
            tenant: TenantDomain::super_tenant(),
            username: Username("cyd".to_owned()),
            expires_at: Timestamp(7),
        };
        assert_eq!(InternalKey::of_opened(&key.to_seal()), Some(key.clone()));
        let without_mark = serde_json::to_vec(&key).unwrap();
        assert_eq!(InternalKey::of_opened(&without_mark), None);
        let text = InternalKey::text_of(&Sealed(vec![1, 2, 255]));
        assert_eq!(InternalKey::sealed_of(&text), Some(Sealed(vec![1, 2, 255])));
        assert_eq!(InternalKey::sealed_of(&text[1..]), None);
    }
}
