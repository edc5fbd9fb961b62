//! Backends that speak HTTP/2, and gRPC from end to end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_gateway::{HttpsSettings, Settings};
use portcullis_model::DeployedApi;
use serde_json::json;
use stage::{Stage, api, settings, verdict};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A server that sends back what it gets, piece by piece, with the trailers of gRPC behind.
#[derive(Clone, Default)]
struct Echo {
    seen: Arc<Mutex<Vec<(Version, String, HeaderMap)>>>,
    connections: Arc<AtomicUsize>,
    /// Bodies that broke off.
    broken: Arc<AtomicUsize>,
}

impl Echo {
    fn last(&self) -> (Version, String, HeaderMap) {
        self.seen.lock().unwrap().last().cloned().expect("the backend was called")
    }

    fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        self.seen.lock().unwrap().push((head.version, head.uri.to_string(), head.headers));
        if head.uri.path().ends_with("/silent") {
            // Begins nothing, and ends when the caller does.
            return Response::new(
                StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>()).boxed_unsync(),
            );
        }
        if head.uri.path().ends_with("/early") {
            // Answers at once, and reads on.
            let broken = Arc::clone(&self.broken);
            tokio::spawn(async move {
                if body.collect().await.is_err() {
                    broken.fetch_add(1, Ordering::SeqCst);
                }
            });
            return Response::new(Empty::new().boxed_unsync());
        }
        let pieces = futures_util::stream::unfold(body, |mut body| async move {
            let frame = body.frame().await?.ok()?;
            Some((frame.into_data().ok(), body))
        });
        let trailers =
            HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
        let frames = pieces
            .filter_map(|piece| std::future::ready(piece.map(Frame::data)))
            .chain(futures_util::stream::once(std::future::ready(Frame::trailers(trailers))))
            .map(Ok::<_, Infallible>);
        let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        response
    }

    async fn serve<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: T, has_http2: bool) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let service = service_fn(move |request: Request<Incoming>| {
            let response = self.answer(request);
            async move { Ok::<_, Infallible>(response) }
        });
        let io = TokioIo::new(stream);
        // How a connection ends is the gateway's business.
        if has_http2 {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await.ok();
        } else {
            hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.ok();
        }
    }

    /// Serves HTTP/2 with prior knowledge.
    async fn plain(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let echo = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo.clone().serve(stream, true));
            }
        });
        address
    }

    /// Serves over TLS what is agreed on.
    async fn over_tls(&self, tls: rustls::ServerConfig) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (echo, acceptor) = (self.clone(), TlsAcceptor::from(Arc::new(tls)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (echo, acceptor) = (echo.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.unwrap();
                    let has_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    echo.serve(stream, has_http2).await;
                });
            }
        });
        address
    }
}

/// A certificate for `localhost`, as servers show it and as clients trust it.
struct Certificate {
    server: rustls::ServerConfig,
    client: rustls::ClientConfig,
}

fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Certificate {
        server: server.with_single_cert(vec![made.cert.der().clone()], key).unwrap(),
        client: client.with_root_certificates(roots).with_no_client_auth(),
    }
}

/// The API with a backend that speaks HTTP/2.
fn over_http2(url: &str) -> DeployedApi {
    let mut api = api("127.0.0.1:1".parse().unwrap());
    api.endpoints.production[0].url = url.to_owned();
    let endpoint = json!({"url": url, "config": {"http2": true}});
    api.endpoints.document = json!({"endpoint_type": "http", "production_endpoints": endpoint}).to_string();
    api
}

/// A gateway with TLS, and a client that speaks HTTP/2 with it.
async fn stage(api: DeployedApi) -> (Stage, SendRequest<Body>) {
    let Certificate { server, mut client } = certificate();
    let https = HttpsSettings { address: "127.0.0.1:0".parse().unwrap(), tls: Arc::new(server) };
    let stage = Stage::new(Settings { https: Some(https), ..settings() });
    stage.deploy(api);
    stage.keys.set("good", Ok(verdict()));
    client.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(stage.gateway.https_address().unwrap()).await.unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    (stage, sender)
}

fn grpc(token: &str, path: &str, more: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::post(format!("https://localhost/pizza/1.0.0{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

fn whole(text: &'static str) -> Body {
    Full::from(text).boxed_unsync()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn status(headers: &HeaderMap) -> &str {
    text(headers, "grpc-status")
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(stage::PATIENCE, what).await.expect("not in time")
}

#[tokio::test]
async fn callers_over_http_1_share_one_connection_to_a_backend_that_speaks_http_2() {
    let echo = Echo::default();
    let url = format!("http://{}/base", echo.plain().await);
    let (stage, _) = stage(over_http2(&url)).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(stage.client().await);
    }
    let calls: Vec<_> = clients.iter_mut().map(|client| client.get("/pizza/1.0.0/menu?a=1", Some("good"))).collect();
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.status, 200);
    }

    let mut client = stage.client().await;
    client
        .send("POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nCookie: a=1\r\nConnection: x-own\r\nX-Own: 1\r\nContent-Length: 5\r\n\r\nhello")
        .await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (version, uri, headers) = echo.last();
    assert_eq!((version, uri.as_str()), (Version::HTTP_2, format!("{url}/menu").as_str()));
    assert_eq!((text(&headers, "cookie"), text(&headers, "content-length")), ("a=1", "5"));
    assert!(headers.get("authorization").is_none() && headers.get("x-own").is_none() && headers.get("host").is_none());
    assert_eq!(headers.get("x-forwarded-for").unwrap(), "127.0.0.1");
    assert_eq!((echo.connections.load(Ordering::SeqCst), stage.gateway.metrics().upstream_connects), (1, 1));
}

#[tokio::test]
async fn a_grpc_call_is_answered_with_its_trailers() {
    let echo = Echo::default();
    let url = format!("http://{}/pizza.Service", echo.plain().await);
    let (_stage, mut client) = stage(over_http2(&url)).await;
    let response = in_time(client.send_request(grpc("good", "/files/Order", &[], whole("message")))).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = in_time(response.into_body().collect()).await.unwrap();
    assert_eq!(status(body.trailers().unwrap()), "0");
    assert_eq!(body.to_bytes(), "message");
    let (_, uri, headers) = echo.last();
    assert_eq!((uri.as_str(), text(&headers, "te")), (format!("{url}/files/Order").as_str(), "trailers"));
}

#[tokio::test]
async fn both_sides_of_a_grpc_call_send_as_they_like() {
    let echo = Echo::default();
    let (stage, mut client) = stage(over_http2(&format!("http://{}", echo.plain().await))).await;
    let (say, said) = tokio::sync::mpsc::channel::<&'static str>(1);
    let frames = futures_util::stream::unfold(said, |mut said| async move {
        let text = said.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), said))
    });
    let body = StreamBody::new(frames).boxed_unsync();
    let response = in_time(client.send_request(grpc("good", "/files/Chat", &[], body))).await.unwrap();
    let mut heard = response.into_body();
    for text in ["one", "two", "three"] {
        // Each is heard before the next is said.
        say.send(text).await.unwrap();
        let frame = in_time(heard.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), text);
    }
    drop(say);
    let trailers = in_time(heard.frame()).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(status(&trailers), "0");
    stage::until("the call is over", || stage.gateway.metrics().requests_in_progress == 0).await;
}

#[tokio::test]
async fn a_grpc_call_ends_when_its_caller_does_not_wait_any_longer() {
    let echo = Echo::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // It takes the connection, and the call, and says nothing at all.
    let mut silent = over_http2(&format!("http://{}", listener.local_addr().unwrap()));
    let (stage, mut client) = stage(silent.clone()).await;
    let deadline = [("grpc-timeout", "300m")];
    let request = grpc("good", "/files/Order", &deadline, whole("message"));
    let response = in_time(client.send_request(request)).await.unwrap();
    assert_eq!((response.status(), status(response.headers())), (StatusCode::OK, "4"));
    // And where the answer has begun.
    silent = over_http2(&format!("http://{}", echo.plain().await));
    stage.deploy(silent);
    let request = grpc("good", "/files/silent", &deadline, whole("message"));
    let response = in_time(client.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(in_time(response.into_body().collect()).await.is_err(), "it is cut off");
}

#[tokio::test]
async fn a_grpc_caller_is_told_of_refusals_in_its_own_words() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (_stage, mut client) = stage(over_http2(&format!("http://{nowhere}"))).await;
    for (token, path, expected, text) in [
        ("bad", "/files/Order", "16", "900901"),
        ("good", "/files/Order", "14", "101503"),
        ("good", "/no", "12", "404"),
    ] {
        let response = in_time(client.send_request(grpc(token, path, &[], whole("message")))).await.unwrap();
        assert_eq!((response.status(), status(response.headers())), (StatusCode::OK, expected), "{token} {path}");
        let headers = response.headers();
        assert_eq!(headers.get("content-type").unwrap(), "application/grpc");
        assert!(headers.get("grpc-message").unwrap().to_str().unwrap().starts_with(text), "{headers:?}");
    }
}

#[tokio::test]
async fn over_tls_a_backend_chooses_its_version() {
    for (offered, expected) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
        let Certificate { mut server, client } = certificate();
        server.alpn_protocols = vec![offered.as_bytes().to_vec()];
        let echo = Echo::default();
        let address = echo.over_tls(server).await;
        let stage = Stage::new(Settings { upstream_tls: Some(Arc::new(client)), ..settings() });
        stage.deploy(over_http2(&format!("https://localhost:{}", address.port())));
        stage.keys.set("good", Ok(verdict()));
        let mut client = stage.client().await;
        for _ in 0..3 {
            assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
            assert_eq!(echo.last().0, expected, "{offered}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_backend_ended_costs_no_call() {
    let echo = Echo::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stage, _) = stage(over_http2(&format!("http://{}", listener.local_addr().unwrap()))).await;
    let mut client = stage.client().await;
    for number in 1..=3 {
        let call = client.get("/pizza/1.0.0/menu", Some("good"));
        let mut serving = None;
        let accepting = async {
            let (stream, _) = listener.accept().await.unwrap();
            serving = Some(tokio::spawn(echo.clone().serve(stream, true)));
        };
        let (reply, ()) = in_time(futures_util::future::join(call, accepting)).await;
        let serving = serving.unwrap();
        assert_eq!(reply.status, 200, "call {number}");
        serving.abort();
        // The connection is gone once its task is.
        assert!(serving.await.is_err());
    }
    assert_eq!(stage.gateway.metrics().upstream_connects, 3);
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_call_at_the_backend() {
    let echo = Echo::default();
    let (stage, mut client) = stage(over_http2(&format!("http://{}", echo.plain().await))).await;
    let request = grpc("good", "/files/silent", &[], Empty::new().boxed_unsync());
    let response = in_time(client.send_request(request)).await.unwrap();
    assert_eq!(stage.gateway.metrics().requests_in_progress, 1);
    drop(response);
    stage::until("the call is over", || stage.gateway.metrics().requests_in_progress == 0).await;
    // The connection carries on with others.
    let response = in_time(client.send_request(grpc("good", "/files/Order", &[], whole("x")))).await.unwrap();
    assert_eq!(in_time(response.into_body().collect()).await.unwrap().to_bytes(), "x");
    assert_eq!(echo.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_at_the_backend_with_its_connection() {
    let echo = Echo::default();
    let stage = Stage::with_apis([over_http2(&format!("http://{}", echo.plain().await))]);
    let mut client = stage.client().await;
    let request = "POST /pizza/1.0.0/files/early HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n";
    client.send(&format!("{request}Content-Length: 10\r\n\r\nx")).await;
    assert_eq!(client.reply().await.status, 200);
    // The client stays and sends nothing more: in the end it is closed, and the backend hears of it.
    stage::until("the backend's stream is reset", || echo.broken.load(Ordering::SeqCst) == 1).await;
    assert_eq!(client.until_closed().await, b"");
    assert_eq!(echo.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_health_of_a_backend_that_speaks_http_2_alone_is_looked_at_over_http_2() {
    let (echo, Certificate { server, client }) = (Echo::default(), certificate());
    let mut only_http2 = server;
    only_http2.alpn_protocols = vec![b"h2".to_vec()];
    let plain = format!("http://{}", echo.plain().await);
    let secure = format!("https://localhost:{}", echo.over_tls(only_http2).await.port());
    for url in [plain, secure] {
        echo.seen.lock().unwrap().clear();
        let mut api = over_http2(&url);
        let health = json!({"path": "/up?deep=1", "interval": 100, "failures": 1});
        let endpoint = json!({"url": url, "config": {"http2": true, "healthCheck": health}});
        api.endpoints.document = json!({"endpoint_type": "http", "production_endpoints": endpoint}).to_string();
        let stage = Stage::new(Settings { upstream_tls: Some(Arc::new(client.clone())), ..settings() });
        stage.keys.set("good", Ok(verdict()));
        stage.deploy(api);
        stage::until("it is asked twice", || echo.seen.lock().unwrap().len() > 1).await;
        let (version, uri, headers) = echo.last();
        assert_eq!((version, text(&headers, "user-agent")), (Version::HTTP_2, "portcullis-health-check"));
        assert!(uri.ends_with("/up?deep=1"), "{uri}");
        assert_eq!(stage.gateway.metrics().health_checks_failed, 0);
        assert_eq!(stage.get("/pizza/1.0.0/menu").await.status, 200);
    }
}

#[tokio::test]
async fn a_copy_goes_over_http_2_to_a_mirror_that_speaks_nothing_else() {
    let (echo, backend) = (Echo::default(), stage::Backend::start().await);
    let mirror = json!({"url": format!("http://{}/copy", echo.plain().await), "config": {"http2": true}});
    let mut api = api(backend.address);
    api.endpoints.document = json!({"endpoint_type": "http", "production_mirror": mirror}).to_string();
    let stage = Stage::with_apis([api]);
    for _ in 0..2 {
        let mut client = stage.client().await;
        let head = "POST /pizza/1.0.0/menu?a=b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 3";
        client.send(&format!("{head}\r\n\r\nabc")).await;
        assert_eq!(client.reply().await.status, 200);
    }
    stage::until("both copies are there", || echo.seen.lock().unwrap().len() == 2).await;
    let (version, uri, headers) = echo.last();
    assert_eq!((version, text(&headers, "content-length")), (Version::HTTP_2, "3"));
    assert!(uri.ends_with("/copy/menu?a=b"), "{uri}");
    assert!(headers.get("authorization").is_none(), "nobody's credentials are copied");
    assert_eq!(stage.gateway.metrics().copies, 2);
}

#[tokio::test]
async fn a_client_that_sends_frames_without_calls_loses_its_connection_and_nobody_else_does() {
    let echo = Echo::default();
    let (stage, mut caller) = stage(over_http2(&format!("http://{}", echo.plain().await))).await;
    // With prior knowledge, without TLS.
    let mut flooding = TcpStream::connect(stage.address()).await.unwrap();
    flooding.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let pings = b"\0\0\x08\x06\0\0\0\0\0portcull".repeat(1_000);
    let (mut answers, mut sender) = flooding.split();
    let mut answered = 0;
    let closed = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = answers.read(&mut bytes).await {
            answered += count / 17;
        }
    };
    let sent = async { while sender.write_all(&pings).await.is_ok() {} };
    in_time(futures_util::future::join(closed, sent)).await;
    assert!((1_000..30_000).contains(&answered), "{answered}");
    assert_eq!(stage.gateway.metrics().flooding_clients, 1);
    let response = in_time(caller.send_request(grpc("good", "/files/Order", &[], whole("message")))).await.unwrap();
    assert_eq!(response.status(), 200);
}
