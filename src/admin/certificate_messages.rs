//! What Admin can be asked about certificates.

use actix::Message;
use portcullis_model::NodeId;
use portcullis_model::certificate::CertificatesStatus;

use crate::admin_error::AdminError;

/// Asks how the cluster's certificates stand.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<CertificatesStatus, AdminError>")]
pub struct ListCertificates;

/// Has a node get a new certificate now.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), AdminError>")]
pub struct RenewCertificate {
    /// The node.
    pub node: NodeId,
}

/// Makes a new certificate authority and begins to move the nodes to it.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<CertificatesStatus, AdminError>")]
pub struct BeginRotation;

/// Retires the former certificate authority. Refused while a node still uses it.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<CertificatesStatus, AdminError>")]
pub struct RetireAuthority;
