//! The cluster as an operator controls it: status, admission of nodes; and what the leader is asked to do.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt as _;
use portcullis_database::command::AdmitNode;
use portcullis_database::{ProposeError, codec};
use portcullis_model::cluster::{
    self, ClusterControl, ClusterRefusal, ClusterStatus, JoinGrant, JoinRequest, NodeStatus, Standing,
};
use portcullis_model::limit::MANAGEMENT_DEADLINE;
use portcullis_model::port::PortFuture;
use portcullis_model::{Component, JoinSecret, MembershipChange, NodeId, NodeRecord, NodeRole};

use crate::authority;
use crate::certificates::{Authorities, Held, certificate_record};
use crate::core::Core;
use crate::majority::majority_of;
use crate::node::RaftNode;
use crate::refusal::{refusal, unavailable};
use crate::tasks::entry;
use crate::transport::LeaderTask;
use crate::upgrade;

impl Core {
    async fn status(&self) -> ClusterStatus {
        let state = self.cell.load();
        let records: Vec<&NodeRecord> =
            state.system.nodes.values().map(AsRef::as_ref).filter(|record| record.removed_at.is_none()).collect();
        let alive = self.statuses_of(records.iter().map(|record| record.id)).await;
        let (leader, voters, members) = (self.steady_leader(), self.voters(), self.members());
        let end = leader.and_then(|leader| alive.get(&leader)).and_then(|status| status.last_log_index);
        let nodes: Vec<NodeStatus> = records
            .iter()
            .map(|record| {
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
                    meant_role: if record.is_voter { NodeRole::Voter } else { NodeRole::Learner }.to_string(),
                    is_drained: state.system.drained_nodes.contains_key(&record.id),
                    replaced_by: state.system.replacements.get(&record.id).copied(),
                    components: record.components.clone(),
                    version: status.map(|status| upgrade::version_of(&status.version)).unwrap_or_default(),
                    last_log_index,
                    applied_index: status.and_then(|status| status.applied_index),
                    // A node that answers and has no log yet lacks all of it.
                    lag: status.and(end).map(|end| end.saturating_sub(last_log_index.unwrap_or(0))),
                }
            })
            .collect();
        let answering = voters.iter().filter(|voter| alive.contains_key(voter)).count();
        let majority = majority_of(voters.len());
        ClusterStatus {
            cluster_id: self.identity.cluster_id.to_string(),
            cluster_name: self.identity.cluster_name.clone(),
            answered_by: self.node(),
            leader,
            term: self.metrics().current_term,
            has_quorum: leader.is_some() && !voters.is_empty() && answering >= majority,
            failures_tolerated: answering.saturating_sub(majority) as u64,
            unserved: cluster::unserved(&nodes),
            nodes,
        }
    }

    /// Says how this node stands; asks the leader how much is left to apply.
    pub(crate) async fn standing(&self) -> Standing {
        let (own, leader) = (self.node(), self.steady_leader());
        let end = match leader {
            Some(leader) => self.status_of(leader).await.and_then(|status| status.last_log_index),
            None => None,
        };
        let (applied_index, voters, members) = (self.cell.applied(), self.voters(), self.members());
        let role = match leader {
            Some(leader) if leader == own => "leader",
            _ if voters.contains(&own) => "voter",
            // A node that receives a snapshot does not know of the membership before it has all of it.
            Some(_) => "learner",
            None if members.contains(&own) => "learner",
            None => "joining",
        };
        let meant_role = |record: Arc<NodeRecord>| if record.is_voter { NodeRole::Voter } else { NodeRole::Learner };
        Standing {
            node: own,
            role: role.to_owned(),
            meant_role: self.record(own).map(|record| meant_role(record).to_string()),
            leader,
            applied_index,
            entries_left: end.map(|end| end.saturating_sub(applied_index)),
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
        // Before the token is used up: such a node could not apply the log.
        let level = self.cell.load().feature_level();
        if request.feature_level < level {
            return Err(ClusterRefusal::Invalid(format!(
                "the program on the joining machine knows feature level {}, the cluster is at {level}: install the \
                 version that the cluster runs there, and join again with the same token",
                request.feature_level
            )));
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
        let (ca_certificate, certificate) = self.certify(&request.certificate_request, node).await?;
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

    /// Signs the certificate of a node that was admitted, and notes it in the state: a rotation of the authority must
    /// know of it before the node runs. Returns the authorities to trust, and the certificate.
    async fn certify(&self, request: &str, node: NodeId) -> Result<(String, String), ClusterRefusal> {
        let certificate = self.sign_for(node, request).map_err(unavailable)?;
        let state = self.cell.load();
        let authorities = Authorities::of(&state).ok_or_else(|| unavailable("the cluster is not bootstrapped yet"))?;
        let bundle = authorities.bundle();
        let held = Held::new(certificate.clone(), String::new(), bundle.clone()).map_err(unavailable)?;
        let noted = self.propose(entry(&certificate_record(node, &held))?, MANAGEMENT_DEADLINE).await;
        match noted {
            // Nodes of the version before keep no list of certificates.
            Err(ProposeError::LevelTooLow { .. }) => {}
            noted => drop(noted.map_err(unavailable)?.result.map_err(refusal)?),
        }
        Ok((bundle, certificate))
    }
}

impl ClusterControl for RaftNode {
    fn status(&self) -> PortFuture<'_, ClusterStatus> {
        self.core.status().boxed()
    }

    fn join(&self, request: JoinRequest) -> PortFuture<'_, Result<JoinGrant, ClusterRefusal>> {
        self.core.join(request).boxed()
    }

    fn change_membership(&self, change: MembershipChange, force: bool) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        self.core.have_leader_do(LeaderTask::Change { change, force }).boxed()
    }

    fn apply_plan(&self, version: u64, force: bool) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        self.core.have_leader_do(LeaderTask::ApplyPlan { version, force }).boxed()
    }

    fn drain_node(
        &self,
        node: NodeId,
        drained_by: Option<String>,
        force: bool,
    ) -> PortFuture<'_, Result<bool, ClusterRefusal>> {
        self.core.drain(node, drained_by, force).boxed()
    }

    fn transfer_leadership(&self, to: Option<NodeId>) -> PortFuture<'_, Result<NodeId, ClusterRefusal>> {
        self.core.transfer(to).boxed()
    }

    fn management_addresses(&self) -> Vec<SocketAddr> {
        let state = self.core.cell.load();
        let nodes = state.system.nodes.values().filter(|record| record.serves(Component::Admin));
        nodes.map(|record| record.addresses.management).collect()
    }

    fn ca_fingerprint(&self) -> [u8; 32] {
        let authorities = Authorities::of(&self.core.cell.load());
        // Before the cluster is made, what is on disk.
        let on_disk = || self.core.certificates.held().trusts().first().copied().unwrap_or_default();
        authorities.map_or_else(on_disk, |authorities| authorities.signer.fingerprint)
    }
}
