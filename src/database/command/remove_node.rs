use portcullis_model::{NodeId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Admin, Cluster};
use crate::membership;
use crate::state::State;

/// Marks a node as removed, for good: its id is never used again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveNode {
    /// The node.
    pub node: NodeId,
}

impl SubmittedBy<Cluster> for RemoveNode {}
impl SubmittedBy<Admin> for RemoveNode {}

impl Command for RemoveNode {
    type Reply = ();

    fn subject(&self) -> String {
        self.node.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        membership::remove(state, self.node, moment.now)
    }
}
