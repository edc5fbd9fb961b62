//! A server of somebody else to which the program posts: keeps what comes, and answers as it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::until;

/// What came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Path and query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Received {
    /// Returns the body as JSON; fails the test where it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Returns a header's text; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

#[derive(Default)]
struct Kept {
    received: Vec<Received>,
    statuses: VecDeque<u16>,
    bodies: VecDeque<Value>,
}

/// The server.
pub struct Receiver {
    /// Its URL, without a path.
    pub url: String,
    kept: Arc<Mutex<Kept>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Starts one that answers 204, and 200 with the challenge where it is asked for one (W3C WebSub).
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let keeps = Arc::clone(&kept);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let keeps = Arc::clone(&keeps);
                let service = service_fn(move |request| receive(request, Arc::clone(&keeps)));
                let http = hyper::server::conn::http1::Builder::new();
                connections.spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, kept, task }
    }

    /// Has the next requests answered with these statuses, one each.
    pub fn answer_next(&self, statuses: &[u16]) {
        self.kept.lock().expect("not poisoned").statuses.extend(statuses);
    }

    /// Has the next requests answered with a status and JSON, one each.
    pub fn answer_next_with(&self, answers: &[(u16, Value)]) {
        let mut kept = self.kept.lock().expect("not poisoned");
        for (status, body) in answers {
            kept.statuses.push_back(*status);
            kept.bodies.push_back(body.clone());
        }
    }

    /// Returns all that came so far.
    pub fn received(&self) -> Vec<Received> {
        self.kept.lock().expect("not poisoned").received.clone()
    }

    /// Waits until `found` finds something in what came, and returns that.
    pub async fn wait_for<T>(&self, what: &str, found: impl Fn(&[Received]) -> Option<T>) -> T {
        until(what, async || found(&self.received())).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(request: Request<Incoming>, kept: Arc<Mutex<Kept>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let received = Received { target: head.uri.to_string(), headers: head.headers.clone(), body };
    let mut kept = kept.lock().expect("not poisoned");
    kept.received.push(received);
    // Who asks whether a callback is meant wants this back.
    let challenge = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
        .find_map(|(name, value)| (name == "hub.challenge").then(|| value.into_owned()));
    let status = kept.statuses.pop_front().unwrap_or(if challenge.is_some() { 200 } else { 204 });
    let told = kept.bodies.pop_front().map(|body| body.to_string());
    let mut response = Response::new(Full::from(told.or(challenge).unwrap_or_default()));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    Ok(response)
}
