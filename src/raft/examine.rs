//! Examines the cluster: asks every node for its facts and its clock, tries its ports, and compares the states of all
//! nodes at one index. Judges nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use portcullis_database::handle::wall_clock;
use portcullis_database::{State, digest};
use portcullis_model::facts::{AskedNode, CertificateFacts, ComparedStates, Examination, NodeFacts, RaftFacts};
use portcullis_model::port::PortFuture;
use portcullis_model::{Component, Components, NodeAddresses, NodeId, NodeRecord};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::authority::renewal_due;
use crate::core::Core;
use crate::node::RaftNode;
use crate::transport::{Request, Response};

/// How long a node may take to say its facts: a few small writes on a slow disk.
const FACTS_WITHIN: Duration = Duration::from_secs(5);
/// How long a port may take to accept.
const PORT_WITHIN: Duration = Duration::from_secs(1);
/// How long a node may take to make the digest of its state: some seconds for a gigabyte.
const DIGEST_WITHIN: Duration = Duration::from_secs(20);

impl Core {
    /// Returns what this node says of itself.
    pub(crate) async fn own_facts(&self) -> NodeFacts {
        let mut facts = match self.facts_source.get() {
            Some(source) => source.facts().await,
            None => NodeFacts { now_ms: wall_clock().0, ..NodeFacts::default() },
        };
        let held = self.certificates.held();
        facts.certificate = CertificateFacts {
            not_before_ms: held.not_before().0,
            not_after_ms: held.not_after().0,
            renewal_due_ms: renewal_due(held.not_before(), held.not_after()).0,
            authority_not_after_ms: held.authorities_not_after().0,
        };
        let metrics = self.metrics();
        facts.raft = RaftFacts {
            term: metrics.current_term,
            leader: self.steady_leader(),
            last_log_index: metrics.last_log_index.unwrap_or_default(),
            applied_index: self.cell.applied(),
            comparable_at: self.marks.indices(&self.cell.load()),
        };
        facts
    }

    /// Returns the digest of this node's state at `index`, if it has that state still.
    pub(crate) async fn digest_at(&self, index: u64) -> Option<[u8; 32]> {
        let state: State = self.marks.state_at(index, &self.cell.load())?;
        let made = tokio::task::spawn_blocking(move || digest::digest(&state)).await.ok()?;
        made.inspect_err(|e| tracing::error!(error = %e, index, "the state's digest cannot be made")).ok()
    }

    async fn ask(&self, record: &NodeRecord) -> AskedNode {
        let (began, clock) = (Instant::now(), wall_clock().0);
        let facts = self.facts_of(record.id).await;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        // The node read its clock last: how long its answer was on the way is all that is not known.
        let on_the_way_ms = facts.as_ref().map_or(0, |facts| took_ms.saturating_sub(facts.gathering_ms));
        let clock_error_ms = on_the_way_ms / 2;
        let read_at_ms = (clock + took_ms).saturating_sub(clock_error_ms);
        let clock_ahead_ms = facts.as_ref().map_or(0, |facts| facts.now_ms.wrapping_sub(read_at_ms).cast_signed());
        let closed_ports = if facts.is_some() { closed_ports(record).await } else { Vec::new() };
        AskedNode {
            node: record.id,
            name: record.name.clone(),
            components: record.components.clone(),
            facts,
            clock_ahead_ms,
            clock_error_ms,
            closed_ports,
        }
    }

    async fn facts_of(&self, node: NodeId) -> Option<NodeFacts> {
        if node == self.node() {
            return Some(self.own_facts().await);
        }
        let at = self.address_of(node)?;
        match self.peers.call(node, at, Request::Facts, FACTS_WITHIN).await {
            Ok(Response::Facts(text)) => serde_json::from_str(&text)
                .inspect_err(|e| tracing::warn!(%node, error = %e, "a node's facts are not understood"))
                .ok(),
            Ok(_) => None,
            Err(e) => {
                tracing::debug!(%node, error = %e, "a node does not say its facts");
                None
            }
        }
    }

    async fn digest_of(&self, node: NodeId, index: u64) -> Option<[u8; 32]> {
        if node == self.node() {
            return self.digest_at(index).await;
        }
        let at = self.address_of(node)?;
        match self.peers.call(node, at, Request::DigestAt { index }, DIGEST_WITHIN).await {
            Ok(Response::Digest(digest)) => digest,
            Ok(_) | Err(_) => None,
        }
    }

    async fn ask_all(&self) -> Vec<AskedNode> {
        let state = self.cell.load();
        let members = state.system.nodes.values().filter(|record| record.removed_at.is_none());
        join_all(members.map(|record| self.ask(record))).await
    }

    async fn compare(&self, asked: &[AskedNode]) -> ComparedStates {
        let answering: Vec<(NodeId, &[u64])> = asked
            .iter()
            .filter_map(|node| Some((node.node, node.facts.as_ref()?.raft.comparable_at.as_slice())))
            .collect();
        let Some(index) = newest_common(&answering) else { return ComparedStates::default() };
        let digests = answering.iter().map(|(node, _)| async move { (*node, self.digest_of(*node, index).await) });
        ComparedStates { index: Some(index), digests: join_all(digests).await }
    }
}

/// Returns the newest index that all of two or more nodes name.
fn newest_common(nodes: &[(NodeId, &[u64])]) -> Option<u64> {
    let [(_, first), rest @ ..] = nodes else { return None };
    if rest.is_empty() {
        return None;
    }
    first.iter().copied().filter(|index| rest.iter().all(|(_, indices)| indices.contains(index))).max()
}

/// Returns the ports that a node with the record's components opens for others: a gateway alone has no management port.
fn open_ports(record: &NodeRecord) -> Vec<(&'static str, SocketAddr)> {
    let NodeAddresses { management, gateway_http, gateway_https, .. } = record.addresses;
    let components = Components::of_record(&record.components);
    let mut ports = Vec::new();
    if !components.is_gateway_alone() {
        ports.push(("management", management));
    }
    if components.has(Component::Gateway) {
        ports.extend([("gateway", gateway_http), ("gateway", gateway_https)]);
    }
    ports
}

/// Connects to the ports of a node that others call, and returns those that do not accept. Nothing is sent.
async fn closed_ports(record: &NodeRecord) -> Vec<(String, String)> {
    let tried = open_ports(record).into_iter().map(|(name, at)| async move {
        let why = why_closed(at).await?;
        Some((format!("{name} {at}"), why))
    });
    join_all(tried).await.into_iter().flatten().collect()
}

async fn why_closed(at: SocketAddr) -> Option<String> {
    match timeout(PORT_WITHIN, TcpStream::connect(at)).await {
        Ok(Ok(_)) => None,
        Ok(Err(e)) => Some(e.to_string()),
        Err(_) => Some("no answer in time".to_owned()),
    }
}

impl Examination for RaftNode {
    fn ask_all(&self) -> PortFuture<'_, Vec<AskedNode>> {
        self.core.ask_all().boxed()
    }

    fn compare<'a>(&'a self, asked: &'a [AskedNode]) -> PortFuture<'a, ComparedStates> {
        self.core.compare(asked).boxed()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::Timestamp;

    use super::*;

    #[test]
    fn a_port_that_no_component_of_a_node_opens_is_not_missed() {
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let record = |components: &[&str]| NodeRecord {
            id: NodeId(1),
            name: "one".to_owned(),
            addresses: NodeAddresses { cluster: at, management: at, gateway_http: at, gateway_https: at },
            components: components.iter().map(|one| (*one).to_owned()).collect(),
            is_voter: true,
            admitted_at: Timestamp(0),
            removed_at: None,
        };
        let names = |components: &[&str]| open_ports(&record(components)).into_iter().map(|(name, _)| name).collect();
        let names: Vec<Vec<&str>> = [&[][..], &["gateway"], &["store"]].into_iter().map(names).collect();
        assert_eq!(names, [vec!["management", "gateway", "gateway"], vec!["gateway"; 2], vec!["management"]]);
    }

    #[test]
    fn states_are_compared_at_the_newest_index_that_every_node_has() {
        let (one, two): (&[u64], &[u64]) = (&[64, 128, 192, 200], &[128, 192, 201]);
        assert_eq!(newest_common(&[(NodeId(1), one), (NodeId(2), two)]), Some(192));
        assert_eq!(newest_common(&[(NodeId(1), one), (NodeId(2), two), (NodeId(3), &[300])]), None);
        assert_eq!(newest_common(&[(NodeId(1), one)]), None, "one node alone has nobody to be compared with");
    }
}
