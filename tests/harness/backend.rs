//! A backend for the gateway to call: says what it got, and counts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

/// A backend that answers every request with what it saw of it.
pub struct Backend {
    /// Its address.
    pub address: SocketAddr,
    /// How many requests reached it.
    pub requests: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
    scheme: &'static str,
}

impl Backend {
    /// Starts a backend that calls itself `name`.
    pub async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            // Ends with the task, so that a backend that is dropped is gone.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let counter = Arc::clone(&counter);
                let service = service_fn(move |request| answer(name, request, Arc::clone(&counter)));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(connection);
            }
        });
        Self { address, requests, task, scheme: "http" }
    }

    /// Starts a server that has one document, at `/openapi.yaml`; from `/moved` it sends on there, and it has nothing else.
    pub async fn with_document(text: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicU64::new(0));
        let (counter, text) = (Arc::clone(&requests), Bytes::from(text));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (counter, text) = (Arc::clone(&counter), text.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    counter.fetch_add(1, Ordering::SeqCst);
                    let answer = match request.uri().path() {
                        "/openapi.yaml" => Response::new(Full::new(text.clone())),
                        "/moved" => Response::builder()
                            .status(302)
                            .header("location", "/openapi.yaml")
                            .body(Full::default())
                            .expect("a response"),
                        _ => Response::builder().status(404).body("a secret".into()).expect("a response"),
                    };
                    std::future::ready(Ok::<_, Infallible>(answer))
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(connection);
            }
        });
        Self { address, requests, task, scheme: "http" }
    }

    /// Starts a backend that speaks TLS as `tls` says; its URL begins with https.
    pub async fn start_secure(name: &'static str, tls: rustls::ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicU64::new(0));
        let (counter, acceptor) = (Arc::clone(&requests), tokio_rustls::TlsAcceptor::from(Arc::new(tls)));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (counter, acceptor) = (Arc::clone(&counter), acceptor.clone());
                connections.spawn(async move {
                    // Who does not trust it goes away.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(name, request, Arc::clone(&counter)));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, requests, task, scheme: "https" }
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Returns how many requests reached it.
    pub fn count(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    name: &str,
    request: Request<Incoming>,
    counter: Arc<AtomicU64>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    counter.fetch_add(1, Ordering::SeqCst);
    let (head, body) = request.into_parts();
    // Whoever wants a slow answer says so.
    let delay = head.uri.query().and_then(|query| query.strip_prefix("delay_ms=")?.parse::<u64>().ok());
    if let Some(ms) = delay {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let headers: serde_json::Map<String, serde_json::Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned().into()))
        .collect();
    let seen = json!({
        "backend": name,
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "headers": headers,
        "bytes": body.len(),
    });
    Ok(Response::builder()
        .header("content-type", "application/json")
        .header("x-backend", name)
        .body(Full::new(seen.to_string().into()))
        .expect("a response"))
}
