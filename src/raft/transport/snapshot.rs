//! Snapshots between nodes: file to file, in chunks, on a connection of their own.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::alias::SnapshotOf;
use openraft::errors::{NetworkError, StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use openraft::storage::Snapshot;
use portcullis_database::codec;
use portcullis_model::NodeId;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, interval, sleep, timeout};

use super::frame::{self, FrameReader};
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
/// A node that checks, syncs and loads a snapshot says so this often.
const WORKING_EVERY: Duration = Duration::from_secs(1);
/// How long it may say nothing: then it, or the way to it, has gone, and TCP alone would not find out.
const SILENCE_MAX: Duration = Duration::from_secs(10);

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
    match timeout(INSTALL_WITHIN, answer(&mut line.input)).await.map_err(|e| NetworkError::new(&e))?.map_err(failed)? {
        Answered::Installed(response) => Ok(response),
        Answered::Failed(why) => {
            tracing::warn!(%to, %why, "a snapshot was not taken in; it is sent again later");
            // With a pause before the next: what failed once costs both nodes the whole snapshot each time.
            Err(Unreachable::from_string(why).into())
        }
    }
}

/// What came of a snapshot at the other node.
#[derive(Debug)]
enum Answered {
    Installed(SnapshotResponse<Types>),
    Failed(String),
}

/// Waits for the answer of a node that works on a snapshot, for as long as it says that it does.
async fn answer(input: &mut FrameReader<impl AsyncRead + Unpin>) -> io::Result<Answered> {
    loop {
        let frame = timeout(SILENCE_MAX, input.next()).await??.ok_or(io::ErrorKind::UnexpectedEof)?;
        match codec::decode(&frame).map_err(io::Error::other)? {
            SnapshotAnswer::Installed(response) => return Ok(Answered::Installed(response)),
            SnapshotAnswer::Failed(why) => return Ok(Answered::Failed(why)),
            SnapshotAnswer::Working => {}
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
    let taken = match Incoming::take(snapshots, line, head.bytes).await {
        Ok(incoming) => saying_so(&mut line.output, incoming.keep()).await,
        Err(e) => Err(e),
    };
    let answer = match taken {
        Ok(file) => saying_so(&mut line.output, install(raft, head, file)).await,
        Err(e) => {
            tracing::error!(error = %e, "a snapshot from another node cannot be taken in: see to room on the disk and to its health");
            SnapshotAnswer::Failed(e.to_string())
        }
    };
    let answer = codec::encode(&answer).map_err(io::Error::other)?;
    write(line, &answer).await
}

/// Does `work`, and tells the node at the other end all the while that it is being done.
async fn saying_so<T>(output: &mut (impl AsyncWrite + Unpin), work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut every = interval(WORKING_EVERY);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = every.tick() => {
                let said = match codec::encode(&SnapshotAnswer::Working) {
                    Ok(frame) => timeout(WORKING_EVERY, frame::write(output, &frame)).await.map_err(io::Error::from).flatten(),
                    Err(e) => Err(io::Error::other(e)),
                };
                // Whoever sent it has gone; what has come is of use all the same.
                if said.is_err() {
                    return work.await;
                }
            }
        }
    }
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

/// A snapshot that has come and is not synced yet; one at a time, whoever sends.
struct Incoming {
    path: PathBuf,
    file: File,
    _receiving: OwnedSemaphorePermit,
}

impl Incoming {
    /// Writes what comes to a file.
    async fn take(snapshots: &Arc<Snapshots>, line: &mut Line, bytes: u64) -> io::Result<Self> {
        let receiving = timeout(CHUNK_WITHIN, Arc::clone(&snapshots.receiving).acquire_owned()).await;
        let receiving = receiving.map_err(|_| io::Error::other("another snapshot is being taken in"))?;
        let _receiving = receiving.map_err(io::Error::other)?;
        let (path, file) = snapshots.incoming()?;
        let incoming = Self { path, file, _receiving };
        let filled = incoming.fill(line, bytes).await;
        if filled.is_err() {
            tokio::fs::remove_file(&incoming.path).await?;
        }
        filled.map(|()| incoming)
    }

    async fn fill(&self, line: &mut Line, bytes: u64) -> io::Result<()> {
        let file = self.file.try_clone()?;
        #[cfg(test)]
        if crate::simulation::is_here() {
            return fill(&mut crate::simulation::Immediate(file), line, bytes).await;
        }
        fill(&mut tokio::fs::File::from_std(file), line, bytes).await
    }

    /// Has it on disk.
    async fn keep(self) -> io::Result<SnapshotFile> {
        let Self { path, file, _receiving } = self;
        let synced = background::run("snapshot-sync", move || file.sync_all()).await.flatten();
        if let Err(e) = synced {
            tokio::fs::remove_file(&path).await?;
            return Err(e);
        }
        Snapshots::received(&path).map_err(io::Error::other)
    }
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    async fn say(output: &mut DuplexStream, answer: &SnapshotAnswer) {
        frame::write(output, &codec::encode(answer).unwrap()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_works_on_a_snapshot_for_minutes_is_waited_for() {
        let (mut there, here) = duplex(1 << 10);
        let work = tokio::spawn(async move {
            saying_so(&mut there, sleep(Duration::from_secs(300))).await;
            say(&mut there, &SnapshotAnswer::Failed("the disk is full".to_owned())).await;
        });
        let answered = answer(&mut FrameReader::new(here)).await.unwrap();
        assert!(matches!(&answered, Answered::Failed(why) if why == "the disk is full"), "{answered:?}");
        work.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_says_nothing_any_more_is_given_up() {
        let (mut there, here) = duplex(1 << 10);
        say(&mut there, &SnapshotAnswer::Working).await;
        let began = Instant::now();
        let error = answer(&mut FrameReader::new(here)).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, SILENCE_MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_where_nobody_listens_any_more() {
        let (mut there, here) = duplex(16);
        drop(here);
        let done = saying_so(&mut there, sleep(Duration::from_secs(5)).map(|()| 7)).await;
        assert_eq!(done, 7);
    }
}
