//! `/cluster` of Portcullis' own API: a thin face over the messages. Errors are problem details (RFC 9457).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use portcullis_actor::Address;
use portcullis_database::{Caller, Committed};
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Body, Problem, Signed, Stamped};
use portcullis_model::cluster::{ClusterStatus, JoinRequest};
use serde::{Deserialize, Serialize};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::cluster_handlers::token_id;
use crate::join_rate::JoinRate;
use crate::messages::{CreateJoinToken, DescribeCluster, DigestState, Join, ListJoinTokens, RevokeJoinToken};

/// How long a join token may be used where nothing is said.
const TOKEN_LIVES_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// What keeps secrets out of caches.
const NO_STORE: [(http::HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// What the joining of nodes needs: the actor, and who tried how often.
#[derive(Clone)]
struct JoinFace {
    admin: Address<Admin>,
    rate: Arc<Mutex<JoinRate>>,
}

pub(crate) fn routes(admin: Address<Admin>) -> Router {
    Router::new()
        .route("/cluster/status", get(status))
        .route("/cluster/digest", get(digest))
        .route("/cluster/tokens", get(list_tokens).post(create_token))
        .route("/cluster/tokens/{id}", delete(revoke_token))
        .with_state(admin.clone())
        .route("/cluster/join", post(join).with_state(JoinFace { admin, rate: Arc::default() }))
}

/// Returns who asks, where that is an administrator of the first tenant, which runs the cluster.
pub(crate) fn operator(signed: Result<Signed, ApiError>) -> Result<Caller, Problem> {
    let signed = signed?;
    signed.require(&["apim:admin"])?;
    let (principal, origin) = (signed.0.principal, signed.0.origin);
    if !principal.tenant.is_super() {
        return Err(Problem::forbidden(format!("{principal} is not of the first tenant, which runs the cluster")));
    }
    Ok(Caller::new(principal).from_address(origin))
}

async fn status(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<ClusterStatus>, Problem> {
    operator(signed)?;
    Ok(Json(admin.ask(DescribeCluster).await.map_err(AdminError::from)?))
}

#[derive(Serialize)]
struct DigestBody {
    applied_index: u64,
    digest: String,
}

async fn digest(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<DigestBody>, Problem> {
    operator(signed)?;
    let found = admin.ask(DigestState).await.map_err(AdminError::from)??;
    Ok(Json(DigestBody { applied_index: found.applied_index, digest: hex::encode(found.digest) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTokenBody {
    ttl_s: Option<u64>,
    uses: Option<u32>,
}

#[derive(Serialize)]
struct TokenBody {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<SocketAddr>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    expires_at: String,
    uses_left: u32,
}

async fn create_token(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    body: Result<Body<NewTokenBody>, ApiError>,
) -> Result<Response, Problem> {
    let caller = operator(signed)?;
    let Body(body) = body?;
    let lives = body.ttl_s.map_or(TOKEN_LIVES_DEFAULT, Duration::from_secs);
    let uses = body.uses.unwrap_or(1);
    let made = admin.ask(CreateJoinToken { caller, lives, uses }).await.map_err(AdminError::from)??;
    let Committed { reply, index, unreached } = made;
    let body = TokenBody {
        id: token_id(&reply.digest),
        token: Some(reply.text),
        addresses: Some(reply.addresses),
        created_at: None,
        expires_at: rfc3339(reply.expires_at),
        uses_left: uses,
    };
    Ok(Stamped { body: (StatusCode::CREATED, NO_STORE, Json(body)), index, unreached }.into_response())
}

#[derive(Serialize)]
struct TokenList {
    count: usize,
    list: Vec<TokenBody>,
}

async fn list_tokens(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<TokenList>, Problem> {
    operator(signed)?;
    let open = admin.ask(ListJoinTokens).await.map_err(AdminError::from)?;
    let shown = open.iter().map(|token| TokenBody {
        id: token_id(&token.digest),
        token: None,
        addresses: None,
        created_at: Some(rfc3339(token.created_at)),
        expires_at: rfc3339(token.expires_at),
        uses_left: token.uses_left,
    });
    Ok(Json(TokenList { count: open.len(), list: shown.collect() }))
}

async fn revoke_token(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = operator(signed)?;
    let done = admin.ask(RevokeJoinToken { caller, id }).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::NO_CONTENT, index: done.index, unreached: done.unreached }.into_response())
}

async fn join(
    State(face): State<JoinFace>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    body: Result<Body<JoinRequest>, ApiError>,
) -> Result<Response, Problem> {
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(ConnectInfo(peer))| peer.ip());
    let noted = face.rate.lock().unwrap_or_else(PoisonError::into_inner).note(address, Instant::now());
    noted.map_err(|wait| Problem::too_many_requests(format!("{address} tries to join too often"), wait))?;
    let Body(request) = body?;
    let grant = face.admin.ask(Join(request)).await.map_err(AdminError::from)??;
    Ok((NO_STORE, Json(grant)).into_response())
}
