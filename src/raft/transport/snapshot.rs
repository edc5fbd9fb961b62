//! Snapshots between nodes: file to file, in chunks, on a connection of their own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use openraft::alias::SnapshotOf;
use openraft::errors::{NetworkError, StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use openraft::storage::Snapshot;
use portcullis_database::codec;
use portcullis_model::NodeId;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::frame;
use super::line::{Connector, Line};
use super::message::{LineKind, SnapshotAnswer, SnapshotHead};
use crate::background;
use crate::snapshots::{CHUNK_BYTES, Passing, SnapshotFile, Snapshots};
use crate::types::{Raft, Types, Vote};

/// How long one chunk may take.
const CHUNK_WITHIN: Duration = Duration::from_secs(10);
/// The longest pause between two chunks that are sent.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// How long the other node may take to check, sync and load a snapshot: minutes for many gigabytes.
pub(crate) const INSTALL_WITHIN: Duration = Duration::from_secs(600);

type Sent = Result<SnapshotResponse<Types>, StreamingError<Types>>;

/// Where a snapshot goes.
#[derive(Clone, Copy)]
pub(super) struct To {
    pub(super) node: NodeId,
    pub(super) at: SocketAddr,
}

/// Sends a snapshot and waits until it is installed there. On a thread that gives way: gigabytes are read, encrypted and
/// copied, while API calls go on. Given up where this is dropped.
pub(super) async fn send(
    connector: &Arc<Connector>,
    snapshots: &Arc<Snapshots>,
    to: To,
    vote: Vote,
    snapshot: SnapshotOf<Types, SnapshotFile>,
) -> Sent {
    #[cfg(test)]
    if crate::simulation::is_here() {
        return send_all(connector, snapshots, to, vote, snapshot).await;
    }
    let (connector, snapshots) = (Arc::clone(connector), Arc::clone(snapshots));
    let (alive, given_up) = oneshot::channel::<()>();
    let sent = background::run("snapshot-send", move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::select! {
                biased;
                sent = send_all(&connector, &snapshots, to, vote, snapshot) => Ok(sent),
                _ = given_up => Err(io::ErrorKind::Interrupted.into()),
            }
        })
    })
    .await;
    drop(alive);
    sent.flatten().map_err(|e| Unreachable::new(&e))?
}

/// Every byte is checked before it is sent: a file that was damaged on this node's disk is not passed on, and is replaced
/// from the state.
async fn send_all(
    connector: &Connector,
    snapshots: &Snapshots,
    To { node: to, at }: To,
    vote: Vote,
    snapshot: SnapshotOf<Types, SnapshotFile>,
) -> Sent {
    let mut line = connector.connect(to, at, LineKind::Snapshot).await.map_err(|e| Unreachable::new(&e))?;
    let failed = |e: io::Error| StreamingError::Network(NetworkError::new(&e));
    let bytes = snapshot.snapshot.bytes();
    tracing::info!(%to, bytes, "sending a snapshot");
    let head = codec::encode(&SnapshotHead { vote, meta: snapshot.meta, bytes }).map_err(|e| NetworkError::new(&e))?;
    write(&mut line, &head).await.map_err(failed)?;
    let file = snapshot.snapshot;
    let mut passing = Passing::new();
    let mut offset = 0;
    while offset < bytes {
        let began = Instant::now();
        let chunk = read_chunk(&file, offset).map_err(failed)?;
        let checked = if chunk.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { passing.pass(&chunk) };
        if let Err(e) = checked {
            tracing::error!(%to, error = %e, "this node's snapshot is damaged on disk: it is not sent, another is taken");
            snapshots.report_damage(&file);
            return Err(Unreachable::new(&e).into());
        }
        offset += chunk.len() as u64;
        write(&mut line, &chunk).await.map_err(failed)?;
        // Half of the time at most: calls and the log go first.
        sleep(began.elapsed().min(PAUSE_MAX)).await;
    }
    let answer = timeout(INSTALL_WITHIN, line.input.next()).await.map_err(|e| NetworkError::new(&e))?;
    let answer = answer.map_err(failed)?.ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into()))?;
    match codec::decode(&answer).map_err(|e| NetworkError::new(&e))? {
        SnapshotAnswer::Installed(response) => Ok(response),
        SnapshotAnswer::Failed(why) => {
            tracing::warn!(%to, %why, "a snapshot was not taken in; it is sent again later");
            // With a pause before the next: what failed once costs both nodes the whole snapshot each time.
            Err(Unreachable::from_string(why).into())
        }
    }
}

async fn write(line: &mut Line, frame: &[u8]) -> io::Result<()> {
    timeout(CHUNK_WITHIN, frame::write(&mut line.output, frame)).await?
}

fn read_chunk(file: &SnapshotFile, offset: u64) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let length = file.read_at(&mut chunk, offset)?;
    chunk.truncate(length);
    Ok(chunk)
}

/// Takes in the snapshot that the node at the other end sends, and installs it. One that does not load is refused, and
/// never reaches the state machine.
pub(super) async fn receive(raft: &Raft, snapshots: &Arc<Snapshots>, line: &mut Line) -> io::Result<()> {
    let head = timeout(CHUNK_WITHIN, line.input.next()).await??.ok_or(io::ErrorKind::UnexpectedEof)?;
    let head: SnapshotHead = codec::decode(&head).map_err(io::Error::other)?;
    let answer = match store(snapshots, line, head.bytes).await {
        Ok(file) => install(raft, head, file).await,
        Err(e) => {
            tracing::error!(error = %e, "a snapshot from another node cannot be taken in: see to room on the disk and to its health");
            SnapshotAnswer::Failed(e.to_string())
        }
    };
    let answer = codec::encode(&answer).map_err(io::Error::other)?;
    write(line, &answer).await
}

async fn install(raft: &Raft, head: SnapshotHead, file: SnapshotFile) -> SnapshotAnswer {
    let (checking, meta) = (file.clone(), head.meta);
    let checked = background::run("snapshot-check", move || checking.check()).await;
    if let Err(e) = checked.and_then(|checked| checked.map_err(io::Error::other)) {
        tracing::error!(error = %e, "a snapshot from another node does not load: it is refused");
        return SnapshotAnswer::Failed(e.to_string());
    }
    match raft.install_full_snapshot(head.vote, Snapshot { meta, snapshot: file }).await {
        Ok(response) => SnapshotAnswer::Installed(response),
        Err(e) => SnapshotAnswer::Failed(e.to_string()),
    }
}

/// Stores what comes; one snapshot at a time, whoever sends.
async fn store(snapshots: &Arc<Snapshots>, line: &mut Line, bytes: u64) -> io::Result<SnapshotFile> {
    let receiving = timeout(CHUNK_WITHIN, Arc::clone(&snapshots.receiving).acquire_owned()).await;
    let _receiving = receiving.map_err(|_| io::Error::other("another snapshot is being taken in"))?;
    let (path, file) = snapshots.incoming()?;
    let stored = keep(file, line, bytes).await;
    if let Err(e) = stored {
        tokio::fs::remove_file(&path).await?;
        return Err(e);
    }
    Snapshots::received(&path).map_err(io::Error::other)
}

/// Writes what comes to a file, and has it on disk.
async fn keep(file: std::fs::File, line: &mut Line, bytes: u64) -> io::Result<()> {
    #[cfg(test)]
    if crate::simulation::is_here() {
        let mut file = crate::simulation::Immediate(file);
        return fill(&mut file, line, bytes).await;
    }
    let mut file = tokio::fs::File::from_std(file);
    fill(&mut file, line, bytes).await?;
    file.sync_all().await
}

async fn fill(file: &mut (impl AsyncWrite + Unpin), line: &mut Line, bytes: u64) -> io::Result<()> {
    let mut passing = Passing::new();
    let mut received = 0_u64;
    while received < bytes {
        let chunk = timeout(CHUNK_WITHIN, line.input.next()).await??.ok_or(io::ErrorKind::UnexpectedEof)?;
        received += chunk.len() as u64;
        if received > bytes || chunk.is_empty() {
            return Err(io::Error::other("the snapshot is not as long as was said"));
        }
        passing.pass(&chunk)?;
        file.write_all(&chunk).await?;
    }
    if !passing.is_complete() {
        return Err(io::Error::other("the snapshot ends before its end"));
    }
    file.flush().await
}
