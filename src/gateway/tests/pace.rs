//! Clients that dribble: request bodies that come too slowly, and answers that are taken too slowly.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_gateway::{ClientLimits, Settings};
use stage::{Backend, Stage, api, settings, until, verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// From one piece of a body to the next.
const BEAT: Duration = Duration::from_millis(50);

/// A gateway that asks for 100 bytes a second of requests, and of answers more than any test takes.
fn strict(behind_max: Duration) -> Settings {
    let client =
        ClientLimits { request_bytes_per_s: 100, answer_bytes_per_s: 1 << 40, behind_max, ..ClientLimits::default() };
    Settings { client, ..settings() }
}

async fn before(backend: &Backend, behind_max: Duration) -> Stage {
    let stage = Stage::new(strict(behind_max));
    stage.deploy(api(backend.address));
    stage.keys.set("good", Ok(verdict()));
    stage
}

/// Sends pieces of a body at a steady beat until the other side takes no more.
async fn at_a_beat(stream: &mut TcpStream, pieces: impl Iterator<Item = Vec<u8>>) {
    let mut beat = tokio::time::interval(BEAT);
    for piece in pieces {
        beat.tick().await;
        if stream.write_all(&piece).await.is_err() {
            return;
        }
    }
}

fn head(more: &str) -> String {
    format!("POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n{more}\r\n\r\n")
}

#[tokio::test]
async fn a_body_that_dribbles_is_given_up_and_its_connection_closed() {
    let backend = Backend::start().await;
    let stage = before(&backend, Duration::from_millis(500)).await;
    for (number, framing) in ["Content-Length: 1000", "Transfer-Encoding: chunked"].into_iter().enumerate() {
        let mut client = stage.client().await;
        client.send(&head(framing)).await;
        let piece = if number == 0 { b"x".to_vec() } else { b"1\r\nx\r\n".to_vec() };
        // 20 bytes a second, and never a pause that is long.
        let (mut reading, mut writing) = client.stream.into_split();
        let dribble = tokio::spawn(async move {
            let mut beat = tokio::time::interval(BEAT);
            while writing.write_all(&piece).await.is_ok() {
                beat.tick().await;
            }
        });
        let mut told = String::new();
        while !told.contains("too slowly") {
            let mut piece = [0; 1024];
            let count = tokio::time::timeout(stage::PATIENCE, reading.read(&mut piece)).await.expect("it is told");
            let count = count.unwrap();
            assert!(count > 0, "closed before it was told: {told}");
            told.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        dribble.abort();
        assert!(told.starts_with("HTTP/1.1 408 "), "{framing}: {told}");
        assert!(told.contains("\r\nconnection: close\r\n"), "{told}");
        let metrics = stage.gateway.metrics();
        assert_eq!((metrics.slow_clients, metrics.clients_below_pace), (number as u64 + 1, number as u64 + 1));
    }
    assert_eq!(backend.calls(), 0, "no backend gets a whole call");
    // Who is quick is served as ever.
    assert_eq!(stage.get("/pizza/1.0.0/menu").await.status, 200);
}

#[tokio::test]
async fn a_body_at_the_pace_may_take_any_time() {
    let backend = Backend::start().await;
    let stage = before(&backend, Duration::from_secs(1)).await;
    let mut client = stage.client().await;
    client.send(&head("Content-Length: 600")).await;
    let began = std::time::Instant::now();
    at_a_beat(&mut client.stream, (0..30).map(|_| vec![b'x'; 20])).await;
    assert!(began.elapsed() > Duration::from_millis(1_400));
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(backend.last().body.len(), 600);
    assert_eq!(stage.gateway.metrics().clients_below_pace, 0);
}

#[tokio::test]
async fn who_is_answered_already_may_send_as_slowly_as_it_likes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::new(strict(Duration::from_millis(200)));
    stage.deploy(api(listener.local_addr().unwrap()));
    stage.keys.set("good", Ok(verdict()));
    let mut client = stage.client().await;
    client.send(&head("Content-Length: 12")).await;
    client.send("x").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nx") {
        seen.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na").await.unwrap();
    client.read_head().await;
    // 20 bytes a second for longer than the gateway would wait of one that is not answered.
    at_a_beat(&mut client.stream, (0..11).map(|_| b"x".to_vec())).await;
    let mut rest = [0; 11];
    tokio::time::timeout(stage::PATIENCE, stream.read_exact(&mut rest)).await.expect("it all comes").unwrap();
    stream.write_all(b"b").await.unwrap();
    assert_eq!(client.read_exactly(2).await, b"ab");
}

#[tokio::test]
async fn over_http_2_the_one_call_ends_and_the_others_go_on() {
    let backend = Backend::start().await;
    let stage = before(&backend, Duration::from_millis(500)).await;
    let io = TokioIo::new(TcpStream::connect(stage.address()).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut ask = |body: BoxStream<'static, Result<Frame<Bytes>, Infallible>>| {
        let request = Request::post("http://a/pizza/1.0.0/menu").header("authorization", "Bearer good");
        sender.send_request(request.body(StreamBody::new(body)).unwrap())
    };
    let dribble = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(BEAT).await;
        Some((Ok(Frame::data(Bytes::from_static(b"x"))), ()))
    });
    let (slow, quick) = tokio::join!(ask(dribble.boxed()), async {
        let whole = futures_util::stream::once(async { Ok(Frame::data(Bytes::from_static(b"whole"))) });
        ask(whole.boxed()).await.unwrap().status()
    });
    assert_eq!(quick, 200);
    let slow = slow.unwrap();
    assert_eq!(slow.status(), 408);
    let told = slow.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&told).contains("too slowly"));
    let nothing = futures_util::stream::empty();
    assert_eq!(ask(nothing.boxed()).await.unwrap().status(), 200, "the connection goes on");
    assert_eq!(stage.gateway.metrics().clients_below_pace, 1);
}

#[tokio::test]
async fn an_answer_that_is_sipped_is_given_up_though_it_never_stalls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::new(strict(Duration::from_millis(500)));
    stage.deploy(api(listener.local_addr().unwrap()));
    stage.keys.set("good", Ok(verdict()));
    let mut client = stage.client().await;
    client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let total = 1_usize << 30;
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n").as_bytes()).await.unwrap();
    let flood = tokio::spawn(async move { while stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {} });
    // Takes some all the time, and far less than there is.
    let mut sip = vec![0; 256 << 10];
    let sipping = async {
        let mut beat = tokio::time::interval(Duration::from_millis(5));
        let mut taken = 0;
        loop {
            beat.tick().await;
            match client.stream.read(&mut sip).await {
                Ok(count @ 1..) => taken += count,
                _ => return taken,
            }
        }
    };
    let taken = tokio::time::timeout(stage::PATIENCE, sipping).await.expect("it is dropped");
    assert!(taken < total);
    until("it is counted", || stage.gateway.metrics().clients_below_pace == 1).await;
    assert_eq!(stage.gateway.metrics().slow_clients, 1);
    flood.await.unwrap();
}
