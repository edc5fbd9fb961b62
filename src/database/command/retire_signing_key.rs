use portcullis_model::{Refused, SigningKeyId};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Removes a key: nothing that it signed is accepted any more, on any node, when the answer comes. The one that signs
/// goes too where that is wanted: the next token makes a new one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetireSigningKey {
    /// The key.
    pub key: SigningKeyId,
    /// Whether it goes though it signs.
    pub is_forced: bool,
}

impl<C: Component> SubmittedBy<C> for RetireSigningKey where C: Writes<Apimgtdb> {}

impl Command for RetireSigningKey {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.key.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let tables = &mut state.apimgt;
        let key = tables.signing_keys.get(&self.key).ok_or_else(|| Refused::not_found("signing key", self.key))?;
        let signs = key.retired_at.is_none_or(|at| at > moment.now);
        if signs && !self.is_forced {
            return Err(Refused::invalid("key", "it signs, or is about to: rotate first, or force"));
        }
        tables.signing_keys.remove(&self.key);
        tables.signing_starts.remove(&self.key);
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}
