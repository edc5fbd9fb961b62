//! openraft's view of the transport: votes by calls, log entries down a pipeline, snapshots on a line of their own.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use portcullis_database::codec;
use portcullis_model::NodeId;
use tokio::time::{Instant, sleep_until, timeout};

use super::calls::{CallError, Peers, WRITE_WITHIN};
use super::frame;
use super::line::{ConnectError, Dialer, Line};
use super::message::{Append, AppendResult, Appended, LineKind, Request, Response};
use super::snapshot;
use crate::snapshots::{SnapshotFile, Snapshots};
use crate::types::{Types, Vote};

/// Requests on their way to one node before an answer must come.
pub(super) const PIPELINE: usize = 64;
/// How long a node may take to answer while requests wait: a follower syncs its disk before it does.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a node may say nothing to requests of sessions that were given up, as heartbeats are, before the line to it
/// is given up too.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Makes a [`Network`] for each node that openraft talks to.
pub(crate) struct NetworkFactory {
    pub(crate) peers: Arc<Peers>,
    pub(crate) snapshots: Arc<Snapshots>,
}

impl RaftNetworkFactory<Types> for NetworkFactory {
    type Network = Network;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Network {
        let to = NodeId(target);
        Network {
            to,
            at: node.addr.parse().map_err(|_| node.addr.clone()),
            dialer: Dialer::new(Arc::clone(self.peers.connector()), to, LineKind::Entries),
            peers: Arc::clone(&self.peers),
            snapshots: Arc::clone(&self.snapshots),
            line: None,
        }
    }
}

/// One node as openraft sees it.
pub(crate) struct Network {
    to: NodeId,
    /// Its address, or the text in the membership that is none.
    at: Result<SocketAddr, String>,
    peers: Arc<Peers>,
    snapshots: Arc<Snapshots>,
    dialer: Dialer,
    line: Option<EntriesLine>,
}

struct EntriesLine {
    line: Line,
    /// The number of the next request on this line.
    next: u64,
    /// A write was begun and not ended: the line cannot be used again.
    is_torn: bool,
    /// When the first request was sent since something was last heard.
    silent_since: Option<Instant>,
}

type Answers<'s> = BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>;

impl Network {
    fn at(&self) -> Result<SocketAddr, RPCError<Types>> {
        let no_address = |text: &String| {
            Unreachable::from_string(format!("{text:?} in the membership is not the address of node {}", self.to))
        };
        self.at.as_ref().copied().map_err(|text| no_address(text).into())
    }

    async fn call(&self, action: RPCTypes, request: Request, option: &RPCOption) -> Result<Response, RPCError<Types>> {
        let within = option.soft_ttl();
        match self.peers.call(self.to, self.at()?, request, within).await {
            Ok(response) => Ok(response),
            Err(CallError::TimedOut) => Err(RPCError::Timeout(Timeout {
                action,
                id: self.peers.connector().node.0,
                target: self.to.0,
                timeout: within,
            })),
            Err(CallError::NotSent(e)) => Err(unreachable(&e)),
            Err(e @ (CallError::Lost | CallError::TooLarge)) => Err(NetworkError::new(&e).into()),
        }
    }

    async fn open_line(&mut self) -> Result<(), RPCError<Types>> {
        // A line that the network swallowed is redialled: TCP alone would take minutes to find out.
        let is_dead =
            |line: &EntriesLine| line.is_torn || line.silent_since.is_some_and(|since| since.elapsed() > SILENCE_MAX);
        if self.line.as_ref().is_some_and(is_dead) {
            self.line = None;
        }
        if self.line.is_none() {
            let line = self.dialer.line(self.at()?).await.map_err(|e| unreachable(&e))?;
            self.line = Some(EntriesLine { line, next: 0, is_torn: false, silent_since: None });
        }
        Ok(())
    }
}

impl Network {
    /// Begins a stream of requests on the open line, or on a new one.
    async fn begin<'s, S>(&'s mut self, input: S) -> Result<Answers<'s>, RPCError<Types>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        self.open_line().await?;
        let first = self.line.as_ref().map_or(0, |line| line.next);
        let session = Session { network: self, input: Some(input), first, waiting: VecDeque::new(), is_over: false };
        Ok(stream::unfold(session, Session::next).boxed())
    }
}

fn unreachable(e: &ConnectError) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(e))
}

fn unexpected() -> RPCError<Types> {
    NetworkError::from_string("the node gave an answer to another question").into()
}

impl RaftNetworkV2<Types> for Network {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let mut answers = self.begin(stream::once(async { rpc }).boxed()).await?;
        answers.next().await.unwrap_or_else(|| Err(unexpected())).map(Into::into)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<Answers<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        async move {
            // Raft asks again at once after an error here: its own pause begins only once it has a stream. Without
            // this wait a node that is down would keep a core of the leader busy.
            if self.line.is_none() {
                self.dialer.due().await;
            }
            self.begin(input).await
        }
        .boxed()
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(RPCTypes::Vote, Request::Vote(rpc), &option).await? {
            Response::Vote(response) => Ok(response),
            other => Err(failed(other)),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(RPCTypes::Vote, Request::PreVote(rpc), &option).await? {
            Response::Vote(response) => Ok(response),
            other => Err(failed(other)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::alias::SnapshotOf<Types, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let to = snapshot::To { node: self.to, at: self.at().map_err(StreamingError::from)? };
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = snapshot::send(self.peers.connector(), &self.snapshots, to, vote, snapshot) => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        match self.call(RPCTypes::TransferLeader, Request::TransferLeader(req), &option).await? {
            Response::TransferLeader(response) => Ok(response),
            other => Err(failed(other)),
        }
    }
}

fn failed(response: Response) -> RPCError<Types> {
    match response {
        Response::Failed(why) => NetworkError::from_string(why).into(),
        _ => unexpected(),
    }
}

/// One stream of requests down a line that outlives it. Answers to an earlier stream, which may have been abandoned,
/// are told by their numbers.
struct Session<'s, S> {
    network: &'s mut Network,
    input: Option<S>,
    /// The number of this session's first request.
    first: u64,
    /// Numbers of requests without an answer, and when they were sent.
    waiting: VecDeque<(u64, Instant)>,
    is_over: bool,
}

enum Event {
    Frame(io::Result<Option<Vec<u8>>>),
    Request(Option<Box<AppendEntriesRequest<Types>>>),
    TooLate,
}

impl<S> Session<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
{
    async fn next(mut self) -> Option<(Result<StreamAppendResult<Types>, RPCError<Types>>, Self)> {
        loop {
            if self.is_over || (self.input.is_none() && self.waiting.is_empty()) {
                return None;
            }
            let done = match self.event().await {
                Event::Frame(frame) => self.answer(frame).transpose(),
                Event::Request(None) => {
                    self.input = None;
                    None
                }
                Event::Request(Some(request)) => self.send(*request).await.err().map(Err),
                Event::TooLate => Some(Err(NetworkError::from_string("the node does not answer").into())),
            };
            let Some(done) = done else { continue };
            if done.is_err() {
                self.network.line = None;
            }
            self.is_over = !matches!(done, Ok(Ok(_)));
            return Some((done, self));
        }
    }

    async fn event(&mut self) -> Event {
        let Some(line) = self.network.line.as_mut() else { return Event::TooLate };
        let may_send = self.waiting.len() < PIPELINE;
        let oldest = self.waiting.front().map(|(_, sent)| *sent + ANSWER_WITHIN);
        let input = &mut self.input;
        tokio::select! {
            biased;
            frame = line.line.input.next() => Event::Frame(frame),
            request = async { match input { Some(input) => input.next().await, None => None } },
                if may_send && input.is_some() => Event::Request(request.map(Box::new)),
            () = async { match oldest { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                Event::TooLate
            }
        }
    }

    async fn send(&mut self, request: AppendEntriesRequest<Types>) -> Result<(), RPCError<Types>> {
        let Some(line) = self.network.line.as_mut() else { return Err(unexpected()) };
        let number = line.next;
        let bytes = codec::encode(&Append { number, request }).map_err(|e| NetworkError::new(&e))?;
        line.is_torn = true;
        let written = timeout(WRITE_WITHIN, frame::write(&mut line.line.output, &bytes)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(NetworkError::new(&e).into()),
            Err(e) => return Err(NetworkError::new(&e).into()),
        }
        line.is_torn = false;
        line.next += 1;
        line.silent_since.get_or_insert_with(Instant::now);
        self.waiting.push_back((number, Instant::now()));
        Ok(())
    }

    fn answer(
        &mut self,
        frame: io::Result<Option<Vec<u8>>>,
    ) -> Result<Option<StreamAppendResult<Types>>, RPCError<Types>> {
        let frame = frame.map_err(|e| NetworkError::new(&e))?;
        let frame = frame.ok_or_else(|| NetworkError::from_string("the node closed the connection"))?;
        let Appended { number, result } = codec::decode(&frame).map_err(|e| NetworkError::new(&e))?;
        if let Some(line) = self.network.line.as_mut() {
            line.silent_since = None;
        }
        if number < self.first {
            return Ok(None);
        }
        if self.waiting.pop_front().map(|(number, _)| number) != Some(number) {
            return Err(unexpected());
        }
        match result {
            AppendResult::Matching(log_id) => Ok(Some(Ok(log_id))),
            AppendResult::Refused(refused) => Ok(Some(Err(refused))),
            AppendResult::Stopped => Err(RPCError::Unreachable(Unreachable::from_string("the node has stopped"))),
        }
    }
}
