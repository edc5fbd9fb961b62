//! Attempts at backends: over which connection a call goes, and what is tried again, there or elsewhere, because that is
//! safe: what no backend has seen, and what changes nothing by being done twice (RFC 9110 §9.2.2).

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use tracing::warn;

use crate::body::ReplyBody;
use crate::client::SentTo;
use crate::downstream::body::ClientBody;
use crate::forward::{self, Passage};
use crate::meter::Meter;
use crate::multiplexed;
use crate::off_path;
use crate::refusal::Refusal;
use crate::route::endpoint::{Endpoint, EndpointGroup};
use crate::route::standing::Consequence;
use crate::sharing::Candidates;
use crate::trace::Trace;
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{Answer, Demand, Exchange, Failure, Patience};
use crate::upstream::link::{Link, SharedLink};
use crate::upstream::pool::{Pool, Slot};
use crate::upstream::request::{BodyLength, Outgoing};
use crate::upstream::sending::RequestBody;
use crate::worker::Worker;

/// A call that is about to be sent to its backend.
pub(crate) struct UnderWay<'a> {
    endpoint: &'a Endpoint,
    exchange: Box<Exchange>,
    /// What is sent once more where the backend has closed the connection meanwhile.
    body: Bytes,
    /// When it was sent, where it did not wait for that.
    began: Option<Instant>,
}

/// Begins a call at once where that can be: all of it is here, there is one backend, and a connection to it is open. That is the
/// usual case, and this the shortest way; it takes `body` then.
pub(crate) fn begin_now<'a>(worker: &Worker, passage: &Passage<'a>, body: &ClientBody) -> Option<UnderWay<'a>> {
    let endpoint = passage.api.endpoints(passage.part, passage.key_type).direct()?;
    if passage.meter.is_some() || !body.is_whole_now() {
        return None;
    }
    let slot = worker.pools.of(&endpoint.origin).slot_now()?;
    let link = slot.take_idle()?;
    worker.counters.upstream_reuses.add(1);
    passage.way.destination.set(endpoint.id);
    let bytes = body.take_whole();
    let body = forward::held(passage.request, bytes.clone());
    // Nothing was changed in the request on the way here.
    let to = SentTo {
        api: passage.api.number,
        endpoint: endpoint.id,
        is_without_key: std::ptr::eq(passage.without, &*passage.api.schemes.secret_headers),
    };
    let outgoing = Outgoing { repeats: Some((passage.client, to)), ..outgoing(passage, body.length, false) };
    outgoing.write(endpoint, &mut link.borrow_mut().write);
    let exchange = exchange(worker, passage, endpoint, (link, slot), body, passage.takes_lines);
    Some(UnderWay { endpoint, exchange, body: bytes, began: None })
}

impl UnderWay<'_> {
    /// Sends it, and waits for the head of the answer.
    pub(crate) fn answered(
        &mut self,
        worker: &Worker,
        passage: &Passage<'_>,
    ) -> impl Future<Output = Result<(), Failure>> {
        let mut outbox = worker.outbox.is_of_use(worker).then_some(&worker.outbox);
        // What the call waits for others is not the backend's.
        self.began = (outbox.is_none() && is_timed(worker, passage)).then(Instant::now);
        poll_fn(move |cx| {
            if let Some(outbox) = outbox.take() {
                self.exchange.leave(outbox, passage.client, cx);
            }
            self.exchange.poll_answered(cx)
        })
    }

    /// Makes the answer the call's, once its head is here.
    pub(crate) fn reply(self, worker: &Worker, passage: &Passage<'_>) -> Response<ReplyBody> {
        let answer = self.exchange.into_answer();
        let sent_at = answer.sent_at.filter(|_| is_timed(worker, passage));
        note(passage, self.began.or(sent_at), Some(answer.status));
        forward::respond(passage, answer)
    }

    /// Sends it once more where that is safe, after it failed.
    ///
    /// # Errors
    /// What the caller is told where there is no answer.
    pub(crate) async fn failed(
        self,
        failure: Failure,
        worker: &Rc<Worker>,
        passage: &Passage<'_>,
    ) -> Result<Response<ReplyBody>, Refusal> {
        // The connection is of no use: its place is free for another.
        drop(self.exchange);
        let is_timed = is_timed(worker, passage);
        if failure.is_unsent || is_to_be_repeated(&failure, passage) {
            let began = self.began.or_else(|| is_timed.then(Instant::now));
            let outcome = again(worker, passage, self.endpoint, self.body).await;
            note(passage, began, status_of(&outcome));
            return forward::reply(worker, passage, outcome);
        }
        note(passage, self.began.or(failure.sent_at.filter(|_| is_timed)), None);
        forward::reply(worker, passage, Err(failure.error))
    }
}

fn status_of(outcome: &Result<Answer, UpstreamError>) -> Option<StatusCode> {
    outcome.as_ref().ok().map(|answer| answer.status)
}

/// Says whether a backend closed the connection just when the request was on its way, which may then be sent once more. That is
/// safe where repeating changes nothing (RFC 9110 §9.2.2).
fn is_to_be_repeated(failure: &Failure, passage: &Passage<'_>) -> bool {
    let has_changed_nothing = failure.can_be_repeated && passage.request.method.is_idempotent();
    has_changed_nothing && matches!(failure.error, UpstreamError::Closed)
}

/// Sends a request, all of which is at hand, once more over a new connection.
async fn again(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    endpoint: &Endpoint,
    body: Bytes,
) -> Result<Answer, UpstreamError> {
    worker.counters.upstream_retries.add(1);
    let body = forward::held(passage.request, body);
    let again = try_over_http1(worker, passage, endpoint, body, (passage.takes_lines, true));
    again.await.map_err(|(error, _)| error)
}

/// Says whether anybody wants to know how long backends take.
fn is_timed(worker: &Worker, passage: &Passage<'_>) -> bool {
    worker.gathering.is_some() || passage.trace.is_some() || worker.access_log.is_some()
}

/// Notes how long backends took.
fn note(passage: &Passage<'_>, began: Option<Instant>, status: Option<StatusCode>) {
    let Some(began) = began else { return };
    let now = Instant::now();
    passage.way.took.set(passage.way.took.get() + now.saturating_duration_since(began));
    passage.way.answered.set(Some(now));
    if let Some(trace) = passage.trace {
        trace.asked_backend(began, now, status);
    }
}

/// Has one of the endpoints answer.
///
/// # Errors
/// Where none does; what the last one failed by.
pub(crate) async fn try_endpoints(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    group: &EndpointGroup,
    body: RequestBody,
) -> Result<Answer, UpstreamError> {
    let began = is_timed(worker, passage).then(Instant::now);
    let outcome = if group.is_plain() {
        let tried = try_endpoint(worker, passage, &group.endpoints[0], body, passage.takes_lines).await;
        tried.map_err(|(error, _)| error)
    } else {
        off_path::boxed(move || try_several(worker, passage, group, body)).await
    };
    note(passage, began, status_of(&outcome));
    outcome
}

async fn try_several(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    group: &EndpointGroup,
    mut body: RequestBody,
) -> Result<Answer, UpstreamError> {
    let headers = &passage.request.headers;
    let kept = passage.in_session.and_then(|session| session.endpoint);
    let mut candidates = Candidates::of(worker, group, headers, kept);
    let Some((mut number, mut endpoint)) = candidates.next() else { return Err(none_ready(worker, group)) };
    let mut tries = 0;
    loop {
        let outcome = try_watched(worker, passage, endpoint, body).await;
        let (failed, again) = match outcome {
            Tried::Answered(mut answer) => {
                if let Some(session) = &group.session {
                    session.keep(number, headers, &mut answer.headers);
                }
                return Ok(answer);
            }
            Tried::Failed(failed, again) => (failed, again),
        };
        let Some(again) = again else { return failed.outcome };
        tries += 1;
        let standing = endpoint.standing.as_ref();
        match failed.consequence {
            Consequence::TriedAgain(delay)
                if standing.is_some_and(|standing| tries <= standing.retries(&failed.codes)) =>
            {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
            }
            _ => match candidates.next() {
                Some(next) => {
                    (number, endpoint) = next;
                    tries = 0;
                }
                None => return failed.outcome,
            },
        }
        worker.counters.upstream_retries.add(1);
        body = again;
    }
}

/// What became of a try.
enum Tried {
    Answered(Answer),
    /// With the body, where it is safe to try again.
    Failed(Failed, Option<RequestBody>),
}

/// A try that failed: without an answer, or with one that says so.
struct Failed {
    outcome: Result<Answer, UpstreamError>,
    codes: Codes,
    consequence: Consequence,
}

/// The codes by which a failure may be named.
type Codes = [u32; 2];

/// Tries one endpoint and notes how it does.
async fn try_watched(worker: &Rc<Worker>, passage: &Passage<'_>, endpoint: &Endpoint, body: RequestBody) -> Tried {
    let safe_again = if passage.request.method.is_idempotent() { body.again() } else { None };
    let trial = Trial { worker, endpoint, is_over: false };
    let tried = try_endpoint(worker, passage, endpoint, body, false).await;
    let (outcome, codes, again) = match tried {
        Ok(answer) => {
            let status = u32::from(answer.status.as_u16());
            let standing = endpoint.standing.as_ref();
            if !standing.is_some_and(|standing| standing.is_failure(status)) {
                trial.succeeded();
                return Tried::Answered(answer);
            }
            (Ok(answer), [status, status], safe_again)
        }
        Err((error, rest)) => {
            let again = if error.is_before_sending() { rest } else { safe_again };
            let Some(codes) = error.codes() else {
                // Not the backend's fault: nothing was learnt of it.
                let again = again.filter(|_| error.is_before_sending());
                return Tried::Failed(
                    Failed { outcome: Err(error), codes: [0; 2], consequence: Consequence::None },
                    again,
                );
            };
            (Err(error), codes, again)
        }
    };
    let consequence = trial.failed(&codes);
    Tried::Failed(Failed { outcome, codes, consequence }, again)
}

/// A try under way; one that is given up on the way taught nothing.
struct Trial<'a> {
    worker: &'a Worker,
    endpoint: &'a Endpoint,
    is_over: bool,
}

impl Trial<'_> {
    fn succeeded(mut self) {
        self.is_over = true;
        if let Some(standing) = &self.endpoint.standing {
            standing.succeeded();
        }
    }

    fn failed(mut self, codes: &Codes) -> Consequence {
        self.is_over = true;
        let Some(standing) = &self.endpoint.standing else { return Consequence::None };
        let consequence = standing.failed(codes, self.worker.clock.now().instant);
        if let Consequence::Suspended(length) = consequence {
            self.worker.counters.upstream_suspensions.add(1);
            warn!(backend = &*self.endpoint.authority, code = codes[0], ?length, "backend suspended");
        }
        consequence
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.is_over
            && let Some(standing) = &self.endpoint.standing
        {
            standing.was_not_tried(self.worker.clock.now().instant);
        }
    }
}

/// Why no endpoint may be tried, and when one may be again.
fn none_ready(worker: &Worker, group: &EndpointGroup) -> UpstreamError {
    let now = worker.clock.now().instant;
    let standings = group.endpoints.iter().filter_map(|endpoint| endpoint.standing.as_ref());
    let ready_in = standings.filter_map(|standing| standing.unfit_for(now)).min();
    UpstreamError::Suspended { is_alone: group.endpoints.len() == 1, ready_in: ready_in.unwrap_or(Duration::ZERO) }
}

/// Tries one endpoint. Returns the body with the error where nothing of it was lost.
async fn try_endpoint(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    endpoint: &Endpoint,
    body: RequestBody,
    takes_lines: bool,
) -> Result<Answer, (UpstreamError, Option<RequestBody>)> {
    passage.way.destination.set(endpoint.id);
    if endpoint.origin.has_http2 {
        return off_path::boxed(move || multiplexed::try_endpoint(worker, passage, endpoint, body)).await;
    }
    try_over_http1(worker, passage, endpoint, body, (takes_lines, false)).await
}

/// The same over HTTP/1.1, over a new connection where it `must_connect`.
pub(crate) async fn try_over_http1(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    endpoint: &Endpoint,
    mut body: RequestBody,
    (takes_lines, mut must_connect): (bool, bool),
) -> Result<Answer, (UpstreamError, Option<RequestBody>)> {
    let pool = worker.pools.of(&endpoint.origin);
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
        let exchange = begin(worker, passage, endpoint, (link, slot), body, takes_lines);
        match exchange.answer().await {
            Ok(answer) => return Ok(answer),
            Err(failure) if is_reused && is_to_be_repeated(&failure, passage) => {
                worker.counters.upstream_retries.add(1);
                body = RequestBody { first, rest: failure.rest, length, counted };
                must_connect = true;
            }
            Err(failure) => return Err((failure.error, None)),
        }
    }
}

/// Takes an open connection or opens one; says whether it was open.
pub(crate) async fn open(
    worker: &Worker,
    pool: &Pool,
    slot: &Slot,
    must_connect: bool,
) -> Result<(SharedLink, bool), UpstreamError> {
    if !must_connect && let Some(link) = slot.take_idle() {
        worker.counters.upstream_reuses.add(1);
        return Ok((link, true));
    }
    let timeout = worker.settings.upstream.connect_timeout;
    let trust = worker.trust(pool.origin());
    match off_path::boxed(move || Link::connect(pool.origin(), trust, timeout)).await {
        Ok(link) => {
            worker.counters.upstream_connects.add(1);
            pool.resume();
            Ok((Rc::new(RefCell::new(link)), false))
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
    (link, slot): (SharedLink, Slot),
    body: RequestBody,
    takes_lines: bool,
) -> Box<Exchange> {
    outgoing(passage, body.length, false).write(endpoint, &mut link.borrow_mut().write);
    exchange(worker, passage, endpoint, (link, slot), body, takes_lines)
}

fn exchange(
    worker: &Worker,
    passage: &Passage<'_>,
    endpoint: &Endpoint,
    (link, slot): (SharedLink, Slot),
    body: RequestBody,
    takes_lines: bool,
) -> Box<Exchange> {
    let limits = &worker.settings.upstream;
    let patience = Patience {
        head: endpoint.timeout.unwrap_or(limits.head_timeout),
        send_stall: worker.settings.client.stall_timeout,
        receive_stall: limits.stall_timeout,
        head_bytes_max: limits.head_bytes_max,
    };
    let demand = Demand { verb: passage.request.method.clone(), body, takes_lines };
    Exchange::begin(passage.client.take_room(), (link, slot), &worker.alarms, patience, demand)
}

/// Returns a call as it is sent on.
pub(crate) fn outgoing<'a>(passage: &Passage<'a>, body: BodyLength, is_upgrade: bool) -> Outgoing<'a> {
    Outgoing {
        request: passage.request,
        rest: passage.rest,
        query: passage.query,
        without: passage.without,
        assertion: passage.assertion,
        shown: passage.shown,
        client_ip: &passage.client.ip,
        is_https: passage.client.is_https,
        is_trusted_proxy: passage.client.is_trusted_proxy,
        request_id: passage.request_id,
        traceparent: passage.trace.map(Trace::traceparent),
        body,
        is_upgrade,
        repeats: None,
        is_to_be_read: passage.in_session.is_some() || passage.meter.is_some_and(Meter::counts_tokens),
    }
}
