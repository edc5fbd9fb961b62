//! Passes a call on to the backends of its API, and makes what they answer the call's answer.

use std::cell::{Cell, OnceCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Method, Response};
use http_body::Body as _;
use portcullis_model::KeyType;
use tracing::debug;

use crate::attempt;
use crate::authenticate::Known;
use crate::body::ReplyBody;
use crate::call_id::CallId;
use crate::client::Client;
use crate::downstream::body::ClientBody;
use crate::dynamic::{self, To};
use crate::mediation;
use crate::meter::Meter;
use crate::off_path;
use crate::proof::{self, Proof, Shown};
use crate::refusal::Refusal;
use crate::route::api::CompiledApi;
use crate::route::endpoint::EndpointGroup;
use crate::soap_session::{self, InSession};
use crate::trace::Trace;
use crate::upstream::UpstreamError;
use crate::upstream::exchange::Answer;
use crate::upstream::request::BodyLength;
use crate::upstream::sending::RequestBody;
use crate::worker::Worker;

/// A call that is to be passed on.
pub(crate) struct Passage<'a> {
    pub(crate) api: &'a CompiledApi,
    /// Which part of a product the call goes to.
    pub(crate) part: Option<usize>,
    pub(crate) key_type: KeyType,
    pub(crate) request: &'a Parts,
    /// The part of the path after the context, as it came.
    pub(crate) rest: &'a str,
    /// The query, without what is not the backend's business.
    pub(crate) query: Option<&'a str>,
    /// The headers that hold credentials.
    pub(crate) without: &'a [HeaderName],
    /// What the backend is told of the caller, and in which header.
    pub(crate) assertion: Option<(&'a HeaderName, &'a str)>,
    /// Who calls, where that was asked.
    pub(crate) known: Option<&'a Known>,
    /// By what the gateway proves itself to the backend.
    pub(crate) shown: Option<Shown<'a>>,
    pub(crate) client: &'a Client,
    pub(crate) request_id: &'a CallId,
    /// What counts the cost of the call that is known late.
    pub(crate) meter: Option<&'a Meter>,
    /// Whether nobody looks at the headers of the answer, so that they may be passed on as they are.
    pub(crate) takes_lines: bool,
    /// What is noted of the call's way, for statistics.
    pub(crate) way: &'a Way,
    /// The call's spans, where it is traced.
    pub(crate) trace: Option<&'a Trace>,
    /// Where policies have it go, where the API leaves that to them.
    pub(crate) to: Option<&'a To>,
    /// What a session of SOAP says, where the backends' clients stay by one.
    pub(crate) in_session: Option<InSession>,
}

/// What is noted of a call's way to its backend.
#[derive(Default)]
pub(crate) struct Way {
    /// The number of the backend that answered, or was tried last; 0 where none was.
    pub(crate) destination: Cell<u64>,
    /// How long backends took until the head of their answer was there.
    pub(crate) took: Cell<Duration>,
    /// When the last of them answered or failed, where that was measured.
    pub(crate) answered: Cell<Option<Instant>>,
    /// Bytes of the request's body as they go to the backend, where its length was not announced.
    pub(crate) sent: OnceCell<Rc<Cell<u64>>>,
    /// The backend's address, where a policy named it.
    pub(crate) address: OnceCell<Arc<str>>,
}

/// The body of a call that is to be passed on.
pub(crate) enum CallBody {
    /// As it comes.
    Streams(ClientBody),
    /// All of it.
    Held(Bytes),
}

impl CallBody {
    /// Has as much of it at hand as it takes to begin.
    pub(crate) async fn begin(self, worker: &Worker, passage: &Passage<'_>) -> Result<RequestBody, UpstreamError> {
        match self {
            Self::Streams(body) => take_first_piece(worker, passage, body).await,
            Self::Held(bytes) => Ok(held(passage.request, bytes)),
        }
    }

    /// Has all of it at hand.
    pub(crate) async fn hold(self, worker: &Worker, passage: &Passage<'_>) -> Result<Bytes, Refusal> {
        match self {
            Self::Streams(body) => mediation::hold(worker, body, passage.meter).await,
            Self::Held(bytes) => Ok(bytes),
        }
    }
}

/// Returns a body that is all at hand.
pub(crate) fn held(request: &Parts, bytes: Bytes) -> RequestBody {
    if bytes.is_empty() {
        return RequestBody::none(length_of_nothing(request));
    }
    let length = BodyLength::Known(bytes.len() as u64);
    RequestBody { first: Some(bytes), rest: None, length, counted: None }
}

/// Backends may insist on a length with verbs that usually have a body (RFC 9110 §8.6).
fn length_of_nothing(request: &Parts) -> BodyLength {
    let has_length = matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
    if has_length { BodyLength::Known(0) } else { BodyLength::None }
}

/// Passes a call on and returns the answer, whose body may still be on its way.
///
/// # Errors
/// What the caller is told where no backend answers.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    body: CallBody,
) -> Result<Response<ReplyBody>, Refusal> {
    let ordinary = endpoints(passage)?;
    if let Some(dynamic) = &ordinary.dynamic {
        return off_path::boxed(move || dynamic::forward(worker, passage, (ordinary, dynamic), body)).await;
    }
    if let Some(session) = &ordinary.soap_session {
        return off_path::boxed(move || soap_session::forward(worker, passage, (ordinary, session), body)).await;
    }
    let (group, body) = match &ordinary.aside {
        None => (ordinary, body),
        Some(aside) => {
            let body = off_path::boxed(move || aside.copy(worker, passage, body)).await?;
            (aside.choose(worker, ordinary, passage), body)
        }
    };
    to_group(worker, passage, (group, ordinary.proof.as_ref()), body).await
}

/// Passes a call on to the backends of a group, with a proof.
///
/// # Errors
/// What the caller is told where none answers.
pub(crate) async fn to_group(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    (group, proof): (&EndpointGroup, Option<&Proof>),
    body: CallBody,
) -> Result<Response<ReplyBody>, Refusal> {
    if let Some(proof) = proof {
        return off_path::boxed(move || proof::forward(worker, passage, group, proof, body)).await;
    }
    let outcome = match body.begin(worker, passage).await {
        Ok(body) => attempt::try_endpoints(worker, passage, group, body).await,
        Err(error) => Err(error),
    };
    reply(worker, passage, outcome)
}

fn endpoints<'a>(passage: &Passage<'a>) -> Result<&'a EndpointGroup, Refusal> {
    let group = passage.api.endpoints(passage.part, passage.key_type);
    if group.is_none() {
        return Err(Refusal::no_endpoint_for(passage.key_type.as_contract()));
    }
    Ok(group)
}

/// Makes what backends answered the call's answer.
///
/// # Errors
/// What the caller is told where none did.
pub(crate) fn reply(
    worker: &Worker,
    passage: &Passage<'_>,
    outcome: Result<Answer, UpstreamError>,
) -> Result<Response<ReplyBody>, Refusal> {
    match outcome {
        Ok(answer) => Ok(respond(passage, answer)),
        Err(error) => {
            count(worker, &error);
            debug!(api = %passage.api.id, %error, "call not answered by its backend");
            Err(Refusal::from_upstream(&error))
        }
    }
}

/// Makes what a backend answered the call's answer.
pub(crate) fn respond(passage: &Passage<'_>, answer: Answer) -> Response<ReplyBody> {
    if let Some(meter) = passage.meter {
        meter.begin(&answer.headers, passage.api.tokens.as_ref());
    }
    if let Some(room) = answer.room {
        passage.client.keep_room(room);
    }
    let mut response = Response::new(ReplyBody::from_answer(answer.body, answer.lines));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// Counts why a call was not answered.
pub(crate) fn count(worker: &Worker, error: &UpstreamError) {
    match error {
        UpstreamError::HeadTimeout | UpstreamError::ConnectTimeout | UpstreamError::Stalled => {
            worker.counters.upstream_timeouts.add(1);
        }
        // Counted where they were met, or not the backend's fault.
        UpstreamError::Connect(_) | UpstreamError::Name(_) | UpstreamError::ClientBody => {}
        UpstreamError::ClientStalled => worker.counters.slow_clients.add(1),
        UpstreamError::ClientTooSlow => {
            worker.counters.slow_clients.add(1);
            worker.counters.clients_below_pace.add(1);
        }
        _ => worker.counters.upstream_errors.add(1),
    }
}

/// Reads the first piece of a body whose length is known, so that it goes out together with the head, and no
/// connection to a backend is held while a slow client begins to send. A chunked body is not waited for: its sender may
/// want to see the answer first.
async fn take_first_piece(
    worker: &Worker,
    passage: &Passage<'_>,
    mut body: ClientBody,
) -> Result<RequestBody, UpstreamError> {
    let counted = passage.meter.map(Meter::sent);
    let length = match body.size_hint().exact() {
        _ if body.is_end_stream() => {
            return Ok(RequestBody::none(length_of_nothing(passage.request)));
        }
        Some(length) => BodyLength::Known(length),
        None => {
            let counted = counted.unwrap_or_default();
            // A call has one body.
            passage.way.sent.get_or_init(|| Rc::clone(&counted));
            let (length, counted) = (BodyLength::Chunked, Some(counted));
            let rest = Some(body.paced(worker, &passage.request.headers));
            return Ok(RequestBody { first: None, rest, length, counted });
        }
    };
    let mut alarm = worker.alarms.alarm();
    alarm.set(worker.settings.client.stall_timeout);
    let first = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(frame.into_data().unwrap_or_default())),
        Poll::Ready(Some(Err(fault))) => Poll::Ready(Err(fault.into())),
        Poll::Ready(None) => Poll::Ready(Ok(Bytes::new())),
        Poll::Pending if alarm.is_due(cx) => Poll::Ready(Err(UpstreamError::ClientStalled)),
        Poll::Pending => Poll::Pending,
    });
    let first = first.await?;
    if let Some(counted) = &counted {
        counted.set(counted.get() + first.len() as u64);
    }
    let rest = (!body.is_end_stream()).then(|| body.paced(worker, &passage.request.headers));
    Ok(RequestBody { first: Some(first), rest, length, counted })
}
