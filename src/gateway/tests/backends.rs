//! Backends that are down, slow, hasty or odd, bodies that are large, and clients that are slow or gone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_gateway::{ClientLimits, HttpsSettings, Settings, UpstreamLimits};
use portcullis_model::Endpoint;
use portcullis_model::api::EndpointStrategy;
use stage::{Backend, Client, Stage, api, settings, until, verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener for a backend that a test plays by hand, with a stage before it.
async fn by_hand(settings: Settings) -> (TcpListener, Stage) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::new(settings);
    stage.deploy(api(listener.local_addr().unwrap()));
    stage.keys.set("good", Ok(verdict()));
    (listener, stage)
}

/// An address where nobody listens.
async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn accept(listener: &TcpListener) -> TcpStream {
    tokio::time::timeout(stage::PATIENCE, listener.accept()).await.expect("no connection came").unwrap().0
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(tokio::time::timeout(stage::PATIENCE, stream.read_u8()).await.expect("no request came").unwrap());
    }
    String::from_utf8(request).unwrap()
}

async fn send_get(stage: &Stage) -> Client {
    let mut client = stage.client().await;
    client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n").await;
    client
}

#[tokio::test]
async fn a_backend_that_is_down_gives_101503_and_the_connection_stays() {
    let stage = Stage::with_apis([api(nowhere().await)]);
    let mut client = stage.client().await;
    for _ in 0..3 {
        let reply = client.get("/pizza/1.0.0/menu", Some("good")).await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "101503"));
    }
    assert_eq!(stage.gateway.metrics().upstream_connect_errors, 3);
}

#[tokio::test]
async fn a_backend_that_does_not_answer_in_time_gives_101504() {
    let (listener, stage) = by_hand(settings()).await;
    let mut slow = api(listener.local_addr().unwrap());
    slow.endpoints.production[0].timeout_ms = Some(50);
    stage.deploy(slow);
    let mut client = send_get(&stage).await;
    let _open = accept(&listener).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "101504"));
}

#[tokio::test]
async fn answers_that_are_not_http_give_101506_and_none_gives_101505() {
    let (listener, stage) = by_hand(settings()).await;
    for (answer, code) in [
        ("SSH-2.0-OpenSSH_9\r\n\r\n", "101506"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi", "101506"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "101506"),
        ("", "101505"),
    ] {
        let mut client = send_get(&stage).await;
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        drop(stream);
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.code().as_str()), (502, code), "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_that_the_backend_closed_while_unused_costs_no_call() {
    // A call that is sent once more takes no second place.
    let upstream = UpstreamLimits { connections_max: 1, ..UpstreamLimits::default() };
    let (listener, stage) = by_hand(Settings { upstream, ..settings() }).await;
    let mut client = send_get(&stage).await;
    let mut first = accept(&listener).await;
    read_request(&mut first).await;
    first.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    assert_eq!(client.reply().await.text(), "hi");
    // The next call takes the same connection; the backend closes it just then, without an answer.
    client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n").await;
    read_request(&mut first).await;
    drop(first);
    let mut second = accept(&listener).await;
    read_request(&mut second).await;
    second.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nagain\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(client.reply().await.text(), "again");
    assert_eq!(stage.gateway.metrics().upstream_retries, 1);
    // A call that may change something is not sent twice.
    client
        .send("POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 0\r\n\r\n")
        .await;
    read_request(&mut second).await;
    drop(second);
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "101505"));
}

/// Calls that the worker looks at between two looks at its sockets, and more.
const MANY: usize = 150;

#[tokio::test]
async fn a_connection_that_the_backend_closes_while_a_request_waits_costs_no_call_and_sends_none_twice() {
    let sends_together_from = Settings::default().sends_together_from;
    let (listener, stage) = by_hand(Settings { workers: 1, sends_together_from, ..settings() }).await;
    // What calls send waits where many are under way.
    let mut held = Vec::new();
    for _ in 0..8 {
        let client = send_get(&stage).await;
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await;
        held.push((client, stream));
    }
    let mut client = send_get(&stage).await;
    let mut kept = accept(&listener).await;
    read_request(&mut kept).await;
    kept.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    assert_eq!(client.reply().await.text(), "hi");
    let mut others = Vec::new();
    for _ in 0..MANY {
        let mut other = stage.client().await;
        assert_eq!(other.get("/pizza/1.0.0/menu", None).await.status, 401);
        others.push(other);
    }
    // While the worker stands still, all that follows comes, in this order.
    let get =
        |token: &str| format!("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let (first, second) = (stage.keys.gate("first"), stage.keys.gate("second"));
    others[0].send(&get("first")).await;
    first.wait();
    let post =
        "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 2\r\n\r\nhi";
    client.send(post).await;
    others[1].send(&get("second")).await;
    for other in &mut others[2..] {
        other.send(&get("nobody's")).await;
    }
    first.open.send(()).unwrap();
    second.wait();
    // Now the call has its connection, and its request waits.
    drop(kept);
    second.open.send(()).unwrap();
    let mut stream = accept(&listener).await;
    assert!(read_request(&mut stream).await.starts_with("POST /base/menu"));
    stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(client.reply().await.status, 201);
    let again = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(again.is_err(), "it was sent once");
}

#[tokio::test]
async fn an_answer_that_breaks_off_closes_the_clients_connection() {
    let (listener, stage) = by_hand(settings()).await;
    let mut client = send_get(&stage).await;
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 OK"));
    drop(stream);
    assert_eq!(client.until_closed().await, b"half");
    until("the error is counted", || stage.gateway.metrics().upstream_errors == 1).await;
}

#[tokio::test]
async fn what_came_of_an_answer_that_breaks_off_is_sent_also_where_it_comes_at_once() {
    for end in ["", "zz\r\nbad\r\n0\r\n\r\n", "0\r\nnot a trailer\r\n\r\n"] {
        let (listener, stage) = by_hand(settings()).await;
        let mut client = send_get(&stage).await;
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await;
        let begin = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        stream.write_all(format!("{begin}{end}").as_bytes()).await.unwrap();
        drop(stream);
        assert!(client.read_head().await.starts_with("HTTP/1.1 200 OK"), "{end:?}");
        assert_eq!(client.until_closed().await, b"5\r\nhello\r\n", "without the last chunk: {end:?}");
    }
}

#[tokio::test]
async fn nothing_is_sent_of_an_answer_that_breaks_off_at_once_where_what_came_would_pass_for_all() {
    // The end of the connection is all that tells a client of HTTP/1.0 where such an answer ends.
    for (end, is_whole) in [("0\r\n\r\n", true), ("zz\r\nbad\r\n0\r\n\r\n", false), ("0\r\nno trailer\r\n\r\n", false)]
    {
        let (listener, stage) = by_hand(settings()).await;
        let mut client = stage.client().await;
        client.send("GET /pizza/1.0.0/menu HTTP/1.0\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n").await;
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await;
        let begin = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        stream.write_all(format!("{begin}{end}").as_bytes()).await.unwrap();
        let answer = String::from_utf8(client.until_closed().await).unwrap();
        assert_eq!((answer.is_empty(), answer.ends_with("\r\n\r\nhello")), (!is_whole, is_whole), "{end:?} {answer:?}");
    }
}

#[tokio::test]
async fn bodies_stream_both_ways_at_the_same_time_piece_by_piece() {
    let (listener, stage) = by_hand(settings()).await;
    let mut client = stage.client().await;
    client
        .send("POST /pizza/1.0.0/files/big HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    let mut chunk = [0; 10];
    stream.read_exact(&mut chunk).await.unwrap();
    assert_eq!(&chunk, b"5\r\nfirst\r\n", "the first chunk comes before the rest is sent");
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n").await.unwrap();
    client.read_head().await;
    assert_eq!((client.read_line().await.as_str(), client.read_exactly(5).await), ("5", b"early".to_vec()));
    client.send("\r\n").await;
    // That was a line end too many: the body is not valid, and the exchange ends on both sides.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(stage::PATIENCE, stream.read_to_end(&mut rest)).await;
    ended.expect("the backend's connection is closed").ok();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a broken body is not passed on as a whole one");
}

#[tokio::test]
async fn a_slow_upload_may_take_longer_than_a_stall() {
    let client_limits = ClientLimits { stall_timeout: Duration::from_millis(400), ..ClientLimits::default() };
    let (listener, stage) = by_hand(Settings { client: client_limits, ..settings() }).await;
    let mut client = stage.client().await;
    let head = "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 10\r\n\r\n";
    client.send(head).await;
    client.send("x").await;
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    let began = std::time::Instant::now();
    stream.read_u8().await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(150));
    for _ in 0..9 {
        pace.tick().await;
        client.send("x").await;
        stream.read_u8().await.unwrap();
    }
    assert!(began.elapsed() > 2 * client_limits.stall_timeout);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    assert_eq!(client.reply().await.text(), "hi");
    // One that stops in the midst is told so, and the backend gets no whole request.
    client.send(head).await;
    client.send("x").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "408"));
}

#[tokio::test]
async fn a_backend_that_takes_nothing_holds_the_client_back() {
    let (listener, stage) = by_hand(settings()).await;
    let total = 256_usize << 20;
    let mut client = stage.client().await;
    client
        .send(&format!("POST /pizza/1.0.0/files/big HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: {total}\r\n\r\n"))
        .await;
    let piece = vec![b'x'; 1 << 20];
    client.stream.write_all(&piece).await.unwrap();
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    let mut sent = piece.len();
    // The kernel's buffers fill up, and then the client is held back though the gateway could read on.
    while tokio::time::timeout(Duration::from_millis(500), client.stream.write_all(&piece)).await.is_ok() {
        sent += piece.len();
        assert!(sent < total / 2, "the gateway takes in a body that its backend does not take");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_the_backend_back_and_is_dropped_in_the_end() {
    let client_limits = ClientLimits { stall_timeout: Duration::from_millis(800), ..ClientLimits::default() };
    let (listener, stage) = by_hand(Settings { client: client_limits, ..settings() }).await;
    let client = send_get(&stage).await;
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    let total = 1_usize << 30;
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n").as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    let failed = loop {
        match tokio::time::timeout(stage::PATIENCE, stream.write_all(&piece)).await {
            Ok(Ok(())) => sent += piece.len(),
            Ok(Err(error)) => break error,
            Err(_) => panic!("the stalled client was not dropped"),
        }
        assert!(sent < total / 2, "the gateway takes in an answer that its client does not take");
    };
    assert!(matches!(failed.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{failed}");
    until("the slow client is counted", || stage.gateway.metrics().slow_clients == 1).await;
    drop(client);
}

#[tokio::test]
async fn a_large_answer_arrives_whole_and_its_connection_is_used_again() {
    let (listener, stage) = by_hand(settings()).await;
    let mut client = send_get(&stage).await;
    let mut stream = accept(&listener).await;
    let large: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
    for _ in 0..2 {
        read_request(&mut stream).await;
        let body = large.clone();
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())
            .await
            .unwrap();
        let sending = async { stream.write_all(&body).await.unwrap() };
        let ((), reply) = tokio::join!(sending, client.reply());
        assert!(reply.body == large, "every byte came in order");
        client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n").await;
    }
    assert_eq!(stage.gateway.metrics().upstream_connects, 1);
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_backend() {
    let (listener, stage) = by_hand(settings()).await;
    let client = send_get(&stage).await;
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    drop(client);
    let ended = tokio::time::timeout(stage::PATIENCE, stream.read(&mut [0; 1])).await;
    assert_eq!(ended.expect("the connection is closed").unwrap_or(0), 0);
    until("no call is left", || stage.gateway.metrics().requests_in_progress == 0).await;
}

#[tokio::test]
async fn failover_and_round_robin_pass_over_a_backend_that_is_down() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let dead = nowhere().await;
    let endpoint = |address: SocketAddr| Endpoint { url: format!("http://{address}"), timeout_ms: None };
    let mut shared = api(dead);
    shared.endpoints.strategy = EndpointStrategy::Failover;
    shared.endpoints.production = vec![endpoint(dead), endpoint(one.address)];
    let stage = Stage::with_apis([shared.clone()]);
    let mut client = stage.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    }
    assert_eq!((one.calls(), stage.gateway.metrics().upstream_connect_errors), (3, 1), "the dead one is tried once");
    shared.endpoints.strategy = EndpointStrategy::RoundRobin;
    shared.endpoints.production = vec![endpoint(one.address), endpoint(two.address)];
    stage.deploy(shared);
    for _ in 0..4 {
        assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    }
    assert_eq!((one.calls(), two.calls()), (5, 2));
}

#[tokio::test]
async fn calls_beyond_the_connections_wait_for_one() {
    let upstream = UpstreamLimits { connections_max: 1, ..UpstreamLimits::default() };
    let (listener, stage) = by_hand(Settings { upstream, ..settings() }).await;
    let mut first = send_get(&stage).await;
    let mut second = send_get(&stage).await;
    let mut stream = accept(&listener).await;
    for _ in 0..2 {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    }
    assert_eq!((first.reply().await.status, second.reply().await.status), (200, 200));
    assert_eq!(stage.gateway.metrics().upstream_connects, 1);
}

#[tokio::test]
async fn connections_that_send_half_a_head_or_nothing_are_closed() {
    let brief = Duration::from_millis(200);
    let client_limits = ClientLimits { head_timeout: brief, idle_timeout: brief, ..ClientLimits::default() };
    let stage = Stage::new(Settings { client: client_limits, ..settings() });
    let mut idle = stage.client().await;
    assert_eq!(idle.until_closed().await, b"");
    let mut half = stage.client().await;
    half.send("GET / HTT").await;
    assert_eq!(half.until_closed().await, b"");
    until("the slow one is counted", || stage.gateway.metrics().slow_clients == 1).await;
}

#[tokio::test]
async fn draining_ends_calls_in_progress_well_and_takes_no_new_ones() {
    let (listener, stage) = by_hand(settings()).await;
    let mut idle = stage.client().await;
    assert_eq!(idle.get("/", None).await.status, 404);
    let mut client = send_get(&stage).await;
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    let (cut_off, reply) = tokio::join!(stage.gateway.drain(stage::PATIENCE), async {
        assert_eq!(idle.until_closed().await, b"", "an idle connection is closed");
        until("the address is free", || std::net::TcpStream::connect(stage.address()).is_err()).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
        client.reply().await
    });
    assert_eq!((cut_off, reply.status, reply.header("connection")), (0, 200, Some("close")));
    assert_eq!(stage.gateway.metrics().client_connections, 0);
}

#[tokio::test]
async fn draining_cuts_off_what_does_not_end() {
    let (listener, stage) = by_hand(settings()).await;
    let mut client = send_get(&stage).await;
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    assert_eq!(stage.gateway.drain(Duration::from_millis(50)).await, 1);
    assert_eq!(client.until_closed().await, b"");
}

#[tokio::test]
async fn an_address_in_use_is_a_clear_error() {
    let stage = Stage::with_apis([]);
    let again = Settings { http: Some(stage.address()), ..Settings::default() };
    let (keys, quotas) = (std::sync::Arc::<stage::Keys>::default(), std::sync::Arc::<stage::Budgets>::default());
    let error = portcullis_gateway::start(again, keys, quotas, std::sync::Arc::new(stage::Echo)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot listen on {}: ", stage.address())), "{error}");
}

#[tokio::test]
async fn an_answer_that_an_http_2_client_does_not_take_frees_its_backend() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let tls = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let client = ClientLimits { stall_timeout: Duration::from_millis(300), ..ClientLimits::default() };
    let upstream = UpstreamLimits { connections_max: 1, connect_timeout: stage::PATIENCE, ..UpstreamLimits::default() };
    let https = Some(HttpsSettings { address: "127.0.0.1:0".parse().unwrap(), tls: Arc::new(tls) });
    let (listener, stage) = by_hand(Settings { https, client, upstream, ..settings() }).await;

    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(stage.gateway.https_address().unwrap()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let io = hyper_util::rt::TokioIo::new(connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let mut ask = || {
        let request = http::Request::get("https://localhost/pizza/1.0.0/menu").header("authorization", "Bearer good");
        sender.send_request(request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap())
    };
    let (answer, ()) = tokio::join!(ask(), async {
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await;
        // More than the client's window has room for, and the client takes nothing.
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n").await.unwrap();
        tokio::spawn(async move { while stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {} });
    });
    let not_taken = answer.unwrap();
    assert_eq!(not_taken.status(), 200);
    // The one place at the backend becomes free, and the connection goes on with other calls.
    let (answer, ()) = tokio::join!(ask(), async {
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    });
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(stage.gateway.metrics().slow_clients, 1);
    drop(not_taken);
}
