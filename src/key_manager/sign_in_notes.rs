//! Notes sign-ins with passwords for the audit: gathered for a second, those of the same user, address and outcome as one,
//! so that whoever guesses does not fill the log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_database::access::KeyManager as Access;
use portcullis_database::command::{NoteSignIns, SIGN_INS_MAX, SignInNote};
use portcullis_database::handle::wall_clock;
use portcullis_database::level::ORIGINS_SINCE;
use portcullis_database::{Caller, Handle};
use portcullis_model::{TenantDomain, Timestamp, Username};
use tokio::sync::Notify;

use crate::password::UserKey;

/// The code of a wrong password, or of a user that is not there.
pub(crate) const BAD_PASSWORD: &str = "bad-password";
/// The code of a user who is locked out.
pub(crate) const LOCKED_OUT: &str = "locked-out";
/// How long notes are gathered.
const GATHERED: Duration = Duration::from_secs(1);
/// Characters of a name that are noted.
const NAME_CHARS_MAX: usize = 128;
/// What stands for the rest where there are more than one entry holds.
const REST: &str = "(others)";

type Key = (TenantDomain, Username, Option<IpAddr>, Option<&'static str>);

/// Sign-ins that wait to be noted.
#[derive(Clone, Default)]
pub(crate) struct SignIns {
    waiting: Arc<Mutex<BTreeMap<Key, (Timestamp, u32)>>>,
    came: Arc<Notify>,
}

impl SignIns {
    /// Notes a sign-in; `refused` is why it was none.
    pub(crate) fn note(&self, user: &UserKey, origin: Option<IpAddr>, refused: Option<&'static str>) {
        let name = Username(user.1.0.chars().take(NAME_CHARS_MAX).collect());
        let mut key = (user.0.clone(), name, origin, refused);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= SIGN_INS_MAX - 1 && !waiting.contains_key(&key) {
            key = (TenantDomain::super_tenant(), Username(REST.to_owned()), None, refused);
        }
        if waiting.len() >= SIGN_INS_MAX && !waiting.contains_key(&key) {
            return;
        }
        let (_, count) = waiting.entry(key).or_insert_with(|| (wall_clock(), 0));
        *count = count.saturating_add(1);
        self.came.notify_one();
    }

    fn take(&self) -> Vec<SignInNote> {
        let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let note = |((tenant, username, origin, refused), (at, count)): (Key, (Timestamp, u32))| SignInNote {
            tenant,
            username,
            origin,
            refused: refused.map(str::to_owned),
            at,
            count,
        };
        taken.into_iter().map(note).collect()
    }

    /// Writes what is noted into the audit, from now on until the process ends.
    pub(crate) fn follow(&self, handle: &Handle<Access>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (own, handle) = (self.clone(), handle.clone());
        runtime.spawn(async move {
            loop {
                own.came.notified().await;
                tokio::time::sleep(GATHERED).await;
                let sign_ins = own.take();
                if sign_ins.is_empty() || handle.view().feature_level() < ORIGINS_SINCE {
                    continue;
                }
                if let Err(failed) = handle.submit(NoteSignIns { sign_ins }, &Caller::system()).await {
                    tracing::warn!(%failed, "sign-ins could not be noted in the audit");
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_sign_ins_are_one_note_and_the_number_of_notes_is_bounded() {
        let sign_ins = SignIns::default();
        let user = |name: String| (TenantDomain::super_tenant(), Username(name));
        for _ in 0..3 {
            sign_ins.note(&user("ann".to_owned()), None, Some(BAD_PASSWORD));
        }
        sign_ins.note(&user("ann".to_owned()), None, None);
        for number in 0..2 * SIGN_INS_MAX {
            sign_ins.note(&user(format!("guess{number}")), None, Some(BAD_PASSWORD));
        }
        let notes = sign_ins.take();
        assert!(notes.len() <= SIGN_INS_MAX, "{}", notes.len());
        let of = |name: &str| notes.iter().filter(|note| note.username.0 == name).map(|note| note.count).sum::<u32>();
        assert_eq!(of("ann"), 4);
        assert!(of(REST) > 0);
        assert!(sign_ins.take().is_empty());
    }
}
