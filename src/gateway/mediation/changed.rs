//! A call that policies change: a copy of its head, and its body, which streams unless a policy looks into it.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use portcullis_model::lambda::Function;
use portcullis_model::mediation::Flow;
use portcullis_model::mediation::soap::SoapCall;
use serde_json::{Map, Value};

use super::convert::{self, BODY_BYTES_MAX};
use super::function;
use super::guard::Threat;
use super::guardrail::Direction;
use super::intercept::Interceptor;
use super::masking::{Masked, Masking};
use super::model_choice;
use super::prompt;
use super::soap_message::{self, Said};
use super::target;
use super::{Action, Plan};
use crate::body::ReplyBody;
use crate::call_id::CallId;
use crate::client::Client;
use crate::dynamic::{TO, To};
use crate::forward::{CallBody as Body, Passage};
use crate::http1::hop::named_by_connection;
use crate::leftover;
use crate::meter::Meter;
use crate::packing;
use crate::refusal::Refusal;
use crate::trace::Trace;
use crate::upstream::request::{BodyLength, Outgoing, is_written_here, remove_read_alike};
use crate::worker::Worker;

/// A call that is changed.
pub(super) struct Changed<'a> {
    head: Parts,
    /// The part of the path after the context.
    rest: String,
    query: Option<String>,
    /// `None` while it is read.
    body: Option<Body>,
    meter: Option<&'a Meter>,
    /// The fields that hold credentials.
    without: &'a [HeaderName],
    /// What backends are told of the caller, and in which field.
    assertion: Option<(&'a HeaderName, &'a str)>,
    client: &'a Client,
    request_id: &'a CallId,
    traceparent: Option<&'a HeaderValue>,
    /// Policies say where it goes.
    is_dynamic: bool,
    /// What they say may be the caller's word.
    has_callers_to: bool,
}

fn not_json(error: &serde_json::Error) -> Refusal {
    Refusal::bad_request(format!("the body is not JSON: {error}"))
}

/// Removes what ends with the client's connection, before policies set fields of the same names.
fn leave_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        if HeaderName::try_from(&name).is_ok_and(|name| !is_written_here(&name)) {
            headers.remove(&name);
        }
    }
    headers.remove(CONNECTION);
}

/// A call that was changed.
pub(super) struct Finished {
    pub(super) head: Parts,
    pub(super) rest: String,
    pub(super) query: Option<String>,
    pub(super) body: Body,
    /// Where policies have it go.
    pub(super) to: Option<To>,
}

impl<'a> Changed<'a> {
    pub(super) fn of(passage: &Passage<'a>, body: Body) -> Self {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = passage.request.method.clone();
        head.uri = passage.request.uri.clone();
        head.version = passage.request.version;
        head.headers = passage.request.headers.clone();
        leave_hop(&mut head.headers);
        let is_dynamic = passage.api.endpoints(passage.part, passage.key_type).dynamic.is_some();
        if is_dynamic {
            // What a caller says of it is nothing.
            head.headers.remove(TO);
        }
        Self {
            query: passage.query.map(str::to_owned),
            head,
            rest: passage.rest.to_owned(),
            body: Some(body),
            meter: passage.meter,
            without: passage.without,
            assertion: passage.assertion,
            client: passage.client,
            request_id: passage.request_id,
            traceparent: passage.trace.map(Trace::traceparent),
            is_dynamic,
            has_callers_to: false,
        }
    }

    /// Returns the query as it is by now.
    pub(super) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Returns the header fields as they are by now.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Does one thing to the call.
    pub(super) async fn change(&mut self, worker: &Worker, plan: &Plan, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::AddQuery(pair) => match &mut self.query {
                Some(query) if !query.is_empty() => {
                    query.push('&');
                    query.push_str(pair);
                }
                query => *query = Some(pair.clone()),
            },
            Action::RemoveQuery(name) => {
                self.query = self.query.take().and_then(|query| target::without(&query, name));
            }
            Action::ChangeMethod(verb) => self.head.method = verb.clone(),
            Action::RewritePath { path, keeps_query } => {
                let (path, query) = path.fill(&plan.template, &self.rest);
                self.rest = path;
                let kept = self.query.take().filter(|_| *keeps_query);
                self.query = match (query, kept) {
                    (Some(query), Some(kept)) => Some(format!("{query}&{kept}")),
                    (query, kept) => query.or(kept),
                };
            }
            Action::Guard(guard) => {
                let threat = |threat: Threat| Refusal::bad_request(threat.to_string());
                guard.check_head(&self.rest, self.query.as_deref(), &self.head.headers).map_err(threat)?;
                if guard.reads_body(&self.head.headers) {
                    guard.check_body(&self.plain(worker).await?).map_err(threat)?;
                }
            }
            Action::Check(checks) => {
                let headers = &self.head.headers;
                checks
                    .check_head(&self.rest, self.query.as_deref(), headers)
                    .map_err(|why| Refusal::invalid_call(&why))?;
                if checks.reads_calls() {
                    let body = self.plain(worker).await?;
                    checks.check_body(&self.head.headers, &body).map_err(|why| Refusal::invalid_call(&why))?;
                }
            }
            Action::Measure(guardrail) => {
                let body = self.plain(worker).await?;
                guardrail.check(worker, &body, Direction::Request).await?;
            }
            Action::Decorate(decoration) => {
                let body = self.plain(worker).await?;
                if !body.is_empty() {
                    self.replace(prompt::decorated(decoration, &body)?);
                }
            }
            Action::Fill(templates) => {
                let body = self.plain(worker).await?;
                if let Some(filled) = prompt::filled(templates, &body, BODY_BYTES_MAX)? {
                    self.replace(filled);
                }
            }
            Action::Unpack => self.unpack(worker).await?,
            Action::Call(function) => self.call_function(worker, plan, function).await?,
            Action::Soap(call) => self.become_soap(worker, plan, call).await?,
            Action::Convert(form) => {
                self.unpack(worker).await?;
                let held = self.held(worker).await?;
                let is_empty = held.is_empty();
                let body = if is_empty {
                    held
                } else {
                    form.convert(&held).map_err(|bad| Refusal::bad_request(bad.to_string()))?
                };
                if !is_empty {
                    remove_read_alike(&mut self.head.headers, &CONTENT_TYPE);
                    self.head.headers.insert(CONTENT_TYPE, form.content_type());
                }
                self.body = Some(Body::Held(body));
            }
            other => {
                match other {
                    Action::SetHeader(name, _) if *name == TO => self.has_callers_to = false,
                    Action::RenameHeader(from, name) if *name == TO && self.head.headers.contains_key(from) => {
                        self.has_callers_to = true;
                    }
                    _ => {}
                }
                other.change_headers(&mut self.head.headers, Flow::Request);
            }
        }
        Ok(())
    }

    /// Masks what is said of people in it.
    pub(super) async fn mask(
        &mut self,
        worker: &Worker,
        masking: &Masking,
        masked: &mut Masked,
    ) -> Result<(), Refusal> {
        let body = self.plain(worker).await?;
        if let Some(without) = masking.mask(&body, masked)? {
            self.replace(without);
        }
        Ok(())
    }

    /// Puts another body, which is not packed, in place of one that was read.
    fn replace(&mut self, body: impl Into<Bytes>) {
        self.head.headers.remove(CONTENT_ENCODING);
        self.body = Some(Body::Held(body.into()));
    }

    /// Shows it to a service and does what that says; returns the answer that it gives in the backend's place.
    pub(super) async fn intercept(
        &mut self,
        worker: &Worker,
        passage: &Passage<'_>,
        service: &Interceptor,
        context: &mut Map<String, Value>,
    ) -> Result<Option<Response<ReplyBody>>, Refusal> {
        let body = if service.reads_calls() { Some(self.held(worker).await?) } else { None };
        let mut verdict = service.on_call(worker, passage, &self.head.headers, body.as_ref()).await?;
        if let Some(direct) = verdict.direct()? {
            return Ok(Some(direct));
        }
        let to = self.head.headers.get(TO).cloned();
        let body = verdict.apply_to_call(&mut self.head.headers)?;
        // Another address is the service's word.
        self.has_callers_to &= self.head.headers.get(TO) == to.as_ref();
        if let Some(body) = body {
            self.throw_away();
            self.body = Some(Body::Held(body));
        }
        context.extend(verdict.take_context());
        Ok(None)
    }

    /// Makes a message of SOAP of it, which goes to the endpoint itself.
    async fn become_soap(&mut self, worker: &Worker, plan: &Plan, call: &SoapCall) -> Result<(), Refusal> {
        let held = if call.reads_body() { self.plain(worker).await? } else { Bytes::new() };
        let body = if held.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&held).map_err(|error| not_json(&error))?
        };
        let query = self.query.take().unwrap_or_default();
        let said = Said { body: &body, query: &query, template: &plan.template, path: &self.rest };
        let message = soap_message::message(call, &said).map_err(|bad| Refusal::bad_request(bad.to_string()))?;
        self.throw_away();
        self.replace(message);
        self.rest = String::new();
        self.head.method = Method::POST;
        soap_message::describe(call, &mut self.head.headers);
        Ok(())
    }

    /// Makes the call of a function of it.
    async fn call_function(&mut self, worker: &Worker, plan: &Plan, function: &Function) -> Result<(), Refusal> {
        self.unpack(worker).await?;
        let body = self.held(worker).await?;
        let query = self.query.take().unwrap_or_default();
        let call = Outgoing {
            request: &self.head,
            rest: &self.rest,
            query: Some(&query),
            without: self.without,
            assertion: self.assertion,
            shown: None,
            client_ip: &self.client.ip,
            is_https: self.client.is_https,
            is_trusted_proxy: self.client.is_trusted_proxy,
            request_id: self.request_id,
            traceparent: self.traceparent,
            body: BodyLength::None,
            is_upgrade: false,
            is_to_be_read: false,
            repeats: None,
        };
        let said = function::Said { call, template: &plan.template, body: &body };
        let event = said.event(function);
        self.body = Some(Body::Held(event));
        self.rest = function::address(function, &mut self.head);
        Ok(())
    }

    /// Has all of the body at hand as it is meant, to be sent to one model after the other.
    pub(super) async fn hold_for_models(&mut self, worker: &Worker) -> Result<(), Refusal> {
        self.unpack_up_to(worker, model_choice::BODY_BYTES_MAX).await?;
        self.held_up_to(worker, model_choice::BODY_BYTES_MAX).await.map(|_| ())
    }

    /// Returns all of the body as it is meant, and leaves it as it is.
    async fn plain(&mut self, worker: &Worker) -> Result<Bytes, Refusal> {
        self.plain_up_to(worker, BODY_BYTES_MAX).await
    }

    async fn plain_up_to(&mut self, worker: &Worker, bytes_max: usize) -> Result<Bytes, Refusal> {
        let held = self.held_up_to(worker, bytes_max).await?;
        match packing::coding(&self.head.headers).filter(|_| !held.is_empty()) {
            Some(coding) => packing::unpack(&coding, &held, bytes_max).map_err(|error| Refusal::packed(&error)),
            None => Ok(held),
        }
    }

    /// Unpacks the body.
    async fn unpack(&mut self, worker: &Worker) -> Result<(), Refusal> {
        self.unpack_up_to(worker, BODY_BYTES_MAX).await
    }

    async fn unpack_up_to(&mut self, worker: &Worker, bytes_max: usize) -> Result<(), Refusal> {
        if packing::coding(&self.head.headers).is_some() {
            let plain = self.plain_up_to(worker, bytes_max).await?;
            self.replace(plain);
        }
        Ok(())
    }

    /// Returns all of the body.
    async fn held(&mut self, worker: &Worker) -> Result<Bytes, Refusal> {
        self.held_up_to(worker, BODY_BYTES_MAX).await
    }

    async fn held_up_to(&mut self, worker: &Worker, bytes_max: usize) -> Result<Bytes, Refusal> {
        let held = match self.body.take() {
            Some(Body::Held(bytes)) => bytes,
            Some(Body::Streams(body)) => convert::hold_up_to(worker, body, self.meter, bytes_max).await?,
            None => Bytes::new(),
        };
        self.body = Some(Body::Held(held.clone()));
        Ok(held)
    }

    /// Reads what the client still sends, of a call that goes no further.
    pub(super) fn throw_away(&mut self) {
        if let Some(Body::Streams(body)) = self.body.take() {
            leftover::throw_away(&self.head.headers, body);
        }
    }

    /// Asks the backend for an answer that is not packed.
    pub(super) fn ask_for_plain_answer(&mut self) {
        self.head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }

    /// Returns the call as it is now.
    pub(super) fn finish(mut self) -> Finished {
        let body = self.body.unwrap_or(Body::Held(Bytes::new()));
        let to = if self.is_dynamic { self.head.headers.remove(TO) } else { None };
        let to = to.map(|value| To { value, is_callers: self.has_callers_to });
        Finished { head: self.head, rest: self.rest, query: self.query, body, to }
    }
}
