//! A call to an API of GraphQL: all of them come to one path, and what they ask for is in the query, which is read and
//! checked against the schema before anything is passed on. Scopes and policies are those of the fields that it asks for.

use std::borrow::Cow;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use portcullis_graphql::{Asked as AskedFor, CannotRead, OperationKind, Wrong};
use portcullis_model::counter::CounterLevel;
use portcullis_model::policy::PolicyLevel;
use portcullis_model::throttle::PolicySource as _;
use portcullis_model::{KeyType, OperationAuth};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Trail, certificate_of, identify, preflight, taken};
use crate::authenticate::{self, Known};
use crate::body::ReplyBody;
use crate::caller;
use crate::client::Client;
use crate::clock::Now;
use crate::credentials;
use crate::downstream::body::ClientBody;
use crate::forward::{self, CallBody, Passage};
use crate::limiter::{self, Asked};
use crate::mediation;
use crate::packing;
use crate::quota::{Cost, Limits};
use crate::refusal::Refusal;
use crate::route::api::{CompiledApi, Rule};
use crate::route::graphql::Graphql;
use crate::worker::{HeldRoutes, Worker};

/// Bytes of a query with its variables once it is unpacked.
const UNPACKED_BYTES_MAX: usize = 1 << 20;
/// Faults of a query that its caller is told.
const WRONGS_TOLD_MAX: usize = 5;
/// What is said of queries that ask to be told of what happens.
const NO_SUBSCRIPTIONS: &str = "Subscriptions of GraphQL are not carried: send queries and mutations by POST";

/// A call that has come to an API of GraphQL.
pub(super) struct Arrival<'c, 'r> {
    pub(super) worker: &'c Rc<Worker>,
    pub(super) client: &'c Client,
    pub(super) routes: &'r HeldRoutes,
    pub(super) api: &'r CompiledApi,
    pub(super) graphql: &'r Graphql,
    pub(super) request: &'c Parts,
    /// The decoded path below the API's context.
    pub(super) rest: &'c [u8],
    pub(super) now: Now,
}

/// Serves a call.
pub(super) async fn serve<'r>(
    arrival: Arrival<'_, 'r>,
    body: &mut Option<ClientBody>,
    trail: &mut Trail<'r>,
) -> Result<Response<ReplyBody>, Refusal> {
    let Arrival { worker, client, routes, api, graphql, request, now, .. } = arrival;
    if request.method == Method::OPTIONS && api.cors.is_enabled {
        return Ok(preflight(&api.cors));
    }
    check_target(&arrival)?;
    let asks_for_key = !api.is_open && graphql.entry.auth != OperationAuth::None;
    let from = caller::address(client, &request.headers, &worker.tuning().trusted_proxies);
    (trail.from, trail.log) = (Some(from), graphql.entry.log);
    let looks_at_certificate = asks_for_key && api.schemes.security.has_mutual_tls;
    let certificate = looks_at_certificate.then(|| certificate_of(worker, client, &request.headers)).flatten();
    let traced = trail.trace.clone();
    let trace = traced.as_deref();
    let has_production = !api.endpoints(None, KeyType::Production).endpoints.is_empty();
    let anonymous_key_type = if has_production { KeyType::Production } else { KeyType::Sandbox };
    let asked = |rule| Asked {
        routes,
        api,
        rule,
        request,
        client: from,
        is_from_proxy: client.is_trusted_proxy,
        anonymous_key_type,
        certificate: certificate.clone(),
        trace,
    };
    let entry = asked(&graphql.entry);
    limiter::check_denied(&entry, None, now.timestamp)?;
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
        check_size(&arrival, known, &wanted)?;
        let limits = limits_of(worker, asked, &graphql.entry, &rules, known);
        let limits = trail.limits.insert(limits);
        let receipts = limits.take(worker, &Cost::CALL, now.timestamp).await?;
        trail.meter = limits.meter(worker, &receipts, &Cost::CALL);
        if let Some(meter) = &trail.meter {
            let sent = meter.sent();
            sent.set(sent.get() + held.len() as u64);
        }
    }
    trail.plan = graphql.entry.plan.as_ref();
    let key_type = trail.known.as_deref().map_or(anonymous_key_type, |known| known.key.key_type);
    let has_key_in_query = asks_for_key && api.schemes.security.has_api_key;
    let query = match request.uri.query() {
        Some(query) if has_key_in_query => credentials::query_without_key(query),
        query => query.map(Cow::Borrowed),
    };
    let passage = Passage {
        api,
        part: None,
        key_type,
        request,
        // The endpoint is the one path of its backend.
        rest: "",
        query: query.as_deref(),
        without: if asks_for_key { &api.schemes.secret_headers } else { &api.schemes.own_headers },
        assertion: worker.settings.assertion_header.as_ref().zip(trail.known.as_deref().and_then(Known::assertion)),
        shown: None,
        client,
        request_id: &trail.request_id,
        meter: trail.meter.as_deref(),
        way: &trail.way,
        trace,
    };
    match trail.plan {
        None => forward::forward(worker, &passage, CallBody::Held(held)).await,
        Some(plan) => mediation::forward(worker, &passage, plan, CallBody::Held(held)).await,
    }
}

/// Refuses what is no query by its path, verb or head.
fn check_target(arrival: &Arrival<'_, '_>) -> Result<(), Refusal> {
    let Arrival { graphql, request, rest, .. } = arrival;
    if !matches!(*rest, b"" | b"/") || graphql.schema.is_none() {
        return Err(Refusal::no_resource());
    }
    if request.method != Method::GET && request.method != Method::POST {
        return Err(Refusal::other_verb(&[Method::GET, Method::POST]));
    }
    let asked_to_become = request.headers.get(UPGRADE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if asked_to_become.eq_ignore_ascii_case(b"websocket") {
        return Err(Refusal::invalid_query(NO_SUBSCRIPTIONS));
    }
    Ok(())
}

/// A query as it was sent.
#[derive(Debug, Default, Deserialize)]
struct Question {
    query: Option<String>,
    #[serde(rename = "operationName")]
    operation: Option<String>,
    variables: Option<Map<String, Value>>,
}

impl Question {
    /// Finds it in a call: in the query of a GET, in the body of a POST.
    fn of(request: &Parts, body: &Bytes) -> Result<Self, Refusal> {
        let in_target = Self::of_pairs(request.uri.query().unwrap_or_default())?;
        if request.method == Method::GET {
            return Ok(in_target);
        }
        // Some servers look there first: what is checked would not be what is done.
        if in_target.query.is_some() || in_target.operation.is_some() || in_target.variables.is_some() {
            return Err(Refusal::invalid_query("The query of a POST is in its body alone, not in its target"));
        }
        let plain = match packing::coding(&request.headers).filter(|_| !body.is_empty()) {
            Some(coding) => {
                packing::unpack(&coding, body, UNPACKED_BYTES_MAX).map_err(|error| Refusal::packed(&error))?
            }
            None => body.clone(),
        };
        match media_type(&request.headers).as_str() {
            "" | "application/json" => Self::of_json(&plain),
            "application/graphql" => {
                let query =
                    std::str::from_utf8(&plain).map_err(|_| Refusal::invalid_query("The query is not UTF-8"))?;
                Ok(Self { query: Some(query.to_owned()), ..Self::default() })
            }
            other => Err(Refusal::invalid_query(format!(
                "A query is sent as application/json (with `query`, `operationName`, `variables`) or as application/graphql, not as {other}"
            ))),
        }
    }

    fn of_pairs(pairs: &str) -> Result<Self, Refusal> {
        let mut question = Self::default();
        let mut seen = [false; 3];
        for (name, value) in url::form_urlencoded::parse(pairs.as_bytes()) {
            let number = ["query", "operationName", "variables"].iter().position(|known| *known == name);
            if number.is_some_and(|number| std::mem::replace(&mut seen[number], true)) {
                return Err(Refusal::invalid_query(format!("The query parameter `{name}` is there twice")));
            }
            match &*name {
                "query" => question.query = Some(value.into_owned()),
                "operationName" => question.operation = Some(value.into_owned()),
                "variables" if !value.is_empty() => {
                    let read = serde_json::from_str(&value);
                    question.variables = read.map_err(|error| {
                        Refusal::invalid_query(format!("The query parameter `variables` is no JSON object: {error}"))
                    })?;
                }
                _ => {}
            }
        }
        Ok(question)
    }

    fn of_json(body: &[u8]) -> Result<Self, Refusal> {
        const WANTED: &str = "The body must be one JSON object with the query as a text under `query`";
        // A list would be read as the fields in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Refusal::invalid_query(WANTED));
        }
        serde_json::from_slice(body).map_err(|error| Refusal::invalid_query(format!("{WANTED}: {error}")))
    }

    /// Finds out what it asks for.
    fn read(&self, graphql: &Graphql, verb: &Method) -> Result<AskedFor, Refusal> {
        let Some(query) = self.query.as_deref().filter(|query| !query.is_empty()) else {
            return Err(Refusal::invalid_query("Invalid query parameter: there is no query"));
        };
        let schema = graphql.schema.as_ref().ok_or_else(Refusal::no_resource)?;
        let operation = self.operation.as_deref().filter(|name| !name.is_empty());
        let read = schema.read(query, operation, self.variables.as_ref(), &graphql.costs);
        let wanted = read.map_err(|why| Refusal::invalid_query(explain(&why)))?;
        match wanted.kind {
            OperationKind::Subscription => Err(Refusal::invalid_query(NO_SUBSCRIPTIONS)),
            // What is asked for by GET may be asked again without being told.
            OperationKind::Mutation if verb == Method::GET => Err(Refusal::other_verb(&[Method::POST])),
            _ => Ok(wanted),
        }
    }
}

/// Returns the media type of a body in small letters, without parameters.
fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn explain(why: &CannotRead) -> String {
    match why {
        CannotRead::Invalid(wrongs) => {
            let told: Vec<String> = wrongs.iter().take(WRONGS_TOLD_MAX).map(Wrong::to_string).collect();
            told.join(", ")
        }
        CannotRead::WhichOperation => {
            "`operationName` must name one of the operations in the query, and must be there where there are several"
                .to_owned()
        }
    }
}

/// Returns the numbers of the rules of what is asked for.
fn numbers_of(graphql: &Graphql, wanted: &AskedFor) -> Result<Vec<usize>, Refusal> {
    let number = |field: &String| graphql.rule(wanted.kind, field).ok_or_else(Refusal::no_resource);
    wanted.fields.iter().map(number).collect()
}

/// Refuses a query that is deeper, or costs more, than the caller's business plan allows.
fn check_size(arrival: &Arrival<'_, '_>, known: Option<&Known>, wanted: &AskedFor) -> Result<(), Refusal> {
    let Some(known) = known else { return Ok(()) };
    let policies = &arrival.routes.policies.source.0;
    let rules = policies.rules(&arrival.api.tenant, PolicyLevel::Subscription, &known.key.plan);
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
    asked: impl Fn(&'c Rule) -> Asked<'c>,
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
