use std::sync::Arc;

use portcullis_model::Refused;
use portcullis_model::oauth::SigningKey;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Adds a key that signs tokens. Refused while another one of the algorithm signs, so that of two nodes that make the
/// first key at the same time one wins, and both use the winner's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutSigningKey {
    /// The key; `created_at` is set here, and it signs from now on.
    pub key: SigningKey,
}

impl<C: Component> SubmittedBy<C> for PutSigningKey where C: Writes<Apimgtdb> {}

impl Command for PutSigningKey {
    type Reply = ();

    fn subject(&self) -> String {
        self.key.id.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut key = self.key;
        let mut keys = state.apimgt.signing_keys.values();
        if keys.any(|one| one.id == key.id || (one.algorithm == key.algorithm && one.retired_at.is_none())) {
            return Err(Refused::exists("signing key", &key.algorithm));
        }
        key.created_at = moment.now;
        key.retired_at = None;
        state.apimgt.signing_keys.insert(key.id, Arc::new(key));
        Ok(())
    }
}
