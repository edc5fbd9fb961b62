//! Queries of GraphQL over a WebSocket, subscriptions among them: the handshake is a call like others, and each query that
//! comes after it is read and checked as one that comes by POST. Spoken are graphql-transport-ws
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>) and the older graphql-ws of Apollo.

use std::rc::Rc;

use http::header::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use portcullis_model::{OperationAuth, Timestamp};
use serde_json::{Map, Value};

use super::question::Question;
use super::{again_of, check_size, limits_of, numbers_of};
use crate::authenticate::{self, Known};
use crate::body::ReplyBody;
use crate::credentials;
use crate::forward::Passage;
use crate::handler::arrival::Arrival;
use crate::handler::{Trail, identify};
use crate::limiter::{self, Asked};
use crate::quota::{Cost, Limits};
use crate::refusal::Refusal;
use crate::route::api::Rule;
use crate::route::graphql::Graphql;
use crate::upstream::UpstreamError;
use crate::websocket::{self, Protocol, Session};
use crate::worker::Worker;

/// Opens a WebSocket with the API's backend; `entry` is what is asked of every query.
pub(super) async fn open<'r>(
    arrival: &Arrival<'_, 'r, Graphql>,
    entry: &Asked<'_>,
    asks_for_key: bool,
    trail: &mut Trail<'r>,
) -> Result<Response<ReplyBody>, Refusal> {
    let Arrival { worker, client, api, request, now, .. } = arrival;
    let offered = offered(&request.headers)?;
    if asks_for_key {
        identify(worker, entry, *now, trail).await?;
    }
    if !api.is_open {
        let limits = trail.limits.insert(limiter::limits(worker, entry, trail.known.as_deref()));
        limits.take(worker, &Cost::HANDSHAKE, now.timestamp).await?;
    }
    let head = head_of(request, &offered);
    let known = trail.known.as_deref();
    let passage = Passage {
        api,
        part: None,
        key_type: known.map_or(entry.anonymous_key_type, |known| known.key.key_type),
        request: &head,
        rest: "",
        query: None,
        without: if asks_for_key { &api.schemes.secret_headers } else { &api.schemes.own_headers },
        assertion: worker.settings.assertion_header.as_ref().zip(known.and_then(Known::assertion)),
        known,
        shown: None,
        client,
        request_id: trail.request_id,
        meter: None,
        takes_lines: false,
        way: &trail.way,
        trace: entry.trace,
        to: None,
        in_session: None,
    };
    let shown = asks_for_key.then(|| credentials::owned_key_of(api, request)).transpose()?;
    let limits = trail.limits.clone().unwrap_or_default();
    let session = Session::new(worker, entry, shown.zip(trail.known.clone()), limits);
    let answer = websocket::open(worker, &passage, Rc::clone(&session)).await?;
    let chosen = answer.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(Protocol::of);
    let is_plain = !answer.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS);
    match chosen.filter(|chosen| is_plain && offered.contains(chosen)) {
        Some(chosen) => session.speaks(chosen),
        None => {
            // What was agreed on would not be read.
            drop(client.take_upgrade());
            let why = "it chose none of the protocols of GraphQL that were offered";
            return Err(Refusal::from_upstream(&UpstreamError::Protocol(why)));
        }
    }
    trail.session = Some(session);
    Ok(answer)
}

/// Returns the protocols that a client offers and that are read here, in its order.
fn offered(headers: &HeaderMap) -> Result<Vec<Protocol>, Refusal> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(str::trim);
    let known: Vec<Protocol> = names.filter_map(Protocol::named).collect();
    if known.is_empty() {
        let reason = "a WebSocket of GraphQL must offer graphql-transport-ws or graphql-ws (Sec-WebSocket-Protocol)";
        return Err(Refusal::bad_request(reason));
    }
    Ok(known)
}

/// Returns the head of a handshake after which messages can be read.
fn head_of(request: &Parts, offered: &[Protocol]) -> Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    (head.method, head.uri, head.version) = (Method::GET, request.uri.clone(), request.version);
    head.headers = request.headers.clone();
    // Packed messages would not be.
    head.headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    let names: Vec<&str> = offered.iter().map(|protocol| protocol.name()).collect();
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        head.headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
    head
}

/// By what a query on an open WebSocket is judged.
pub(crate) struct Judged<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) asked: &'a dyn Fn(&'a Rule) -> Asked<'a>,
    pub(crate) entry: &'a Asked<'a>,
    pub(crate) known: Option<&'a Known>,
    pub(crate) now: Timestamp,
}

/// Checks a query as one that comes by POST, and takes what it costs; returns it as it goes on.
///
/// # Errors
/// Where it is refused.
pub(crate) async fn judge(judged: &Judged<'_>, payload: Map<String, Value>, cost: &Cost) -> Result<Value, Refusal> {
    let Judged { worker, asked, entry, known, now } = judged;
    let graphql = entry.api.graphql.as_deref().ok_or_else(Refusal::no_resource)?;
    let question = Question::of_members(payload)?;
    let wanted = question.read_any(graphql)?;
    let numbers = numbers_of(graphql, &wanted)?;
    let rules: Vec<&Rule> = numbers.iter().map(|number| &entry.api.rules[*number]).collect();
    let mut with_key = rules.iter().filter(|rule| rule.auth != OperationAuth::None);
    match known {
        _ if entry.api.is_open => {}
        Some(known) => with_key.try_for_each(|rule| authenticate::check(known, rule, *now))?,
        None if with_key.next().is_some() => return Err(Refusal::no_credentials()),
        None => {}
    }
    if !entry.api.is_open {
        check_size(entry.routes, entry.api, *known, &wanted)?;
        let limits = limits_of(worker, asked, &graphql.entry, &rules, *known);
        let again = again_of(worker, asked, &rules, &wanted, *known);
        let counted = Limits::new(limits.all.iter().cloned().chain(again));
        counted.take(worker, cost, *now).await?;
    }
    Ok(question.into_members().into())
}
