use std::sync::Arc;

use portcullis_model::certificate::{Fingerprint, NodeCertificate};
use portcullis_model::{NodeId, Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::Cluster;
use crate::state::{State, System};

/// Authorities that a node may trust at a time: the present and the next, and one more while a change is under way.
const TRUSTED_MAX: usize = 4;

/// Notes which certificate a node uses and which authorities it trusts; submitted by the node itself, and by the node
/// that admitted it. Forgets those of nodes that were removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordCertificate {
    /// The node.
    pub node: NodeId,
    /// The SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// The SHA-256 of the certificate of the authority that signed it.
    pub authority: Fingerprint,
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// The authorities that the node trusts.
    pub trusts: Vec<Fingerprint>,
}

impl SubmittedBy<Cluster> for RecordCertificate {}

impl Command for RecordCertificate {
    type Reply = ();

    fn subject(&self) -> String {
        self.node.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let node = state.system.nodes.get(&self.node).ok_or_else(|| Refused::not_found("node", self.node))?;
        if node.removed_at.is_some() {
            return Err(Refused::wrong_state(format!("node {} was removed from the cluster", self.node)));
        }
        if self.trusts.len() > TRUSTED_MAX {
            return Err(Refused::invalid("trusts", format!("must be at most {TRUSTED_MAX} authorities")));
        }
        let Self { node, fingerprint, authority, not_before, not_after, trusts } = self;
        let reported_at = moment.now;
        let record = NodeCertificate { node, fingerprint, authority, not_before, not_after, trusts, reported_at };
        let System { nodes, node_certificates, .. } = &mut state.system;
        let is_member = |node: &NodeId| nodes.get(node).is_some_and(|record| record.removed_at.is_none());
        let gone: Vec<NodeId> = node_certificates.keys().filter(|node| !is_member(node)).copied().collect();
        for node in gone {
            node_certificates.remove(&node);
        }
        node_certificates.insert(node, Arc::new(record));
        Ok(())
    }
}
