use std::sync::Arc;

use portcullis_model::Refused;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Admin, Cluster};
use crate::projection;
use crate::state::{ClusterFacts, State};

/// Raises the feature level of the cluster. Submitted once every node is known to understand it: a node that does not
/// stops at this entry. A level never goes down; one that is reached already changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RaiseFeatureLevel {
    /// The level that every node understands.
    pub level: u32,
}

impl SubmittedBy<Cluster> for RaiseFeatureLevel {}
impl SubmittedBy<Admin> for RaiseFeatureLevel {}

impl Command for RaiseFeatureLevel {
    type Reply = u32;

    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.level.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<u32, Refused> {
        let facts = state.system.cluster.get(&()).ok_or_else(|| Refused::wrong_state("the cluster is not bootstrapped"))?;
        if self.level <= facts.feature_level {
            return Ok(facts.feature_level);
        }
        let raised = ClusterFacts { feature_level: self.level, ..facts.as_ref().clone() };
        state.system.cluster.insert((), Arc::new(raised));
        projection::refresh_all(state);
        Ok(self.level)
    }
}
