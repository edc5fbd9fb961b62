//! Server and client against each other over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_model::limit::MANAGEMENT_BODY_BYTES_MAX;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::client_error::ClientError;
use crate::server::{Limits, serve};
use crate::{Body, layers, tls};

/// An authority and a certificate for 127.0.0.1 that it signed.
struct Certificates {
    ca_pem: String,
    ca_sha256: [u8; 32],
    chain_pem: String,
    key_pem: String,
}

fn certificates() -> Certificates {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&params, &ca_key)).unwrap();
    Certificates {
        ca_pem: ca.pem(),
        ca_sha256: Sha256::digest(ca.der()).into(),
        chain_pem: leaf.pem() + &ca.pem(),
        key_pem: key.serialize_pem(),
    }
}

struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    limits: Limits,
}

async fn start(router: Router, tls: Option<Arc<rustls::ServerConfig>>, limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(listener, tls, layers::finish(router), stopped, limits.clone()));
    Running { address, stop, task, limits }
}

fn router() -> Router {
    Router::new()
        .route("/hello", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| axum::Json(json!({"ip": peer.ip()}))))
        .route("/echo", post(async |Body(value): Body<Value>| axum::Json(value)))
        .route("/panic", get(async || -> &'static str { panic!("a handler fails") }))
}

fn plain(server: &Running) -> Client {
    Client::new(&format!("http://{}", server.address), None).unwrap()
}

fn status_and_error(result: Result<Value, ClientError>) -> (u16, String) {
    match result.unwrap_err() {
        ClientError::Status { status, error, .. } => (status.as_u16(), error.detail),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_client_that_pinned_the_right_authority_gets_an_answer_and_another_one_is_refused() {
    let ours = certificates();
    let config = tls::server_config(&ours.chain_pem, &ours.key_pem).unwrap();
    let server = start(router(), Some(config), Limits::default()).await;
    let url = format!("https://{}", server.address);
    assert_eq!(tls::fingerprint(&ours.ca_pem).unwrap(), ours.ca_sha256);

    let pinned = Client::new(&url, Some(tls::client_config_pinned(ours.ca_sha256).unwrap())).unwrap();
    assert_eq!(pinned.get::<Value>("/hello").await.unwrap(), json!({"ip": "127.0.0.1"}));
    let trusting = Client::new(&url, Some(tls::client_config_with_ca(&ours.ca_pem).unwrap())).unwrap();
    assert_eq!(trusting.get::<Value>("/hello").await.unwrap(), json!({"ip": "127.0.0.1"}));

    let theirs = certificates();
    let pinned = Client::new(&url, Some(tls::client_config_pinned(theirs.ca_sha256).unwrap())).unwrap();
    let refused = pinned.get::<Value>("/hello").await.unwrap_err();
    assert!(refused.is_wrong_authority(), "{refused}");
    assert!(refused.to_string().contains("another fingerprint"), "{refused}");
    let trusting = Client::new(&url, Some(tls::client_config_with_ca(&theirs.ca_pem).unwrap())).unwrap();
    assert!(trusting.get::<Value>("/hello").await.unwrap_err().is_certificate());
}

#[tokio::test]
async fn a_server_that_shows_the_pinned_authority_without_being_signed_by_it_is_refused() {
    let (ours, theirs) = (certificates(), certificates());
    let leaf_end = theirs.chain_pem.find("-----END CERTIFICATE-----\n").unwrap();
    let leaf = &theirs.chain_pem[..leaf_end + "-----END CERTIFICATE-----\n".len()];
    let config = tls::server_config(&format!("{leaf}{}", ours.ca_pem), &theirs.key_pem).unwrap();
    let server = start(router(), Some(config), Limits::default()).await;
    let config = tls::client_config_pinned(ours.ca_sha256).unwrap();
    let client = Client::new(&format!("https://{}", server.address), Some(config)).unwrap();
    assert!(client.get::<Value>("/hello").await.unwrap_err().is_certificate());
}

#[tokio::test]
async fn a_replaced_certificate_serves_the_next_connection() {
    let (old, new) = (certificates(), certificates());
    let certificate = tls::ServerCertificate::new(&old.chain_pem, &old.key_pem).unwrap();
    let config = tls::server_config_of(Arc::clone(&certificate)).unwrap();
    let server = start(router(), Some(config), Limits::default()).await;
    assert!(certificate.replace(&new.chain_pem, &old.key_pem).is_err(), "the key is another certificate's");
    certificate.replace(&new.chain_pem, &new.key_pem).unwrap();
    let config = tls::client_config_pinned(new.ca_sha256).unwrap();
    let client = Client::new(&format!("https://{}", server.address), Some(config)).unwrap();
    assert!(client.get::<Value>("/hello").await.is_ok());
}

/// Connects and shakes hands, offering HTTP/2 alone.
async fn connect_http2(server: &Running, ca_pem: &str) -> TlsStream<TcpStream> {
    let mut config = tls::client_config_with_ca(ca_pem).unwrap().as_ref().clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = rustls::pki_types::ServerName::from(server.address.ip());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn a_client_that_offers_http_2_gets_it() {
    let ours = certificates();
    let config = tls::server_config(&ours.chain_pem, &ours.key_pem).unwrap();
    let server = start(router(), Some(config), Limits::default()).await;
    let stream = TokioIo::new(connect_http2(&server, &ours.ca_pem).await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let running = tokio::spawn(connection);
    let request = http::Request::builder().uri(format!("https://{}/hello", server.address));
    let response = sender.send_request(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!((response.status(), response.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    server.stop.send(true).unwrap();
    server.task.await.unwrap();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_whose_body_is_too_large_reads_its_answer_over_http_2_and_over_http_1() {
    let ours = certificates();
    let config = tls::server_config(&ours.chain_pem, &ours.key_pem).unwrap();
    let server = start(router(), Some(config), Limits::default()).await;
    let stream = TokioIo::new(connect_http2(&server, &ours.ca_pem).await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let running = tokio::spawn(connection);
    let large = MANAGEMENT_BODY_BYTES_MAX + 1;
    // Once refused for its length alone, once for a type that is seen before the body.
    for (content_type, status) in [("application/json", 413), ("text/plain", 415)] {
        let sent = Arc::new(Notify::new());
        let told = Arc::clone(&sent);
        let chunks = (0..large.div_ceil(1 << 16)).map(|_| Bytes::from_static(&[b' '; 1 << 16]));
        let last = futures_util::stream::once(async move {
            told.notify_one();
            Bytes::new()
        });
        let body = futures_util::stream::iter(chunks).chain(last).map(Ok::<_, std::io::Error>);
        let request = http::Request::post(format!("https://{}/echo", server.address))
            .header("content-type", content_type)
            .body(axum::body::Body::from_stream(body));
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let sent = tokio::time::timeout(Duration::from_secs(10), sent.notified()).await;
        assert!(sent.is_ok(), "the stream is not reset: the client sends its body to the end");
    }
    server.stop.send(true).unwrap();
    server.task.await.unwrap();
    running.await.unwrap().unwrap();

    let server = start(router(), None, Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: {large}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; large]).await.expect("the connection is not reset");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 415");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_after_a_while() {
    let ours = certificates();
    let config = tls::server_config(&ours.chain_pem, &ours.key_pem).unwrap();
    let limits = Limits { idle_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = start(router(), Some(config), limits).await;
    let mut stream = connect_http2(&server, &ours.ca_pem).await;
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the server ends the connection");
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_bad_bodies_get_error_bodies() {
    let server = start(router(), None, Limits::default()).await;
    let client = plain(&server);
    assert_eq!(status_and_error(client.get("/nowhere").await).0, 404);
    assert_eq!(status_and_error(client.get("/echo").await), (405, "The method is not allowed for this path.".into()));
    let as_text = (http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    let refused = client.send(http::Method::POST, "/echo", &[as_text], "{}".into()).await.unwrap_err();
    assert_eq!(refused.status().unwrap().as_u16(), 415);
    let large = Value::String("x".repeat(MANAGEMENT_BODY_BYTES_MAX));
    assert_eq!(status_and_error(client.post("/echo", &large).await).0, 413);
    assert_eq!(client.post::<Value>("/echo", &json!({"a": 1})).await.unwrap(), json!({"a": 1}));
}

#[tokio::test]
async fn a_handler_that_panics_gives_500_with_the_request_id_and_the_server_goes_on() {
    let server = start(router(), None, Limits::default()).await;
    let client = plain(&server);
    let (status, text) = status_and_error(client.get("/panic").await);
    assert_eq!(status, 500);
    assert!(text.contains("its log tells more at request "), "{text}");
    let id = (layers::REQUEST_ID, http::HeaderValue::from_static("mine-1"));
    let reply = client.send(http::Method::GET, "/hello", &[id], bytes::Bytes::new()).await.unwrap();
    assert_eq!(reply.headers[layers::REQUEST_ID], "mine-1");
}

#[tokio::test]
async fn a_request_in_work_is_finished_before_the_server_stops() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        async move || {
            entered.notify_one();
            release.notified().await;
            axum::Json(json!("done"))
        }
    };
    let server = start(Router::new().route("/slow", get(handler)), None, Limits::default()).await;
    let client = plain(&server);
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.get::<Value>("/slow").await }
    });
    entered.notified().await;
    server.stop.send(true).unwrap();
    release.notify_one();
    assert_eq!(call.await.unwrap().unwrap(), json!("done"));
    server.task.await.unwrap();
    assert!(matches!(client.get::<Value>("/slow").await, Err(ClientError::CannotConnect { .. })));
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off_and_connections_beyond_the_limit_are_closed() {
    let limits = Limits { connections_max: 1, header_read_timeout: Duration::from_millis(200), ..Limits::default() };
    let server = start(router(), None, limits).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET /hello HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    while server.limits.counters.open.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed at once");
    assert_eq!(server.limits.counters.refused.load(Ordering::Relaxed), 1);
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the server ends the slow connection");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn what_is_no_tls_server_and_what_does_not_answer_are_told_apart() {
    let server = start(router(), None, Limits::default()).await;
    let config = tls::client_config_insecure().unwrap();
    let client = Client::new(&format!("https://{}", server.address), Some(config)).unwrap();
    assert!(matches!(client.get::<Value>("/hello").await, Err(ClientError::Tls { .. })));

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", silent.local_addr().unwrap()), None).unwrap();
    let client = client.with_timeout(Duration::from_millis(100));
    assert!(matches!(client.get::<Value>("/").await, Err(ClientError::TimedOut { .. })));
    assert!(matches!(Client::new("127.0.0.1:9443", None), Err(ClientError::BadUrl { .. })));
}
