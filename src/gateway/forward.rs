//! Passes a call on to a backend: chooses the endpoint, sends, and tries again where that is safe.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use portcullis_model::KeyType;
use portcullis_model::api::EndpointStrategy;
use tracing::debug;

use crate::body::ReplyBody;
use crate::client::Client;
use crate::meter::Meter;
use crate::refusal::Refusal;
use crate::route::api::CompiledApi;
use crate::route::endpoint::{Endpoint, EndpointGroup};
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{Answer, Exchange, Failure, Patience};
use crate::upstream::link::Link;
use crate::upstream::pool::{Pool, Slot};
use crate::upstream::request::{BodyLength, Outgoing};
use crate::upstream::sending::RequestBody;
use crate::worker::Worker;

/// A call that is to be passed on.
pub(crate) struct Passage<'a> {
    pub(crate) api: &'a CompiledApi,
    pub(crate) key_type: KeyType,
    pub(crate) request: &'a Parts,
    /// The part of the path after the context, as it came.
    pub(crate) rest: &'a str,
    /// The query, without what is not the backend's business.
    pub(crate) query: Option<&'a str>,
    /// The headers that hold credentials.
    pub(crate) without: &'a [HeaderName],
    pub(crate) client: &'a Client,
    pub(crate) request_id: &'a HeaderValue,
    /// What counts the cost of the call that is known late.
    pub(crate) meter: Option<&'a Meter>,
}

/// Whose turn it is among endpoints that share the calls.
#[derive(Default)]
pub(crate) struct Turns(RefCell<HashMap<u64, usize>>);

impl Turns {
    /// Returns the number of the endpoint whose turn it is.
    pub(crate) fn next(&self, group: &EndpointGroup) -> usize {
        let mut turns = self.0.borrow_mut();
        let turn = turns.entry(group.id).or_default();
        *turn = turn.wrapping_add(1);
        *turn % group.endpoints.len()
    }

    /// Forgets all turns: the groups may be gone.
    pub(crate) fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Passes a call on and returns the answer, whose body may still be on its way.
///
/// # Errors
/// What the caller is told where no backend answers.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    body: Incoming,
) -> Result<Response<ReplyBody>, Refusal> {
    let group = endpoints(passage)?;
    let body = take_first_piece(worker, passage, body).await;
    let outcome = match body {
        Ok(body) => try_endpoints(worker, passage, group, body).await,
        Err(error) => Err(error),
    };
    reply(worker, passage, outcome)
}

/// The same with a body that is all at hand.
///
/// # Errors
/// What the caller is told where no backend answers.
pub(crate) async fn forward_held(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    body: Bytes,
) -> Result<Response<ReplyBody>, Refusal> {
    let group = endpoints(passage)?;
    let length = BodyLength::Known(body.len() as u64);
    let body = RequestBody { first: Some(body), rest: None, length, counted: None };
    let outcome = try_endpoints(worker, passage, group, body).await;
    reply(worker, passage, outcome)
}

fn endpoints<'a>(passage: &Passage<'a>) -> Result<&'a EndpointGroup, Refusal> {
    let group = passage.api.endpoints(passage.key_type);
    if group.endpoints.is_empty() {
        return Err(Refusal::no_endpoint_for(passage.key_type.as_contract()));
    }
    Ok(group)
}

fn reply(
    worker: &Worker,
    passage: &Passage<'_>,
    outcome: Result<Answer, UpstreamError>,
) -> Result<Response<ReplyBody>, Refusal> {
    match outcome {
        Ok(answer) => {
            if let Some(meter) = passage.meter {
                meter.begin(&answer.headers);
            }
            let mut response = Response::new(ReplyBody::from_answer(answer.body));
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        }
        Err(error) => {
            count(worker, &error);
            debug!(api = %passage.api.id, %error, "call not answered by its backend");
            Err(Refusal::from_upstream(&error))
        }
    }
}

fn count(worker: &Worker, error: &UpstreamError) {
    match error {
        UpstreamError::HeadTimeout | UpstreamError::ConnectTimeout | UpstreamError::Stalled => {
            worker.counters.upstream_timeouts.add(1);
        }
        // Counted where they were met, or not the backend's fault.
        UpstreamError::Connect(_) | UpstreamError::Name(_) | UpstreamError::ClientBody => {}
        UpstreamError::ClientStalled => worker.counters.slow_clients.add(1),
        _ => worker.counters.upstream_errors.add(1),
    }
}

/// Reads the first piece of a body whose length is known, so that it goes out together with the head, and no
/// connection to a backend is held while a slow client begins to send. A chunked body is not waited for: its sender may
/// want to see the answer first.
async fn take_first_piece(
    worker: &Worker,
    passage: &Passage<'_>,
    mut body: Incoming,
) -> Result<RequestBody, UpstreamError> {
    let counted = passage.meter.map(Meter::sent);
    let length = match body.size_hint().exact() {
        _ if body.is_end_stream() => {
            // Backends may insist on a length with verbs that usually have a body (RFC 9110 §8.6).
            let has_length = matches!(passage.request.method, Method::POST | Method::PUT | Method::PATCH);
            return Ok(RequestBody::none(if has_length { BodyLength::Known(0) } else { BodyLength::None }));
        }
        Some(length) => BodyLength::Known(length),
        None => return Ok(RequestBody { first: None, rest: Some(body), length: BodyLength::Chunked, counted }),
    };
    let mut alarm = worker.alarms.alarm();
    alarm.set(worker.settings.client.stall_timeout);
    let first = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(frame.into_data().unwrap_or_default())),
        Poll::Ready(Some(Err(_))) => Poll::Ready(Err(UpstreamError::ClientBody)),
        Poll::Ready(None) => Poll::Ready(Ok(Bytes::new())),
        Poll::Pending if alarm.is_due(cx) => Poll::Ready(Err(UpstreamError::ClientStalled)),
        Poll::Pending => Poll::Pending,
    });
    let first = first.await?;
    if let Some(counted) = &counted {
        counted.set(counted.get() + first.len() as u64);
    }
    let rest = (!body.is_end_stream()).then_some(body);
    Ok(RequestBody { first: Some(first), rest, length, counted })
}

async fn try_endpoints(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    group: &EndpointGroup,
    mut body: RequestBody,
) -> Result<Answer, UpstreamError> {
    let count = group.endpoints.len();
    let (start, tries) = match group.strategy {
        EndpointStrategy::Single => (0, 1),
        EndpointStrategy::Failover => (0, count),
        EndpointStrategy::RoundRobin => (worker.turns.next(group), count),
    };
    let mut last = UpstreamError::NoConnectionFree;
    // Addresses that could not be connected to a moment ago come last.
    let in_turn = || (0..tries).map(|step| &group.endpoints[(start + step) % count]);
    let is_suspended = |endpoint: &Endpoint| tries > 1 && worker.pools.of(&endpoint.origin).is_suspended();
    let fit = in_turn().filter(|endpoint| !is_suspended(endpoint));
    let suspended = in_turn().filter(|endpoint| is_suspended(endpoint));
    let candidates: Candidates<'_> = if tries == 1 {
        Candidates::One(Some(&group.endpoints[0]))
    } else {
        Candidates::Many(fit.chain(suspended).collect::<Vec<_>>().into_iter())
    };
    for endpoint in candidates {
        match try_endpoint(worker, passage, endpoint, body).await {
            Ok(answer) => return Ok(answer),
            Err((error, Some(again))) if error.is_before_sending() => {
                body = again;
                last = error;
            }
            Err((error, _)) => return Err(error),
        }
    }
    Err(last)
}

/// The endpoints to try, without an allocation in the usual case of one.
enum Candidates<'a> {
    One(Option<&'a Endpoint>),
    Many(std::vec::IntoIter<&'a Endpoint>),
}

impl<'a> Iterator for Candidates<'a> {
    type Item = &'a Endpoint;

    fn next(&mut self) -> Option<&'a Endpoint> {
        match self {
            Self::One(endpoint) => endpoint.take(),
            Self::Many(endpoints) => endpoints.next(),
        }
    }
}

/// Tries one endpoint. Returns the body with the error where nothing of it was lost.
async fn try_endpoint(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    endpoint: &Endpoint,
    mut body: RequestBody,
) -> Result<Answer, (UpstreamError, Option<RequestBody>)> {
    let pool = worker.pools.of(&endpoint.origin);
    let mut must_connect = false;
    loop {
        let slot = match pool.slot().await {
            Ok(slot) => slot,
            Err(error) => return Err((error, Some(body))),
        };
        let (link, is_reused) = match open(worker, &pool, &slot, must_connect).await {
            Ok(opened) => opened,
            Err(error) => return Err((error, Some(body))),
        };
        let (first, length, counted) = (body.first.clone(), body.length, body.counted.clone());
        let exchange = begin(worker, passage, endpoint, link, slot, body);
        match exchange.answer().await {
            Ok(answer) => return Ok(answer),
            // A backend may close a connection just when the next request is on its way. That is safe to repeat where
            // repeating changes nothing (RFC 9110 §9.2.2).
            Err(Failure { error: UpstreamError::Closed, can_be_repeated: true, rest })
                if is_reused && passage.request.method.is_idempotent() =>
            {
                worker.counters.upstream_retries.add(1);
                body = RequestBody { first, rest, length, counted };
                must_connect = true;
            }
            Err(failure) => return Err((failure.error, None)),
        }
    }
}

/// Takes an open connection or opens one; says whether it was open.
async fn open(worker: &Worker, pool: &Pool, slot: &Slot, must_connect: bool) -> Result<(Link, bool), UpstreamError> {
    if !must_connect && let Some(link) = slot.take_idle() {
        worker.counters.upstream_reuses.add(1);
        return Ok((link, true));
    }
    let timeout = worker.settings.upstream.connect_timeout;
    match Link::connect(pool.origin(), worker.upstream_tls.as_ref(), timeout).await {
        Ok(link) => {
            worker.counters.upstream_connects.add(1);
            pool.resume();
            Ok((link, false))
        }
        Err(error) => {
            worker.counters.upstream_connect_errors.add(1);
            pool.suspend();
            Err(error)
        }
    }
}

fn begin(
    worker: &Worker,
    passage: &Passage<'_>,
    endpoint: &Endpoint,
    mut link: Link,
    slot: Slot,
    body: RequestBody,
) -> Exchange {
    let outgoing = Outgoing {
        request: passage.request,
        rest: passage.rest,
        query: passage.query,
        without: passage.without,
        client_ip: &passage.client.ip,
        is_https: passage.client.is_https,
        is_trusted_proxy: passage.client.is_trusted_proxy,
        request_id: passage.request_id,
        body: body.length,
        is_upgrade: false,
        is_to_be_read: passage.meter.is_some_and(Meter::counts_tokens),
    };
    outgoing.write(endpoint, &mut link.write);
    let limits = &worker.settings.upstream;
    let patience = Patience {
        head: endpoint.timeout.unwrap_or(limits.head_timeout),
        send_stall: worker.settings.client.stall_timeout,
        receive_stall: limits.stall_timeout,
        head_bytes_max: limits.head_bytes_max,
    };
    Exchange::new(link, slot, worker.alarms.alarm(), patience, passage.request.method.clone(), body)
}
