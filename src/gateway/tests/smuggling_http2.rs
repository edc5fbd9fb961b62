//! Requests over HTTP/2 that would become two, or others, if they were written as HTTP/1.1 (RFC 9113 §8.2, §10.3): each is
//! refused, and nothing of it reaches a backend. Frames are made by hand: no client would send them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::Arc;

use portcullis_gateway::{HttpsSettings, Settings};
use stage::{Backend, Stage, api, settings, verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Header fields.
type Fields<'a> = &'a [(&'a str, &'a str)];

async fn stage(backend: &Backend) -> (Stage, Arc<rustls::ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let server = server.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let https = HttpsSettings { address: "127.0.0.1:0".parse().unwrap(), tls: Arc::new(server) };
    let stage = Stage::new(Settings { https: Some(https), ..settings() });
    stage.deploy(api(backend.address));
    stage.keys.set("good", Ok(verdict()));
    (stage, Arc::new(client))
}

/// Writes a frame of the first stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Writes fields as literals that nobody remembers (RFC 7541 §6.2.2).
fn block(fields: Fields<'_>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Became {
    /// The stream, or the connection, ended without an answer.
    Nothing,
    /// An answer with this status, of those that the static table knows.
    Status(u16),
}

async fn send(stage: &Stage, client: &Arc<rustls::ClientConfig>, fields: Fields<'_>, body: Option<&str>) -> Became {
    let tcp = TcpStream::connect(stage.gateway.https_address().unwrap()).await.unwrap();
    let connector = TlsConnector::from(Arc::clone(client));
    let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(4, 0, 0, &[], &mut out);
    let ends = if body.is_none() { END_STREAM } else { 0 };
    frame(HEADERS, END_HEADERS | ends, 1, &block(fields), &mut out);
    if let Some(body) = body {
        frame(0, END_STREAM, 1, body.as_bytes(), &mut out);
    }
    stream.write_all(&out).await.unwrap();
    tokio::time::timeout(stage::PATIENCE, became(&mut stream)).await.expect("no answer in time")
}

async fn became(stream: &mut TlsStream<TcpStream>) -> Became {
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return Became::Nothing;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return Became::Nothing;
        }
        match head[3] {
            RESET | GO_AWAY => return Became::Nothing,
            HEADERS => {
                return Became::Status(match payload[0] {
                    0x88 => 200,
                    0x8c => 400,
                    0x8d => 404,
                    other => panic!("an answer that begins with {other:#x}"),
                });
            }
            _ => {}
        }
    }
}

const USUAL: [(&str, &str); 5] = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/pizza/1.0.0/menu"),
    ("authorization", "Bearer good"),
];

/// The usual request with one field in place of another.
fn with<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    USUAL.iter().map(|(known, usual)| if *known == name { (name, value) } else { (*known, *usual) }).collect()
}

/// The usual request with one field more.
fn and<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    USUAL.iter().copied().chain([(name, value)]).collect()
}

#[tokio::test]
async fn what_would_be_another_request_in_http_1_is_refused() {
    let backend = Backend::start().await;
    let (stage, client) = stage(&backend).await;
    assert_eq!(send(&stage, &client, &USUAL, Some("hello")).await, Became::Status(200), "the usual one passes");
    let smuggled = "x\r\n\r\nGET /pizza/1.0.0/admin HTTP/1.1\r\nhost: a\r\n\r\n";
    let cases = [
        and("x-a", smuggled),
        and("x-a", "a\nb: c"),
        and("x-a", "a\0b"),
        and("x-a: b\r\nx-b", "c"),
        and("x a", "b"),
        and("X-A", "b"),
        and("", "b"),
        and("transfer-encoding", "chunked"),
        and("connection", "x-a"),
        and("upgrade", "h2c"),
        and("te", "gzip"),
        and(":path", "/pizza/1.0.0/admin"),
        and(":status", "200"),
        and("content-length", "3"),
        and("content-length", "50"),
        and("content-length", "+5"),
        and("content-length", "5, 5"),
        with(":path", "/pizza/1.0.0/menu HTTP/1.1\r\nx-a: b"),
        with(":path", "/pizza/1.0.0/menu HTTP/1.1"),
        with(":path", "pizza/1.0.0/menu"),
        with(":path", ""),
        with(":path", "/pizza/1.0.0/files/../admin"),
        with(":method", "GET /pizza/1.0.0/admin HTTP/1.1\r\nx:"),
        with(":method", "PO ST"),
        with(":authority", "a b"),
        with(":authority", "a\r\nx: y"),
        with(":authority", "user@localhost"),
        with(":scheme", "ht tp"),
        and("host", "a b"),
        and("host", "user@localhost"),
        and("host", "localhost/admin"),
        and("host", "localhost, internal"),
        [and("host", "localhost"), vec![("host", "internal")]].concat(),
        [and("host", "localhost"), vec![("host", "user@localhost")]].concat(),
    ];
    for case in cases {
        let became = send(&stage, &client, &case, Some("hello")).await;
        assert!(matches!(became, Became::Nothing | Became::Status(400)), "{case:?} became {became:?}");
        assert_eq!(backend.calls(), 1, "{case:?} reached the backend");
    }
    // Pseudo-headers come first, and each once.
    for case in [
        vec![USUAL[4], USUAL[0], USUAL[1], USUAL[2], USUAL[3]],
        vec![USUAL[0], USUAL[0], USUAL[1], USUAL[2], USUAL[3]],
        vec![USUAL[0], USUAL[1], USUAL[2]],
    ] {
        let became = send(&stage, &client, &case, None).await;
        assert!(matches!(became, Became::Nothing | Became::Status(400)), "{case:?} became {became:?}");
    }
    assert_eq!(backend.calls(), 1);
}

#[tokio::test]
async fn a_host_that_is_said_twice_is_said_once() {
    let backend = Backend::start().await;
    let (stage, client) = stage(&backend).await;
    for more in [vec![], vec![("host", "localhost")], vec![("host", "localhost"), ("host", "localhost")]] {
        let became = send(&stage, &client, &[USUAL.to_vec(), more].concat(), Some("hello")).await;
        assert_eq!((became, backend.last_field("x-forwarded-host").as_str()), (Became::Status(200), "localhost"));
    }
}

#[tokio::test]
async fn a_host_beside_the_authority_leads_nowhere_else() {
    let backend = Backend::start().await;
    let (stage, client) = stage(&backend).await;
    let became = send(&stage, &client, &and("host", "internal"), Some("hello")).await;
    assert!(matches!(became, Became::Nothing | Became::Status(200 | 400)), "{became:?}");
    if backend.calls() == 1 {
        let seen = backend.last();
        assert_eq!(seen.headers.get_all("host").iter().count(), 1);
        assert_eq!(seen.headers["host"], backend.address.to_string().as_str(), "the backend is told its own name");
    }
}
