//! HTTP/1.1 as clients see it on the wire, and HTTP/2 without TLS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use stage::{Backend, Client, Stage, api, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const KEY: &str = "Authorization: Bearer good\r\n";

async fn stage() -> (Backend, Stage) {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    (backend, stage)
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_send_only_what_is_wanted() {
    let (backend, stage) = stage().await;
    let post = |key: &str| {
        format!("POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\n{key}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    };
    let mut client = stage.client().await;
    client.send(&post(KEY)).await;
    assert_eq!(client.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    assert_eq!(client.reply().await.text(), "POST /base/menu 5");
    client.send(&post("")).await;
    let refused = client.reply().await;
    assert_eq!((refused.status, refused.header("connection")), (401, Some("close")));
    assert_eq!(client.until_closed().await, b"", "nobody knows whether it would send the body now");
    // One that does not wait for the word is not told it.
    let mut client = stage.client().await;
    client.send(&format!("{}hello", post(KEY))).await;
    assert_eq!(client.reply().await.text(), "POST /base/menu 5");
    assert_eq!(backend.calls(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_why() {
    let (backend, stage) = stage().await;
    let long = "a".repeat(70 << 10);
    let many = "X: y\r\n".repeat(101);
    for (request, status) in [
        (format!("GET /{long}"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("GET / HTTQ/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("GE T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n".to_owned(), 400),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\n".to_owned(), 400),
    ] {
        let mut client = stage.client().await;
        client.send(&request).await;
        let reply = client.reply().await;
        let start = request.chars().take(40).collect::<String>();
        assert_eq!((reply.status, reply.code()), (status, status.to_string()), "{start:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{start:?}");
        assert_eq!(client.until_closed().await, b"", "{start:?}");
    }
    assert_eq!(backend.calls(), 0);
}

#[tokio::test]
async fn a_connection_stays_as_long_as_both_sides_want() {
    let (_backend, stage) = stage().await;
    for (version, header, stays, told) in [
        ("1.1", "", true, None),
        ("1.1", "Connection: close\r\n", false, Some("close")),
        ("1.1", "Connection: keep-alive, Close\r\n", false, Some("close")),
        ("1.0", "", false, Some("close")),
        ("1.0", "Connection: Keep-Alive\r\n", true, Some("keep-alive")),
    ] {
        let request = format!("GET /pizza/1.0.0/menu HTTP/{version}\r\nHost: a\r\n{KEY}{header}\r\n");
        let mut client = stage.client().await;
        client.send(&request).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (200, told), "{version} {header:?}");
        if stays {
            client.send(&request).await;
            assert_eq!(client.reply().await.status, 200, "{version} {header:?}");
        } else {
            assert_eq!(client.until_closed().await, b"", "{version} {header:?}");
        }
    }
}

#[tokio::test]
async fn heads_come_as_they_like_and_answers_have_a_date() {
    let (_backend, stage) = stage().await;
    let mut client = stage.client().await;
    let request = format!("\r\nGET /pizza/1.0.0/menu HTTP/1.1\r\nhost: a\r\n{KEY}\r\n");
    for byte in request.chars() {
        client.send(&byte.to_string()).await;
    }
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text()), (200, "GET /base/menu 0"));
    assert_eq!(reply.head.matches("\r\ndate: ").count(), 1, "{}", reply.head);
    assert!(reply.header("date").unwrap().ends_with(" GMT"));
}

#[tokio::test]
async fn answers_that_a_client_cannot_take_yet_come_whole_and_in_order() {
    let text_of = |line: &str| line.repeat(12_000 / line.len());
    let backend = Backend::answering(move |seen| Response::new(Full::from(text_of(&seen.line)))).await;
    let stage = Stage::with_apis([api(backend.address)]);
    // Most answers find no room.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut client = Client::over(socket.connect(stage.address()).await.unwrap());
    let numbers = 1_000..1_300;
    let requests =
        numbers.clone().map(|number| format!("GET /pizza/1.0.0/menu?{number} HTTP/1.1\r\nHost: a\r\n{KEY}\r\n"));
    client.send(&requests.collect::<String>()).await;
    until("one answer is on its way", || backend.calls() > 0).await;
    for number in numbers {
        let reply = client.reply().await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.text(), text_of(&format!("GET /base/menu?{number}")), "{number}");
    }
    // One that goes away with answers unread does not keep what it asked for.
    let request = format!("GET /pizza/1.0.0/menu?1 HTTP/1.1\r\nHost: a\r\n{KEY}\r\n");
    client.send(&request.repeat(100)).await;
    drop(client);
    until("its connection is closed", || stage.gateway.metrics().client_connections == 0).await;
    assert_eq!(stage.gateway.metrics().requests_in_progress, 0);
}

#[tokio::test]
async fn an_answer_to_head_and_one_without_content_have_no_body() {
    let backend = Backend::answering(|seen| {
        let response = Response::builder().status(if seen.line.ends_with("open") { 204 } else { 200 });
        response.body(if seen.line.ends_with("open") { Full::default() } else { Full::from("hello") }).unwrap()
    })
    .await;
    let mut deployed = api(backend.address);
    let mut head = deployed.operations[0].clone();
    "HEAD".clone_into(&mut head.verb);
    deployed.operations.push(head);
    let stage = Stage::with_apis([deployed]);
    let mut client = stage.client().await;
    client.send(&format!("HEAD /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\n{KEY}\r\n")).await;
    let answer = client.read_head().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\ncontent-length: 5\r\n"), "{answer}");
    let reply = client.get("/pizza/1.0.0/open", None).await;
    assert_eq!((reply.status, reply.header("content-length"), reply.header("transfer-encoding")), (204, None, None));
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.text(), "hello");
}

#[tokio::test]
async fn clients_that_know_it_speak_http_2_without_tls() {
    let (_backend, stage) = stage().await;
    let stream = TcpStream::connect(stage.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driven = tokio::spawn(connection);
    for body in ["hello", "world!"] {
        let request = Request::post(format!("http://{}/pizza/1.0.0/menu", stage.address()));
        let request = request.header("authorization", "Bearer good").body(Full::<Bytes>::from(body)).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, format!("POST /base/menu {}", body.len()));
    }
    // A host that is not that of the call, and values that another would read otherwise.
    let host = stage.address().to_string();
    for (name, value, status) in [
        ("host", "other.example", 400),
        ("host", "a b", 400),
        ("host", host.as_str(), 200),
        ("x-own", " a", 400),
        ("x-own", "a\t", 400),
        ("x-own", "a b", 200),
        ("x-own", "", 200),
    ] {
        let request = Request::post(format!("http://{host}/pizza/1.0.0/menu")).header("authorization", "Bearer good");
        let answer = sender.send_request(request.header(name, value).body(Full::from("")).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {value:?}");
    }
    driven.abort();
    // What begins alike and goes on otherwise is no HTTP/2.
    let mut client = stage.client().await;
    client.send("PRI * HTTP/2.0\r\n\r\nno\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 505);
}

#[tokio::test]
async fn trailers_reach_who_takes_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::with_apis([api(listener.local_addr().unwrap())]);
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    for (takes, end) in [("TE: trailers\r\n", "x-sum: 1\r\n\r\n"), ("", "\r\n")] {
        let mut client = stage.client().await;
        client.send(&format!("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\n{KEY}{takes}\r\n")).await;
        let (mut backend, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(backend.read_buf(&mut request).await.unwrap() > 0);
        }
        backend.write_all(answer.as_bytes()).await.unwrap();
        drop(backend);
        client.read_head().await;
        let expected = format!("5\r\nhello\r\n0\r\n{end}");
        assert_eq!(String::from_utf8(client.read_exactly(expected.len()).await).unwrap(), expected);
    }
}
