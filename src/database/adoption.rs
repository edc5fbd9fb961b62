//! What becomes of a state that goes on in another cluster: restored from a backup, or recovered from one node. Its
//! databases stay as they are; the cluster's own records do not.

use std::sync::Arc;

use portcullis_model::{NodeAddresses, NodeId, NodeRecord, Sealed, Timestamp};
use uuid::Uuid;

use crate::state::{ClusterFacts, State, System};

/// The cluster that a restored state goes on in.
#[derive(Clone, Debug)]
pub struct NewCluster {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its authority's certificate, PEM.
    pub ca_certificate: String,
    /// Its authority's private key, sealed with the cluster key.
    pub ca_key: Sealed,
    /// Its first node's name.
    pub node_name: String,
    /// Its first node's addresses.
    pub node_addresses: NodeAddresses,
    /// When.
    pub at: Timestamp,
}

/// Takes a state into a new cluster of one node, and returns the node's id: the next that was never given out. What the
/// old nodes held of the quotas belongs to nodes that will never report again, and so counts as spent until its windows
/// end. Nodes, join tokens and whatever else concerned the old cluster as such are dropped; replies kept for idempotency
/// keys stay, so that a retry of a change that is in the backup does not act twice, and so does the audit. `None` where the state is of no
/// cluster.
pub fn restore(state: &mut State, cluster: NewCluster) -> Option<NodeId> {
    let old = state.system.cluster.get(&())?.as_ref().clone();
    let node = NodeId(old.node_ids_given + 1);
    let facts = ClusterFacts {
        id: cluster.id,
        name: cluster.name,
        created_at: cluster.at,
        ca_certificate: cluster.ca_certificate,
        ca_key: cluster.ca_key,
        node_ids_given: node.0,
        ..old
    };
    let record = NodeRecord {
        id: node,
        name: cluster.node_name,
        addresses: cluster.node_addresses,
        components: Vec::new(),
        is_voter: true,
        admitted_at: cluster.at,
        removed_at: None,
    };
    state.system = System {
        cluster: imbl::OrdMap::unit((), Arc::new(facts)),
        nodes: imbl::OrdMap::unit(node, Arc::new(record)),
        clock: state.system.clock.clone(),
        replies: state.system.replies.clone(),
        reply_ends: state.system.reply_ends.clone(),
        audit: state.system.audit.clone(),
        audit_requests: state.system.audit_requests.clone(),
        audit_retention: state.system.audit_retention.clone(),
        ..System::default()
    };
    Some(node)
}

/// Has a state go on with `node` alone, as cluster `id`: the other nodes count as removed at `at`; join tokens, plans,
/// replacements and drains are dropped. Says `false` where the state does not know the node.
pub fn recover(state: &mut State, node: NodeId, id: Uuid, at: Timestamp) -> bool {
    let Some(old) = state.system.cluster.get(&()).map(|facts| facts.as_ref().clone()) else { return false };
    let Some(own) = state.system.nodes.get(&node).cloned() else { return false };
    state.system.cluster.insert((), Arc::new(ClusterFacts { id, ..old }));
    let others: Vec<Arc<NodeRecord>> =
        state.system.nodes.values().filter(|one| one.id != node && one.removed_at.is_none()).cloned().collect();
    for other in others {
        let removed = NodeRecord { removed_at: Some(at), ..other.as_ref().clone() };
        state.system.nodes.insert(other.id, Arc::new(removed));
    }
    let voting = NodeRecord { is_voter: true, removed_at: None, ..own.as_ref().clone() };
    state.system.nodes.insert(node, Arc::new(voting));
    let system = &mut state.system;
    system.join_tokens.clear();
    // What was planned for the old membership, or about to be done to the node, has lost its sense.
    system.membership_plan.clear();
    system.replacements.clear();
    system.drained_nodes.clear();
    true
}
