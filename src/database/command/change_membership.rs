use portcullis_model::{MembershipChange, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::Cluster;
use crate::membership;
use crate::state::State;

/// Changes the records of nodes; Raft's membership follows, in safe steps. Whether a majority answers is for the
/// leader to check before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeMembership {
    /// The change.
    pub change: MembershipChange,
}

impl SubmittedBy<Cluster> for ChangeMembership {}

impl Command for ChangeMembership {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{:?}", self.change)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        // A change that is refused half-way has changed nothing.
        let mut changed = state.clone();
        membership::change(&mut changed, self.change, moment.now)?;
        state.system = changed.system;
        Ok(())
    }
}
