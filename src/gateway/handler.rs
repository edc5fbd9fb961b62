//! One call, step by step: request, route, credentials, quotas, backend. Nothing here waits but for ports and sockets.

mod arrival;
pub(crate) mod graphql;
mod websub;

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Body as _;
use portcullis_model::call_log::CallLogLevel;
use portcullis_model::{KeyType, OperationAuth};

use crate::access_log;
use crate::attempt;
use crate::authenticate::{self, Known};
use crate::body::ReplyBody;
use crate::caching::Copying;
use crate::call::Call;
use crate::call_id::CallId;
use crate::call_log::{self, Answered};
use crate::caller;
use crate::client::{Client, LearntWay};
use crate::clock::Now;
use crate::cors::CompiledCors;
use crate::credentials;
use crate::downstream::body::ClientBody;
use crate::forward::{self, CallBody, Passage, Way};
use crate::gathering::{Begun, Ended, micros};
use crate::leftover;
use crate::limiter::{self, Asked};
use crate::mediation::{self, Plan};
use crate::meter::Meter;
use crate::oauth;
use crate::off_path;
use crate::onlookers::CallSeen;
use crate::peer::PeerCertificate;
use crate::quota::{Cost, Limits};
use crate::refusal::Refusal;
use crate::route::api::{CompiledApi, Rule};
use crate::route::operations::Found;
use crate::route::path;
use crate::route::table::Route;
use crate::trace::{Said, Trace};
use crate::upstream::request::{Fields as _, X_REQUEST_ID};
use crate::websocket;
use crate::worker::{HeldRoutes, Worker};
use arrival::Arrival;

/// What was learnt on the way that the answer's headers tell, whatever became of the call.
struct Trail<'a> {
    request_id: &'a CallId,
    cors: Option<&'a CompiledCors>,
    api: Option<&'a CompiledApi>,
    known: Option<Rc<Known>>,
    limits: Option<Rc<Limits>>,
    /// What counts the cost of the call that is known late, where a limit counts any.
    meter: Option<Rc<Meter>>,
    /// What is done to the fault where the call was passed on and no backend answered.
    plan: Option<&'a Plan>,
    /// How much is logged of the call.
    log: CallLogLevel,
    /// The operation's number.
    rule: Option<usize>,
    /// Where the call comes from, once that was looked at.
    from: Option<IpAddr>,
    /// What the connection becomes, where a WebSocket was opened.
    session: Option<Rc<websocket::Session>>,
    /// The call's spans, where it is traced.
    trace: Option<Rc<Trace>>,
    way: Way,
    is_from_cache: bool,
}

/// Handles a call. Every fault becomes an answer; `doubt` is one that its head already shows.
pub(crate) async fn handle(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    request: &Parts,
    body: ClientBody,
    doubt: Option<&'static str>,
) -> Response<ReplyBody> {
    let now = worker.clock.now();
    let call = Call::begin(worker, client, now.instant);
    let (routes, request_id) = (worker.routes(), request_id(worker, client, request));
    let mut trail = Trail {
        request_id: &request_id,
        cors: None,
        api: None,
        known: None,
        limits: None,
        meter: None,
        plan: None,
        log: CallLogLevel::Off,
        rule: None,
        from: None,
        session: None,
        trace: worker.tracer.as_ref().and_then(|tracer| tracer.begin(&request.headers, now.instant)).map(Rc::new),
        way: Way::default(),
        is_from_cache: false,
    };
    let announced = body.size_hint().exact();
    let mut body = Some(body);
    let outcome = match doubt {
        None => serve(worker, client, &routes, request, &mut body, now, &mut trail).await,
        Some(doubt) => Err(Refusal::bad_request(doubt)),
    };
    // What is refused costs nothing more than it has cost already.
    if let Some(meter) = trail.meter.take().filter(|_| outcome.is_ok()) {
        call.is_measured_by(meter);
    }
    let code = outcome.as_ref().err().map_or(0, Refusal::number);
    let mut response = outcome.unwrap_or_else(|refusal| off_path::call(|| fault(worker, request, trail.plan, refusal)));
    let (answers_at, took) = trail.answers_at(worker, now);
    let upstream = (trail.way.destination.get() != 0).then(|| trail.way.took.get());
    worker.counters.split(took, upstream);
    if let Some(tracer) = worker.tracer.as_ref().filter(|_| trail.trace.is_none()) {
        let (times, outcome) = ((now.instant, answers_at.instant), (response.status(), code));
        trail.trace = tracer.begin_late(&request.headers, times, &trail.way, outcome).map(Rc::new);
    }
    if let Some(cors) = trail.cors.filter(|_| client.names_origin(&request.headers)) {
        cors.allow_reading(&request.headers, response.headers_mut());
    }
    if let Some(lines) = response.body_mut().lines_mut() {
        lines.added = worker.lines_room.take();
    }
    if let Some(limits) = &trail.limits {
        let has_x_ratelimit = worker.tuning().has_x_ratelimit;
        match response.body_mut().lines_mut() {
            Some(lines) => limits.describe_in_lines(has_x_ratelimit, answers_at.timestamp, &mut lines.added),
            None => limits.describe(has_x_ratelimit, answers_at.timestamp, response.headers_mut()),
        }
    }
    if trail.log != CallLogLevel::Off {
        let answered = Answered {
            request,
            request_id: trail.request_id.as_str(),
            api: trail.api,
            application: trail.application(),
            status: response.status().as_u16(),
            headers: response.headers(),
        };
        off_path::call(|| call_log::write(worker, client, &answered, trail.log, now));
    }
    if worker.onlookers.is_any() {
        off_path::call(|| show(worker, client, request, &trail, response.status(), now));
    }
    if let Some(gathering) = &worker.gathering {
        if gathering.wants_addresses() {
            trail.from.get_or_insert_with(|| caller::address(worker, client, &request.headers));
        }
        count(&call, client, request, &trail, (announced, code), took);
        if let Some(strays) = gathering.strays.as_ref().filter(|strays| is_stray(&trail, code) && strays.has_room()) {
            let from = caller::address(worker, client, &request.headers);
            strays.note(request, trail.request_id.as_str(), from, now.timestamp);
        }
    }
    if let Some(log) = worker.access_log.as_ref().filter(|log| log.chooses()) {
        let said = access_log::Said {
            began: now.timestamp,
            client: trail.from.unwrap_or_else(|| caller::address(worker, client, &request.headers)),
            request,
            api: trail.api,
            user: trail.known.as_ref().map(|known| known.facts().user.as_str()),
            application: trail.application(),
            status: response.status(),
            code,
            request_bytes: announced.unwrap_or(0),
            upstream: (trail.way.destination.get() != 0).then(|| trail.way.took.get()),
            request_id: trail.request_id,
        };
        off_path::call(|| log.begin(&said)).into_iter().for_each(|line| call.is_logged(line));
    }
    if let Some(trace) = trail.trace.take() {
        let said = Said {
            request,
            is_https: client.is_https,
            api: trail.api,
            rule: trail.rule,
            application: trail.application(),
            destination: trail.way.destination.get(),
            address: trail.way.address.get(),
            code,
            status: response.status(),
            request_id: trail.request_id,
        };
        let spans = off_path::call(|| trace.spans(&said));
        call.is_traced(trace, spans);
    }
    match response.body_mut().lines_mut() {
        Some(lines) => lines.added.field(X_REQUEST_ID.as_str(), trail.request_id.as_bytes()),
        None => {
            response.headers_mut().insert(X_REQUEST_ID, trail.request_id.to_value());
        }
    }
    // Where a call ends is not known of one that is not understood: its connection ends instead.
    if let Some(unread) = body.filter(|_| response.status() != StatusCode::BAD_REQUEST) {
        leftover::throw_away(&request.headers, unread);
    }
    call.answers(response.status());
    if response.body().is_at_hand() {
        call.is_over(took);
    }
    response.body_mut().attach(call);
    response
}

/// Makes the answer to a call that is refused.
fn fault(worker: &Worker, request: &Parts, plan: Option<&Plan>, refusal: Refusal) -> Response<ReplyBody> {
    if refusal.is_throttled() {
        worker.counters.refused_quota.add(1);
    } else if refusal.is_denied() {
        worker.counters.refused_denied.add(1);
    } else if refusal.is_about_credentials() {
        worker.counters.refused_credentials.add(1);
    }
    let mut response = refusal.into_response_as(&request.headers, plan.is_some_and(Plan::has_json_faults));
    if let Some(plan) = plan {
        plan.change_fault(&mut response);
    }
    response
}

impl Trail<'_> {
    /// Returns the name of the application whose key it is.
    fn application(&self) -> Option<&str> {
        self.known.as_ref().map(|known| known.key.application_name.as_str())
    }

    /// Returns when the head of the answer is made, and how long after the call began. Where nothing was done since a backend
    /// answered, that time does: a look at the clock is not for nothing.
    fn answers_at(&self, worker: &Worker, began: Now) -> (Now, Duration) {
        let measured = self.way.answered.get().filter(|_| self.plan.is_none());
        worker.clock.later(began, measured.unwrap_or_else(Instant::now))
    }
}

/// Says whether a call led to no API.
fn is_stray(trail: &Trail<'_>, code: u32) -> bool {
    trail.api.is_none() && code == u32::from(StatusCode::NOT_FOUND.as_u16())
}

/// Counts a call in the statistics.
fn count(
    call: &Call,
    client: &Client,
    request: &Parts,
    trail: &Trail<'_>,
    (announced, code): (Option<u64>, u32),
    took: Duration,
) {
    let destination = trail.way.destination.get();
    let begun = Begun {
        api: trail.api,
        rule: trail.rule,
        known: trail.known.as_deref(),
        destination,
        address: trail.way.address.get(),
        agent: client.agent(&request.headers),
        code,
        from: trail.from,
        likely: client.counted_at(),
    };
    if let Some(session) = &trail.session {
        session.counts_as(&begun);
    }
    let ended = Ended {
        upstream: (destination != 0).then(|| trail.way.took.get()),
        request_bytes: announced.unwrap_or(0),
        is_from_cache: trail.is_from_cache,
        total: took,
        ..Ended::default()
    };
    call.counts_as(&begun, ended, trail.way.sent.get());
}

/// Shows a call to those who look on.
fn show(worker: &Worker, client: &Client, request: &Parts, trail: &Trail<'_>, status: StatusCode, began: Now) {
    worker.onlookers.show(CallSeen {
        at_ms: began.timestamp.0,
        client: caller::address(worker, client, &request.headers).to_string(),
        verb: request.method.to_string(),
        path: request.uri.path().to_owned(),
        api: trail.api.map(|api| api.context.clone()),
        application: trail.application().map(str::to_owned),
        status: status.as_u16(),
        took_us: micros(began.instant.elapsed()),
        request_id: trail.request_id.as_str().to_owned(),
    });
}

async fn serve<'a>(
    worker: &Rc<Worker>,
    client: &Client,
    routes: &'a HeldRoutes,
    request: &Parts,
    body: &mut Option<ClientBody>,
    now: Now,
    trail: &mut Trail<'a>,
) -> Result<Response<ReplyBody>, Refusal> {
    let raw_path = request.uri.path();
    let learnt = client.way_at(routes.version);
    let decoded = match learnt {
        // It was checked when it came first.
        Some(_) => Cow::Borrowed(raw_path.as_bytes()),
        None => path::check(raw_path).map_err(|bad| Refusal::bad_request(bad.to_string()))?,
    };
    if learnt.is_none() && oauth::is_face(raw_path) {
        let peer = certificate_of(worker, client, &request.headers);
        let asked = (request, trail.request_id);
        let body = taken(body);
        return off_path::boxed(|| oauth::call(worker, client, asked, peer.as_deref(), body)).await;
    }
    let found = match learnt {
        Some(way) => routes.table.at(way.place),
        None => routes.table.find(request, client.is_trusted_proxy, &decoded),
    };
    let Route { api, place } = found.ok_or_else(Refusal::no_api)?;
    let end = place.end;
    trail.cors = Some(&api.cors);
    trail.api = Some(api);
    match client.is_https {
        true if !api.has_https => return Err(Refusal::transport_not_allowed("https")),
        false if !api.has_http => return Err(Refusal::transport_not_allowed("http")),
        _ => {}
    }
    if api.is_blocked {
        return Err(Refusal::api_blocked());
    }
    if let Some(graphql) = api.graphql.as_deref() {
        let rest = &decoded[end..];
        let arrival = Arrival { worker, client, routes, api, kind: graphql, request, rest, now };
        return off_path::boxed(move || graphql::serve(arrival, body, trail)).await;
    }
    if let Some(websub) = api.websub.as_deref() {
        let rest = &decoded[end..];
        let arrival = Arrival { worker, client, routes, api, kind: websub, request, rest, now };
        return off_path::boxed(move || websub::serve(arrival, body, trail)).await;
    }
    let found = match learnt {
        Some(way) => Found::Operation(way.operation),
        None => api.operations.find(&request.method, &decoded[end..]),
    };
    let rule = match found {
        Found::Operation(operation) => {
            // A path with encoded parts is looked at each time.
            if learnt.is_none() && matches!(decoded, Cow::Borrowed(_)) {
                client.keep_way(LearntWay { version: routes.version, place, operation });
            }
            trail.rule = Some(operation);
            &api.rules[operation]
        }
        Found::OtherVerbs(_) | Found::Nothing if request.method == Method::OPTIONS && api.cors.is_enabled => {
            return Ok(preflight(&api.cors));
        }
        Found::OtherVerbs(verbs) => return Err(Refusal::other_verb(&verbs)),
        Found::Nothing => return Err(Refusal::no_resource()),
    };
    trail.log = rule.log;
    let asks_for_key = !api.is_open && rule.auth != OperationAuth::None;
    let anonymous_key_type = anonymous_key_type(api, rule.part);
    let from = caller::address(worker, client, &request.headers);
    trail.from = Some(from);
    let certificate = if asks_for_key && api.schemes.security.has_mutual_tls {
        certificate_of(worker, client, &request.headers)
    } else {
        None
    };
    // A socket's token may be in its query.
    let connection = Some(client).filter(|_| !api.is_websocket);
    let is_from_proxy = client.is_trusted_proxy;
    let traced = trail.trace.clone();
    let trace = traced.as_deref();
    let request_id = Some(trail.request_id);
    let asked = Asked {
        routes,
        api,
        rule,
        request,
        client: from,
        connection,
        is_from_proxy,
        anonymous_key_type,
        certificate,
        trace,
        request_id,
    };
    let key_type = admit(worker, &asked, asks_for_key, now, trail).await?;
    let rest_at = match decoded {
        Cow::Borrowed(_) => end,
        // Raw and decoded path have the same segments, so the context ends after as many.
        Cow::Owned(_) => path::end_of_segments(raw_path.as_bytes(), place.depth).unwrap_or(raw_path.len()),
    };
    let has_key_in_query = asks_for_key && api.schemes.security.has_api_key;
    let query = match request.uri.query() {
        Some(query) if has_key_in_query => credentials::query_without_key(query),
        query => query.map(Cow::Borrowed),
    };
    let passage = Passage {
        api,
        part: rule.part,
        key_type,
        request,
        rest: &raw_path[rest_at..],
        query: query.as_deref(),
        without: if asks_for_key { &api.schemes.secret_headers } else { &api.schemes.own_headers },
        assertion: worker.settings.assertion_header.as_ref().zip(trail.known.as_deref().and_then(Known::assertion)),
        known: trail.known.as_deref(),
        shown: None,
        client,
        request_id: trail.request_id,
        meter: trail.meter.as_deref(),
        takes_lines: takes_lines(client, request, rule, api, trail),
        way: &trail.way,
        trace,
        to: None,
        in_session: None,
    };
    if api.is_websocket {
        let shown = asks_for_key.then(|| credentials::owned_key_of(api, request)).transpose()?;
        let known = shown.zip(trail.known.clone());
        let limits = trail.limits.clone().unwrap_or_default();
        let session = websocket::Session::new(worker, &asked, known, limits);
        let began = worker.clock.now().instant;
        let answer = off_path::boxed(|| websocket::open(worker, &passage, Rc::clone(&session))).await;
        if let Some(trace) = trace {
            trace.asked_backend(began, worker.clock.now().instant, answer.as_ref().ok().map(Response::status));
        }
        let answer = answer?;
        trail.session = Some(session);
        return Ok(answer);
    }
    trail.plan = rule.plan.as_ref();
    let _changing = api.cached_for.and_then(|_| worker.answers.changing(api.number, request));
    let cached_for = api.cached_for.filter(|_| !rule.plan.as_ref().is_some_and(Plan::looks_at_tokens));
    let lookup = cached_for.and_then(|time| worker.answers.lookup(api.number, time, key_type, request));
    if let Some(answer) = lookup.as_ref().and_then(|lookup| worker.answers.find(lookup, now.instant)) {
        worker.counters.cache_hits.add(1);
        trail.is_from_cache = true;
        if let Some(meter) = passage.meter {
            meter.begin(answer.headers(), api.tokens.as_ref());
        }
        return Ok(answer);
    }
    let mut answer = pass_on(worker, &passage, rule, taken(body)).await?;
    if let Some(lookup) = lookup
        && let Some(copying) = Copying::begin(&worker.answers, lookup, &answer, worker.clock.now().instant)
    {
        answer.body_mut().keep(copying);
    }
    Ok(answer)
}

/// Says whether nothing but the client looks at the headers of a call's answer.
fn takes_lines(client: &Client, request: &Parts, rule: &Rule, api: &CompiledApi, trail: &Trail<'_>) -> bool {
    let is_read =
        rule.plan.is_some() || api.cached_for.is_some() || trail.meter.is_some() || trail.log != CallLogLevel::Off;
    let is_for_page = api.cors.is_enabled && client.names_origin(&request.headers);
    !is_read && !is_for_page && !client.has_many_calls() && !api.is_websocket
}

/// Has a backend answer, with what policies do on the way.
async fn pass_on(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    rule: &Rule,
    body: ClientBody,
) -> Result<Response<ReplyBody>, Refusal> {
    if let Some(plan) = &rule.plan {
        return off_path::boxed(move || mediation::forward(worker, passage, plan, CallBody::Streams(body))).await;
    }
    match attempt::begin_now(worker, passage, &body) {
        Some(mut under_way) => match under_way.answered(worker, passage).await {
            Ok(()) => Ok(under_way.reply(worker, passage)),
            Err(failure) => off_path::boxed(move || under_way.failed(failure, worker, passage)).await,
        },
        None => off_path::boxed(move || forward::forward(worker, passage, CallBody::Streams(body))).await,
    }
}

/// Returns the certificate that the client showed: to the gateway, or to a trusted proxy that ended TLS before it.
fn certificate_of(worker: &Worker, client: &Client, headers: &HeaderMap) -> Option<Rc<PeerCertificate>> {
    let header = worker.settings.client_certificate_header.as_ref().filter(|_| client.is_trusted_proxy);
    let Some(header) = header else { return client.certificate() };
    let mut values = headers.get_all(header).iter();
    // Of two nobody knows which is the proxy's. A proxy that says nothing speaks for a client that showed nothing.
    match (values.next(), values.next()) {
        (Some(value), None) => PeerCertificate::from_header(value.to_str().ok()?),
        _ => None,
    }
}

/// Returns to which backends calls without a key go.
fn anonymous_key_type(api: &CompiledApi, part: Option<usize>) -> KeyType {
    let has_production = !api.endpoints(part, KeyType::Production).is_none();
    if has_production { KeyType::Production } else { KeyType::Sandbox }
}

/// Takes the body for whoever reads it, which happens once in a call.
fn taken(body: &mut Option<ClientBody>) -> ClientBody {
    body.take().expect("a call has one reader of its body")
}

/// Checks deny policies, credentials and quotas; returns the type of the key.
async fn admit(
    worker: &Rc<Worker>,
    asked: &Asked<'_>,
    asks_for_key: bool,
    now: Now,
    trail: &mut Trail<'_>,
) -> Result<KeyType, Refusal> {
    // Before anything is done for the caller, as far as he is known by his address; and again once he is known.
    limiter::check_denied(asked, None, now.timestamp)?;
    if asks_for_key {
        identify(worker, asked, now, trail).await?;
    }
    if asked.api.is_open {
        return Ok(asked.anonymous_key_type);
    }
    let known = trail.known.as_deref();
    let limits = trail.limits.insert(limiter::limits(worker, asked, known));
    let cost = if asked.api.is_websocket { Cost::HANDSHAKE } else { Cost::CALL };
    let receipts = limits.take(worker, &cost, now.timestamp).await?;
    if !asked.api.is_websocket {
        trail.meter = limits.meter(worker, &receipts, &cost);
    }
    Ok(known.map_or(asked.anonymous_key_type, |known| known.key.key_type))
}

/// Finds out who calls, and refuses whom a deny policy turns away.
async fn identify(worker: &Rc<Worker>, asked: &Asked<'_>, now: Now, trail: &mut Trail<'_>) -> Result<(), Refusal> {
    let known = match authenticate::authenticate_again(worker, asked, now.timestamp) {
        Some(known) => known?,
        None => off_path::boxed(|| authenticate::authenticate(worker, asked, now.timestamp)).await?,
    };
    if !worker.settings.freshness.is_fresh() {
        worker.counters.refused_stale.add(1);
        return Err(Refusal::out_of_date());
    }
    limiter::check_denied(asked, Some(&known), now.timestamp)?;
    trail.known = Some(known);
    Ok(())
}

/// Takes the client's request id where it is a sensible one, or makes one.
fn request_id(worker: &Worker, client: &Client, request: &Parts) -> CallId {
    let gives_one = client.gives_request_id(&request.headers);
    let given = if gives_one { request.headers.get(X_REQUEST_ID) } else { None };
    given.and_then(CallId::given).unwrap_or_else(|| worker.request_id())
}

fn preflight(cors: &CompiledCors) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::OK;
    cors.allow_sending(response.headers_mut());
    response
}
