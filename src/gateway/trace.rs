//! The spans of one call, where it is traced: that of the gateway, and below it those of asking the key manager and a
//! backend. A call that is not traced costs a look at a setting, and one look at a header where tracing is on.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::header::{HOST, HeaderMap};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_model::span::{CallTrace, Span, SpanKind, SpanValue, TraceContext, Tracing};

use crate::call_id::CallId;
use crate::forward::Way;
use crate::route::api::CompiledApi;
use crate::sampling::Sampler;
use crate::to_hand_on::ToHandOn;

/// The header of the context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Calls of one tick whose spans are kept: more than are worth looking at.
const ENDED_MAX: usize = 4_096;
/// Calls of one tick that are traced though they were not chosen: where all fail at a time, some say as much as all.
const LATE_MAX: usize = 64;
/// Characters of a path that are told.
const PATH_CHARS_MAX: usize = 1_024;
/// Characters of any other text in a span.
const TEXT_CHARS_MAX: usize = 256;

/// Decides which calls of a worker are traced, and keeps their spans until they are handed on with the next tick.
pub(crate) struct Tracer {
    settings: Tracing,
    sampler: Sampler,
    ended: ToHandOn<CallTrace>,
    /// Calls of this tick that are traced though they were not chosen.
    late: Cell<usize>,
}

/// A call that is traced.
pub(crate) struct Trace {
    trace: [u8; 16],
    parent: Option<[u8; 8]>,
    span: [u8; 8],
    upstream: [u8; 8],
    /// What backends are sent.
    traceparent: HeaderValue,
    began: Instant,
    began_ns: u64,
    /// From when to when the key manager was asked.
    validation: Cell<Option<(Instant, Instant)>>,
    /// From when to when backends were asked, and what the last one answered.
    backend: Cell<Option<(Instant, Instant, Option<StatusCode>)>>,
}

/// What is said of a call whose answer begins.
pub(crate) struct Said<'a> {
    pub(crate) request: &'a Parts,
    pub(crate) is_https: bool,
    pub(crate) api: Option<&'a CompiledApi>,
    /// The operation's number.
    pub(crate) rule: Option<usize>,
    /// The application's name.
    pub(crate) application: Option<&'a str>,
    /// The backend's number; 0 for none.
    pub(crate) destination: u64,
    /// The backend's address, where a policy named it.
    pub(crate) address: Option<&'a Arc<str>>,
    /// The code of the fault; 0 for none.
    pub(crate) code: u32,
    pub(crate) status: StatusCode,
    pub(crate) request_id: &'a CallId,
}

impl Tracer {
    /// Begins with random bytes, other for each worker.
    pub(crate) fn new(settings: Tracing, random: [u8; 8]) -> Self {
        let sampler = Sampler::new(settings.sampled_per_million, random);
        Self { settings, sampler, ended: ToHandOn::new(ENDED_MAX), late: Cell::new(0) }
    }

    /// Begins to trace a call, where it is one of those that are traced.
    pub(crate) fn begin(&self, headers: &HeaderMap, began: Instant) -> Option<Trace> {
        let context = headers.get(TRACEPARENT).and_then(|value| TraceContext::parse(value.as_bytes()));
        let is_wanted = match context {
            Some(context) => context.is_sampled,
            None => self.sampler.chooses(),
        };
        if is_wanted { Trace::begin(context, began) } else { None }
    }

    /// Begins to trace a call that was not chosen, now that its answer shows that it is worth a look: it failed, or was slow.
    /// When the key manager was asked is not known of it, and backends were not told.
    pub(crate) fn begin_late(
        &self,
        headers: &HeaderMap,
        (began, answered): (Instant, Instant),
        way: &Way,
        (status, code): (StatusCode, u32),
    ) -> Option<Trace> {
        let took = answered.saturating_duration_since(began);
        let failed = self.settings.traces_errors && status.is_server_error();
        let is_worth_it = failed || self.settings.slow.is_some_and(|slow| took >= slow);
        if !is_worth_it || self.late.get() >= LATE_MAX {
            return None;
        }
        self.late.set(self.late.get() + 1);
        let context = headers.get(TRACEPARENT).and_then(|value| TraceContext::parse(value.as_bytes()));
        let trace = Trace::begin(context, began)?;
        if way.destination.get() != 0 {
            let ended = way.answered.get().unwrap_or(answered);
            let asked = ended.checked_sub(way.took.get()).unwrap_or(began).max(began);
            // A fault of the gateway's own says that the backend gave no answer.
            trace.asked_backend(asked, ended, (code == 0).then_some(status));
        }
        Some(trace)
    }

    /// Hands on what ended.
    pub(crate) fn hand_on(&self) {
        self.late.set(0);
        if let Some((ended, dropped)) = self.ended.take() {
            self.settings.sink.take(ended, dropped);
        }
    }
}

impl Trace {
    /// Begins with new ids; a call is not traced where the system gives no random bytes.
    fn begin(context: Option<TraceContext>, began: Instant) -> Option<Self> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).ok()?;
        let (mut trace, mut span, mut upstream) = ([0; 16], [0; 8], [0; 8]);
        trace.copy_from_slice(&random[..16]);
        span.copy_from_slice(&random[16..24]);
        upstream.copy_from_slice(&random[24..]);
        if let Some(context) = context {
            trace = context.trace;
        }
        let onward = TraceContext { trace, span: upstream, is_sampled: true };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ago = began.elapsed();
        Some(Self {
            trace,
            parent: context.map(|context| context.span),
            span,
            upstream,
            traceparent: HeaderValue::from_str(&onward.as_traceparent()).ok()?,
            began,
            began_ns: nanos(since.saturating_sub(ago)),
            validation: Cell::new(None),
            backend: Cell::new(None),
        })
    }

    /// Returns what backends are sent as `traceparent`.
    pub(crate) fn traceparent(&self) -> &HeaderValue {
        &self.traceparent
    }

    /// Notes that the key manager was asked.
    pub(crate) fn asked_key_manager(&self, began: Instant) {
        self.validation.set(Some((began, Instant::now())));
    }

    /// Notes that backends were asked; of several times the first begins and the last ends.
    pub(crate) fn asked_backend(&self, began: Instant, ended: Instant, status: Option<StatusCode>) {
        let began = self.backend.get().map_or(began, |(first, ..)| first);
        self.backend.set(Some((began, ended, status)));
    }

    /// Returns the spans of the call but for the end of the first, which comes with the end of the answer.
    pub(crate) fn spans(&self, said: &Said<'_>) -> CallTrace {
        let mut spans = vec![self.server(said)];
        if let Some((began, ended)) = self.validation.get() {
            spans.push(self.part(SpanKind::Internal, "validate key", (began, ended), self.random_like(1)));
        }
        if let Some((began, ended, status)) = self.backend.get() {
            let name = cut(said.request.method.as_str());
            let mut span = self.part(SpanKind::Client, name, (began, ended), self.upstream);
            span.is_error = status.is_none_or(|status| status.is_client_error() || status.is_server_error());
            span.attributes.push(("http.request.method", text(name)));
            span.attributes.extend(status.map(|status| ("http.response.status_code", number(status))));
            let address = said.address.cloned().or_else(|| said.api?.address_of(said.destination));
            span.attributes.extend(address.map(|address| ("url.full", text(&address))));
            spans.push(span);
        }
        CallTrace { trace: self.trace, spans }
    }

    fn server(&self, said: &Said<'_>) -> Span {
        let (request, api) = (said.request, said.api);
        let method = cut(request.method.as_str());
        let template = api.zip(said.rule).and_then(|(api, rule)| api.rules.get(rule));
        let template = template.and_then(|rule| rule.resource.split_once(' ')).map(|(_, template)| template);
        let route = api.map(|api| format!("{}{}", api.context, template.unwrap_or_default()));
        let name = route.as_ref().map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let path: String = request.uri.path().chars().take(PATH_CHARS_MAX).collect();
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        let scheme = if said.is_https { "https" } else { "http" };
        let mut attributes = vec![
            ("http.request.method", text(method)),
            ("http.response.status_code", number(said.status)),
            ("url.path", SpanValue::Text(path)),
            ("url.scheme", text(scheme)),
            ("portcullis.request_id", text(said.request_id.as_str())),
        ];
        attributes.extend(host.map(|host| ("server.address", text(host))));
        attributes.extend(route.map(|route| ("http.route", SpanValue::Text(route))));
        attributes.extend(api.map(|api| ("portcullis.api.name", text(&api.called.name))));
        attributes.extend(api.map(|api| ("portcullis.api.version", text(&api.called.version))));
        attributes.extend(said.application.map(|name| ("portcullis.application.name", text(name))));
        attributes.extend((said.code != 0).then(|| ("error.type", SpanValue::Text(said.code.to_string()))));
        Span {
            id: self.span,
            parent: self.parent,
            kind: SpanKind::Server,
            name,
            begin_ns: self.began_ns,
            end_ns: 0,
            is_error: said.status.is_server_error(),
            attributes,
        }
    }

    fn part(&self, kind: SpanKind, name: &str, (began, ended): (Instant, Instant), id: [u8; 8]) -> Span {
        Span {
            id,
            parent: Some(self.span),
            kind,
            name: name.to_owned(),
            begin_ns: self.at(began),
            end_ns: self.at(ended),
            is_error: false,
            attributes: Vec::new(),
        }
    }

    /// Returns an id that differs from the call's others and is as random as they are.
    fn random_like(&self, number: u8) -> [u8; 8] {
        let mut id = self.span;
        for (place, other) in id.iter_mut().zip(self.upstream) {
            *place ^= other;
        }
        id[0] ^= number;
        id
    }

    fn at(&self, instant: Instant) -> u64 {
        self.began_ns.saturating_add(nanos(instant.saturating_duration_since(self.began)))
    }

    /// Keeps the spans of a call that has ended, until they are handed on.
    pub(crate) fn end(&self, tracer: &Tracer, mut spans: CallTrace) {
        if let Some(first) = spans.spans.first_mut() {
            first.end_ns = self.at(Instant::now());
        }
        tracer.ended.push(|| spans);
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn text(text: &str) -> SpanValue {
    SpanValue::Text(cut(text).to_owned())
}

/// Cuts what a stranger chose.
fn cut(text: &str) -> &str {
    text.char_indices().nth(TEXT_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

fn number(status: StatusCode) -> SpanValue {
    SpanValue::Number(i64::from(status.as_u16()))
}
