use std::sync::Arc;

use portcullis_model::{NodeAddresses, NodeId, NodeRecord, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Admin, Cluster};
use crate::state::State;

/// Notes where a node listens now and what it serves; submitted by a node that was started with other settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateNode {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens. The cluster address cannot change: a node that moves is removed and joins again.
    pub addresses: NodeAddresses,
    /// The components it serves; all where empty.
    pub components: Vec<String>,
}

impl SubmittedBy<Cluster> for UpdateNode {}
impl SubmittedBy<Admin> for UpdateNode {}

impl Command for UpdateNode {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} {}", self.node, self.name)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let node = state.system.nodes.get(&self.node).ok_or_else(|| Refused::not_found("node", self.node))?;
        if node.removed_at.is_some() {
            return Err(Refused::wrong_state(format!("node {} was removed from the cluster", self.node)));
        }
        if node.addresses.cluster != self.addresses.cluster {
            return Err(Refused::invalid(
                "cluster address",
                format!("is {} and cannot become {}; remove the node and join again", node.addresses.cluster, self.addresses.cluster),
            ));
        }
        let updated = NodeRecord {
            name: self.name,
            addresses: self.addresses,
            components: self.components,
            ..node.as_ref().clone()
        };
        state.system.nodes.insert(self.node, Arc::new(updated));
        Ok(())
    }
}
