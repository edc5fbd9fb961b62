//! The backend behind the gateways: says yes to everything, and notes which calls reached it and when.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::net::HUB;

/// The header by which a call is known.
pub const CALL: &str = "x-call";

/// A backend in the hub.
#[derive(Clone)]
pub struct Backend {
    url: String,
    seen: Arc<Mutex<Vec<u64>>>,
}

impl Backend {
    /// Starts it; it runs until the program ends.
    ///
    /// # Errors
    /// Where the address is not this machine's.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((HUB, 0)).await.context("the backend's port")?;
        let backend = Self { url: format!("http://{}", listener.local_addr()?), seen: Arc::default() };
        let seen = Arc::clone(&backend.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                let service = service_fn(move |request| {
                    let answer = answer(&request, &seen);
                    async move { Ok::<_, Infallible>(answer) }
                });
                // How a gateway ends its connection is its affair.
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(backend)
    }

    /// Returns its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the numbers of the calls that reached it, in the order in which they did.
    pub fn seen(&self) -> Vec<u64> {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

fn answer(request: &Request<Incoming>, seen: &Mutex<Vec<u64>>) -> Response<Full<Bytes>> {
    let call = request.headers().get(CALL).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    if let (Some(call), Ok(mut seen)) = (call, seen.lock()) {
        seen.push(call);
    }
    Response::new(Full::new(Bytes::from_static(b"{\"menu\":[]}")))
}
