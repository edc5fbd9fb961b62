//! Calls to backends over HTTP/2, gRPC among them: trailers pass, and both sides may send at a time. What is safe to try
//! again is what it is over HTTP/1.1.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::alarm::millis;
use crate::attempt;
use crate::forward::Passage;
use crate::grpc;
use crate::route::endpoint::Endpoint;
use crate::upstream::UpstreamError;
use crate::upstream::coming::{Coming, Stream};
use crate::upstream::exchange::{Answer, AnswerBody};
use crate::upstream::line::{Line, Opened, Seat};
use crate::upstream::outbound::{Outbound, Progress};
use crate::upstream::pool::{Pool, Slot};
use crate::upstream::request::Fields;
use crate::upstream::sending::RequestBody;
use crate::worker::Worker;

/// Tries one endpoint. Returns the body with the error where nothing of it was lost.
pub(crate) async fn try_endpoint(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    endpoint: &Endpoint,
    mut body: RequestBody,
) -> Result<Answer, (UpstreamError, Option<RequestBody>)> {
    let pool = worker.pools.of(&endpoint.origin);
    let mut is_second = false;
    loop {
        let slot = match pool.slot().await {
            Ok(slot) => slot,
            Err(error) => return Err((error, Some(body))),
        };
        let (line, is_reused) = match line(worker, &pool).await {
            Ok(Some(line)) => line,
            Ok(None) => {
                drop(slot);
                return attempt::try_over_http1(worker, passage, endpoint, body, (false, false)).await;
            }
            Err(error) => return Err((error, Some(body))),
        };
        let again = if passage.request.method.is_idempotent() { body.again() } else { None };
        let request = match request(passage, endpoint, body, worker) {
            Ok(request) => request,
            Err(error) => return Err((error, None)),
        };
        match exchange(worker, passage, endpoint, request, (line.seat(&worker.alarms), slot)).await {
            Ok(answer) => return Ok(answer),
            // Nothing was sent: the connection had just ended.
            Err((UpstreamError::Closed, Some(unsent))) if !is_second => body = unsent,
            Err((UpstreamError::Closed, None)) if is_reused && !is_second && again.is_some() => {
                worker.counters.upstream_retries.add(1);
                body = again.unwrap_or_else(|| RequestBody::none(crate::upstream::request::BodyLength::None));
            }
            Err(failed) => return Err(failed),
        }
        is_second = true;
    }
}

/// Takes a connection with room or opens one, and says whether it was open; `None` where the backend speaks HTTP/1.1.
async fn line(worker: &Worker, pool: &Rc<Pool>) -> Result<Option<(Rc<Line>, bool)>, UpstreamError> {
    if let Some(line) = pool.line() {
        worker.counters.upstream_reuses.add(1);
        return Ok(Some((line, true)));
    }
    // One opens, the others wait for what it opens.
    let _opening = pool.opening().lock().await;
    if let Some(line) = pool.line() {
        worker.counters.upstream_reuses.add(1);
        return Ok(Some((line, true)));
    }
    if pool.speaks_http1() {
        return Ok(None);
    }
    let opened = open(worker, pool).await?;
    if let Some(line) = &opened {
        pool.keep(line);
    }
    Ok(opened.map(|line| (line, false)))
}

/// Opens a connection that no other call gets; `None` where the backend speaks HTTP/1.1.
pub(crate) async fn open(worker: &Worker, pool: &Pool) -> Result<Option<Rc<Line>>, UpstreamError> {
    let limits = &worker.settings.upstream;
    let trust = worker.trust(pool.origin());
    let opened = Line::open(pool.origin(), trust, limits.head_bytes_max, limits.connect_timeout).await;
    match opened {
        Ok(Opened::Line(line)) => {
            worker.counters.upstream_connects.add(1);
            pool.resume();
            Ok(Some(line))
        }
        Ok(Opened::OnlyHttp1) => {
            pool.note_http1();
            Ok(None)
        }
        Err(error) => {
            worker.counters.upstream_connect_errors.add(1);
            pool.suspend();
            Err(error)
        }
    }
}

/// Sends what nobody waits for within an exchange of its own: a copy, or a question of the gateway's. `line` is the
/// connection that it is to take, where any does. `None` where the backend speaks HTTP/1.1.
///
/// # Errors
/// Where no answer comes. How long that takes is the caller's business.
pub(crate) async fn deliver(
    worker: &Worker,
    pool: &Rc<Pool>,
    line: Option<Rc<Line>>,
    request: Request<Outbound>,
) -> Result<Option<Answer>, UpstreamError> {
    let slot = pool.slot().await?;
    let line = match line {
        Some(line) => line,
        None => match self::line(worker, pool).await? {
            Some((line, _)) => line,
            None => return Ok(None),
        },
    };
    let seat = line.seat(&worker.alarms);
    let response = seat.send(request).await.map_err(|failed| of_hyper(failed.error()))?;
    answer(worker, response, (seat, slot), None).map(Some).map_err(|(error, _)| error)
}

/// A request, and how far its body has come.
pub(crate) type Sent = (Request<Outbound>, Rc<Progress>);

/// Makes a call what it is over HTTP/2.
///
/// # Errors
/// Where its address cannot be asked for.
pub(crate) fn request(
    passage: &Passage<'_>,
    endpoint: &Endpoint,
    body: RequestBody,
    worker: &Worker,
) -> Result<Sent, UpstreamError> {
    let outgoing = attempt::outgoing(passage, body.length, false);
    let target = outgoing.target(endpoint);
    let uri = uri(endpoint, &target)?;
    let (outbound, progress) = Outbound::new(body, &worker.alarms);
    let mut request = Request::new(outbound);
    *request.method_mut() = passage.request.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let mut collected = Collected { headers: std::mem::take(request.headers_mut()), name: None, value: Vec::new() };
    outgoing.write_fields(&target, endpoint, &mut collected);
    // The one field about a hop that HTTP/2 has (RFC 9113 §8.2.2): who sends it takes trailers.
    if grpc::takes_trailers(&passage.request.headers) {
        collected.headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    *request.headers_mut() = collected.headers;
    Ok((request, progress))
}

/// Returns the whole address of what is asked for at an endpoint.
///
/// # Errors
/// Where it is none.
pub(crate) fn uri(endpoint: &Endpoint, target: &str) -> Result<http::Uri, UpstreamError> {
    let scheme = if endpoint.origin.is_tls { "https" } else { "http" };
    let uri = format!("{scheme}://{}{target}", endpoint.authority);
    uri.parse().map_err(|_| UpstreamError::Protocol("its address cannot be asked for"))
}

/// Header fields of a request over HTTP/2.
struct Collected {
    headers: HeaderMap,
    name: Option<HeaderName>,
    value: Vec<u8>,
}

impl Fields for Collected {
    fn begin(&mut self, name: &str) {
        self.name = HeaderName::from_bytes(name.as_bytes()).ok();
        self.value.clear();
    }

    fn part(&mut self, bytes: &[u8]) {
        self.value.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        let value = HeaderValue::from_bytes(&self.value);
        if let (Some(name), Ok(value)) = (self.name.take(), value) {
            self.headers.append(name, value);
        }
    }
}

async fn exchange(
    worker: &Worker,
    passage: &Passage<'_>,
    endpoint: &Endpoint,
    (request, progress): Sent,
    place: (Seat, Slot),
) -> Result<Answer, (UpstreamError, Option<RequestBody>)> {
    let limits = &worker.settings.upstream;
    let patience = Waits {
        head: endpoint.timeout.unwrap_or(limits.head_timeout),
        send_stall: worker.settings.client.stall_timeout,
        deadline_ms: grpc::timeout(&passage.request.headers)
            .map(|timeout| worker.alarms.now_ms().saturating_add(millis(timeout))),
        is_stream: grpc::is_call(&passage.request.headers),
    };
    let mut alarm = worker.alarms.alarm();
    let mut sending = pin!(place.0.send(request));
    let sent = poll_fn(|cx| {
        if let Poll::Ready(answer) = sending.as_mut().poll(cx) {
            return Poll::Ready(Ok(answer));
        }
        alarm.set_at(patience.until_ms(&progress));
        if alarm.is_due(cx) { Poll::Ready(Err(patience.late(&progress))) } else { Poll::Pending }
    });
    match sent.await {
        Ok(Ok(response)) => {
            progress.is_answered();
            answer(worker, response, place, patience.deadline_ms)
        }
        Ok(Err(_)) if progress.is_too_slow() => Err((UpstreamError::ClientTooSlow, None)),
        Ok(Err(mut failed)) => {
            let unsent = failed.take_message().filter(|_| !progress.has_taken_from_client());
            Err((of_hyper(failed.error()), unsent.map(|request| request.into_body().into_body())))
        }
        Err(error) => Err((error, None)),
    }
}

/// How long what may take.
struct Waits {
    head: Duration,
    send_stall: Duration,
    /// Until when the caller of a gRPC call waits, in the worker's milliseconds.
    deadline_ms: Option<u64>,
    /// The caller may say nothing for as long as it likes: it has a stream of its own.
    is_stream: bool,
}

impl Waits {
    fn until_ms(&self, progress: &Progress) -> Option<u64> {
        let own = match progress.last() {
            (at_ms, true) => Some(at_ms.saturating_add(millis(self.head))),
            (_, false) if self.is_stream => None,
            (at_ms, false) => Some(at_ms.saturating_add(millis(self.send_stall))),
        };
        match (own, self.deadline_ms) {
            (Some(own), Some(deadline)) => Some(own.min(deadline)),
            (own, deadline) => own.or(deadline),
        }
    }

    fn late(&self, progress: &Progress) -> UpstreamError {
        let is_done = progress.last().1;
        if is_done || self.is_stream { UpstreamError::HeadTimeout } else { UpstreamError::ClientStalled }
    }
}

fn answer(
    worker: &Worker,
    response: Response<Incoming>,
    place: (Seat, Slot),
    deadline_ms: Option<u64>,
) -> Result<Answer, (UpstreamError, Option<RequestBody>)> {
    let (mut head, body) = response.into_parts();
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        // They have no place in HTTP/2, and none on the client's connection.
        head.headers.remove(name);
    }
    let body = if body.is_end_stream() {
        AnswerBody::Whole(Bytes::new())
    } else {
        let left = deadline_ms.map(|at_ms| Duration::from_millis(at_ms.saturating_sub(worker.alarms.now_ms())));
        let stall = worker.settings.upstream.stall_timeout;
        let patience = left.map_or(stall, |left| left.min(stall));
        let stream = Stream::new(body, worker.alarms.alarm(), patience, place);
        AnswerBody::Stream(Coming::Http2(Box::new(stream)))
    };
    Ok(Answer { status: head.status, headers: head.headers, lines: None, body, sent_at: None, room: None })
}

fn of_hyper(error: &hyper::Error) -> UpstreamError {
    if error.is_user() || error.is_body_write_aborted() {
        return UpstreamError::ClientBody;
    }
    if error.is_parse() {
        return UpstreamError::Protocol("it breaks the rules of HTTP/2");
    }
    UpstreamError::Closed
}
