use std::sync::Arc;

use portcullis_model::membership::Drained;
use portcullis_model::{NodeId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Admin, Cluster};
use crate::membership;
use crate::state::State;

/// Notes in which condition a node is that the others must know of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetNodeCondition {
    /// The node.
    pub node: NodeId,
    /// The condition.
    pub condition: NodeCondition,
}

/// A condition of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum NodeCondition {
    /// It is to get no traffic, because of that person's wish; or, where `None`, it is to get traffic again.
    Drained(Option<String>),
    /// Its gateway serves protected APIs only by a state that is at most that many milliseconds old; `None` where it
    /// does not promise that.
    StalenessBound(Option<u64>),
}

impl SubmittedBy<Cluster> for SetNodeCondition {}
impl SubmittedBy<Admin> for SetNodeCondition {}

impl Command for SetNodeCondition {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} {:?}", self.node, self.condition)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        membership::present(state, self.node)?;
        let system = &mut state.system;
        match self.condition {
            // Who was first, and when, stays.
            NodeCondition::Drained(Some(_)) if system.drained_nodes.contains_key(&self.node) => {}
            NodeCondition::Drained(Some(by)) => {
                system.drained_nodes.insert(self.node, Arc::new(Drained { since: moment.now, by }));
            }
            NodeCondition::Drained(None) => {
                system.drained_nodes.remove(&self.node);
            }
            NodeCondition::StalenessBound(Some(bound_ms)) => {
                system.staleness_bounds.insert(self.node, bound_ms);
            }
            NodeCondition::StalenessBound(None) => {
                system.staleness_bounds.remove(&self.node);
            }
        }
        Ok(())
    }
}
