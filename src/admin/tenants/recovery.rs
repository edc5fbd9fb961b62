//! Codes with which a user who lost the password sets a new one. A code is sealed with the cluster's key and holds the
//! digest of the password that it is for, so that nothing is kept of it, any node knows it, and it serves once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::ClusterKey;
use portcullis_model::{Sealed, TenantDomain, Timestamp, User, Username};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How long a code may be used, in seconds.
pub(crate) const LIVES_S: u64 = 24 * 3_600;
/// Bytes of a code.
const TEXT_BYTES_MAX: usize = 2_048;
/// What a code is for, so that nothing else that is sealed passes for one.
const PURPOSE: &str = "password-reset";

/// Makes and reads codes.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    key: ClusterKey,
}

/// What a code says.
#[derive(Serialize, Deserialize)]
struct Code {
    purpose: String,
    tenant: String,
    username: String,
    expires_at: u64,
    replaces: [u8; 32],
}

impl Recovery {
    pub(crate) fn new(key: ClusterKey) -> Self {
        Self { key }
    }

    /// Makes a code for a user.
    pub(crate) fn make(&self, user: &User, now: Timestamp) -> String {
        let code = Code {
            purpose: PURPOSE.to_owned(),
            tenant: user.tenant.0.clone(),
            username: user.username.0.clone(),
            expires_at: now.as_secs().saturating_add(LIVES_S),
            replaces: digest(user),
        };
        let text = serde_json::to_vec(&code).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(self.key.seal(&text).0)
    }

    /// Returns whose code it is; `None` where it is none, or over.
    pub(crate) fn read(&self, text: &str, now: Timestamp) -> Option<(TenantDomain, Username, Replaces)> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let sealed = Sealed(URL_SAFE_NO_PAD.decode(text.trim()).ok()?);
        let opened = self.key.open(&sealed).ok()?;
        let code: Code = serde_json::from_slice(&opened).ok()?;
        let is_good = code.purpose == PURPOSE && now.as_secs() < code.expires_at;
        is_good.then_some((TenantDomain(code.tenant), Username(code.username), Replaces(code.replaces)))
    }
}

/// The password that a code is for.
pub(crate) struct Replaces([u8; 32]);

impl Replaces {
    /// Says whether a user still has that password.
    pub(crate) fn is_of(&self, user: &User) -> bool {
        self.0.ct_eq(&digest(user)).into()
    }
}

fn digest(user: &User) -> [u8; 32] {
    Sha256::digest(user.password_hash.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_serves_for_one_password_for_a_day_and_in_its_cluster() {
        let mut user = User {
            tenant: TenantDomain::super_tenant(),
            username: Username("ann".to_owned()),
            password_hash: "first".to_owned(),
            roles: Vec::new(),
            email: String::new(),
            is_locked: false,
            created_at: Timestamp(0),
        };
        let recovery = Recovery::new(ClusterKey::new([7; 32]));
        let code = recovery.make(&user, Timestamp(0));
        let (_, username, replaces) = recovery.read(&code, Timestamp(1)).unwrap();
        assert!(username == user.username && replaces.is_of(&user));
        user.password_hash = "second".to_owned();
        assert!(!replaces.is_of(&user));
        assert!(recovery.read(&code, Timestamp(LIVES_S * 1_000)).is_none());
        assert!(Recovery::new(ClusterKey::new([8; 32])).read(&code, Timestamp(1)).is_none());
        assert!(recovery.read("nonsense", Timestamp(1)).is_none());
    }
}
