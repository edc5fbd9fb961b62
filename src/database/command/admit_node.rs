use std::sync::Arc;

use portcullis_model::{NodeAddresses, NodeId, NodeRecord, Refused, TokenDigest};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Admin, Cluster};
use crate::state::{JoinToken, State};

/// Admits a node that shows a join token: gives it an id that was never used, and uses the token up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdmitNode {
    /// The digest of the join token's secret.
    pub token: TokenDigest,
    /// The node's name.
    pub name: String,
    /// Where it listens.
    pub addresses: NodeAddresses,
    /// The components it serves; all where empty.
    pub components: Vec<String>,
    /// Whether it is meant to vote.
    pub is_voter: bool,
}

impl SubmittedBy<Cluster> for AdmitNode {}
impl SubmittedBy<Admin> for AdmitNode {}

impl Command for AdmitNode {
    type Reply = NodeId;

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<NodeId, Refused> {
        let token = state
            .system
            .join_tokens
            .get(&self.token)
            .filter(|token| token.expires_at > moment.now && token.uses_left > 0)
            .ok_or_else(|| Refused::NotAllowed {
                reason: "the join token is unknown, used up or expired".to_owned(),
            })?;
        let taken = state
            .system
            .nodes
            .values()
            .find(|node| node.removed_at.is_none() && node.addresses.cluster == self.addresses.cluster);
        if let Some(other) = taken {
            return Err(Refused::exists("node at", format!("{} (node {})", self.addresses.cluster, other.id)));
        }
        let token = JoinToken { uses_left: token.uses_left - 1, ..token.as_ref().clone() };
        let mut facts = state
            .system
            .cluster
            .get(&())
            .map(|facts| facts.as_ref().clone())
            .ok_or_else(|| Refused::wrong_state("the cluster is not bootstrapped"))?;
        facts.node_ids_given += 1;
        let id = NodeId(facts.node_ids_given);
        state.system.cluster.insert((), Arc::new(facts));
        if token.uses_left == 0 {
            state.system.join_tokens.remove(&self.token);
        } else {
            state.system.join_tokens.insert(self.token, Arc::new(token));
        }
        let node = NodeRecord {
            id,
            name: self.name,
            addresses: self.addresses,
            components: self.components,
            is_voter: self.is_voter,
            admitted_at: moment.now,
            removed_at: None,
        };
        state.system.nodes.insert(id, Arc::new(node));
        Ok(id)
    }
}
