use std::sync::Arc;

use portcullis_model::{NodeId, NodeRecord, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Admin, Cluster};
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

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let node = state.system.nodes.get(&self.node).ok_or_else(|| Refused::not_found("node", self.node))?;
        if node.removed_at.is_some() {
            return Ok(());
        }
        let removed = NodeRecord { removed_at: Some(moment.now), ..node.as_ref().clone() };
        state.system.nodes.insert(self.node, Arc::new(removed));
        Ok(())
    }
}
