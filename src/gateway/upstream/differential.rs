//! Compares how answers are read here with how hyper's client reads them: what is taken here, hyper takes too, and
//! finds the same in it. Stricter than hyper is allowed, laxer is not.

use bytes::{Bytes, BytesMut};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::UpstreamError;
use super::head::{self, Memory};
use crate::http1::framing::{Framing, Piece};
use crate::http1::mutation::{body, mutated};

/// What is found in a head, the fields by name and value; the length is said by the framing.
type Found = (u16, Framing, bool, Vec<(String, Vec<u8>)>);

fn found(bytes: &[u8], takes_lines: bool) -> Result<Option<Found>, String> {
    let parsed = head::parse(&mut BytesMut::from(bytes), &mut Memory::default(), &Method::GET, takes_lines);
    let Some(head) = parsed.map_err(|error| error.to_string())? else { return Ok(None) };
    let mut fields: Vec<(String, Vec<u8>)> = match &head.lines {
        None => head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
        Some(lines) => {
            let mut text = Vec::new();
            lines.write(&mut text);
            text.extend_from_slice(b"\r\n");
            let mut room = [httparse::EMPTY_HEADER; 100];
            let parsed = httparse::parse_headers(&text, &mut room).expect("lines of a head are a head");
            let fields = parsed.unwrap().1.iter();
            let fields: Vec<_> = fields.map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())).collect();
            assert_eq!(fields.iter().any(|(name, _)| name == "date"), lines.has_date);
            fields
        }
    };
    fields.retain(|(name, _)| name != "content-length");
    fields.sort();
    Ok(Some((head.status.as_u16(), head.framing, head.keeps_alive, fields)))
}

/// What is compared: status and body.
type Read = (u16, Vec<u8>);

fn read_here(bytes: &[u8]) -> Result<Read, UpstreamError> {
    let mut read = BytesMut::from(bytes);
    let head = loop {
        let head = head::parse(&mut read, &mut Memory::default(), &Method::GET, false)?.ok_or(UpstreamError::CutOff)?;
        if head.status == 101 {
            return Err(UpstreamError::Protocol("it switches protocols unasked"));
        }
        if !head.status.is_informational() {
            break head;
        }
    };
    let mut framing = head.framing;
    let mut body = Vec::new();
    loop {
        match framing.next(&mut read)? {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::Trailers(_) | Piece::End => break,
            Piece::NeedsMore => {
                framing.connection_ended()?;
                break;
            }
        }
    }
    Ok((head.status.as_u16(), body))
}

async fn read_by_hyper(bytes: Vec<u8>) -> hyper::Result<Read> {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
    let driven = tokio::spawn(connection);
    let request = Request::get("/").body(Empty::<Bytes>::new()).expect("a request without headers is valid");
    let answered = sender.send_request(request);
    let answering = async {
        // hyper refuses what comes before it has asked, so the answer waits for the request.
        let mut asked = [0; 1];
        tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut asked).await.expect("hyper asks");
        theirs.write_all(&bytes).await.ok();
        theirs.shutdown().await.ok();
    };
    let (response, ()) = tokio::join!(answered, answering);
    let response = response?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes().to_vec();
    driven.abort();
    Ok((status, body))
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let first_line = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304 \r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n",
        "HTTP/1.1 500\r\n",
    ]);
    let headers = prop::collection::vec(
        prop::sample::select(vec![
            "content-length: 11\r\n",
            "content-length: 11\r\n",
            "content-length: 5\r\n",
            "content-length: 0011\r\n",
            "transfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "connection: close\r\n",
            "x-a: b\r\n",
            "X-A: c \r\n",
            "Connection: X-A\r\n",
            "Keep-Alive: timeout=5\r\n",
            "Date: now\r\n",
            "X-Request-Id: theirs\r\n",
            "x-empty:\r\n",
        ]),
        0..4,
    );
    mutated(
        (first_line, headers, body()).prop_map(|(line, headers, body)| format!("{line}{}\r\n{body}", headers.concat())),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_that_are_passed_on_are_the_fields_that_a_map_would_have(bytes in answer()) {
        prop_assert_eq!(found(&bytes, true), found(&bytes, false), "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn answers_taken_here_are_read_alike_by_hyper(bytes in answer()) {
        let Ok(here) = read_here(&bytes) else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime for the test");
        let by_hyper = runtime.block_on(read_by_hyper(bytes.clone()));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match by_hyper {
            Ok(by_hyper) => prop_assert_eq!(here, by_hyper, "{:?}", text),
            Err(error) => prop_assert!(false, "taken here, but hyper says {error}: {text:?}"),
        }
    }
}
