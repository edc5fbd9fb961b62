use std::sync::Arc;

use portcullis_model::limit::SIGNING_KEYS_MAX;
use portcullis_model::oauth::SigningKey;
use portcullis_model::{Refused, SigningKeyId};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Adds a key that takes the place of those of its algorithm. All are known from now on; the new one signs after a
/// while, when those who check signatures have heard of it, and until then the one before does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotateSigningKey {
    /// The key; `created_at` is set here.
    pub key: SigningKey,
    /// After how long it signs, in milliseconds.
    pub overlap_ms: u64,
}

impl<C: Component> SubmittedBy<C> for RotateSigningKey where C: Writes<Apimgtdb> {}

impl Command for RotateSigningKey {
    /// The keys that it takes the place of.
    type Reply = Vec<SigningKeyId>;

    fn subject(&self) -> String {
        self.key.id.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<Vec<SigningKeyId>, Refused> {
        let tables = &mut state.apimgt;
        let mut key = self.key;
        if tables.signing_keys.contains_key(&key.id) {
            return Err(Refused::exists("signing key", key.id));
        }
        if tables.signing_keys.len() >= SIGNING_KEYS_MAX {
            return Err(Refused::LimitReached { what: "signing keys".to_owned(), max: SIGNING_KEYS_MAX as u64 });
        }
        let starts_at = moment.now.after(std::time::Duration::from_millis(self.overlap_ms));
        // One that an earlier rotation lets sign on for a while does so no longer than this one says.
        let signs_on = |one: &SigningKey| one.retired_at.is_none_or(|at| at > starts_at);
        let of_algorithm = |one: &&Arc<SigningKey>| one.algorithm == key.algorithm && signs_on(one);
        let before: Vec<Arc<SigningKey>> = tables.signing_keys.values().filter(of_algorithm).cloned().collect();
        for old in &before {
            let retired = SigningKey { retired_at: Some(starts_at), ..old.as_ref().clone() };
            tables.signing_keys.insert(old.id, Arc::new(retired));
        }
        key.created_at = moment.now;
        key.retired_at = None;
        if !before.is_empty() && self.overlap_ms > 0 {
            tables.signing_starts.insert(key.id, starts_at);
        }
        tables.signing_keys.insert(key.id, Arc::new(key));
        Ok(before.iter().map(|old| old.id).collect())
    }
}
