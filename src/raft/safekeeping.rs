//! Snapshots, backups and upgrades as an operator asks for them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use portcullis_model::cluster::ClusterRefusal;
use portcullis_model::limit::MANAGEMENT_DEADLINE;
use portcullis_model::port::PortFuture;
use portcullis_model::safekeeping::{BackupStream, BackupWish, Safekeeping, SnapshotFacts, UpgradeCheck};
use portcullis_model::{NodeId, Timestamp};

use crate::backup;
use crate::core::Core;
use crate::node::RaftNode;
use crate::reads::ReadBy;
use crate::refusal::unavailable;
use crate::snapshots::SnapshotReport;

/// Backups under way at a time on one node: each keeps a state in memory until it has been taken away.
pub(crate) const BACKUPS_MAX: usize = 2;
/// How long a snapshot may take to be written before the caller hears that it goes on without them.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(50);

fn facts(node: NodeId, report: &SnapshotReport) -> SnapshotFacts {
    let since = report.created_at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    SnapshotFacts {
        node,
        file: report.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: report.bytes,
        index: report.index,
        term: report.term,
        format: report.format,
        created_at: Timestamp(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))),
    }
}

impl Core {
    async fn create_snapshot(&self) -> Result<SnapshotFacts, ClusterRefusal> {
        let wanted = self.cell.applied();
        self.raft.trigger().snapshot().await.map_err(unavailable)?;
        let has_it = |index: Option<u64>| index.is_some_and(|index| index >= wanted);
        let written = self
            .raft
            .wait(Some(SNAPSHOT_WITHIN))
            .metrics(|metrics| has_it(metrics.snapshot.map(|id| id.index)), "a snapshot")
            .await;
        written.map_err(|_| {
            let seconds = SNAPSHOT_WITHIN.as_secs();
            ClusterRefusal::Unavailable(format!(
                "the snapshot is not written after {seconds} s; it goes on: see `portcullis cluster snapshot list`"
            ))
        })?;
        self.snapshot_reports().await?.pop().ok_or_else(|| unavailable("the snapshot is gone already: try again"))
    }

    async fn snapshot_reports(&self) -> Result<Vec<SnapshotFacts>, ClusterRefusal> {
        let (snapshots, node) = (Arc::clone(&self.snapshots), self.node());
        let listed = tokio::task::spawn_blocking(move || snapshots.list()).await.map_err(unavailable)?;
        Ok(listed.map_err(unavailable)?.iter().map(|report| facts(node, report)).collect())
    }

    async fn backup(&self, wish: BackupWish) -> Result<Box<dyn BackupStream>, ClusterRefusal> {
        let permit = Arc::clone(&self.backups).try_acquire_owned();
        let permit = permit.map_err(|_| {
            ClusterRefusal::Unavailable(format!(
                "{BACKUPS_MAX} backups are under way on this node: wait for one to end"
            ))
        })?;
        self.catch_up(ReadBy::Index, MANAGEMENT_DEADLINE).await.map_err(unavailable)?;
        let state = self.cell.load().as_ref().clone();
        tracing::info!(index = state.applied_index, encrypted = wish.encryption.is_some(), "a backup is being made");
        Ok(backup::produce(&self.identity, self.cluster_key.clone(), state, wish.encryption, permit))
    }
}

impl Safekeeping for RaftNode {
    fn create_snapshot(&self) -> PortFuture<'_, Result<SnapshotFacts, ClusterRefusal>> {
        self.core.create_snapshot().boxed()
    }

    fn list_snapshots(&self) -> PortFuture<'_, Result<Vec<SnapshotFacts>, ClusterRefusal>> {
        self.core.snapshot_reports().boxed()
    }

    fn backup(&self, wish: BackupWish) -> PortFuture<'_, Result<Box<dyn BackupStream>, ClusterRefusal>> {
        self.core.backup(wish).boxed()
    }

    fn check_upgrade(&self) -> PortFuture<'_, UpgradeCheck> {
        self.core.check_upgrade().boxed()
    }

    fn finalise_upgrade(&self) -> PortFuture<'_, Result<UpgradeCheck, ClusterRefusal>> {
        self.core.finalise_upgrade().boxed()
    }
}
