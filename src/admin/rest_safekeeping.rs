//! `/cluster/snapshots`, `/cluster/backup` and `/cluster/upgrade` of Portcullis' own API: a thin face over the messages.

use axum::body::Body as Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use portcullis_actor::Address;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Body, Problem, Signed};
use portcullis_model::safekeeping::{
    BackupEncryption, BackupStream, BackupWish, KeyDerivation, SnapshotFacts, UpgradeCheck,
};
use serde::{Deserialize, Serialize};

use crate::admin_error::AdminError;
use crate::rest_cluster::operator;
use crate::safekeeper::{CheckUpgrade, CreateBackup, CreateSnapshot, FinaliseUpgrade, ListSnapshots, Safekeeper};

pub(crate) fn routes(safekeeper: Address<Safekeeper>) -> Router {
    Router::new()
        .route("/cluster/snapshots", get(list_snapshots).post(create_snapshot))
        .route("/cluster/backup", post(backup))
        .route("/cluster/upgrade", get(check_upgrade))
        .route("/cluster/upgrade/finalise", post(finalise_upgrade))
        .with_state(safekeeper)
}

#[derive(Serialize)]
struct SnapshotBody {
    node: u64,
    file: String,
    bytes: u64,
    index: u64,
    term: u64,
    format: u16,
    created_at: String,
}

impl From<SnapshotFacts> for SnapshotBody {
    fn from(facts: SnapshotFacts) -> Self {
        let SnapshotFacts { node, file, bytes, index, term, format, created_at } = facts;
        Self { node: node.0, file, bytes, index, term, format, created_at: rfc3339(created_at) }
    }
}

#[derive(Serialize)]
struct SnapshotList {
    count: usize,
    list: Vec<SnapshotBody>,
}

async fn list_snapshots(
    State(safekeeper): State<Address<Safekeeper>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<SnapshotList>, Problem> {
    operator(signed)?;
    let list = safekeeper.ask(ListSnapshots).await.map_err(AdminError::from)??;
    let list: Vec<_> = list.into_iter().map(SnapshotBody::from).collect();
    Ok(Json(SnapshotList { count: list.len(), list }))
}

async fn create_snapshot(
    State(safekeeper): State<Address<Safekeeper>>,
    signed: Result<Signed, ApiError>,
) -> Result<Response, Problem> {
    operator(signed)?;
    let made = safekeeper.ask(CreateSnapshot).await.map_err(AdminError::from)??;
    Ok((StatusCode::CREATED, Json(SnapshotBody::from(made))).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupBody {
    encryption: Option<EncryptionBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncryptionBody {
    /// 64 hexadecimal digits.
    key: String,
    derivation: KeyDerivation,
}

async fn backup(
    State(safekeeper): State<Address<Safekeeper>>,
    signed: Result<Signed, ApiError>,
    body: Result<Body<BackupBody>, ApiError>,
) -> Result<Response, Problem> {
    operator(signed)?;
    let Body(body) = body?;
    let encryption = body.encryption.map(encryption_of).transpose()?;
    let begun = safekeeper.ask(CreateBackup(BackupWish { encryption })).await.map_err(AdminError::from)??;
    let head = [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")];
    Ok((head, Bytes::from_stream(stream::unfold(Some(begun), next_piece))).into_response())
}

/// After an error the connection is cut: what was sent never looks whole.
async fn next_piece(
    stream: Option<Box<dyn BackupStream>>,
) -> Option<(Result<Vec<u8>, std::io::Error>, Option<Box<dyn BackupStream>>)> {
    let mut stream = stream?;
    match stream.next().await? {
        Ok(piece) => Some((Ok(piece), Some(stream))),
        Err(e) => Some((Err(std::io::Error::other(e)), None)),
    }
}

fn encryption_of(body: EncryptionBody) -> Result<BackupEncryption, Problem> {
    let mut key = [0; 32];
    hex::decode_to_slice(&body.key, &mut key)
        .map_err(|_| Problem::bad_request("encryption.key: must be 64 hexadecimal digits".to_owned()))?;
    Ok(BackupEncryption { key, derivation: body.derivation })
}

async fn check_upgrade(
    State(safekeeper): State<Address<Safekeeper>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<UpgradeCheck>, Problem> {
    operator(signed)?;
    Ok(Json(safekeeper.ask(CheckUpgrade).await.map_err(AdminError::from)?))
}

async fn finalise_upgrade(
    State(safekeeper): State<Address<Safekeeper>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<UpgradeCheck>, Problem> {
    operator(signed)?;
    Ok(Json(safekeeper.ask(FinaliseUpgrade).await.map_err(AdminError::from)??))
}
