use portcullis_model::Refused;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Statdb, State};
use crate::statistics::{NetworkBatch, note_networks};

/// Notes from where applications called. To note the same twice is to note it once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoteNetworks {
    /// What is noted.
    pub batch: NetworkBatch,
}

impl<C: Component> SubmittedBy<C> for NoteNetworks where C: Writes<Statdb> {}

impl Command for NoteNetworks {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        note_networks(&mut state.stat, &self.batch, moment.now);
        Ok(())
    }
}
