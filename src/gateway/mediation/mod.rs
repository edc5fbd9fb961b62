//! Operation policies, compiled: what is done to a call before it goes to the backend, to the answer, and to a fault.
//!
//! An operation without policies has no plan and pays nothing. Where a policy looks into a body, the body is held, up to
//! a bound; all others stream.

mod changed;
mod convert;
mod guard;
mod json;
mod target;
mod xml;

use std::rc::Rc;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use portcullis_model::mediation::{Flow, Step};
use portcullis_model::{Mediation, Operation};
use tracing::{info, warn};

pub(crate) use self::convert::hold;
pub(crate) use self::target::{pair as query_pair, parameter as path_parameter, without as query_without};

use self::changed::Changed;
use self::convert::Form;
use self::guard::Guard;
use self::target::PathTemplate;
use crate::body::ReplyBody;
use crate::forward::{self, Passage};
use crate::refusal::Refusal;
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
    Convert(Form),
    Guard(Guard),
    /// Checks what the API's document says.
    Check(Arc<Checks>),
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
    /// Compiles what is done with the calls of an operation; `None` for nothing.
    pub(crate) fn new(mediation: Option<&Mediation>, checks: Option<Checks>, operation: &Operation) -> Option<Self> {
        let key = format!("{} {}", operation.verb, operation.target);
        let actions = |flow| -> Vec<Action> {
            let steps = mediation.into_iter().flat_map(|mediation| mediation.steps(&key, flow));
            steps
                .filter_map(|step| Action::new(step).inspect_err(|why| warn!(%why, key, "policy not applied")).ok())
                .collect()
        };
        let [mut request, mut response, fault] = Flow::ALL.map(actions);
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
        let reads_answers = response.iter().any(|action| matches!(action, Action::Convert(_) | Action::Check(_)));
        Some(Self { request, response, fault, template: operation.target.as_str().into(), reads_answers })
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
        mut response: Response<ReplyBody>,
    ) -> Result<Response<ReplyBody>, Refusal> {
        for action in &self.response {
            match action {
                Action::Convert(form) => response = convert::answer(worker, *form, response).await?,
                Action::Check(checks) => response = check_answer(worker, checks, response).await?,
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
}

impl Action {
    fn new(step: Step) -> Result<Self, CannotDo> {
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
            Step::JsonToXml => Self::Convert(Form::Xml),
            Step::XmlToJson => Self::Convert(Form::Json),
            Step::LimitJson(limits) => Self::Guard(Guard::Json(limits)),
            Step::LimitXml(limits) => Self::Guard(Guard::Xml(limits)),
            Step::Forbid(forbidden) => Self::Guard(Guard::pattern(forbidden).map_err(|_| CannotDo::Pattern)?),
            Step::Log { label } => Self::Log(label),
        })
    }

    /// Does what is to be done to header fields; the rest fits other flows.
    fn change_headers(&self, headers: &mut HeaderMap, flow: Flow) {
        match self {
            Self::SetHeader(name, value) => {
                headers.insert(name.clone(), value.clone());
            }
            Self::RemoveHeader(name) => {
                headers.remove(name);
            }
            Self::RenameHeader(from, to) if from != to => {
                let values: Vec<HeaderValue> = headers.get_all(from).iter().cloned().collect();
                if values.is_empty() {
                    return;
                }
                headers.remove(from);
                headers.remove(to);
                for value in values {
                    headers.append(to.clone(), value);
                }
            }
            Self::Log(label) => info!(target: "mediation", label, flow = flow.as_contract(), "a call passes"),
            _ => {}
        }
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
    body: Incoming,
) -> Result<Response<ReplyBody>, Refusal> {
    let mut call = Changed::of(passage, body);
    for action in &plan.request {
        if let Action::Mock(mock) = action {
            call.throw_away();
            return plan.change_answer(worker, mock.reply()).await;
        }
        call.change(worker, plan, action).await?;
    }
    if plan.reads_answers {
        call.ask_for_plain_answer();
    }
    let call = call.finish();
    let passage = Passage { request: &call.head, rest: &call.rest, query: call.query.as_deref(), ..*passage };
    let response = forward::forward(worker, &passage, call.body).await?;
    plan.change_answer(worker, response).await
}
