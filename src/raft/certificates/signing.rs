//! Who signs certificates and who is trusted, as the state has it, and the signing for one node.

use std::time::Duration;

use portcullis_database::command::RecordCertificate;
use portcullis_database::{ClusterKey, State};
use portcullis_model::certificate::{Fingerprint, NextAuthority};
use portcullis_model::{NodeId, NodeRecord, Sealed};
use uuid::Uuid;

use super::held::Held;
use crate::authority::{self, CertificateError, Pair, Subject};
use crate::identity::{IdentityError, fingerprint};

/// Why no certificate is signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the cluster is not bootstrapped yet")]
    NoAuthority,
    #[error("node {0} is not in the cluster")]
    NoSuchNode(NodeId),
    #[error("the authority's key cannot be opened: {0}")]
    Key(String),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// One authority.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) certificate: String,
    key: Sealed,
}

/// The authorities of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Authorities {
    /// The one that signs.
    pub(crate) signer: Authority,
    /// The other one that is trusted, while a rotation is under way.
    pub(crate) other: Option<Authority>,
    /// What stands behind a certificate of the signer, for those who trust only the other.
    cross_certificate: Option<String>,
}

impl Authorities {
    /// Returns the authorities as `state` has them; `None` before the cluster is made.
    pub(crate) fn of(state: &State) -> Option<Self> {
        let facts = state.system.cluster.get(&())?;
        let present = Authority {
            fingerprint: fingerprint(&facts.ca_certificate).ok()?,
            certificate: facts.ca_certificate.clone(),
            key: facts.ca_key.clone(),
        };
        let next = state.system.next_authority.get(&()).map(AsRef::as_ref);
        let authority_of = |next: &NextAuthority| Authority {
            fingerprint: next.fingerprint,
            certificate: next.certificate.clone(),
            key: next.key.clone(),
        };
        Some(match next {
            Some(next) if next.signs => Self {
                signer: authority_of(next),
                other: Some(present),
                cross_certificate: Some(next.cross_certificate.clone()),
            },
            next => Self { signer: present, other: next.map(authority_of), cross_certificate: None },
        })
    }

    /// Returns the fingerprints of those trusted, for the log.
    pub(crate) fn fingerprints(&self) -> String {
        let all = std::iter::once(&self.signer).chain(&self.other);
        all.map(|authority| hex::encode(authority.fingerprint)).collect::<Vec<_>>().join(", ")
    }

    /// Returns what goes into `ca.pem`: the authorities that are trusted, the signer first.
    pub(crate) fn bundle(&self) -> String {
        let all = std::iter::once(&self.signer).chain(&self.other);
        all.map(|authority| format!("{}\n", authority.certificate.trim())).collect()
    }

    /// Returns what goes into `node.pem`: a node's certificate and what must be sent behind it.
    pub(crate) fn with_issuers(&self, certificate: &str) -> String {
        let leaf = certificate.split_inclusive("-----END CERTIFICATE-----").next().unwrap_or(certificate);
        let texts = std::iter::once(leaf).chain(self.cross_certificate.as_deref());
        texts.map(|text| format!("{}\n", text.trim())).collect()
    }

    /// Returns the signer with its key.
    pub(crate) fn open(&self, cluster_key: &ClusterKey) -> Result<Pair, SignError> {
        let failed = |e: &dyn std::fmt::Display| SignError::Key(e.to_string());
        let key = cluster_key.open(&self.signer.key).map_err(|e| failed(&e))?;
        let key = String::from_utf8(key.to_vec()).map_err(|e| failed(&e))?;
        Ok(Pair { certificate: self.signer.certificate.clone(), key })
    }

    /// Signs the key in `request` for a node of the cluster. Nothing but the key counts of what the request says.
    pub(crate) fn sign(
        &self,
        cluster_key: &ClusterKey,
        request: &str,
        record: &NodeRecord,
        (cluster, valid): (Uuid, Duration),
    ) -> Result<String, SignError> {
        if record.removed_at.is_some() {
            return Err(SignError::NoSuchNode(record.id));
        }
        let subject = Subject { node: record.id, cluster, name: &record.name, addresses: &record.addresses, valid };
        let certificate = authority::sign(&self.open(cluster_key)?, request, &subject)?;
        Ok(self.with_issuers(&certificate))
    }
}

/// Returns what the state should know of a node's certificate.
pub(crate) fn certificate_record(node: NodeId, held: &Held) -> RecordCertificate {
    RecordCertificate {
        node,
        fingerprint: held.parsed.fingerprint,
        // One that nobody knows: the node is asked to move in any case.
        authority: held.signer().unwrap_or_default(),
        not_before: held.not_before(),
        not_after: held.not_after(),
        trusts: held.trusts(),
    }
}

impl From<IdentityError> for SignError {
    fn from(error: IdentityError) -> Self {
        Self::Key(error.to_string())
    }
}
