//! Requests to other nodes and their responses: one connection to each node, many requests at a time.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_database::codec;
use portcullis_model::NodeId;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::frame;
use super::line::{ConnectError, Connector, Dialer, Line};
use super::message::{Answer, Call, LineKind, Request, Response};

/// Requests queued for one connection.
const QUEUE: usize = 1024;
/// How long one write may take before the connection is given up.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How much longer than the other node a caller waits, so that the other's "not in time" arrives.
const GRACE: Duration = Duration::from_millis(250);

/// Milliseconds without a word after which a request that is not answered in time takes the connection with it.
const SILENCE_MS_MAX: u64 = 1500;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The request was surely not sent.
    #[error(transparent)]
    NotSent(#[from] ConnectError),
    /// The request cannot be sent at all.
    #[error("the request is too large")]
    TooLarge,
    /// The connection was lost after the request was sent.
    #[error("the connection was lost before the answer came")]
    Lost,
    /// No response in time.
    #[error("no answer in time")]
    TimedOut,
}

/// The other nodes.
pub(crate) struct Peers {
    connector: Arc<Connector>,
    peers: Mutex<BTreeMap<NodeId, Arc<Peer>>>,
}

struct Peer {
    state: tokio::sync::Mutex<PeerState>,
    ids: AtomicU64,
}

struct PeerState {
    dialer: Dialer,
    line: Option<Arc<CallLine>>,
}

/// One connection's client side.
struct CallLine {
    frames: mpsc::Sender<Vec<u8>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Response>>>,
    is_closed: AtomicBool,
    opened: Instant,
    /// Milliseconds after `opened` at which the first request was sent since something was last heard; 0 for none.
    silent_since_ms: AtomicU64,
    close: tokio::sync::Notify,
}

impl CallLine {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Response>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.close.notify_waiters();
        self.close.notify_one();
        self.waiting().clear();
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn note_sent(&self) {
        // Where another request was sent before, that one counts.
        let _earlier = self.silent_since_ms.compare_exchange(0, self.now_ms(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Says whether not a word came for so long that the other end must be gone without saying so.
    fn is_silent(&self) -> bool {
        let since = self.silent_since_ms.load(Ordering::Relaxed);
        since != 0 && self.now_ms() - since > SILENCE_MS_MAX
    }
}

impl Peers {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, peers: Mutex::default() }
    }

    pub(super) fn connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    fn peer(&self, to: NodeId) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = peers.entry(to).or_insert_with(|| {
            let dialer = Dialer::new(Arc::clone(&self.connector), to, LineKind::Calls);
            Arc::new(Peer { state: tokio::sync::Mutex::new(PeerState { dialer, line: None }), ids: AtomicU64::new(1) })
        });
        Arc::clone(peer)
    }

    /// Forgets a node that was removed.
    pub(crate) fn forget(&self, node: NodeId) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// Sends a request to node `to` at `at`, and waits for the response until `within` has passed.
    pub(crate) async fn call(
        &self,
        to: NodeId,
        at: SocketAddr,
        request: Request,
        within: Duration,
    ) -> Result<Response, CallError> {
        let deadline = Instant::now() + within;
        let peer = self.peer(to);
        let line = timeout_at(deadline, peer.line(&self.connector, at))
            .await
            .map_err(|_| CallError::NotSent(ConnectError::TimedOut(at)))??;
        let id = peer.ids.fetch_add(1, Ordering::Relaxed);
        let call = codec::encode(&Call { id, request }).map_err(|_| CallError::TooLarge)?;
        let (sender, response) = oneshot::channel();
        line.waiting().insert(id, sender);
        line.note_sent();
        let sent = timeout_at(deadline, line.frames.send(call)).await;
        if !matches!(sent, Ok(Ok(()))) || line.is_closed.load(Ordering::SeqCst) {
            line.waiting().remove(&id);
            let was_queued = matches!(sent, Ok(Ok(())));
            return Err(if was_queued { CallError::Lost } else { ConnectError::Closed(at).into() });
        }
        match timeout_at(deadline + GRACE, response).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(_)) => Err(CallError::Lost),
            Err(_) => {
                line.waiting().remove(&id);
                if line.is_silent() {
                    line.close();
                }
                Err(CallError::TimedOut)
            }
        }
    }
}

impl Peer {
    async fn line(&self, connector: &Connector, at: SocketAddr) -> Result<Arc<CallLine>, ConnectError> {
        let mut state = self.state.lock().await;
        if let Some(line) = state.line.as_ref().filter(|line| !line.is_closed.load(Ordering::SeqCst)) {
            return Ok(Arc::clone(line));
        }
        let open = state.dialer.line(at).await?;
        let line = start(connector, open);
        state.line = Some(Arc::clone(&line));
        Ok(line)
    }
}

/// Starts the two tasks of a connection: one writes what is queued, one hands out the responses.
fn start(connector: &Connector, open: Line) -> Arc<CallLine> {
    let (frames, queue) = mpsc::channel(QUEUE);
    let line = Arc::new(CallLine {
        frames,
        waiting: Mutex::default(),
        is_closed: AtomicBool::new(false),
        opened: Instant::now(),
        silent_since_ms: AtomicU64::new(0),
        close: tokio::sync::Notify::new(),
    });
    let Line { mut input, output } = open;
    let reading = Arc::clone(&line);
    let writer = connector.runtime.spawn(write_queued(output, queue));
    connector.runtime.spawn(async move {
        loop {
            let frame = tokio::select! {
                biased;
                frame = input.next() => frame,
                () = reading.close.notified() => break,
            };
            let Ok(Some(frame)) = frame else { break };
            reading.silent_since_ms.store(0, Ordering::Relaxed);
            let Ok(Answer { id, response }) = codec::decode(&frame) else { break };
            if let Some(sender) = reading.waiting().remove(&id) {
                // The caller may have stopped waiting.
                drop(sender.send(response));
            }
        }
        reading.close();
        writer.abort();
    });
    line
}

/// Writes queued frames, as many at once as there are.
pub(super) async fn write_queued(mut output: impl tokio::io::AsyncWrite + Unpin, mut queue: mpsc::Receiver<Vec<u8>>) {
    let mut frames = Vec::new();
    let mut bytes = Vec::new();
    while queue.recv_many(&mut frames, 64).await > 0 {
        bytes.clear();
        for frame in frames.drain(..) {
            if let Err(e) = frame::put(&mut bytes, &frame) {
                tracing::error!(error = %e, "a message to another node was dropped");
            }
        }
        let written = timeout(WRITE_WITHIN, async {
            output.write_all(&bytes).await?;
            output.flush().await
        });
        if !matches!(written.await, Ok(Ok(()))) {
            return;
        }
        bytes.shrink_to(1 << 20);
    }
}
