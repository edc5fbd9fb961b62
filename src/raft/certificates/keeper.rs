//! Keeps this node's certificates as the state and the clock want them: trusts the authorities that the cluster
//! trusts, renews the certificate before it ends or when another authority signs, and tells the cluster. A rotation
//! goes on by itself under whichever node leads. Nothing is kept in memory between looks but when to try again.

use std::sync::Arc;
use std::time::Duration;

use portcullis_database::command::{AdvanceRotation, Command, RotationStep};
use portcullis_database::handle::wall_clock;
use portcullis_database::{Outcome, ProposeError};
use portcullis_model::Refused;
use portcullis_model::certificate::NodeCertificate;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::held::ReplaceError;
use super::signing::{Authorities, SignError, certificate_record};
use crate::authority::{self, renewal_due};
use crate::core::Core;
use crate::tasks::entry;
use crate::transport::{Request, Response, SignAnswer};

/// How often certificates are compared with the state and the clock.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long one step may take.
const STEP_WITHIN: Duration = Duration::from_secs(10);
/// How long after a step that failed it is tried again, at first and at most.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LAST: Duration = Duration::from_secs(60);

/// Why a certificate was not renewed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewError {
    #[error("there is no leader to sign it")]
    NoLeader(#[from] ProposeError),
    #[error("the leader does not sign it: {0}")]
    Refused(String),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("the new certificate cannot be put in force: {0}")]
    Replace(#[from] ReplaceError),
}

/// When to try again what failed.
struct Patience {
    not_before: Instant,
    pause: Duration,
}

impl Patience {
    fn note(&mut self, is_fine: bool) {
        self.pause = if is_fine { PAUSE_FIRST } else { (self.pause * 2).min(PAUSE_LAST) };
        self.not_before = Instant::now() + if is_fine { Duration::ZERO } else { self.pause };
    }
}

/// Looks until the node stops.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut stopping = core.stopping.subscribe();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut patience = Patience { not_before: Instant::now(), pause: PAUSE_FIRST };
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        // What an older state says of the authorities may be over: only what a majority confirmed since the start
        // counts.
        if !core.was_ready.load(std::sync::atomic::Ordering::Relaxed) || core.is_removed(core.node()) {
            continue;
        }
        if Instant::now() >= patience.not_before {
            let kept = core.keep_certificates().await;
            if let Err(e) = &kept {
                let certificate = &core.certificates.held().parsed;
                tracing::warn!(error = %e, %certificate, "this node's certificate could not be renewed; it is tried again");
            }
            patience.note(kept.is_ok());
        }
        core.tell_of_certificate().await;
        if core.leads() {
            core.advance_rotation().await;
        }
    }
}

impl Core {
    /// Does what is due for this node's own certificates.
    async fn keep_certificates(&self) -> Result<(), RenewError> {
        let Some(authorities) = Authorities::of(&self.cell.load()) else { return Ok(()) };
        let held = self.certificates.held();
        let bundle = authorities.bundle();
        if held.authorities.trim() != bundle.trim() {
            let _replacing = self.certificates.replacing.lock().await;
            self.certificates.trust(bundle)?;
            tracing::info!(trusts = authorities.fingerprints(), "the certificate authorities that are trusted changed");
        }
        let held = self.certificates.held();
        if held.signer() != Some(authorities.signer.fingerprint)
            || wall_clock() >= renewal_due(held.not_before(), held.not_after())
        {
            return self.renew_certificate().await;
        }
        let with_issuers = authorities.with_issuers(&held.certificate);
        if held.certificate.trim() != with_issuers.trim() {
            let _replacing = self.certificates.replacing.lock().await;
            self.certificates.replace(with_issuers, held.key.clone())?;
        }
        Ok(())
    }

    /// Gets a certificate with a new key from whoever leads, and puts it in force.
    pub(crate) async fn renew_certificate(&self) -> Result<(), RenewError> {
        let _replacing = self.certificates.replacing.lock().await;
        let (key, request) = authority::request().map_err(SignError::from)?;
        let certificate = self.have_signed(request).await?;
        self.certificates.replace(certificate, key)?;
        let held = self.certificates.held();
        tracing::info!(certificate = %held.parsed, "this node's certificate was renewed");
        Ok(())
    }

    async fn have_signed(&self, request: String) -> Result<String, RenewError> {
        let deadline = Instant::now() + STEP_WITHIN;
        loop {
            let leader = self.some_leader(deadline).await?;
            let answer = if leader == self.node() {
                self.sign_as_leader(leader, &request)
            } else {
                let at = self.address_of(leader).ok_or(ProposeError::NoLeader)?;
                let asked = Request::SignCertificate { request: request.clone() };
                match self.peers.call(leader, at, asked, STEP_WITHIN).await {
                    Ok(Response::Signed(answer)) => answer,
                    Ok(_) => SignAnswer::NotLeader,
                    Err(e) => return Err(RenewError::Refused(format!("node {leader}: {e}"))),
                }
            };
            match answer {
                SignAnswer::Signed(certificate) => return Ok(certificate),
                SignAnswer::Refused(why) => return Err(RenewError::Refused(why)),
                SignAnswer::NotLeader if Instant::now() < deadline => self.pause(deadline).await,
                SignAnswer::NotLeader => return Err(ProposeError::NoLeader.into()),
            }
        }
    }

    /// Signs a certificate for `node`, which the caller proved to be, if this node leads.
    pub(crate) fn sign_as_leader(&self, node: portcullis_model::NodeId, request: &str) -> SignAnswer {
        if !self.leads() {
            return SignAnswer::NotLeader;
        }
        match self.sign_for(node, request) {
            Ok(certificate) => {
                tracing::info!(%node, "a node's certificate was signed");
                SignAnswer::Signed(certificate)
            }
            Err(e) => {
                tracing::warn!(%node, error = %e, "a node's certificate was not signed");
                SignAnswer::Refused(e.to_string())
            }
        }
    }

    /// Signs a certificate for a node of the cluster.
    pub(crate) fn sign_for(&self, node: portcullis_model::NodeId, request: &str) -> Result<String, SignError> {
        let authorities = Authorities::of(&self.cell.load()).ok_or(SignError::NoAuthority)?;
        let record = self.record(node).ok_or(SignError::NoSuchNode(node))?;
        let wanted = (self.identity.cluster_id, self.certificates.valid);
        authorities.sign(&self.cluster_key, request, &record, wanted)
    }

    /// Tells the cluster which certificate this node uses, where it does not know.
    pub(crate) async fn tell_of_certificate(&self) {
        let own = certificate_record(self.node(), &self.certificates.held());
        let is_same = |known: &NodeCertificate| {
            known.fingerprint == own.fingerprint && known.authority == own.authority && known.trusts == own.trusts
        };
        let state = self.cell.load();
        if state.system.node_certificates.get(&self.node()).is_some_and(|known| is_same(known)) {
            return;
        }
        match self.propose_once(&own).await {
            Ok(Ok(_)) => {}
            Ok(Err(refused)) => tracing::warn!(%refused, "the cluster does not take note of this node's certificate"),
            Err(e) => tracing::debug!(error = %e, "the cluster could not be told of this node's certificate"),
        }
    }

    /// Has the next authority sign once every node trusts it.
    async fn advance_rotation(&self) {
        let state = self.cell.load();
        let Some(next) = state.system.next_authority.get(&()).filter(|next| !next.signs) else { return };
        let fingerprint = next.fingerprint;
        if !state.nodes_with_certificates_not(|known| known.trusts.contains(&fingerprint)).is_empty() {
            return;
        }
        match self.propose_once(&AdvanceRotation { fingerprint, step: RotationStep::Sign }).await {
            Ok(Ok(_)) => tracing::info!("every node trusts the new certificate authority: it signs from now on"),
            Ok(Err(refused)) => tracing::debug!(%refused, "the rotation does not go on now"),
            Err(e) => tracing::debug!(error = %e, "the rotation does not go on now"),
        }
    }

    /// Proposes a command of the cluster's own.
    pub(crate) async fn propose_once<X: Command>(&self, command: &X) -> Result<Result<Vec<u8>, Refused>, ProposeError> {
        let entry = entry(command).map_err(|_| ProposeError::TooLarge(0))?;
        self.propose(entry, STEP_WITHIN).await.map(|outcome: Outcome| outcome.result)
    }
}
