//! The cluster as an operator sees it: status, joining, leaving.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::component::{Component, Components};
use crate::id::NodeId;
use crate::membership::{MembershipChange, Rule};
use crate::node::NodeAddresses;
use crate::port::PortFuture;

/// Controls the cluster's membership; implemented by `raft`, asked by Admin.
pub trait ClusterControl: Send + Sync {
    /// Describes the cluster as this node sees it, asking the other nodes for what only they know, in bounded time.
    fn status(&self) -> PortFuture<'_, ClusterStatus>;

    /// Admits a node that shows a join token and signs its certificate.
    fn join(&self, request: JoinRequest) -> PortFuture<'_, Result<JoinGrant, ClusterRefusal>>;

    /// Changes the membership, in safe steps: a node that leads hands over before it goes or no longer votes; one that
    /// is to vote does so once it has caught up. Returns when the change is in the log for good and, where it takes out
    /// or demotes a node, made; the rest is made by whoever leads. Refuses to break the majority unless `force`.
    fn change_membership(&self, change: MembershipChange, force: bool) -> PortFuture<'_, Result<(), ClusterRefusal>>;

    /// Makes the changes of the plan, all or none, if the plan has that version.
    fn apply_plan(&self, version: u64, force: bool) -> PortFuture<'_, Result<(), ClusterRefusal>>;

    /// Has a node get no traffic, because of the wish of `drained_by`; or, where that is `None`, get traffic again.
    /// Refuses to drain the last node that gets traffic unless `force`. Says whether the node was heard to know it.
    fn drain_node(
        &self,
        node: NodeId,
        drained_by: Option<String>,
        force: bool,
    ) -> PortFuture<'_, Result<bool, ClusterRefusal>>;

    /// Hands leadership to a voter, or to whichever has most of the log, and returns who leads then.
    fn transfer_leadership(&self, to: Option<NodeId>) -> PortFuture<'_, Result<NodeId, ClusterRefusal>>;

    /// Returns what a join token needs besides its secret: the management ports of the nodes that admit others.
    fn management_addresses(&self) -> Vec<SocketAddr>;

    /// Returns the SHA-256 of the cluster's certificate authority (DER).
    fn ca_fingerprint(&self) -> [u8; 32];
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster's id.
    pub cluster_id: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The node that answers.
    pub answered_by: NodeId,
    /// The leader, if a majority follows one.
    pub leader: Option<NodeId>,
    /// The Raft term.
    pub term: u64,
    /// Whether a majority of the voters answers.
    pub has_quorum: bool,
    /// How many voters may still fail without loss of writes.
    pub failures_tolerated: u64,
    /// The nodes, by id.
    pub nodes: Vec<NodeStatus>,
    /// The components that no node serves that is alive.
    #[serde(default)]
    pub unserved: Vec<String>,
}

/// Returns the components that none of the nodes serves that is alive.
#[must_use]
pub fn unserved(nodes: &[NodeStatus]) -> Vec<String> {
    let is_served = |component: Component| {
        nodes.iter().any(|node| node.health == "alive" && Components::of_record(&node.components).has(component))
    };
    Component::ALL.into_iter().filter(|one| !is_served(*one)).map(|one| one.name().to_owned()).collect()
}

/// One node as seen from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The id.
    pub id: NodeId,
    /// The name.
    pub name: String,
    /// `leader`, `voter`, `learner`, `joining` (admitted, not yet a member).
    pub role: String,
    /// `alive`, `unreachable`, `unknown`.
    pub health: String,
    /// Where it listens.
    pub addresses: NodeAddresses,
    /// What it is meant to be: `voter`, `learner`. A learner that is to be a voter becomes one when it has caught up.
    pub meant_role: String,
    /// Whether it is drained: it runs, and is to get no traffic.
    pub is_drained: bool,
    /// The node that takes its place as soon as that has caught up.
    pub replaced_by: Option<NodeId>,
    /// The components it serves; all where empty.
    pub components: Vec<String>,
    /// The version of the program it runs; empty where it does not answer.
    pub version: String,
    /// The index of the last entry in its log.
    pub last_log_index: Option<u64>,
    /// The index of the last entry it applied.
    pub applied_index: Option<u64>,
    /// How many entries it is behind the leader's log.
    pub lag: Option<u64>,
}

/// How a node stands in the cluster, as it knows itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The node.
    pub node: NodeId,
    /// `joining` (not heard of a leader yet), `learner`, `voter`, `leader`.
    pub role: String,
    /// What it is meant to be, as far as it has applied the log: `voter`, `learner`.
    pub meant_role: Option<String>,
    /// The leader that it follows.
    pub leader: Option<NodeId>,
    /// The index of the last entry it applied.
    pub applied_index: u64,
    /// How many entries of the leader's log it has not applied; `None` where the leader does not answer.
    pub entries_left: Option<u64>,
}

/// What a node that wants to join sends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The join token's secret, hexadecimal ([`crate::JoinSecret`]).
    pub secret: String,
    /// The node's name.
    pub name: String,
    /// Where it will listen.
    pub addresses: NodeAddresses,
    /// The components it will serve; all where empty.
    pub components: Vec<String>,
    /// Whether it is to vote.
    pub is_voter: bool,
    /// Its certificate signing request, PEM.
    pub certificate_request: String,
    /// The highest feature level that its program knows. Programs of level 1 do not say.
    #[serde(default = "first_level")]
    pub feature_level: u32,
}

fn first_level() -> u32 {
    1
}

impl fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinRequest({} at {})", self.name, self.addresses.cluster)
    }
}

/// What a node that was admitted gets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinGrant {
    /// Its id.
    pub node: NodeId,
    /// The cluster's id.
    pub cluster_id: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The authority's certificate, PEM.
    pub ca_certificate: String,
    /// Its own certificate, PEM.
    pub certificate: String,
    /// The cluster key, hexadecimal.
    pub cluster_key: String,
    /// The cluster addresses of the members, to announce itself to.
    pub peers: Vec<(NodeId, SocketAddr)>,
}

impl fmt::Debug for JoinGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinGrant(node {} of {})", self.node, self.cluster_id)
    }
}

/// Why the cluster refuses a change of membership.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterRefusal {
    /// The join token is unknown, used up or expired, or something else about the caller is not allowed.
    #[error("{0}")]
    NotAllowed(String),
    /// There is no such node.
    #[error("there is no node {0} in the cluster")]
    NoSuchNode(NodeId),
    /// A rule protects the cluster from this change.
    #[error("{why} (rule {name}: {rule})", name = rule.name())]
    Protected {
        /// The rule.
        rule: Rule,
        /// What would be broken, and what helps.
        why: String,
    },
    /// The request is not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// The plan is not the one that the caller saw.
    #[error("the plan is at version {now}, not {given}: somebody changed it meanwhile")]
    OtherPlan {
        /// The version that the caller named.
        given: u64,
        /// The version that it has.
        now: u64,
    },
    /// There is no leader, or no answer in time.
    #[error("{0}")]
    Unavailable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_of_a_join_shows_no_secret() {
        let at = SocketAddr::from(([127, 0, 0, 1], 7443));
        let request = JoinRequest {
            secret: "5ec7e7".to_owned(),
            name: "two".to_owned(),
            addresses: NodeAddresses { cluster: at, management: at, gateway_http: at, gateway_https: at },
            components: Vec::new(),
            is_voter: true,
            certificate_request: String::new(),
            feature_level: 1,
        };
        let grant = JoinGrant {
            node: NodeId(2),
            cluster_id: "c".to_owned(),
            cluster_name: "test".to_owned(),
            ca_certificate: String::new(),
            certificate: String::new(),
            cluster_key: "5ec7e7".to_owned(),
            peers: Vec::new(),
        };
        assert!(!format!("{request:?} {grant:?}").contains("5ec7e7"));
    }

    #[test]
    fn a_component_that_only_a_silent_node_serves_counts_as_served_by_nobody() {
        let at = SocketAddr::from(([127, 0, 0, 1], 7443));
        let node = |id, health: &str, components: &[&str]| NodeStatus {
            id: NodeId(id),
            name: String::new(),
            role: "voter".to_owned(),
            health: health.to_owned(),
            addresses: NodeAddresses { cluster: at, management: at, gateway_http: at, gateway_https: at },
            meant_role: "voter".to_owned(),
            is_drained: false,
            replaced_by: None,
            components: components.iter().map(|name| (*name).to_owned()).collect(),
            version: String::new(),
            last_log_index: None,
            applied_index: None,
            lag: None,
        };
        let apart = ["publisher", "store", "admin", "traffic-manager"];
        let nodes = [node(1, "alive", &apart), node(2, "unreachable", &["gateway", "key-manager"])];
        assert_eq!(unserved(&nodes), ["key-manager", "gateway"]);
        assert_eq!(unserved(&[node(1, "alive", &[])]), [""; 0]);
    }
}
