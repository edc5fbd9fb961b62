//! The cluster as an operator controls it: status, admission of nodes, removal of nodes.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures_util::FutureExt as _;
use portcullis_database::command::{AdmitNode, Command, RemoveNode};
use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::{Entry, ProposeError, codec};
use portcullis_model::cluster::{ClusterControl, ClusterRefusal, ClusterStatus, JoinGrant, JoinRequest, NodeStatus};
use portcullis_model::limit::MANAGEMENT_DEADLINE;
use portcullis_model::port::PortFuture;
use portcullis_model::{JoinSecret, NodeId, NodeRecord, Principal, Refused};
use tokio::time::{Instant, timeout};

use crate::authority::{self, Pair, Subject};
use crate::core::Core;
use crate::node::RaftNode;
use crate::transport::{CallError, ProposeAnswer, RemoveRefusal, Request, Response};

fn entry<X: Command>(command: &X) -> Result<Entry, ClusterRefusal> {
    let payload = codec::encode(command).map_err(|e| ClusterRefusal::Invalid(e.to_string()))?;
    Ok(Entry {
        command: X::NUMBER,
        proposed_at: wall_clock(),
        random: random_bytes(),
        principal: Principal::system(),
        idempotency: None,
        payload,
    })
}

fn refusal(refused: Refused) -> ClusterRefusal {
    match refused {
        Refused::NotAllowed { reason } => ClusterRefusal::NotAllowed(reason),
        other => ClusterRefusal::Invalid(other.to_string()),
    }
}

fn unavailable(e: impl std::fmt::Display) -> ClusterRefusal {
    ClusterRefusal::Unavailable(e.to_string())
}

impl From<RemoveRefusal> for ClusterRefusal {
    fn from(refusal: RemoveRefusal) -> Self {
        match refusal {
            RemoveRefusal::NotLeader => unavailable("the leader changed meanwhile: try again"),
            RemoveRefusal::NotAllowed(why) => Self::NotAllowed(why),
            RemoveRefusal::NoSuchNode(node) => Self::NoSuchNode(node),
            RemoveRefusal::Protected(why) => Self::Protected(why),
            RemoveRefusal::Invalid(why) => Self::Invalid(why),
            RemoveRefusal::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl From<ClusterRefusal> for RemoveRefusal {
    fn from(refusal: ClusterRefusal) -> Self {
        match refusal {
            ClusterRefusal::NotAllowed(why) => Self::NotAllowed(why),
            ClusterRefusal::NoSuchNode(node) => Self::NoSuchNode(node),
            ClusterRefusal::Protected(why) => Self::Protected(why),
            ClusterRefusal::Invalid(why) => Self::Invalid(why),
            ClusterRefusal::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl Core {
    async fn status(&self) -> ClusterStatus {
        let state = self.cell.load();
        let records: Vec<&NodeRecord> =
            state.system.nodes.values().map(AsRef::as_ref).filter(|record| record.removed_at.is_none()).collect();
        let alive = self.statuses_of(records.iter().map(|record| record.id)).await;
        let (leader, voters, members) = (self.steady_leader(), self.voters(), self.members());
        let end = leader.and_then(|leader| alive.get(&leader)).and_then(|status| status.last_log_index);
        let nodes = records.iter().map(|record| {
            let status = alive.get(&record.id);
            let role = match record.id {
                id if Some(id) == leader => "leader",
                id if voters.contains(&id) => "voter",
                id if members.contains(&id) => "learner",
                _ => "joining",
            };
            let last_log_index = status.and_then(|status| status.last_log_index);
            NodeStatus {
                id: record.id,
                name: record.name.clone(),
                role: role.to_owned(),
                health: if status.is_some() { "alive" } else { "unreachable" }.to_owned(),
                addresses: record.addresses.clone(),
                components: record.components.clone(),
                version: status.map(|status| status.version.clone()).unwrap_or_default(),
                last_log_index,
                applied_index: status.and_then(|status| status.applied_index),
                lag: end.zip(last_log_index).map(|(end, own)| end.saturating_sub(own)),
            }
        });
        let answering = voters.iter().filter(|voter| alive.contains_key(voter)).count();
        let majority = voters.len() / 2 + 1;
        ClusterStatus {
            cluster_id: self.identity.cluster_id.to_string(),
            cluster_name: self.identity.cluster_name.clone(),
            answered_by: self.node(),
            leader,
            term: self.metrics().current_term,
            has_quorum: leader.is_some() && !voters.is_empty() && answering >= majority,
            failures_tolerated: answering.saturating_sub(majority) as u64,
            nodes: nodes.collect(),
        }
    }

    async fn join(&self, request: JoinRequest) -> Result<JoinGrant, ClusterRefusal> {
        let cluster = self.identity.cluster_id;
        let invalid = |e: authority::CertificateError| ClusterRefusal::Invalid(e.to_string());
        let secret = JoinSecret::from_hex(&request.secret).ok_or_else(|| {
            ClusterRefusal::Invalid("the join token's secret is not 64 hexadecimal digits".to_owned())
        })?;
        authority::check_name(&request.name, Some(cluster)).map_err(invalid)?;
        authority::check_request(&request.certificate_request).map_err(invalid)?;
        if request.addresses.cluster.ip().is_unspecified() || request.addresses.cluster.port() == 0 {
            let at = request.addresses.cluster;
            return Err(ClusterRefusal::Invalid(format!("other nodes cannot reach the cluster address {at}")));
        }
        let command = AdmitNode {
            token: secret.digest(),
            name: request.name.clone(),
            addresses: request.addresses.clone(),
            components: request.components,
            is_voter: request.is_voter,
        };
        let outcome = self.propose(entry(&command)?, MANAGEMENT_DEADLINE).await.map_err(unavailable)?;
        let node: NodeId = codec::decode(&outcome.result.map_err(refusal)?).map_err(unavailable)?;
        let subject = Subject { node, cluster, name: &request.name, addresses: &request.addresses };
        let (ca_certificate, certificate) = self.certify(&request.certificate_request, &subject)?;
        let state = self.cell.load();
        let members = state.system.nodes.values().filter(|record| record.removed_at.is_none() && record.id != node);
        tracing::info!(%node, name = %request.name, "a node was admitted");
        Ok(JoinGrant {
            node,
            cluster_id: cluster.to_string(),
            cluster_name: self.identity.cluster_name.clone(),
            ca_certificate,
            certificate,
            cluster_key: hex::encode(self.cluster_key.as_bytes()),
            peers: members.map(|record| (record.id, record.addresses.cluster)).collect(),
        })
    }

    /// Signs a node's certificate with the authority's key, which is in the state, sealed with the cluster key.
    fn certify(&self, request: &str, subject: &Subject<'_>) -> Result<(String, String), ClusterRefusal> {
        let state = self.cell.load();
        let facts = state.system.cluster.get(&()).ok_or_else(|| unavailable("the cluster is not bootstrapped yet"))?;
        let key = self.cluster_key.open(&facts.ca_key).map_err(unavailable)?;
        let key = String::from_utf8(key.to_vec()).map_err(unavailable)?;
        let ca = Pair { certificate: facts.ca_certificate.clone(), key };
        let certificate = authority::sign(&ca, request, subject).map_err(unavailable)?;
        Ok((ca.certificate, certificate))
    }

    /// Has whoever leads remove the node. A leader that is to go, or that was replaced, says so; then the next is asked.
    async fn remove_node(&self, node: NodeId, force: bool) -> Result<(), ClusterRefusal> {
        let deadline = Instant::now() + MANAGEMENT_DEADLINE;
        loop {
            let leader = self.some_leader(deadline).await.map_err(unavailable)?;
            let removed = if leader == self.node() {
                self.remove_as_leader(node, force).await
            } else {
                self.ask_to_remove(leader, node, force).await
            };
            match removed {
                Err(RemoveRefusal::NotLeader) if Instant::now() < deadline => self.pause(deadline).await,
                removed => return removed.map_err(Into::into),
            }
        }
    }

    async fn ask_to_remove(&self, leader: NodeId, node: NodeId, force: bool) -> Result<(), RemoveRefusal> {
        let unavailable = |e: CallError| RemoveRefusal::Unavailable(format!("the leader (node {leader}): {e}"));
        let at = self.address_of(leader).ok_or(RemoveRefusal::NotLeader)?;
        match self.peers.call(leader, at, Request::RemoveNode { node, force }, MANAGEMENT_DEADLINE).await {
            Ok(Response::Removed(removed)) => removed,
            Ok(_) => Err(RemoveRefusal::NotLeader),
            Err(e) => Err(unavailable(e)),
        }
    }

    /// Removes a node, if this one leads and no rule protects it. A leader that is to go hands over: the next one is to
    /// be asked then.
    pub(crate) async fn remove_as_leader(&self, node: NodeId, force: bool) -> Result<(), RemoveRefusal> {
        let unavailable = |e: &dyn std::fmt::Display| RemoveRefusal::Unavailable(e.to_string());
        if !self.leads() {
            return Err(RemoveRefusal::NotLeader);
        }
        let guard = timeout(MANAGEMENT_DEADLINE, self.changes.lock()).await;
        let _guard = guard.map_err(|e| unavailable(&e))?;
        // Under the lock: two removals that each leave a majority may leave none together.
        self.check_removal(node, force).await?;
        if node == self.node() {
            self.hand_over().await.map_err(|e| unavailable(&e))?;
            return Err(RemoveRefusal::NotLeader);
        }
        // Marked first: if this leader is lost now, the next one takes the node out and never back in.
        match self.propose_as_leader(entry(&RemoveNode { node })?, MANAGEMENT_DEADLINE).await {
            ProposeAnswer::Applied(outcome) => outcome.result.map(drop).map_err(refusal)?,
            ProposeAnswer::NotLeader => return Err(RemoveRefusal::NotLeader),
            ProposeAnswer::Overloaded | ProposeAnswer::LevelTooLow => {
                return Err(unavailable(&ProposeError::Overloaded));
            }
            ProposeAnswer::TimedOut => return Err(unavailable(&ProposeError::TimedOut(MANAGEMENT_DEADLINE))),
            ProposeAnswer::Unknown => return Err(unavailable(&ProposeError::Unknown)),
        }
        let taken = self.take_out(node).await;
        taken.map_err(|e| RemoveRefusal::Unavailable(format!("node {node} is marked as removed and leaves soon: {e}")))
    }

    async fn check_removal(&self, node: NodeId, force: bool) -> Result<(), RemoveRefusal> {
        let is_member = self.membership().get_node(&node.0).is_some();
        let record = self.record(node).filter(|record| record.removed_at.is_none() || is_member);
        if record.is_none() {
            return Err(RemoveRefusal::NoSuchNode(node));
        }
        let voters = self.voters();
        if !voters.contains(&node) {
            return Ok(());
        }
        let rest: BTreeSet<NodeId> = voters.into_iter().filter(|voter| *voter != node).collect();
        if rest.is_empty() {
            return Err(RemoveRefusal::Protected(format!(
                "node {node} is the last voter: without it there is no cluster"
            )));
        }
        let alive = self.statuses_of(rest.iter().copied()).await;
        let majority = rest.len() / 2 + 1;
        if alive.len() >= majority || force {
            return Ok(());
        }
        let silent: Vec<String> =
            rest.iter().filter(|voter| !alive.contains_key(voter)).map(ToString::to_string).collect();
        Err(RemoveRefusal::Protected(format!(
            "the cluster would lose its majority: without node {node} only {} of {} voters would answer (silent: \
             {}), {majority} are needed to write. Bring the silent nodes back or remove them first",
            alive.len(),
            rest.len(),
            silent.join(", "),
        )))
    }
}

impl ClusterControl for RaftNode {
    fn status(&self) -> PortFuture<'_, ClusterStatus> {
        self.core.status().boxed()
    }

    fn join(&self, request: JoinRequest) -> PortFuture<'_, Result<JoinGrant, ClusterRefusal>> {
        self.core.join(request).boxed()
    }

    fn remove_node(&self, node: NodeId, force: bool) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        self.core.remove_node(node, force).boxed()
    }

    fn management_addresses(&self) -> Vec<SocketAddr> {
        let state = self.core.cell.load();
        let nodes = state.system.nodes.values().filter(|record| record.removed_at.is_none());
        nodes.map(|record| record.addresses.management).collect()
    }

    fn ca_fingerprint(&self) -> [u8; 32] {
        self.core.ca_fingerprint
    }
}
