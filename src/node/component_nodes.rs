//! The nodes that serve a component, asked over mutual TLS: which of them, over which connection, and what when one is
//! gone. What is asked is not known here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use portcullis_database::StateCell;
use portcullis_http::node_line::{LineError, NodeLine};
use portcullis_model::port::{CallTerms, NoAnswer, NodeCalls, PortFuture};
use portcullis_model::{Component, NodeId};
use portcullis_raft::RaftNode;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

/// What the asking node has applied: the other answers once it has applied that too.
pub(crate) const MIN_INDEX: HeaderName = HeaderName::from_static("x-portcullis-min-index");
/// Says that a node did nothing, because it is behind or stopping: another may be asked.
pub(crate) const DID_NOTHING: HeaderName = HeaderName::from_static("x-portcullis-did-nothing");
/// How long one node may take where another can be asked instead.
const ATTEMPT_WITHIN: Duration = Duration::from_millis(1500);
/// How long a node that did not answer is asked last, at first and at most: twice as long each time.
const AVOIDED_FIRST: Duration = Duration::from_secs(2);
const AVOIDED_LAST: Duration = Duration::from_secs(30);
/// How long a node that could not be reached is not dialled again.
const NOT_DIALLED_FOR: Duration = Duration::from_millis(250);
/// The pause before all nodes are asked once more.
const ROUND_PAUSE: Duration = Duration::from_millis(100);

/// The way to the components of another node.
pub(crate) trait Way: Send + Sync {
    /// Opens a connection, and begins to speak HTTP on it. What carries it is spawned on the runtime this is called on.
    fn dial(&self, node: NodeId) -> BoxFuture<'static, Result<NodeLine, String>>;
}

impl Way for Arc<RaftNode> {
    fn dial(&self, node: NodeId) -> BoxFuture<'static, Result<NodeLine, String>> {
        let raft = Arc::clone(self);
        Box::pin(async move {
            let stream = RaftNode::dial(&raft, node).await.map_err(|cause| cause.to_string())?;
            let (line, carry) = NodeLine::open(stream).await.map_err(|cause| cause.to_string())?;
            tokio::spawn(carry);
            Ok(line)
        })
    }
}

/// Asks the nodes that serve a component.
pub(crate) struct ComponentNodes {
    me: NodeId,
    cell: Arc<StateCell>,
    way: OnceLock<Box<dyn Way>>,
    /// Connections live here, whichever thread they are first needed on.
    runtime: Handle,
    others: Mutex<BTreeMap<NodeId, Arc<Other>>>,
}

/// Another node.
#[derive(Default)]
struct Other {
    line: tokio::sync::Mutex<Dialled>,
    avoided: Mutex<Avoided>,
}

/// Whether a node is asked last.
#[derive(Default)]
struct Avoided {
    until: Option<Instant>,
    /// How often in a row it did not answer.
    failures: u32,
}

#[derive(Default)]
struct Dialled {
    line: Option<NodeLine>,
    failed: Option<(Instant, String)>,
}

/// What came of asking one node.
enum Attempt {
    Answered(Response<Bytes>),
    /// It surely did nothing.
    DidNothing(String),
    /// It may have done what was asked.
    Lost(String),
}

impl ComponentNodes {
    /// Makes the means to ask other nodes. Call it on the runtime that connections are to live on.
    pub(crate) fn new(me: NodeId, cell: Arc<StateCell>) -> Arc<Self> {
        let (way, others) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { me, cell, way, runtime: Handle::current(), others })
    }

    /// Sets the way to other nodes, once.
    pub(crate) fn connect(&self, way: impl Way + 'static) {
        assert!(self.way.set(Box::new(way)).is_ok(), "the way to other nodes is set once");
    }

    fn other(&self, node: NodeId) -> Arc<Other> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(others.entry(node).or_default())
    }

    /// Returns the nodes that serve a component, in the order in which they are to be asked: each node begins with
    /// another one, and those that lately did not answer come last.
    fn candidates(&self, component: Component) -> Vec<NodeId> {
        let state = self.cell.load();
        let serving = state.system.nodes.values().filter(|node| node.serves(component) && node.id != self.me);
        let mut nodes: Vec<NodeId> = serving.map(|node| node.id).collect();
        let first = usize::try_from(self.me.0).unwrap_or(0).checked_rem(nodes.len()).unwrap_or(0);
        nodes.rotate_left(first);
        let now = Instant::now();
        nodes.sort_by_key(|node| self.other(*node).is_avoided(now));
        nodes
    }

    async fn ask_all(
        &self,
        component: Component,
        request: &Request<Bytes>,
        terms: CallTerms,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let deadline = Instant::now() + terms.within;
        let mut why = "it was not tried in time".to_owned();
        loop {
            let nodes = self.candidates(component);
            if nodes.is_empty() {
                return Err(NoAnswer::Nobody(component));
            }
            for node in nodes {
                if Instant::now() >= deadline {
                    return Err(NoAnswer::Unreachable { component, why });
                }
                let until = if terms.is_repeatable { deadline.min(Instant::now() + ATTEMPT_WITHIN) } else { deadline };
                match self.ask(node, request, until).await {
                    Attempt::Answered(answer) => return Ok(answer),
                    Attempt::DidNothing(cause) => why = format!("node {node}: {cause}"),
                    Attempt::Lost(cause) if terms.is_repeatable => {
                        self.other(node).avoid();
                        why = format!("node {node}: {cause}");
                    }
                    Attempt::Lost(why) => {
                        self.other(node).avoid();
                        return Err(NoAnswer::Lost { node, why });
                    }
                }
            }
            // None of them now; one may be about to come back.
            if Instant::now() + ROUND_PAUSE >= deadline {
                return Err(NoAnswer::Unreachable { component, why });
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }

    async fn ask(&self, node: NodeId, request: &Request<Bytes>, until: Instant) -> Attempt {
        let other = self.other(node);
        let line = match timeout_at(until, self.line(node, &other)).await {
            Ok(Ok(line)) => line,
            Ok(Err(cause)) => {
                other.avoid();
                return Attempt::DidNothing(cause);
            }
            Err(_) => return Attempt::DidNothing("it could not be reached in time".to_owned()),
        };
        let Some(request) = self.addressed(request) else {
            return Attempt::DidNothing("the request cannot be addressed".to_owned());
        };
        match timeout_at(until, line.send(request)).await {
            Ok(Ok(answer)) if answer.headers().contains_key(DID_NOTHING) => {
                other.avoid();
                Attempt::DidNothing(String::from_utf8_lossy(answer.body()).into_owned())
            }
            Ok(Ok(answer)) => {
                other.welcome();
                Attempt::Answered(answer)
            }
            Ok(Err(cause @ LineError::Ended)) => Attempt::DidNothing(cause.to_string()),
            Ok(Err(cause)) => Attempt::Lost(cause.to_string()),
            Err(_) => Attempt::Lost("no answer in time".to_owned()),
        }
    }

    /// Copies a request for one node, with what this one has applied. That is read after the caller has looked at what
    /// it caches for how long, and before hooks ran for it: never too old.
    fn addressed(&self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        let mut addressed = Request::new(request.body().clone());
        let target = request.uri().path_and_query().map_or("/", |whole| whole.as_str());
        // HTTP/2 wants an authority; which node it is, the certificate says.
        *addressed.uri_mut() = format!("https://node{target}").parse::<Uri>().ok()?;
        *addressed.method_mut() = request.method().clone();
        *addressed.headers_mut() = request.headers().clone();
        addressed.headers_mut().insert(MIN_INDEX, HeaderValue::from(self.cell.load().applied_index));
        Some(addressed)
    }

    async fn line(&self, node: NodeId, other: &Other) -> Result<NodeLine, String> {
        let mut dialled = other.line.lock().await;
        if let Some(line) = dialled.line.as_ref().filter(|line| !line.is_closed()) {
            return Ok(line.clone());
        }
        if let Some((at, cause)) = dialled.failed.as_ref().filter(|(at, _)| at.elapsed() < NOT_DIALLED_FOR) {
            return Err(format!("{cause} ({} ms ago)", at.elapsed().as_millis()));
        }
        let Some(way) = self.way.get() else { return Err("this node has just started".to_owned()) };
        // On a task of its own: whoever gives up waiting leaves the connection to the next.
        let dialling = self.runtime.spawn(timeout(ATTEMPT_WITHIN, way.dial(node)));
        let dialled_line = match dialling.await {
            Ok(Ok(line)) => line,
            Ok(Err(_)) => Err("it did not begin to speak in time".to_owned()),
            Err(_) => Err("this node is stopping".to_owned()),
        };
        match dialled_line {
            Ok(line) => {
                *dialled = Dialled { line: Some(line.clone()), failed: None };
                Ok(line)
            }
            Err(cause) => {
                tracing::debug!(%node, cause, "a node's components cannot be reached");
                *dialled = Dialled { line: None, failed: Some((Instant::now(), cause.clone())) };
                Err(cause)
            }
        }
    }
}

impl Other {
    fn avoided(&self) -> MutexGuard<'_, Avoided> {
        self.avoided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the node asked last for a while.
    fn avoid(&self) {
        let mut avoided = self.avoided();
        let now = Instant::now();
        // Many callers may find out at a time: that is one failure.
        if avoided.until.is_none_or(|until| until <= now) {
            let longer = AVOIDED_FIRST * 2_u32.saturating_pow(avoided.failures.min(8));
            *avoided = Avoided { until: Some(now + longer.min(AVOIDED_LAST)), failures: avoided.failures + 1 };
        }
    }

    /// Has the node asked in its turn again.
    fn welcome(&self) {
        let mut avoided = self.avoided();
        if avoided.failures > 0 {
            *avoided = Avoided::default();
        }
    }

    fn is_avoided(&self, now: Instant) -> bool {
        self.avoided().until.is_some_and(|until| until > now)
    }
}

impl NodeCalls for ComponentNodes {
    fn call(
        &self,
        component: Component,
        request: Request<Bytes>,
        terms: CallTerms,
    ) -> PortFuture<'_, Result<Response<Bytes>, NoAnswer>> {
        Box::pin(async move { self.ask_all(component, &request, terms).await })
    }
}

/// Returns the answer of a node that did nothing.
pub(crate) fn did_nothing(why: String) -> axum::response::Response {
    let mut response = axum::response::Response::new(axum::body::Body::from(why));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(DID_NOTHING, HeaderValue::from_static("true"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests;
