//! Compares how requests are read here with how hyper's server reads them: what is taken here, hyper takes too, and
//! finds the same in it. Stricter than hyper is allowed, laxer is not.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::head::{self, Memory};
use crate::http1::framing::Piece;
use crate::http1::mutation::{body, mutated};

/// What is compared of a request: its first line, its fields in order, and its body.
type Read = (String, Vec<(String, Vec<u8>)>, Vec<u8>);

fn told(request: &http::request::Parts, body: Vec<u8>) -> Read {
    let fields = request.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let mut fields: Vec<_> = fields.collect();
    fields.sort();
    (format!("{} {} {:?}", request.method, request.uri, request.version), fields, body)
}

/// Reads all requests there are; `None` where one is not taken, or not whole.
fn read_here(bytes: &[u8]) -> Option<Vec<Read>> {
    let (mut read, mut memory, mut all) = (BytesMut::from(bytes), Memory::default(), Vec::new());
    while !read.trim_ascii_start().is_empty() {
        let mut head = head::parse(&mut read, &mut memory, 100).ok()??;
        if head.doubt.is_some() {
            return None;
        }
        let mut body = Vec::new();
        loop {
            match head.framing.next(&mut read).ok()? {
                Piece::Data(data) => body.extend_from_slice(&data),
                Piece::Trailers(_) | Piece::End => break,
                Piece::NeedsMore => return None,
            }
        }
        all.push(told(&head.parts, body));
        if !head.keeps_alive {
            break;
        }
        memory.recycle(head);
    }
    Some(all)
}

async fn read_by_hyper(bytes: Vec<u8>) -> Vec<Read> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let noted = Arc::clone(&seen);
    let service = service_fn(move |request: Request<Incoming>| {
        let noted = Arc::clone(&noted);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            noted.lock().expect("no test panics with it").push(told(&parts, body));
            Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::new())))
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    let serving = tokio::spawn(server.half_close(true).serve_connection(TokioIo::new(ours), service));
    theirs.write_all(&bytes).await.ok();
    theirs.shutdown().await.ok();
    let mut answers = Vec::new();
    theirs.read_to_end(&mut answers).await.ok();
    serving.await.expect("the server does not panic").ok();
    let seen = seen.lock().expect("no test panics with it");
    seen.clone()
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let first_line = prop::sample::select(vec![
        "GET /a?b=c HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\n",
        "POST /a HTTP/1.0\r\n",
        "\r\nOPTIONS * HTTP/1.1\r\n",
        "GET http://h/a%20b HTTP/1.1\r\n",
    ]);
    let fields = prop::collection::vec(
        prop::sample::select(vec![
            "content-length: 11\r\n",
            "content-length: 5\r\n",
            "content-length: 0011\r\n",
            "transfer-encoding: chunked\r\n",
            "Transfer-Encoding: Chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "connection: close\r\n",
            "Connection: keep-alive\r\n",
            "x-a: b\r\n",
            "x-empty:\r\n",
            "x-a:  c \r\n",
        ]),
        0..4,
    );
    let times = prop::sample::select(vec![1, 1, 1, 2, 4]);
    let one = (first_line, fields, body(), times).prop_map(|(line, fields, body, times)| {
        format!("{line}Host: h\r\n{}\r\n{body}", fields.concat()).repeat(times)
    });
    mutated(prop::collection::vec(one, 1..3).prop_map(|all| all.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_taken_here_are_read_alike_by_hyper(bytes in requests()) {
        let Some(here) = read_here(&bytes) else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime for the test");
        let by_hyper = runtime.block_on(read_by_hyper(bytes.clone()));
        prop_assert_eq!(here, by_hyper, "{:?}", String::from_utf8_lossy(&bytes));
    }
}
