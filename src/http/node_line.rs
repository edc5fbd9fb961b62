//! HTTP/2 between nodes, on connections that are open, secured and identified already: both ends. Who is called and
//! what is asked is not known here.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use portcullis_model::NodeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tower::ServiceExt as _;
use tracing::debug;

use crate::leftover;

/// Requests at a time on one connection.
const STREAMS_MAX: u32 = 1024;
/// Bytes of one request's head.
const HEAD_BYTES_MAX: u32 = 64 << 10;
/// How long the other end may be silent before it is asked whether it is there, and may then take to say so. Short, so
/// that a node that is gone without a word is not waited for.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(2));
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Which node sent a request, as an extension of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromNode(pub NodeId);

/// Serves `router` to node `peer` on `stream` until the connection ends, or `stop` becomes true and what is under way is
/// done. Each request carries [`FromNode`].
pub async fn serve_node(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    peer: NodeId,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| answer(request, router.clone(), peer));
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // Whoever could give the order is gone where this fails: the end as well.
        () = async { drop(stop.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(node = %peer, %error, "a connection of another node broke");
    }
}

async fn answer(request: hyper::Request<Incoming>, router: Router, peer: NodeId) -> Result<Response, Infallible> {
    let mut request: Request = leftover::read_to_the_end(request).map(axum::body::Body::new);
    request.extensions_mut().insert(FromNode(peer));
    router.oneshot(request).await
}

/// Why there is no answer on a connection.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The connection had ended before the request was sent.
    #[error("the connection has ended")]
    Ended,
    /// The connection broke after the request was sent.
    #[error("the connection broke: {0}")]
    Broken(#[source] hyper::Error),
    /// The answer is larger than what is read.
    #[error("the answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

/// An open connection to a node. Cheap to clone; carries many requests at a time.
#[derive(Clone)]
pub struct NodeLine {
    sender: SendRequest<Full<Bytes>>,
}

impl fmt::Debug for NodeLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeLine(closed: {})", self.is_closed())
    }
}

impl NodeLine {
    /// Begins HTTP/2 on `stream`. The future that comes with the line carries it and must be run; it ends with it.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub async fn open(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<(Self, impl Future<Output = ()> + Send), LineError> {
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES_MAX)
            .keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(LineError::Broken)?;
        let carry = async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection to another node broke");
            }
        };
        Ok((Self { sender }, carry))
    }

    /// Says whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and reads the whole answer. Bound it in time.
    ///
    /// # Errors
    /// Where the connection ends before, or the answer is too large.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, LineError> {
        let mut sender = self.sender.clone();
        sender.ready().await.map_err(|_| LineError::Ended)?;
        let sent = sender.send_request(request.map(Full::new)).await;
        let response =
            sent.map_err(|error| if error.is_canceled() { LineError::Ended } else { LineError::Broken(error) })?;
        let (parts, mut body) = response.into_parts();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(LineError::Broken)?.into_data() else { continue };
            if whole.len() + data.len() > ANSWER_BYTES_MAX {
                return Err(LineError::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
        Ok(http::Response::from_parts(parts, whole.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::routing::post;

    use super::*;

    async fn line(router: Router, stop: &watch::Sender<bool>) -> NodeLine {
        let (here, there) = tokio::io::duplex(64 << 10);
        tokio::spawn(serve_node(there, router, NodeId(7), stop.subscribe()));
        let (line, carry) = NodeLine::open(here).await.unwrap();
        tokio::spawn(carry);
        line
    }

    fn request(path: &str) -> http::Request<Bytes> {
        let uri = format!("http://node{path}");
        http::Request::post(uri).body(Bytes::from_static(b"asked")).unwrap()
    }

    #[tokio::test]
    async fn a_request_says_which_node_sent_it_and_many_share_a_connection() {
        let (stop, _) = watch::channel(false);
        let tell = post(|Extension(FromNode(node)): Extension<FromNode>, body: String| async move {
            format!("node {node} {body}")
        });
        let line = line(Router::new().route("/who", tell), &stop).await;
        let both = futures_util::future::join(line.send(request("/who")), line.send(request("/who"))).await;
        for answer in [both.0.unwrap(), both.1.unwrap()] {
            assert_eq!(answer.body().as_ref(), b"node 7 asked");
        }
        assert_eq!(line.send(request("/nowhere")).await.unwrap().status(), 404);
    }

    #[tokio::test]
    async fn a_node_that_stops_answers_what_it_was_asked_before_and_nothing_after() {
        let (stop, _) = watch::channel(false);
        let (begun, mut has_begun) = tokio::sync::mpsc::channel(1);
        let (go_on, wait) = watch::channel(false);
        let slow = post(move || async move {
            begun.send(()).await.unwrap();
            wait.clone().wait_for(|go| *go).await.unwrap();
            "done"
        });
        let line = line(Router::new().route("/slow", slow), &stop).await;
        let asked = tokio::spawn({
            let line = line.clone();
            async move { line.send(request("/slow")).await }
        });
        has_begun.recv().await.unwrap();
        stop.send_replace(true);
        go_on.send_replace(true);
        assert_eq!(asked.await.unwrap().unwrap().body().as_ref(), b"done");
        assert!(line.send(request("/slow")).await.is_err());
        assert!(line.is_closed());
    }
}
