//! The listening side: accepts connections from other nodes, checks who they are, and serves what they ask.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use portcullis_database::codec;
use portcullis_model::NodeId;
use rustls_pki_types::CertificateDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::calls::{WRITE_WITHIN, write_queued};
use super::frame;
use super::guest::{self, Guest};
use super::line::Line;
use super::message::{Answer, Append, AppendResult, Appended, Call, Hello, LineKind, PROTOCOL, Welcome};
use super::network::PIPELINE;
use super::wire::{Wire, tune};
use super::{rejected, snapshot, tls};
use crate::core::Core;
use crate::types::Types;

/// Connections from other nodes at a time; each node has a handful.
const LINES_MAX: usize = 1024;
/// Requests of one connection that are worked on at a time.
const CALLS_MAX: usize = 1024;
/// How long TLS and the introduction may take.
const INTRODUCTION_WITHIN: Duration = Duration::from_secs(5);

type RaftFatal = openraft::errors::Fatal<Types>;

/// Accepts connections until the node stops.
pub(crate) async fn listen(core: Arc<Core>, listener: TcpListener) {
    let lines = Arc::new(Semaphore::new(LINES_MAX));
    let mut stopping = core.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!(error = %e, "a connection from another node was not accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&lines).try_acquire_owned() else {
            tracing::warn!(%from, "too many connections from other nodes; one more is closed");
            continue;
        };
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            if let Err(e) = serve(&core, stream, from, permit).await {
                tracing::debug!(%from, error = %e, "a connection from another node ended");
            }
        });
    }
}

/// Accepts connections of a simulation until the node ends. Who comes is believed.
#[cfg(test)]
pub(crate) async fn listen_simulated(core: Arc<Core>, listener: turmoil::net::TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            let greeted = timeout(INTRODUCTION_WITHIN, welcome(&core, Wire::Simulated(stream), |_| true)).await??;
            match greeted {
                Greeted::Line(line, hello) => serve_line(&core, line, &hello).await,
                Greeted::Http(..) | Greeted::Refused => Ok(()),
            }
        });
    }
}

/// Serves one connection; `permit` is its place among the connections, and free when it ends.
async fn serve(core: &Arc<Core>, stream: TcpStream, from: SocketAddr, permit: OwnedSemaphorePermit) -> io::Result<()> {
    let greeted = timeout(INTRODUCTION_WITHIN, greet(core, stream, from)).await?;
    let (line, hello) = match greeted {
        Ok(Greeted::Line(line, hello)) => (line, hello),
        Ok(Greeted::Http(node, stream)) => {
            guest::receive(core, Guest { node, stream, place: permit });
            return Ok(());
        }
        Ok(Greeted::Refused) => return Ok(()),
        Err(e) => {
            tracing::warn!(%from, error = %e, "a connection to the cluster port was refused");
            return Ok(());
        }
    };
    serve_line(core, line, &hello).await
}

async fn serve_line(core: &Arc<Core>, mut line: Line, hello: &Hello) -> io::Result<()> {
    match hello.line {
        LineKind::Calls => serve_calls(core, hello.from, line).await,
        LineKind::Entries => serve_entries(core, hello.from, line).await,
        LineKind::Snapshot => snapshot::receive(&core.raft, &core.snapshots, &mut line).await,
    }
}

/// Who came.
enum Greeted {
    /// A node that speaks the cluster's own protocol.
    Line(Line, Hello),
    /// A node that speaks HTTP with the components.
    Http(NodeId, Box<TlsStream<TcpStream>>),
    /// A node that was told why it may not come in.
    Refused,
}

/// Secures the connection and checks who is there.
async fn greet(core: &Core, stream: TcpStream, from: SocketAddr) -> io::Result<Greeted> {
    tune(&stream)?;
    let accepted = core.certificates.tls().acceptor.accept(stream).await;
    let stream = accepted.inspect_err(|e| {
        rejected::tell_of_ours(core.node(), &core.certificates.held(), from, e);
    })?;
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().and_then(|chain| chain.first()).cloned();
    if session.alpn_protocol() == Some(tls::HTTP) {
        return greet_guest(core, certificate.as_ref(), stream);
    }
    let cluster = core.identity.cluster_id;
    let is_its_own = |node| tls::belongs_to(certificate.as_ref(), node, cluster);
    welcome(core, Wire::Secure(stream.into()), is_its_own).await
}

/// Hears who comes, and says whether it may; `is_its_own` says whether the certificate is that of a node.
async fn welcome(core: &Core, wire: Wire, is_its_own: impl Fn(NodeId) -> bool) -> io::Result<Greeted> {
    let mut line = Line::new(wire);
    let hello = line.input.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let hello: Hello = codec::decode(&hello).map_err(io::Error::other)?;
    let identity = &core.identity;
    let welcome = if hello.protocol != PROTOCOL {
        Welcome::WrongProtocol(PROTOCOL)
    } else if hello.cluster != identity.cluster_id {
        Welcome::WrongCluster(identity.cluster_id)
    } else if hello.to != identity.node {
        Welcome::WrongNode(identity.node)
    } else if !is_its_own(hello.from) {
        Welcome::WrongCertificate
    } else if core.is_removed(hello.from) {
        Welcome::Removed
    } else {
        Welcome::Come
    };
    frame::write(&mut line.output, &codec::encode(&welcome).map_err(io::Error::other)?).await?;
    if matches!(welcome, Welcome::Come) {
        return Ok(Greeted::Line(line, hello));
    }
    tracing::warn!(from = %hello.from, ?welcome, "a node is refused");
    Ok(Greeted::Refused)
}

/// Checks who wants to speak HTTP. One that may not is cut off: there is no word for it before the first request.
fn greet_guest(
    core: &Core,
    certificate: Option<&CertificateDer<'_>>,
    stream: TlsStream<TcpStream>,
) -> io::Result<Greeted> {
    match tls::node_of(certificate, core.identity.cluster_id) {
        Some(node) if !core.is_removed(node) => Ok(Greeted::Http(node, Box::new(stream))),
        Some(node) => {
            tracing::warn!(from = %node, "a removed node is refused");
            Ok(Greeted::Refused)
        }
        None => Err(io::Error::other("its certificate is that of no node of this cluster")),
    }
}

async fn serve_calls(core: &Arc<Core>, from: NodeId, line: Line) -> io::Result<()> {
    let Line { mut input, output } = line;
    let (frames, queue) = mpsc::channel(CALLS_MAX);
    let writer = tokio::spawn(write_queued(output, queue));
    let working = Arc::new(Semaphore::new(CALLS_MAX));
    let result = loop {
        let frame = match input.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(e) => break Err(e),
        };
        // A node that was removed is told when it connects again.
        if core.is_removed(from) || frames.is_closed() {
            break Ok(());
        }
        let Call { id, request } = match codec::decode(&frame) {
            Ok(call) => call,
            Err(e) => break Err(io::Error::other(e)),
        };
        let permit = Arc::clone(&working).acquire_owned().await.map_err(io::Error::other)?;
        let (core, frames) = (Arc::clone(core), frames.clone());
        tokio::spawn(async move {
            let response = core.answer(from, request).await;
            match codec::encode(&Answer { id, response }) {
                // The connection may have gone meanwhile.
                Ok(answer) => drop(frames.send(answer).await),
                Err(e) => tracing::error!(error = %e, "an answer to another node cannot be written"),
            }
            drop(permit);
        });
    };
    drop(frames);
    // What is still being worked on answers into a closed connection.
    writer.abort();
    result
}

/// Hands log entries to Raft in the order in which they come, and answers in that order.
async fn serve_entries(core: &Arc<Core>, from: NodeId, mut line: Line) -> io::Result<()> {
    loop {
        let (requests, queue) = mpsc::channel::<AppendEntriesRequest<Types>>(PIPELINE);
        let input = stream::unfold(queue, |mut queue| async { queue.recv().await.map(|request| (request, queue)) });
        let mut results = std::pin::pin!(core.raft.stream_append(input));
        let mut numbers = VecDeque::new();
        loop {
            tokio::select! {
                biased;
                result = results.next(), if !numbers.is_empty() => {
                    let Some(result) = result else { return Ok(()) };
                    let mut ready = vec![result];
                    while ready.len() < numbers.len()
                        && let Some(Some(result)) = results.next().now_or_never()
                    {
                        ready.push(result);
                    }
                    if !answer_entries(&mut line, &mut numbers, ready).await? {
                        break;
                    }
                }
                frame = line.input.next(), if numbers.len() < PIPELINE => {
                    let Some(frame) = frame? else { return Ok(()) };
                    if core.is_removed(from) {
                        return Ok(());
                    }
                    let Append { number, request } = codec::decode(&frame).map_err(io::Error::other)?;
                    core.heard.hear(from);
                    numbers.push_back(number);
                    if requests.send(request).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Writes the answers at once; says `false` where Raft has ended the stream and another must be begun.
async fn answer_entries(
    line: &mut Line,
    numbers: &mut VecDeque<u64>,
    ready: Vec<Result<StreamAppendResult<Types>, RaftFatal>>,
) -> io::Result<bool> {
    let mut bytes = Vec::new();
    let mut goes_on = true;
    for result in ready {
        let Some(number) = numbers.pop_front() else { break };
        let result = match result {
            Ok(Ok(log_id)) => AppendResult::Matching(log_id),
            Ok(Err(refused)) => AppendResult::Refused(refused),
            Err(_) => AppendResult::Stopped,
        };
        goes_on &= matches!(result, AppendResult::Matching(_));
        frame::put(&mut bytes, &codec::encode(&Appended { number, result }).map_err(io::Error::other)?)?;
    }
    timeout(WRITE_WITHIN, async {
        line.output.write_all(&bytes).await?;
        line.output.flush().await
    })
    .await??;
    Ok(goes_on)
}
