//! A call to an API of GraphQL: all of them come to one path, and what they ask for is in the query, which is read and
//! checked against the schema before anything is passed on. Scopes and policies are those of the fields that it asks for.
//! What is passed on is written anew from what was read.

mod question;
mod socket;

use std::rc::Rc;

use bytes::Bytes;
use http::{Method, Response};
use portcullis_graphql::Asked as AskedFor;
use portcullis_model::counter::CounterLevel;
use portcullis_model::policy::PolicyLevel;
use portcullis_model::throttle::PolicySource as _;
use portcullis_model::{OperationAuth, QuotaUnit};

pub(crate) use self::socket::{Judged, judge};

use self::question::Question;
use super::arrival::Arrival;
use super::{Trail, anonymous_key_type, certificate_of, identify, preflight, taken};
use crate::authenticate::{self, Known};
use crate::body::ReplyBody;
use crate::caller;
use crate::downstream::body::ClientBody;
use crate::forward::{self, CallBody, Passage};
use crate::limiter::{self, Asked};
use crate::mediation;
use crate::off_path;
use crate::quota::{Cost, Limit, Limits};
use crate::refusal::Refusal;
use crate::route::api::{CompiledApi, Rule};
use crate::route::graphql::Graphql;
use crate::websocket;
use crate::worker::{HeldRoutes, Worker};

/// Serves a call.
pub(super) async fn serve<'r>(
    arrival: Arrival<'_, 'r, Graphql>,
    body: &mut Option<ClientBody>,
    trail: &mut Trail<'r>,
) -> Result<Response<ReplyBody>, Refusal> {
    let Arrival { worker, client, routes, api, kind: graphql, request, now, .. } = arrival;
    if request.method == Method::OPTIONS && api.cors.is_enabled {
        return Ok(preflight(&api.cors));
    }
    check_target(&arrival)?;
    let asks_for_key = !api.is_open && graphql.entry.auth != OperationAuth::None;
    let from = caller::address(worker, client, &request.headers);
    (trail.from, trail.log) = (Some(from), graphql.entry.log);
    let looks_at_certificate = asks_for_key && api.schemes.security.has_mutual_tls;
    let certificate = looks_at_certificate.then(|| certificate_of(worker, client, &request.headers)).flatten();
    let traced = trail.trace.clone();
    let trace = traced.as_deref();
    let request_id = trail.request_id;
    let anonymous_key_type = anonymous_key_type(api, None);
    let asked = |rule| Asked {
        routes,
        api,
        rule,
        request,
        client: from,
        connection: None,
        is_from_proxy: client.is_trusted_proxy,
        anonymous_key_type,
        certificate: certificate.clone(),
        trace,
        request_id: Some(request_id),
    };
    let entry = asked(&graphql.entry);
    limiter::check_denied(&entry, None, now.timestamp)?;
    if websocket::is_asked_for(&request.headers) {
        return off_path::boxed(|| socket::open(&arrival, &entry, asks_for_key, trail)).await;
    }
    // Where every operation asks for a key, nothing is read of those who have none.
    if asks_for_key && graphql.is_closed {
        identify(worker, &entry, now, trail).await?;
    }
    let held =
        if request.method == Method::POST { mediation::hold(worker, taken(body), None).await? } else { Bytes::new() };
    let question = Question::of(request, &held)?;
    let wanted = question.read(graphql, &request.method)?;
    let numbers = numbers_of(graphql, &wanted)?;
    trail.rule = numbers.first().copied();
    let rules: Vec<&'r Rule> = numbers.iter().map(|number| &api.rules[*number]).collect();
    let needs_key = asks_for_key && (rules.is_empty() || rules.iter().any(|rule| rule.auth != OperationAuth::None));
    if needs_key && trail.known.is_none() {
        identify(worker, &entry, now, trail).await?;
    }
    if let Some(known) = trail.known.as_deref() {
        let mut with_key = rules.iter().filter(|rule| rule.auth != OperationAuth::None);
        with_key.try_for_each(|rule| authenticate::check(known, rule, now.timestamp))?;
    }
    if !api.is_open {
        let known = trail.known.as_deref();
        check_size(routes, api, known, &wanted)?;
        let limits = trail.limits.insert(limits_of(worker, &asked, &graphql.entry, &rules, known));
        let again = again_of(worker, &asked, &rules, &wanted, known);
        // At the end, so that the others have the same numbers.
        let counted = Limits::new(limits.all.iter().cloned().chain(again));
        let receipts = counted.take(worker, &Cost::CALL, now.timestamp).await?;
        trail.meter = limits.meter(worker, &receipts, &Cost::CALL);
    }
    let (head, query, held) = question.write(request);
    if let Some(meter) = &trail.meter {
        let sent = meter.sent();
        sent.set(sent.get() + held.len() as u64);
    }
    trail.plan = graphql.entry.plan.as_ref();
    let key_type = trail.known.as_deref().map_or(anonymous_key_type, |known| known.key.key_type);
    let passage = Passage {
        api,
        part: None,
        key_type,
        request: &head,
        // The endpoint is the one path of its backend.
        rest: "",
        query: query.as_deref(),
        without: if asks_for_key { &api.schemes.secret_headers } else { &api.schemes.own_headers },
        assertion: worker.settings.assertion_header.as_ref().zip(trail.known.as_deref().and_then(Known::assertion)),
        known: trail.known.as_deref(),
        shown: None,
        client,
        request_id: trail.request_id,
        meter: trail.meter.as_deref(),
        takes_lines: false,
        way: &trail.way,
        trace,
        to: None,
        in_session: None,
    };
    match trail.plan {
        None => forward::forward(worker, &passage, CallBody::Held(held)).await,
        Some(plan) => mediation::forward(worker, &passage, plan, CallBody::Held(held)).await,
    }
}

/// Refuses what is no query by its path, verb or head.
fn check_target(arrival: &Arrival<'_, '_, Graphql>) -> Result<(), Refusal> {
    let Arrival { kind: graphql, request, rest, .. } = arrival;
    if !matches!(*rest, b"" | b"/") || graphql.schema.is_none() {
        return Err(Refusal::no_resource());
    }
    if request.method != Method::GET && request.method != Method::POST {
        return Err(Refusal::other_verb(&[Method::GET, Method::POST]));
    }
    Ok(())
}

/// Returns the numbers of the rules of what is asked for.
fn numbers_of(graphql: &Graphql, wanted: &AskedFor) -> Result<Vec<usize>, Refusal> {
    let number = |field: &String| graphql.rule(wanted.kind, field).ok_or_else(Refusal::no_resource);
    wanted.fields.iter().map(|field| number(&field.name)).collect()
}

/// Refuses a query that is deeper, or costs more, than the caller's business plan allows.
fn check_size(routes: &HeldRoutes, api: &CompiledApi, known: Option<&Known>, wanted: &AskedFor) -> Result<(), Refusal> {
    let Some(known) = known else { return Ok(()) };
    let policies = &routes.policies.source.0;
    let rules = policies.rules(&api.tenant, PolicyLevel::Subscription, &known.key.plan);
    let Some(rules) = rules else { return Ok(()) };
    let is_over = |is: u64, max: u32| max > 0 && is > u64::from(max);
    if is_over(wanted.depth, rules.graphql_depth_max) {
        return Err(Refusal::query_too_deep(wanted.depth, rules.graphql_depth_max));
    }
    if is_over(wanted.complexity, rules.graphql_complexity_max) {
        return Err(Refusal::query_too_complex(wanted.complexity, rules.graphql_complexity_max));
    }
    Ok(())
}

/// Returns the limits that a query meets: those of the caller once, and the policy of each operation that it asks for.
fn limits_of<'c>(
    worker: &Rc<Worker>,
    asked: &impl Fn(&'c Rule) -> Asked<'c>,
    entry: &'c Rule,
    rules: &[&'c Rule],
    known: Option<&Known>,
) -> Rc<Limits> {
    let first = rules.first().copied().unwrap_or(entry);
    let limits = limiter::limits(worker, &asked(first), known);
    let of_others = rules.iter().skip(1).flat_map(|rule| {
        let its = limiter::limits(worker, &asked(rule), known);
        its.of_level(CounterLevel::Resource).collect::<Vec<_>>()
    });
    let more: Vec<_> = of_others.collect();
    if more.is_empty() { limits } else { Rc::new(limits.with(more, CounterLevel::Subscription)) }
}

/// Returns the limits of operations that a query asks for by several names, once more for each but the first: what backends
/// do as often counts as often. What is not counted in requests is that of the call.
fn again_of<'c>(
    worker: &Rc<Worker>,
    asked: &impl Fn(&'c Rule) -> Asked<'c>,
    rules: &[&'c Rule],
    wanted: &AskedFor,
    known: Option<&Known>,
) -> Vec<Rc<Limit>> {
    let several = rules.iter().zip(&wanted.fields).filter(|(_, field)| field.times > 1);
    let again = several.flat_map(|(rule, field)| {
        let its = limiter::limits(worker, &asked(rule), known);
        let its = its.of_level(CounterLevel::Resource).filter(|limit| limit.unit() == QuotaUnit::Requests);
        its.flat_map(|limit| std::iter::repeat_n(limit, field.times - 1)).collect::<Vec<_>>()
    });
    again.collect()
}
