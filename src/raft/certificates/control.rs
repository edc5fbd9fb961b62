//! Certificates as an operator controls them: listed, renewed now, and moved to another authority.

use futures_util::FutureExt as _;
use portcullis_database::command::{AdvanceRotation, BeginRotation, Command, RotationStep};
use portcullis_model::certificate::{AuthorityStatus, CertificateControl, CertificatesStatus, RotationStatus};
use portcullis_model::cluster::ClusterRefusal;
use portcullis_model::limit::MANAGEMENT_DEADLINE;
use portcullis_model::membership::Rule;
use portcullis_model::port::PortFuture;
use portcullis_model::{NodeId, Refused};

use super::parsed::Parsed;
use super::signing::{Authorities, Authority};
use crate::authority;
use crate::core::Core;
use crate::identity::fingerprint;
use crate::node::RaftNode;
use crate::refusal::{against, unavailable};
use crate::tasks::entry;
use crate::transport::{Request, Response};

fn refusal(refused: Refused) -> ClusterRefusal {
    match refused {
        Refused::WrongState { reason } => against(Rule::Trust, reason),
        other => ClusterRefusal::Invalid(other.to_string()),
    }
}

impl Core {
    fn certificates_status(&self) -> Result<CertificatesStatus, ClusterRefusal> {
        let state = self.cell.load();
        let authorities = Authorities::of(&state).ok_or_else(|| unavailable("the cluster is not bootstrapped yet"))?;
        let status_of = |authority: &Authority, signs: bool| -> Result<AuthorityStatus, ClusterRefusal> {
            let parsed = Parsed::from_pem(&authority.certificate).map_err(unavailable)?;
            let (fingerprint, certificate) = (authority.fingerprint, authority.certificate.clone());
            Ok(AuthorityStatus { fingerprint, certificate, not_after: parsed.not_after, signs })
        };
        let mut trusted = vec![status_of(&authorities.signer, true)?];
        if let Some(other) = &authorities.other {
            trusted.push(status_of(other, false)?);
        }
        let rotation = state.system.next_authority.get(&()).map(|next| RotationStatus {
            began_at: next.began_at,
            not_trusting: state.nodes_with_certificates_not(|known| known.trusts.contains(&next.fingerprint)),
            not_moved: state.nodes_with_certificates_not(|known| known.authority == next.fingerprint),
        });
        let known = &state.system.node_certificates;
        let members = state.system.nodes.values().filter(|record| record.removed_at.is_none());
        let nodes = members.map(|record| {
            (record.id, record.name.clone(), known.get(&record.id).map(|certificate| certificate.as_ref().clone()))
        });
        Ok(CertificatesStatus { authorities: trusted, rotation, nodes: nodes.collect() })
    }

    async fn renew(&self, node: NodeId) -> Result<(), ClusterRefusal> {
        if self.record(node).is_none_or(|record| record.removed_at.is_some()) {
            return Err(ClusterRefusal::NoSuchNode(node));
        }
        let at = self.address_of(node).ok_or(ClusterRefusal::NoSuchNode(node))?;
        if node == self.node() {
            return self.renew_and_tell().await.map_err(ClusterRefusal::Unavailable);
        }
        match self.peers.call(node, at, Request::RenewCertificate, MANAGEMENT_DEADLINE).await {
            Ok(Response::Renewed(renewed)) => renewed.map_err(ClusterRefusal::Unavailable),
            Ok(Response::Failed(why)) => Err(ClusterRefusal::Unavailable(why)),
            Ok(_) => Err(ClusterRefusal::Unavailable(format!("node {node} gave an answer to another question"))),
            Err(e) => Err(ClusterRefusal::Unavailable(format!(
                "node {node} does not answer ({e}). If its certificate has expired: stop it and run `portcullis \
                 cluster certificate renew --offline --data-dir DIR` there"
            ))),
        }
    }

    /// Renews this node's certificate and has the cluster know.
    pub(crate) async fn renew_and_tell(&self) -> Result<(), String> {
        self.renew_certificate().await.map_err(|e| e.to_string())?;
        self.tell_of_certificate().await;
        Ok(())
    }

    async fn submit<X: Command>(&self, command: &X) -> Result<(), ClusterRefusal> {
        let outcome = self.propose(entry(command)?, MANAGEMENT_DEADLINE).await.map_err(unavailable)?;
        outcome.result.map(drop).map_err(refusal)
    }

    async fn begin_rotation(&self) -> Result<(), ClusterRefusal> {
        let state = self.cell.load();
        if state.system.next_authority.contains_key(&()) {
            return Err(against(Rule::Trust, "a rotation of the certificate authority is under way already"));
        }
        let authorities = Authorities::of(&state).ok_or_else(|| unavailable("the cluster is not bootstrapped yet"))?;
        let present = authorities.open(&self.cluster_key).map_err(unavailable)?;
        let made = authority::create_next(&self.identity.cluster_name, &present).map_err(unavailable)?;
        let (next, cross_certificate) = made;
        let command = BeginRotation {
            fingerprint: fingerprint(&next.certificate).map_err(unavailable)?,
            certificate: next.certificate,
            key: self.cluster_key.seal(next.key.as_bytes()),
            cross_certificate,
        };
        self.submit(&command).await?;
        tracing::info!(authority = hex::encode(command.fingerprint), "a rotation of the certificate authority began");
        Ok(())
    }

    async fn retire_authority(&self) -> Result<(), ClusterRefusal> {
        let next = self.cell.load().system.next_authority.get(&()).map(|next| next.fingerprint);
        let fingerprint =
            next.ok_or_else(|| against(Rule::Trust, "no rotation of the certificate authority is under way"))?;
        self.submit(&AdvanceRotation { fingerprint, step: RotationStep::Retire }).await?;
        tracing::info!(authority = hex::encode(fingerprint), "the former certificate authority is retired");
        Ok(())
    }
}

impl CertificateControl for RaftNode {
    fn certificates(&self) -> Result<CertificatesStatus, ClusterRefusal> {
        self.core.certificates_status()
    }

    fn renew(&self, node: NodeId) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        self.core.renew(node).boxed()
    }

    fn begin_rotation(&self) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        self.core.begin_rotation().boxed()
    }

    fn retire_authority(&self) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        self.core.retire_authority().boxed()
    }
}
