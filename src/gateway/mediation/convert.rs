//! Bodies turned from JSON into XML and back: held whole, up to a bound.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Response, response};
use http_body::Body as _;

use super::{json, soap_message, xml};
use crate::body::ReplyBody;
use crate::downstream::body::ClientBody;
use crate::forward;
use crate::meter::Meter;
use crate::refusal::Refusal;
use crate::upstream::UpstreamError;
use crate::worker::Worker;

/// Bytes of a body that a policy looks into.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// What a body becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// XML, out of JSON.
    Xml,
    /// JSON, out of XML.
    Json,
    /// JSON, out of what is in an envelope of SOAP.
    OfSoap,
}

/// A body that is not what it is to be turned from.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotConvert {
    #[error("the body is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("the body is not XML: {0}")]
    NotXml(String),
    #[error("the body is nested more than {0} deep")]
    TooDeep(usize),
    #[error("the body would become larger than {0} bytes")]
    TooLarge(usize),
}

impl Form {
    pub(super) fn convert(self, body: &[u8]) -> Result<Bytes, CannotConvert> {
        match self {
            Self::Xml => json::to_xml(body).map(Bytes::from),
            Self::Json => xml::to_json(body).map(Bytes::from),
            Self::OfSoap => soap_message::answer(body).map(Bytes::from),
        }
    }

    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Xml => "application/xml",
            Self::Json | Self::OfSoap => "application/json",
        })
    }
}

/// Reads all of a call's body.
pub(crate) async fn hold(worker: &Worker, body: ClientBody, meter: Option<&Meter>) -> Result<Bytes, Refusal> {
    hold_up_to(worker, body, meter, BODY_BYTES_MAX).await
}

/// The same, up to another bound.
pub(super) async fn hold_up_to(
    worker: &Worker,
    body: ClientBody,
    meter: Option<&Meter>,
    bytes_max: usize,
) -> Result<Bytes, Refusal> {
    // Whoever holds a body cannot carry a stream, whatever the call says it is.
    let mut body = body.paced(worker, &HeaderMap::new());
    let mut held = BytesMut::new();
    let mut alarm = worker.alarms.alarm();
    let counted = meter.map(Meter::sent);
    loop {
        alarm.set(worker.settings.client.stall_timeout);
        let piece = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(Ok(None)),
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame.into_data().unwrap_or_default()))),
            Poll::Ready(Some(Err(fault))) => Poll::Ready(Err(UpstreamError::from(fault))),
            Poll::Pending if alarm.is_due(cx) => Poll::Ready(Err(UpstreamError::ClientStalled)),
            Poll::Pending => Poll::Pending,
        });
        let piece = piece.await.map_err(|error| {
            forward::count(worker, &error);
            Refusal::from_upstream(&error)
        })?;
        let Some(piece) = piece else {
            return Ok(held.freeze());
        };
        if held.len() + piece.len() > bytes_max {
            return Err(Refusal::body_too_large());
        }
        if let Some(counted) = &counted {
            counted.set(counted.get() + piece.len() as u64);
        }
        held.extend_from_slice(&piece);
    }
}

/// Reads all of an answer.
///
/// # Errors
/// Where it is packed, or too large.
pub(crate) async fn hold_answer(
    worker: &Worker,
    response: Response<ReplyBody>,
) -> Result<(response::Parts, Bytes), Refusal> {
    let (head, mut body) = response.into_parts();
    if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Refusal::unreadable_answer("it is packed, though a plain one was asked for"));
    }
    let mut held = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| Refusal::from_upstream(&error))?;
        let piece = frame.into_data().unwrap_or_default();
        if held.len() + piece.len() > BODY_BYTES_MAX {
            worker.counters.upstream_errors.add(1);
            return Err(Refusal::unreadable_answer("it is larger than what a policy may hold"));
        }
        held.extend_from_slice(&piece);
    }
    Ok((head, held.freeze()))
}

/// Turns an answer's body. An empty one stays so.
pub(super) async fn answer(
    worker: &Worker,
    form: Form,
    response: Response<ReplyBody>,
) -> Result<Response<ReplyBody>, Refusal> {
    let (mut head, held) = hold_answer(worker, response).await?;
    if held.is_empty() {
        return Ok(Response::from_parts(head, ReplyBody::whole(held)));
    }
    let body = form.convert(&held).map_err(|bad| {
        worker.counters.upstream_errors.add(1);
        Refusal::unreadable_answer(bad.to_string())
    })?;
    head.headers.insert(CONTENT_TYPE, form.content_type());
    forget_body(&mut head.headers);
    Ok(Response::from_parts(head, ReplyBody::whole(body)))
}

/// Removes from the head of an answer what is said of its body, before another one stands in its place.
pub(super) fn forget_body(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, ETAG, CONTENT_ENCODING] {
        headers.remove(name);
    }
}
