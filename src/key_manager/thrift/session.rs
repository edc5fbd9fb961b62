//! Session ids: who signed in until when, sealed with the cluster's key, so that every key manager takes what another
//! gave, and none keeps anything. A node makes its own.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::ClusterKey;
use portcullis_database::handle::wall_clock;
use portcullis_model::{NodeId, Sealed, TenantDomain, Timestamp, User, Username};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How long a session lasts: the original's 1 800 000 ms.
const LIFE: Duration = Duration::from_secs(1_800);
/// What sealed sessions begin with, so that nothing else that the key sealed is taken for one.
const LABEL: &[u8] = b"portcullis thrift session 1\n";
/// Characters of a session id: names are short.
const TEXT_MAX: usize = 4 << 10;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Holder {
    /// A node of this cluster.
    Node(NodeId),
    /// A user who may administer, and the digest of the password that was shown: another one ends the session.
    User { tenant: TenantDomain, username: Username, password: [u8; 32] },
}

impl Holder {
    pub fn user(user: &User) -> Self {
        let (tenant, username) = (user.tenant.clone(), user.username.clone());
        Self::User { tenant, username, password: digest_of(user) }
    }

    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::Node(node) => Some(*node),
            Self::User { .. } => None,
        }
    }
}

/// Returns what a session remembers of a password.
pub(super) fn digest_of(user: &User) -> [u8; 32] {
    Sha256::digest(user.password_hash.as_bytes()).into()
}

#[derive(Serialize, Deserialize)]
struct Session {
    holder: Holder,
    until: Timestamp,
}

/// Begins a session and returns its id.
pub(super) fn begin(key: &ClusterKey, holder: Holder) -> String {
    let session = Session { holder, until: wall_clock().after(LIFE) };
    let mut text = LABEL.to_vec();
    text.extend(serde_json::to_vec(&session).unwrap_or_default());
    URL_SAFE_NO_PAD.encode(key.seal(&text).0)
}

/// Returns whose session it is; `None` where this cluster did not begin it, or it is over.
pub(super) fn holder(key: &ClusterKey, id: &str, now: Timestamp) -> Option<Holder> {
    if id.len() > TEXT_MAX {
        return None;
    }
    let sealed = URL_SAFE_NO_PAD.decode(id).ok()?;
    let text = key.open(&Sealed(sealed)).ok()?;
    let session: Session = serde_json::from_slice(text.strip_prefix(LABEL)?).ok()?;
    (now < session.until).then_some(session.holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_its_holders_on_every_key_manager_of_the_cluster_until_it_is_over() {
        let key = ClusterKey::new([7; 32]);
        let id = begin(&key, Holder::Node(NodeId(3)));
        let now = wall_clock();
        assert_eq!(holder(&ClusterKey::new([7; 32]), &id, now), Some(Holder::Node(NodeId(3))));
        assert_eq!(holder(&key, &id, now.after(LIFE + Duration::from_secs(1))), None);
        assert_eq!(holder(&ClusterKey::new([8; 32]), &id, now), None);
        // Something else that the key sealed is no session.
        let session = serde_json::to_vec(&Session { holder: Holder::Node(NodeId(3)), until: now.after(LIFE) }).unwrap();
        assert_eq!(holder(&key, &URL_SAFE_NO_PAD.encode(key.seal(&session).0), now), None);
        assert_eq!(holder(&key, "no session", now), None);
    }
}
