//! Attempts at backends: which endpoint is tried, over which connection, and what is tried again because that is safe.

use std::rc::Rc;

use portcullis_model::api::EndpointStrategy;

use crate::forward::Passage;
use crate::meter::Meter;
use crate::route::endpoint::{Endpoint, EndpointGroup};
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{Answer, Exchange, Failure, Patience};
use crate::upstream::link::Link;
use crate::upstream::pool::{Pool, Slot};
use crate::upstream::request::Outgoing;
use crate::upstream::sending::RequestBody;
use crate::worker::Worker;

/// Has one of the endpoints answer.
///
/// # Errors
/// Where none does; what the last one failed by.
pub(crate) async fn try_endpoints(
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
pub(crate) async fn open(
    worker: &Worker,
    pool: &Pool,
    slot: &Slot,
    must_connect: bool,
) -> Result<(Link, bool), UpstreamError> {
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
        assertion: passage.assertion,
        shown: passage.shown,
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
