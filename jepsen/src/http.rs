//! A client that does exactly what it is told: one request, one answer, and never a try of its own. It tells a request
//! that was surely not sent from one of which nobody knows.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It was answered.
    Reply(Reply),
    /// It surely did not leave: there was no connection.
    NotSent(String),
    /// It may have arrived; the answer did not come.
    Lost(String),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// Returns the body as JSON, null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns a header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns status and the beginning of the body, to show to people.
    pub fn summary(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        format!("{} {text}", self.status)
    }
}

impl Answer {
    /// Returns the reply if it has the status.
    ///
    /// # Errors
    /// Where there is none, or another.
    pub fn expect(self, status: u16) -> Result<Reply> {
        match self {
            Self::Reply(reply) if reply.status == status => Ok(reply),
            Self::Reply(reply) => anyhow::bail!("{}", reply.summary()),
            Self::NotSent(why) | Self::Lost(why) => anyhow::bail!("{why}"),
        }
    }
}

/// A request that is not sent yet.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    verb: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    within: Option<Duration>,
}

impl Ask {
    /// Asks for what is at a path.
    pub fn get(path: impl Into<String>) -> Self {
        Self { verb: "GET", path: path.into(), ..Self::default() }
    }

    /// Deletes what is at a path.
    pub fn delete(path: impl Into<String>) -> Self {
        Self { verb: "DELETE", path: path.into(), ..Self::default() }
    }

    /// Sends a JSON body.
    pub fn json(verb: &'static str, path: impl Into<String>, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { verb, path: path.into(), headers, body: body.to_string().into(), within: None }
    }

    /// Sends a form.
    pub fn form(path: impl Into<String>, form: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        Self { verb: "POST", path: path.into(), headers, body: form.into(), within: None }
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Waits no longer than this for the answer.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }
}

/// A client of one port of one node. It keeps one connection open between calls.
#[derive(Clone)]
pub struct Client {
    authority: String,
    host: String,
    tls: Option<Arc<rustls::ClientConfig>>,
    authorization: Option<String>,
    within: Duration,
    idle: Arc<Mutex<Option<SendRequest<Full<Bytes>>>>>,
}

/// Returns what trusts the authority in the file `ca`.
///
/// # Errors
/// Where the file holds no certificate.
pub fn trust(ca: &Path) -> Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(ca).with_context(|| ca.display().to_string())?;
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(tls))
}

impl Client {
    /// Returns a client of a port; with TLS where `tls` is given. A call takes at most `within`.
    pub fn new(host: &str, port: u16, tls: Option<Arc<rustls::ClientConfig>>, within: Duration) -> Self {
        let authority = format!("{host}:{port}");
        Self { authority, host: host.to_owned(), tls, authorization: None, within, idle: Arc::default() }
    }

    /// Returns this client with a connection of its own, signed in by basic authentication.
    pub fn with_basic(&self, user: &str, password: &str) -> Self {
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self { authorization: Some(format!("Basic {text}")), idle: Arc::default(), ..self.clone() }
    }

    /// Sends a request and waits for its answer.
    pub async fn send(&self, ask: Ask) -> Answer {
        let within = ask.within.unwrap_or(self.within);
        let request = match self.request(ask) {
            Ok(request) => request,
            Err(error) => return Answer::NotSent(error.to_string()),
        };
        let mut sender = match self.sender().await {
            Ok(sender) => sender,
            Err(error) => return Answer::NotSent(error.to_string()),
        };
        let exchange = async {
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Reply { status: head.status.as_u16(), headers: head.headers, body })
        };
        match tokio::time::timeout(within, exchange).await {
            Err(_) => Answer::Lost(format!("no answer within {} ms", within.as_millis())),
            Ok(Err(error)) => Answer::Lost(format!("connection broke: {error}")),
            Ok(Ok(reply)) => {
                self.keep(sender);
                Answer::Reply(reply)
            }
        }
    }

    fn request(&self, ask: Ask) -> Result<http::Request<Full<Bytes>>> {
        let mut request = http::Request::builder().method(ask.verb).uri(ask.path).header("host", &self.authority);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        Ok(request.body(Full::new(ask.body))?)
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        if let Ok(mut idle) = self.idle.lock() {
            *idle = Some(sender);
        }
    }

    /// Returns an open connection. One that was closed while nobody used it is replaced before anything is sent.
    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.take());
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = tokio::time::timeout(CONNECT_WITHIN, self.stream()).await.context("no connection in time")??;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; how it ends is told to the sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn stream(&self) -> Result<Box<dyn Stream>> {
        let tcp = TcpStream::connect(&self.authority).await?;
        tcp.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(self.host.clone())?;
        Ok(Box::new(tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await?))
    }
}
