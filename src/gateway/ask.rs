//! Short questions that the gateway itself asks other servers: for a token, for a sign of life. Answers are small and
//! held whole.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Version};

use crate::attempt;
use crate::multiplexed;
use crate::route::endpoint::Endpoint;
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{Answer, AnswerBody, Demand, Exchange, Patience};
use crate::upstream::outbound::Outbound;
use crate::upstream::request::{BodyLength, Fields as _};
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
    let over_http2 = if endpoint.origin.has_http2 { send_over_http2(worker, endpoint, &question).await? } else { None };
    let answer = match over_http2 {
        Some(answer) => answer,
        None => send_over_http1(worker, endpoint, &question).await?,
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

/// Sends a question over HTTP/2; `None` where the server chose HTTP/1.1.
async fn send_over_http2(
    worker: &Worker,
    endpoint: &Endpoint,
    question: &Question<'_>,
) -> Result<Option<Answer>, UpstreamError> {
    let pool = worker.pools.of(&endpoint.origin);
    let line = match question.may_reuse {
        true => None,
        false => match multiplexed::open(worker, &pool).await? {
            Some(line) => Some(line),
            None => return Ok(None),
        },
    };
    let (outbound, _) = Outbound::new(body_of(question), &worker.alarms);
    let mut request = Request::new(outbound);
    *request.method_mut() = question.verb.clone();
    *request.uri_mut() = multiplexed::uri(endpoint, &target(endpoint, question))?;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().extend(question.fields.iter().cloned());
    multiplexed::deliver(worker, &pool, line, request).await
}

async fn send_over_http1(
    worker: &Worker,
    endpoint: &Endpoint,
    question: &Question<'_>,
) -> Result<Answer, UpstreamError> {
    match send(worker, endpoint, question, !question.may_reuse).await {
        Err((UpstreamError::Closed, true)) => send(worker, endpoint, question, true).await.map_err(|(error, _)| error),
        sent => sent.map_err(|(error, _)| error),
    }
}

/// Sends a question over HTTP/1.1; says of a failure whether it was that of a connection that had been kept.
async fn send(
    worker: &Worker,
    endpoint: &Endpoint,
    question: &Question<'_>,
    must_connect: bool,
) -> Result<Answer, (UpstreamError, bool)> {
    let pool = worker.pools.of(&endpoint.origin);
    let slot = pool.slot().await.map_err(|error| (error, false))?;
    let (link, is_reused) = attempt::open(worker, &pool, &slot, must_connect).await.map_err(|error| (error, false))?;
    write_head(endpoint, question, &mut link.borrow_mut().write);
    let limits = &worker.settings.upstream;
    let patience = Patience {
        head: question.patience,
        send_stall: question.patience,
        receive_stall: question.patience,
        head_bytes_max: limits.head_bytes_max,
    };
    let demand = Demand { verb: question.verb.clone(), body: body_of(question), takes_lines: false };
    let exchange = Exchange::begin(None, (link, slot), &worker.alarms, patience, demand);
    exchange.answer().await.map_err(|failure| (failure.error, is_reused && failure.can_be_repeated))
}

fn body_of(question: &Question<'_>) -> RequestBody {
    let length = BodyLength::Known(question.body.len() as u64);
    RequestBody { first: Some(question.body.clone()), rest: None, length, counted: None }
}

/// Returns path and query.
fn target(endpoint: &Endpoint, question: &Question<'_>) -> String {
    if let Some(path) = question.path {
        return path.to_owned();
    }
    let path = if endpoint.base_path.is_empty() { "/" } else { &*endpoint.base_path };
    endpoint.base_query.as_ref().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

fn write_head(endpoint: &Endpoint, question: &Question<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(question.verb.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target(endpoint, question).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.field("host", endpoint.authority.as_bytes());
    for (name, value) in question.fields {
        out.field(name.as_str(), value.as_bytes());
    }
    if !question.may_reuse {
        out.field("connection", b"close");
    }
    if question.verb != Method::GET && question.verb != Method::HEAD {
        out.field("content-length", itoa::Buffer::new().format(question.body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
