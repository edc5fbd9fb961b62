//! Short questions that the gateway itself asks other servers: for a token, for a sign of life. Answers are small and
//! held whole.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::attempt;
use crate::route::endpoint::Endpoint;
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{Answer, AnswerBody, Exchange, Patience};
use crate::upstream::request::{BodyLength, Fields as _, decimal};
use crate::upstream::sending::RequestBody;
use crate::worker::Worker;

/// Bytes of an answer.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A question.
pub(crate) struct Question<'a> {
    pub(crate) verb: Method,
    /// In place of the endpoint's own path and query.
    pub(crate) path: Option<&'a str>,
    pub(crate) fields: &'a [(HeaderName, HeaderValue)],
    pub(crate) body: Bytes,
    /// Whether a connection that was kept may carry it, and be kept. It is asked twice then where the connection ended
    /// just before.
    pub(crate) may_reuse: bool,
    /// How long the answer may take, from the connection to the last byte.
    pub(crate) patience: Duration,
}

/// What came back.
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Asks at an endpoint.
///
/// # Errors
/// Where no whole answer comes in time.
pub(crate) async fn ask(worker: &Worker, endpoint: &Endpoint, question: Question<'_>) -> Result<Told, UpstreamError> {
    let patience = question.patience;
    tokio::time::timeout(patience, exchange(worker, endpoint, question))
        .await
        .map_err(|_| UpstreamError::HeadTimeout)?
}

async fn exchange(worker: &Worker, endpoint: &Endpoint, question: Question<'_>) -> Result<Told, UpstreamError> {
    let answer = match send(worker, endpoint, &question, !question.may_reuse).await {
        Ok(answer) => answer,
        Err((UpstreamError::Closed, true)) => {
            send(worker, endpoint, &question, true).await.map_err(|(error, _)| error)?
        }
        Err((error, _)) => return Err(error),
    };
    let body = match answer.body {
        AnswerBody::Whole(bytes) => bytes,
        AnswerBody::Stream(mut coming) => {
            let mut held = BytesMut::new();
            while let Some(frame) = poll_fn(|cx| coming.poll_frame(cx)).await {
                held.extend_from_slice(&frame?.into_data().unwrap_or_default());
                if held.len() > BODY_BYTES_MAX {
                    return Err(UpstreamError::Protocol("the answer is too large"));
                }
            }
            held.freeze()
        }
    };
    Ok(Told { status: answer.status, body })
}

/// Sends a question; says of a failure whether it was that of a connection that had been kept.
async fn send(
    worker: &Worker,
    endpoint: &Endpoint,
    question: &Question<'_>,
    must_connect: bool,
) -> Result<Answer, (UpstreamError, bool)> {
    let pool = worker.pools.of(&endpoint.origin);
    let slot = pool.slot().await.map_err(|error| (error, false))?;
    let (mut link, is_reused) =
        attempt::open(worker, &pool, &slot, must_connect).await.map_err(|error| (error, false))?;
    write_head(endpoint, question, &mut link.write);
    let limits = &worker.settings.upstream;
    let patience = Patience {
        head: question.patience,
        send_stall: question.patience,
        receive_stall: question.patience,
        head_bytes_max: limits.head_bytes_max,
    };
    let length = BodyLength::Known(question.body.len() as u64);
    let body = RequestBody { first: Some(question.body.clone()), rest: None, length, counted: None };
    let exchange = Exchange::new(link, slot, worker.alarms.alarm(), patience, question.verb.clone(), body);
    exchange.answer().await.map_err(|failure| (failure.error, is_reused && failure.can_be_repeated))
}

fn write_head(endpoint: &Endpoint, question: &Question<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(question.verb.as_str().as_bytes());
    out.push(b' ');
    match question.path {
        Some(path) => out.extend_from_slice(path.as_bytes()),
        None => {
            out.extend_from_slice(if endpoint.base_path.is_empty() { b"/" } else { endpoint.base_path.as_bytes() });
            if let Some(query) = &endpoint.base_query {
                out.push(b'?');
                out.extend_from_slice(query.as_bytes());
            }
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.field("host", endpoint.authority.as_bytes());
    for (name, value) in question.fields {
        out.field(name.as_str(), value.as_bytes());
    }
    if !question.may_reuse {
        out.field("connection", b"close");
    }
    if question.verb != Method::GET && question.verb != Method::HEAD {
        let (digits, at) = decimal(question.body.len() as u64);
        out.field("content-length", &digits[at..]);
    }
    out.extend_from_slice(b"\r\n");
}
