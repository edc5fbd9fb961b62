//! The actor that takes snapshots and backups and finishes upgrades: its messages, and how it handles them. What is done
//! is behind the port [`Safekeeping`].

use std::fmt;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use axum::Router;
use portcullis_model::safekeeping::{BackupStream, BackupWish, Safekeeping, SnapshotFacts, UpgradeCheck};

use crate::admin_error::AdminError;
use crate::rest_safekeeping;

/// Messages in work at a time: each is a call of an operator.
const CAPACITY: usize = 32;

/// Has this node take a snapshot.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<SnapshotFacts, AdminError>")]
pub struct CreateSnapshot;

/// Asks for this node's snapshots, oldest first.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Vec<SnapshotFacts>, AdminError>")]
pub struct ListSnapshots;

/// Begins a backup.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Box<dyn BackupStream>, AdminError>")]
pub struct CreateBackup(pub BackupWish);

/// Asks where an upgrade stands.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "UpgradeCheck")]
pub struct CheckUpgrade;

/// Raises the feature level.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<UpgradeCheck, AdminError>")]
pub struct FinaliseUpgrade;

/// The actor. It keeps nothing between messages.
pub struct Safekeeper {
    port: Arc<dyn Safekeeping>,
}

impl fmt::Debug for Safekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Safekeeper")
    }
}

impl Actor for Safekeeper {
    type Context = Context<Self>;
}

/// Starts it, and returns its face, to be merged into `/api/portcullis/v1`.
pub fn start(port: Arc<dyn Safekeeping>) -> Router {
    let address = portcullis_actor::spawn("safekeeper", CAPACITY, move || Safekeeper { port: Arc::clone(&port) });
    rest_safekeeping::routes(address)
}

impl Handler<CreateSnapshot> for Safekeeper {
    type Result = ResponseFuture<Result<SnapshotFacts, AdminError>>;

    fn handle(&mut self, _message: CreateSnapshot, _context: &mut Context<Self>) -> Self::Result {
        let port = Arc::clone(&self.port);
        Box::pin(async move { Ok(port.create_snapshot().await?) })
    }
}

impl Handler<ListSnapshots> for Safekeeper {
    type Result = ResponseFuture<Result<Vec<SnapshotFacts>, AdminError>>;

    fn handle(&mut self, _message: ListSnapshots, _context: &mut Context<Self>) -> Self::Result {
        let port = Arc::clone(&self.port);
        Box::pin(async move { Ok(port.list_snapshots().await?) })
    }
}

impl Handler<CreateBackup> for Safekeeper {
    type Result = ResponseFuture<Result<Box<dyn BackupStream>, AdminError>>;

    fn handle(&mut self, message: CreateBackup, _context: &mut Context<Self>) -> Self::Result {
        let port = Arc::clone(&self.port);
        Box::pin(async move { Ok(port.backup(message.0).await?) })
    }
}

impl Handler<CheckUpgrade> for Safekeeper {
    type Result = ResponseFuture<UpgradeCheck>;

    fn handle(&mut self, _message: CheckUpgrade, _context: &mut Context<Self>) -> Self::Result {
        let port = Arc::clone(&self.port);
        Box::pin(async move { port.check_upgrade().await })
    }
}

impl Handler<FinaliseUpgrade> for Safekeeper {
    type Result = ResponseFuture<Result<UpgradeCheck, AdminError>>;

    fn handle(&mut self, _message: FinaliseUpgrade, _context: &mut Context<Self>) -> Self::Result {
        let port = Arc::clone(&self.port);
        Box::pin(async move { Ok(port.finalise_upgrade().await?) })
    }
}
