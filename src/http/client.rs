//! A small JSON client for the management port: what the command line and a joining node call other nodes with. It
//! follows no redirects, keeps no cookies, and retries nothing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::client_error::{ClientError, ErrorReply};
use crate::reach;

/// How long a call may take, from the connection to the last byte, where nothing else is said.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(35);
/// How long a connection may take, name resolution and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a reply that are read.
pub(crate) const REPLY_BYTES_MAX: usize = 32 << 20;
/// How long an unused connection is used again. Shorter than the server keeps it, so that the two do not race.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// A client of one node.
#[derive(Clone)]
pub struct Client {
    pub(crate) server: Arc<Server>,
    authorization: Option<HeaderValue>,
    pub(crate) timeout: Duration,
    reply_bytes_max: usize,
}

/// Says why an address is not connected to; `None` where it is.
type Bar = fn(IpAddr) -> Option<&'static str>;

pub(crate) struct Server {
    base: Url,
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    /// What is barred to the user on whose word it is called, who may not have everything called.
    bar: Option<Bar>,
    idle: Mutex<Option<(SendRequest<Full<Bytes>>, Instant)>>,
}

/// A reply with a status of 200 to 299.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Bytes,
}

impl Reply {
    /// Parses the body; an empty one is read as `null`.
    ///
    /// # Errors
    /// Where it is not the JSON that is expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        let text: &[u8] = if self.bytes.is_empty() { b"null" } else { &self.bytes };
        serde_json::from_slice(text).map_err(ClientError::NotJson)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.server.base)
    }
}

impl Client {
    /// Makes a client of the node at `base` (`https://127.0.0.1:9443`, also with a path to put before every other).
    /// `tls` says whom to believe and is needed for `https`. Connects at the first call.
    ///
    /// # Errors
    /// Where `base` is not an `http` or `https` URL with a host, or `tls` is missing.
    pub fn new(base: &str, tls: Option<Arc<ClientConfig>>) -> Result<Self, ClientError> {
        Self::make(base, tls, None)
    }

    /// Makes a client of a server that a user named: it connects to no address that is [`reach::barred`].
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn of_user(base: &str, tls: Option<Arc<ClientConfig>>) -> Result<Self, ClientError> {
        Self::make(base, tls, Some(reach::barred))
    }

    /// The same where the user only subscribes to APIs ([`reach::barred_to_subscribers`]).
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn of_subscriber(base: &str, tls: Option<Arc<ClientConfig>>) -> Result<Self, ClientError> {
        Self::make(base, tls, Some(reach::barred_to_subscribers))
    }

    fn make(base: &str, tls: Option<Arc<ClientConfig>>, bar: Option<Bar>) -> Result<Self, ClientError> {
        let bad = |reason: &'static str| ClientError::BadUrl { url: base.to_owned(), reason };
        let base = Url::parse(base).map_err(|_| bad("it is not a URL; write it like https://127.0.0.1:9443"))?;
        let tls = match base.scheme() {
            "https" => Some(tls.ok_or_else(|| bad("https needs to know which certificate authority to believe"))?),
            "http" => None,
            _ => return Err(bad("it must begin with https:// or http://")),
        };
        let host = match base.host() {
            Some(url::Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => return Err(bad("it has no host")),
        };
        let port = base.port_or_known_default().ok_or_else(|| bad("it has no port"))?;
        let server = Arc::new(Server { base, host, port, tls, bar, idle: Mutex::new(None) });
        Ok(Self { server, authorization: None, timeout: TIMEOUT_DEFAULT, reply_bytes_max: REPLY_BYTES_MAX })
    }

    /// Signs in with a user name and password (RFC 7617).
    #[must_use]
    pub fn with_basic(mut self, username: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        self.authorization = HeaderValue::from_str(&format!("Basic {pair}")).ok().map(sensitive);
        self
    }

    /// Signs in with a bearer token (RFC 6750). A text that cannot be a token is not sent.
    #[must_use]
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok().map(sensitive);
        self
    }

    /// Sets how long a call may take in all.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many bytes of a reply are read; a longer one is an error.
    #[must_use]
    pub fn with_reply_bytes_max(mut self, bytes: usize) -> Self {
        self.reply_bytes_max = bytes;
        self
    }

    /// Returns the node's URL.
    #[must_use]
    pub fn base(&self) -> &str {
        self.server.base.as_str()
    }

    /// Gets a JSON document. `path` begins with a slash and may carry a query.
    ///
    /// # Errors
    /// Where there is no answer, an error as answer, or another document than is expected.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::GET, path, &[], Bytes::new()).await?.json()
    }

    /// Posts a JSON document and returns the one that comes back.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.send_json(Method::POST, path, body).await?.json()
    }

    /// Puts a JSON document and returns the one that comes back.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.send_json(Method::PUT, path, body).await?.json()
    }

    /// Deletes what is at `path`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete(&self, path: &str) -> Result<Reply, ClientError> {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    /// Posts a form (`application/x-www-form-urlencoded`) and returns the JSON document that comes back.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post_form<T: DeserializeOwned>(&self, path: &str, form: &[(&str, &str)]) -> Result<T, ClientError> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.send(Method::POST, path, &[content_type], Bytes::from(body)).await?.json()
    }

    /// Sends a JSON document.
    ///
    /// # Errors
    /// Where there is no answer, or an error as answer.
    pub async fn send_json(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Reply, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::NotJson)?;
        let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.send(method, path, &[content_type], Bytes::from(body)).await
    }

    /// Sends a request with any body.
    ///
    /// # Errors
    /// Where there is no answer, or an error as answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Reply, ClientError> {
        let request = self.request(method, path, headers, body)?;
        let whole = self.exchange(request);
        let reply = tokio::time::timeout(self.timeout, whole)
            .await
            .map_err(|_| ClientError::TimedOut { server: self.server.address(), after: self.timeout })??;
        if reply.status.is_success() {
            return Ok(reply);
        }
        Err(ClientError::Status {
            status: reply.status,
            error: Box::new(ErrorReply::read(&reply.bytes)),
            headers: Box::new(reply.headers),
        })
    }

    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let target = format!("{}{path}", self.server.base.path().trim_end_matches('/'));
        let bad = |_| ClientError::BadUrl { url: target.clone(), reason: "it is not a path" };
        let mut request = Request::builder().method(method).uri(&target).body(Full::new(body)).map_err(bad)?;
        let all = request.headers_mut();
        let host = format!("{}:{}", self.server.base.host_str().unwrap_or_default(), self.server.port);
        all.insert(HOST, HeaderValue::from_str(&host).map_err(|error| bad(error.into()))?);
        all.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        all.insert(USER_AGENT, HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))));
        all.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        all.extend(headers.iter().cloned());
        Ok(request)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, ClientError> {
        let lost = |source| ClientError::Lost { server: self.server.address(), source };
        let mut connection = match self.server.take_idle() {
            Some(idle) => idle,
            None => self.server.connect().await?,
        };
        let response = connection.send_request(request).await.map_err(lost)?;
        let (parts, body) = response.into_parts();
        let bytes_max = self.reply_bytes_max;
        let bytes =
            read(body, bytes_max).await.map_err(|error| error.map_or(ClientError::TooLarge(bytes_max), lost))?;
        self.server.keep(connection);
        Ok(Reply { status: parts.status, headers: parts.headers, bytes })
    }
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// Reads a reply's body; `Err(None)` where it is too large.
pub(crate) async fn read(mut body: Incoming, bytes_max: usize) -> Result<Bytes, Option<hyper::Error>> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Some)?.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(None);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

impl Server {
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.base.host_str().unwrap_or_default(), self.port)
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let (connection, since) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        (since.elapsed() < IDLE_MAX && connection.is_ready()).then_some(connection)
    }

    fn keep(&self, connection: SendRequest<Full<Bytes>>) {
        if !connection.is_closed() {
            *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((connection, Instant::now()));
        }
    }

    pub(crate) async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.connect_without_bound())
            .await
            .map_err(|_| ClientError::TimedOut { server: self.address(), after: CONNECT_TIMEOUT })?
    }

    async fn connect_without_bound(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let cannot = |source| ClientError::CannotConnect { server: self.address(), source };
        let place = (self.host.as_str(), self.port);
        let stream = if let Some(bar) = self.bar {
            // What was looked at is what is connected to: a name may mean something else when it is asked again.
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host(place).await.map_err(cannot)?.collect();
            if let Some(reason) = addresses.iter().find_map(|address| bar(address.ip())) {
                return Err(ClientError::BadUrl { url: self.base.to_string(), reason });
            }
            TcpStream::connect(&addresses[..]).await.map_err(cannot)?
        } else {
            TcpStream::connect(place).await.map_err(cannot)?
        };
        stream.set_nodelay(true).map_err(cannot)?;
        let Some(tls) = &self.tls else { return self.speak_http(stream).await };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| ClientError::BadUrl { url: self.base.to_string(), reason: "its host is not a valid name" })?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        let stream = stream.map_err(|source| ClientError::Tls { server: self.address(), source })?;
        self.speak_http(stream).await
    }

    async fn speak_http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let lost = |source| ClientError::Lost { server: self.address(), source };
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(lost)?;
        tokio::spawn(async move {
            // What breaks a connection is told to the request that is on it; an idle one just ends.
            connection.await.ok();
        });
        Ok(sender)
    }
}
