//! A small HTTP client that does exactly what it is told: one request, one answer, never a retry of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(40);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A client of one server. Each call opens a connection of its own, but for [`Client::connect`].
#[derive(Clone)]
pub struct Client {
    base: url::Url,
    tls: Option<Arc<rustls::ClientConfig>>,
    authorization: Option<String>,
    host: Option<String>,
}

/// Why a call failed before there was an answer.
#[derive(Debug)]
pub enum CallError {
    /// The connection could not be made.
    Connect(std::io::Error),
    /// The connection broke, or nothing came in time.
    Broken(String),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: hyper::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// Returns the body as JSON; fails the test where it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns a header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Fails the test unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

impl Client {
    /// Returns a client without TLS.
    pub fn plain(base: &str) -> Self {
        Self { base: base.parse().expect("a URL"), tls: None, authorization: None, host: None }
    }

    /// Returns a client that trusts the authorities in the file `ca`.
    pub fn secure(base: &str, ca: &Path) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for authority in CertificateDer::pem_file_iter(ca).expect("the authorities' certificates") {
            roots.add(authority.expect("a certificate")).expect("a certificate");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: Some(Arc::new(tls)), ..Self::plain(base) }
    }

    /// Returns a client that trusts the authorities in the file `ca`, and shows a certificate (DER, with its key).
    pub fn secure_as(base: &str, ca: &Path, certificate: Vec<u8>, key: Vec<u8>) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for authority in CertificateDer::pem_file_iter(ca).expect("the authorities' certificates") {
            roots.add(authority.expect("a certificate")).expect("a certificate");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(key).expect("a key");
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![CertificateDer::from(certificate)], key)
            .expect("a certificate and its key");
        Self { tls: Some(Arc::new(tls)), ..Self::plain(base) }
    }

    /// Returns the server's URL.
    pub fn base(&self) -> String {
        self.base.to_string()
    }

    /// Signs in by basic authentication.
    pub fn with_basic(mut self, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.authorization = Some(format!("Basic {text}"));
        self
    }

    /// Shows a bearer token.
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    /// Asks for another host than the one that is connected to.
    pub fn at_host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Sends a request without a body.
    pub async fn get(&self, path: &str) -> Result<Reply, CallError> {
        self.call(self.request("GET", path), Bytes::new()).await
    }

    /// Sends a JSON body.
    pub async fn json(&self, verb: &str, path: &str, body: &Value) -> Result<Reply, CallError> {
        let request = self.request(verb, path).header("content-type", "application/json");
        self.call(request, body.to_string().into()).await
    }

    /// Sends any request.
    pub async fn send(
        &self,
        verb: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, CallError> {
        let mut request = self.request(verb, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request, body.into()).await
    }

    /// Returns a request with this client's credentials.
    pub fn request(&self, verb: &str, path: &str) -> http::request::Builder {
        let host = self.host.clone().unwrap_or_else(|| self.authority());
        let mut request = http::Request::builder().method(verb).uri(path).header("host", host);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        request
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.base.host_str().expect("a host"), self.base.port_or_known_default().expect("a port"))
    }

    async fn call(&self, request: http::request::Builder, body: Bytes) -> Result<Reply, CallError> {
        let request = request.body(Full::new(body)).expect("a request");
        let mut connection = self.connect().await?;
        send_on(&mut connection, request).await
    }

    /// Opens a connection to send several requests on.
    pub async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, CallError> {
        let stream = tokio::time::timeout(CALL, self.stream())
            .await
            .map_err(|_| CallError::Broken("no connection in time".to_owned()))?
            .map_err(CallError::Connect)?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| CallError::Broken(error.to_string()))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn stream(&self) -> std::io::Result<Box<dyn Stream>> {
        let tcp = TcpStream::connect(self.authority()).await?;
        tcp.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(self.base.host_str().expect("a host").to_owned()).expect("a server name");
        Ok(Box::new(tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await?))
    }
}

/// Sends one request on an open connection.
pub async fn send_on(
    connection: &mut SendRequest<Full<Bytes>>,
    request: http::Request<Full<Bytes>>,
) -> Result<Reply, CallError> {
    let exchange = async {
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Reply { status: head.status.as_u16(), headers: head.headers, body })
    };
    match tokio::time::timeout(CALL, exchange).await {
        Ok(reply) => reply.map_err(|error| CallError::Broken(format!("{error:?}"))),
        Err(_) => Err(CallError::Broken("no answer in time".to_owned())),
    }
}

/// Returns a form with an archive as its one file, and its media type.
pub fn archive_form(archive: &[u8]) -> (Vec<u8>, &'static str) {
    let mut form = b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n".to_vec();
    form.extend_from_slice(archive);
    form.extend_from_slice(b"\r\n--x--\r\n");
    (form, "multipart/form-data; boundary=x")
}

/// Returns a multipart body and its content type.
pub fn multipart(parts: &[(&str, Option<&str>, &str)]) -> (String, String) {
    let parts: Vec<_> =
        parts.iter().map(|(name, file_name, content)| (*name, *file_name, content.as_bytes())).collect();
    let (body, media_type) = multipart_of_bytes(&parts);
    (String::from_utf8(body).expect("text"), media_type)
}

/// Writes a form with files that are no text, as [`multipart`] does.
pub fn multipart_of_bytes(parts: &[(&str, Option<&str>, &[u8])]) -> (Vec<u8>, String) {
    const BOUNDARY: &str = "----portcullis-test";
    let mut body = Vec::new();
    for (name, file_name, content) in parts {
        let file_name = file_name.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
        let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n");
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    (body, format!("multipart/form-data; boundary={BOUNDARY}"))
}
