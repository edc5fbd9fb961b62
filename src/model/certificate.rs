//! Certificates of nodes and the authorities that sign them, as the state knows them and as an operator controls them.
//! What a certificate holds is not read here.

use serde::{Deserialize, Serialize};

use crate::cluster::ClusterRefusal;
use crate::id::NodeId;
use crate::port::PortFuture;
use crate::sealed::Sealed;
use crate::time::Timestamp;

/// The SHA-256 of a certificate (DER).
pub type Fingerprint = [u8; 32];

/// The authority that is to take the present one's place, while a rotation is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextAuthority {
    /// The SHA-256 of its certificate.
    pub fingerprint: Fingerprint,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key, PKCS #8 PEM.
    pub key: Sealed,
    /// Its certificate as the present authority signs it, PEM: by it those who trust only the present authority
    /// believe nodes that have moved already.
    pub cross_certificate: String,
    /// Whether it signs certificates: only since every node trusts it.
    pub signs: bool,
    /// When the rotation began.
    pub began_at: Timestamp,
}

/// The certificate that a node uses, as it said itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCertificate {
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
    /// When the node said so.
    pub reported_at: Timestamp,
}

/// One authority as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityStatus {
    /// The SHA-256 of its certificate.
    pub fingerprint: Fingerprint,
    /// Its certificate, PEM.
    pub certificate: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// Whether it signs new certificates now.
    pub signs: bool,
}

/// How far a rotation of the authority is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationStatus {
    /// When it began.
    pub began_at: Timestamp,
    /// The nodes that do not trust the new authority yet.
    pub not_trusting: Vec<NodeId>,
    /// The nodes that still use a certificate of the old authority.
    pub not_moved: Vec<NodeId>,
}

/// All certificates of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatesStatus {
    /// The authorities that are trusted; the one that signs comes first.
    pub authorities: Vec<AuthorityStatus>,
    /// The rotation that is under way.
    pub rotation: Option<RotationStatus>,
    /// The nodes that were not removed, with their names and what they said of their certificates.
    pub nodes: Vec<(NodeId, String, Option<NodeCertificate>)>,
}

/// Controls the cluster's certificates; implemented by `raft`, asked by Admin.
pub trait CertificateControl: Send + Sync {
    /// Says how the certificates stand, as this node's state has it.
    fn certificates(&self) -> Result<CertificatesStatus, ClusterRefusal>;

    /// Has a node get a new certificate now.
    fn renew(&self, node: NodeId) -> PortFuture<'_, Result<(), ClusterRefusal>>;

    /// Makes a new authority and begins to move the nodes to it.
    fn begin_rotation(&self) -> PortFuture<'_, Result<(), ClusterRefusal>>;

    /// Retires the old authority; refuses while a node still uses it.
    fn retire_authority(&self) -> PortFuture<'_, Result<(), ClusterRefusal>>;
}
