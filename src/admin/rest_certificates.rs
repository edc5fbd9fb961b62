//! `/cluster/certificates` of Portcullis' own API: a thin face over the messages.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Problem, Signed};
use portcullis_model::NodeId;
use portcullis_model::certificate::{AuthorityStatus, CertificatesStatus, NodeCertificate, RotationStatus};
use serde::Serialize;

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::certificate_messages::{BeginRotation, ListCertificates, RenewCertificate, RetireAuthority};
use crate::rest_cluster::operator;

pub(crate) fn routes(admin: Address<Admin>) -> Router {
    Router::new()
        .route("/cluster/certificates", get(list))
        .route("/cluster/certificates/{id}/renew", post(renew))
        .route("/cluster/certificates/rotation", post(begin_rotation))
        .route("/cluster/certificates/rotation/retire", post(retire))
        .with_state(admin)
}

#[derive(Serialize)]
struct CertificatesBody {
    authorities: Vec<AuthorityBody>,
    rotation: Option<RotationBody>,
    count: usize,
    list: Vec<CertificateBody>,
}

#[derive(Serialize)]
struct AuthorityBody {
    fingerprint: String,
    /// Whether it signs new certificates; the other one is only trusted.
    signs: bool,
    not_after: String,
    /// PEM.
    certificate: String,
}

#[derive(Serialize)]
struct RotationBody {
    /// `trusting`, `moving`, or `moved`: then the former authority can be retired.
    step: &'static str,
    began_at: String,
    /// Nodes that do not trust the new authority yet.
    not_trusting: Vec<NodeId>,
    /// Nodes that still use a certificate of the former authority.
    not_moved: Vec<NodeId>,
}

#[derive(Serialize)]
struct CertificateBody {
    node: NodeId,
    name: String,
    fingerprint: Option<String>,
    authority: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    reported_at: Option<String>,
}

impl From<AuthorityStatus> for AuthorityBody {
    fn from(status: AuthorityStatus) -> Self {
        let AuthorityStatus { fingerprint, certificate, not_after, signs } = status;
        Self { fingerprint: hex::encode(fingerprint), signs, not_after: rfc3339(not_after), certificate }
    }
}

impl From<RotationStatus> for RotationBody {
    fn from(status: RotationStatus) -> Self {
        let RotationStatus { began_at, not_trusting, not_moved } = status;
        let step = match (not_trusting.is_empty(), not_moved.is_empty()) {
            (_, true) => "moved",
            (true, false) => "moving",
            (false, false) => "trusting",
        };
        Self { step, began_at: rfc3339(began_at), not_trusting, not_moved }
    }
}

impl CertificateBody {
    fn of((node, name, known): (NodeId, String, Option<NodeCertificate>)) -> Self {
        let known = known.as_ref();
        Self {
            node,
            name,
            fingerprint: known.map(|one| hex::encode(one.fingerprint)),
            authority: known.map(|one| hex::encode(one.authority)),
            not_before: known.map(|one| rfc3339(one.not_before)),
            not_after: known.map(|one| rfc3339(one.not_after)),
            reported_at: known.map(|one| rfc3339(one.reported_at)),
        }
    }
}

impl From<CertificatesStatus> for CertificatesBody {
    fn from(status: CertificatesStatus) -> Self {
        Self {
            authorities: status.authorities.into_iter().map(Into::into).collect(),
            rotation: status.rotation.map(Into::into),
            count: status.nodes.len(),
            list: status.nodes.into_iter().map(CertificateBody::of).collect(),
        }
    }
}

async fn list(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<CertificatesBody>, Problem> {
    operator(signed)?;
    let found = admin.ask(ListCertificates).await.map_err(AdminError::from)??;
    Ok(Json(found.into()))
}

async fn renew(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    operator(signed)?;
    let node = id.parse().map(NodeId).map_err(|_| Problem::not_found("node", &id))?;
    admin.ask(RenewCertificate { node }).await.map_err(AdminError::from)??;
    Ok(StatusCode::NO_CONTENT)
}

async fn begin_rotation(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
) -> Result<(StatusCode, Json<CertificatesBody>), Problem> {
    operator(signed)?;
    let found = admin.ask(BeginRotation).await.map_err(AdminError::from)??;
    Ok((StatusCode::ACCEPTED, Json(found.into())))
}

async fn retire(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<CertificatesBody>, Problem> {
    operator(signed)?;
    let found = admin.ask(RetireAuthority).await.map_err(AdminError::from)??;
    Ok(Json(found.into()))
}
