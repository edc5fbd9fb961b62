//! Operation policies, compiled: what is done to a call before it goes to the backend, to the answer, and to a fault.
//!
//! An operation without policies has no plan and pays nothing. Where a policy looks into a body, the body is held, up to
//! a bound; all others stream.

mod changed;
mod convert;
mod function;
mod guard;
mod guardrail;
mod inquiry;
mod intercept;
mod json;
mod json_texts;
mod masking;
mod model_choice;
mod model_place;
mod own_answer;
mod prompt;
mod soap_message;
mod target;
mod token;
mod xml;

use std::rc::Rc;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use portcullis_model::lambda::Function;
use portcullis_model::mediation::prompt::{Decoration, Templates};
use portcullis_model::mediation::soap::SoapCall;
use portcullis_model::mediation::{Flow, Flows, Step};
use portcullis_model::{Mediation, Operation};
use serde_json::{Map, Value};
use tracing::{info, warn};

pub(crate) use self::convert::{hold, hold_answer};
pub(crate) use self::function::is_invocation;
pub(crate) use self::model_choice::Choices;
pub(crate) use self::own_answer::Own;
pub(crate) use self::target::{pair as query_pair, parameter as path_parameter, without as query_without};

use self::changed::Changed;
use self::convert::Form;
use self::guard::Guard;
use self::guardrail::{Direction, Guardrail};
use self::intercept::Interceptor;
use self::masking::{Masked, Masking};
use self::model_choice::ModelChoice;
use self::target::PathTemplate;
use self::token::ClaimGuard;
use crate::body::ReplyBody;
use crate::forward::{self, CallBody, Passage};
use crate::packing;
use crate::refusal::Refusal;
use crate::route::endpoint::{EndpointGroup, Origins};
use crate::upstream::request::remove_read_alike;
use crate::validation::Checks;
use crate::worker::Worker;

/// What is done with the calls of one operation.
#[derive(Debug)]
pub(crate) struct Plan {
    request: Vec<Action>,
    response: Vec<Action>,
    fault: Vec<Action>,
    /// The operation's URI template, for the parameters in its calls' paths.
    template: Box<str>,
    /// Whether answers must come as text: what looks into them cannot take them packed.
    reads_answers: bool,
}

/// One thing that is done.
#[derive(Debug)]
enum Action {
    SetHeader(HeaderName, HeaderValue),
    RemoveHeader(HeaderName),
    RenameHeader(HeaderName, HeaderName),
    AddQuery(String),
    RemoveQuery(String),
    ChangeMethod(Method),
    RewritePath {
        path: PathTemplate,
        keeps_query: bool,
    },
    Mock(Mock),
    /// Answers what the API does by itself.
    Own(Arc<Own>),
    Convert(Form),
    /// Makes a message of SOAP of the call.
    Soap(Box<SoapCall>),
    /// Calls a function.
    Call(Function),
    /// Takes a function's answer.
    TakeAnswer,
    Guard(Guard),
    /// Measures what is said.
    Measure(Box<Guardrail>),
    /// Masks what is said of people.
    Mask(Box<Masking>),
    /// Puts something around a prompt.
    Decorate(Box<Decoration>),
    /// Puts templates where they are named.
    Fill(Templates),
    /// Looks for a claim of the token.
    AskForClaim(Box<ClaimGuard>),
    /// Spends tokens that have this scope.
    SpendToken(Box<str>),
    /// Checks what the API's document says.
    Check(Arc<Checks>),
    Intercept(Box<Interceptor>),
    Pack {
        bytes_min: u64,
    },
    Unpack,
    /// Chooses the model and where it is.
    ChooseModel(Arc<ModelChoice>),
    /// Tells faults in JSON.
    FaultInJson,
    Log(String),
}

/// An answer in the backend's place.
#[derive(Debug)]
struct Mock {
    status: StatusCode,
    content_type: HeaderValue,
    body: bytes::Bytes,
}

impl Plan {
    /// Compiles what is done with the calls of an operation: what the environment has done to all of them, and then, in
    /// each flow, what its API does, and last what all operations answer; `None` for nothing.
    pub(crate) fn new(
        (gateway, mediation, last): (Option<&Flows>, Option<&Mediation>, Option<&Arc<Own>>),
        checks: Option<Checks>,
        operation: &Operation,
        (choices, origins): (&mut Choices<'_>, &mut Origins),
    ) -> Option<Self> {
        let key = format!("{} {}", operation.verb, operation.target);
        let mut actions = |flow| -> Vec<Action> {
            let first = gateway.into_iter().flat_map(|flows| flows.steps(flow));
            let steps = mediation.into_iter().flat_map(|mediation| mediation.steps(&key, flow));
            first
                .chain(steps)
                .filter_map(|step| {
                    Action::new(step, choices, origins).inspect_err(|why| warn!(%why, key, "policy not applied")).ok()
                })
                .collect()
        };
        let [mut request, mut response, fault] = Flow::ALL.map(&mut actions);
        request.extend(last.map(|answer| Action::Own(Arc::clone(answer))));
        if let Some(checks) = checks.map(Arc::new) {
            // A call as its caller sent it, an answer as the backend sent it.
            if checks.reads_answers() {
                response.insert(0, Action::Check(Arc::clone(&checks)));
            }
            request.insert(0, Action::Check(checks));
        }
        if request.is_empty() && response.is_empty() && fault.is_empty() {
            return None;
        }
        let reads_answers = response.iter().any(|action| match action {
            Action::Convert(_) | Action::Check(_) | Action::Measure(_) | Action::Mask(_) => true,
            Action::Intercept(service) => service.reads_answers(),
            _ => false,
        });
        Some(Self { request, response, fault, template: operation.target.as_str().into(), reads_answers })
    }

    /// Says whether faults are told in JSON, whatever the caller asked for.
    pub(crate) fn has_json_faults(&self) -> bool {
        self.fault.iter().any(|action| matches!(action, Action::FaultInJson))
    }

    /// Says whether it depends on the token of a call what becomes of it, so that no answer to another may stand for its own.
    pub(crate) fn looks_at_tokens(&self) -> bool {
        self.request.iter().any(|action| matches!(action, Action::AskForClaim(_) | Action::SpendToken(_)))
    }

    /// Returns the backends that are chosen from beside those of the API.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &EndpointGroup> {
        self.request.iter().flat_map(|action| match action {
            Action::ChooseModel(choice) => choice.groups().collect(),
            _ => Vec::new(),
        })
    }

    /// Does to a fault what is to be done.
    pub(crate) fn change_fault(&self, response: &mut Response<ReplyBody>) {
        for action in &self.fault {
            action.change_headers(response.headers_mut(), Flow::Fault);
        }
    }

    async fn change_answer(
        &self,
        worker: &Worker,
        passage: &Passage<'_>,
        (context, masked): (&Map<String, Value>, &Masked),
        mut response: Response<ReplyBody>,
    ) -> Result<Response<ReplyBody>, Refusal> {
        for action in &self.response {
            match action {
                Action::Convert(form) => response = convert::answer(worker, *form, response).await?,
                Action::Check(checks) => response = check_answer(worker, checks, response).await?,
                Action::Measure(guardrail) => response = measure_answer(worker, guardrail, response).await?,
                Action::Mask(masking) => response = masking.answer(worker, masked, response).await?,
                Action::TakeAnswer => response = function::answer(worker, response)?,
                Action::Intercept(service) => response = service.on_answer(worker, passage, context, response).await?,
                Action::Pack { bytes_min } => response = pack(*bytes_min, &passage.request.headers, response),
                other => other.change_headers(response.headers_mut(), Flow::Response),
            }
        }
        Ok(response)
    }
}

/// A step that the gateway cannot do.
#[derive(Debug, thiserror::Error)]
enum CannotDo {
    #[error("a header field is not valid")]
    Header,
    #[error("a verb or status is not valid")]
    Number,
    #[error("a pattern is not valid")]
    Pattern,
    #[error("a guardrail is not valid: {0}")]
    Guardrail(String),
    #[error("an address is not valid")]
    Address,
    #[error("it is for AI APIs, and the API is none")]
    OtherApi,
}

impl Action {
    fn new(step: Step, choices: &mut Choices<'_>, origins: &mut Origins) -> Result<Self, CannotDo> {
        let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).map_err(|_| CannotDo::Header);
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).map_err(|_| CannotDo::Header);
        Ok(match step {
            Step::SetHeader { name: one, value: text } => Self::SetHeader(name(&one)?, value(&text)?),
            Step::RemoveHeader { name: one } => Self::RemoveHeader(name(&one)?),
            Step::RenameHeader { from, to } => Self::RenameHeader(name(&from)?, name(&to)?),
            Step::AddQuery { name, value } => Self::AddQuery(target::pair(&name, &value)),
            Step::RemoveQuery { name } => Self::RemoveQuery(name),
            Step::ChangeMethod { verb } => Self::ChangeMethod(verb.parse().map_err(|_| CannotDo::Number)?),
            Step::RewritePath { path, keeps_query } => {
                Self::RewritePath { path: PathTemplate::parse(&path), keeps_query }
            }
            Step::Mock { status, content_type, body } => Self::Mock(Mock {
                status: StatusCode::from_u16(status).map_err(|_| CannotDo::Number)?,
                content_type: value(&content_type)?,
                body: body.into(),
            }),
            Step::Answer(answer) => Self::Own(Arc::new(Own::new(*answer).map_err(|_| CannotDo::Header)?)),
            Step::JsonToXml => Self::Convert(Form::Xml),
            Step::XmlToJson => Self::Convert(Form::Json),
            Step::JsonToSoap(call) => Self::Soap(Box::new(call)),
            Step::CallFunction(function) => Self::Call(function),
            Step::TakeAnswer => Self::TakeAnswer,
            Step::FaultInJson => Self::FaultInJson,
            Step::SoapToJson => Self::Convert(Form::OfSoap),
            Step::LimitJson(limits) => Self::Guard(Guard::Json(limits)),
            Step::LimitXml(limits) => Self::Guard(Guard::Xml(limits)),
            Step::Forbid(forbidden) => Self::Guard(Guard::pattern(forbidden).map_err(|_| CannotDo::Pattern)?),
            Step::AskForClaim(wanted) => {
                Self::AskForClaim(Box::new(ClaimGuard::new(wanted).map_err(|_| CannotDo::Pattern)?))
            }
            Step::SpendToken { scope } => Self::SpendToken(scope.into()),
            Step::Intercept { url, includes } => {
                let service = Interceptor::new(&url, includes, origins).map_err(|_| CannotDo::Address)?;
                Self::Intercept(Box::new(service))
            }
            Step::Compress { bytes_min } => Self::Pack { bytes_min },
            Step::Decompress => Self::Unpack,
            Step::Guard(designed) => Self::Measure(Box::new(Guardrail::new(*designed).map_err(CannotDo::Guardrail)?)),
            Step::Mask(designed) => Self::Mask(Box::new(Masking::new(*designed).map_err(|_| CannotDo::Pattern)?)),
            Step::Decorate(decoration) => Self::Decorate(decoration),
            Step::FillTemplates(templates) => Self::Fill(templates),
            Step::ChooseModel(route) => Self::ChooseModel(choices.of(*route, origins).ok_or(CannotDo::OtherApi)?),
            Step::Log { label } => Self::Log(label),
        })
    }

    /// Does what is to be done to header fields; the rest fits other flows.
    fn change_headers(&self, headers: &mut HeaderMap, flow: Flow) {
        match self {
            Self::SetHeader(name, value) => {
                remove(headers, name, flow);
                headers.insert(name.clone(), value.clone());
            }
            Self::RemoveHeader(name) => {
                remove(headers, name, flow);
            }
            Self::RenameHeader(from, to) if from != to => {
                let values: Vec<HeaderValue> = headers.get_all(from).iter().cloned().collect();
                remove(headers, from, flow);
                if values.is_empty() {
                    return;
                }
                remove(headers, to, flow);
                for value in values {
                    headers.append(to.clone(), value);
                }
            }
            Self::Log(label) => info!(target: "mediation", label, flow = flow.as_contract(), "a call passes"),
            _ => {}
        }
    }
}

/// Removes a field; from a call also those that a backend may read as the same, which its caller could send in its place.
fn remove(headers: &mut HeaderMap, name: &HeaderName, flow: Flow) {
    if flow == Flow::Request {
        remove_read_alike(headers, name);
    } else {
        headers.remove(name);
    }
}

impl Mock {
    fn reply(&self) -> Response<ReplyBody> {
        let mut response = Response::new(ReplyBody::whole(self.body.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
        response
    }
}

/// Packs an answer where that is worth it and its caller takes it.
fn pack(bytes_min: u64, request: &HeaderMap, response: Response<ReplyBody>) -> Response<ReplyBody> {
    let (mut head, body) = response.into_parts();
    if body.is_end_stream() || !packing::is_worth_it(head.status, &head.headers, bytes_min) {
        return Response::from_parts(head, body);
    }
    packing::mark_varying(&mut head.headers);
    if !packing::takes_gzip(request) {
        return Response::from_parts(head, body);
    }
    packing::mark(&mut head.headers);
    Response::from_parts(head, body.packed())
}

/// Refuses an answer in which something else is said than should be. One that tells of a failure passes.
async fn measure_answer(
    worker: &Worker,
    guardrail: &Guardrail,
    response: Response<ReplyBody>,
) -> Result<Response<ReplyBody>, Refusal> {
    if !response.status().is_success() {
        return Ok(response);
    }
    let (head, body) = convert::hold_answer(worker, response).await?;
    guardrail.check(worker, &body, Direction::Response).await?;
    Ok(Response::from_parts(head, ReplyBody::whole(body)))
}

/// Refuses an answer that is not what the API's document says.
async fn check_answer(
    worker: &Worker,
    checks: &Checks,
    response: Response<ReplyBody>,
) -> Result<Response<ReplyBody>, Refusal> {
    let (head, body) = convert::hold_answer(worker, response).await?;
    checks.check_answer(head.status, &head.headers, &body).map_err(|why| {
        worker.counters.upstream_errors.add(1);
        Refusal::invalid_answer(&why)
    })?;
    Ok(Response::from_parts(head, ReplyBody::whole(body)))
}

/// Passes a call on, changed as the plan says, and returns the answer, changed too.
///
/// # Errors
/// What the caller is told where no backend answers, or where a body is not what a policy reads.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    plan: &Plan,
    body: CallBody,
) -> Result<Response<ReplyBody>, Refusal> {
    let mut call = Changed::of(passage, body);
    let (mut context, mut masked) = (Map::new(), Masked::default());
    let mut chosen = None;
    for action in &plan.request {
        let own = match action {
            Action::Mock(mock) => Some(mock.reply()),
            Action::Own(answer) => answer.reply(passage.key_type, call.query(), call.headers()),
            Action::AskForClaim(guard) => {
                guard.check(token::claims(passage))?;
                None
            }
            Action::SpendToken(scope) => {
                token::spend(worker, passage, scope).await?;
                None
            }
            Action::ChooseModel(choice) => {
                if let Some(its) = choice.choose(passage.key_type, call.headers(), call.query()) {
                    call.hold_for_models(worker).await?;
                    chosen = Some((choice, its));
                }
                None
            }
            Action::Mask(masking) => {
                call.mask(worker, masking, &mut masked).await?;
                None
            }
            Action::Intercept(service) => call.intercept(worker, passage, service, &mut context).await?,
            _ => {
                call.change(worker, plan, action).await?;
                None
            }
        };
        if let Some(own) = own {
            call.throw_away();
            return plan.change_answer(worker, passage, (&context, &masked), own).await;
        }
    }
    if plan.reads_answers {
        call.ask_for_plain_answer();
    }
    let call = call.finish();
    let passage = Passage {
        request: &call.head,
        rest: &call.rest,
        query: call.query.as_deref(),
        to: call.to.as_ref(),
        ..*passage
    };
    let response = match chosen {
        Some((choice, its)) => {
            let body = call.body.hold(worker, &passage).await?;
            choice.forward(worker, &passage, its, &body).await?
        }
        None => forward::forward(worker, &passage, call.body).await?,
    };
    plan.change_answer(worker, &passage, (&context, &masked), response).await
}

/// Doors for fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use portcullis_model::mediation::threat::{Forbidden, JsonLimits, XmlLimits};

    use super::guard::Guard;
    use super::target::PathTemplate;
    use super::{json, xml};

    /// Rewrites a path by a template.
    pub(crate) fn rewrite(template: &str, path: &str) {
        let (written, _) = PathTemplate::parse(template).fill(template, path);
        assert!(!written.contains('{') || template.contains('{') || path.contains('{'));
    }

    /// Has a body guarded.
    pub(crate) fn guards(json: JsonLimits, xml: XmlLimits, forbidden: Forbidden, body: &[u8]) {
        if Guard::Json(json).check_body(body).is_ok() && !body.is_empty() {
            assert!(serde_json::from_slice::<serde_json::Value>(body).is_ok(), "what is no JSON was let pass");
        }
        let _accepted = Guard::Xml(xml).check_body(body).is_ok();
        let pattern = Guard::pattern(forbidden).expect("the pattern is good");
        let _accepted = pattern.check_body(body).is_ok();
        let _accepted = pattern.check_head(&String::from_utf8_lossy(body), None, &http::HeaderMap::new()).is_ok();
    }

    /// Turns a body into the other form.
    pub(crate) fn conversions(body: &[u8]) {
        if let Ok(written) = json::to_xml(body) {
            assert!(xml::to_json(&written).is_ok(), "what was written as XML cannot be read");
        }
        if let Ok(written) = xml::to_json(body) {
            assert!(serde_json::from_slice::<serde_json::Value>(&written).is_ok(), "what was written is no JSON");
        }
    }
}
