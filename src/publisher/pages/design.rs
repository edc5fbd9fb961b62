//! `/publisher/apis/{id}/design`: resources, endpoints, plans, security, scopes.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_model::{Api, OperationAuth, PolicyLevel};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::{Map, Value, json};

use super::endpoints::Shown;
use super::overview::{body_of, update};
use super::{find, frame};
use crate::actor::Publisher;
use crate::messages::{ApiView, ListPolicies};
use crate::rest::answer::flat;
use crate::rest::apis::UPDATE;
use crate::rest::policies::VIEW as POLICIES;
use crate::rest::request::Request;

/// Empty lines at the end of the table of resources, for new ones.
const NEW_LINES: usize = 3;
/// Resources that are edited in the table; more are edited as definition.
const LINES_MAX: usize = 100;

#[derive(Template)]
#[template(path = "publisher_design.html")]
struct DesignPage {
    frame: Frame,
    api: Arc<Api>,
    wrong: Wrong,
    lines: Vec<Line>,
    endpoints: Shown,
    has_all: bool,
    verbs: [&'static str; 7],
    auths: [(&'static str, &'static str); 4],
    plans: Vec<(String, String)>,
    limits: Vec<String>,
    may_change: bool,
}

/// A resource as a line of the table.
struct Line {
    number: usize,
    verb: String,
    target: String,
    auth: String,
    limit: String,
    scopes: String,
}

impl DesignPage {
    fn has_plan(&self, plan: &str) -> bool {
        self.api.plans.iter().any(|one| one == plan)
    }

    fn has_wrong_time(&self) -> bool {
        self.wrong.text().is_some_and(|text| text.contains("actionDuration"))
    }
}

const AUTHS: [OperationAuth; 4] =
    [OperationAuth::Any, OperationAuth::Application, OperationAuth::ApplicationUser, OperationAuth::None];

fn auth_title(auth: OperationAuth) -> &'static str {
    match auth {
        OperationAuth::Any => "Any token",
        OperationAuth::Application => "Application's token",
        OperationAuth::ApplicationUser => "User's token",
        OperationAuth::None => "Open to all",
    }
}

fn lines_of(api: &Api) -> Vec<Line> {
    let known = api.operations.iter().take(LINES_MAX).map(|one| Line {
        number: 0,
        verb: one.verb.clone(),
        target: one.target.clone(),
        auth: one.auth.as_contract().to_owned(),
        limit: one.policy.clone(),
        scopes: one.scopes.join(", "),
    });
    let blank = || Line {
        number: 0,
        verb: "GET".to_owned(),
        target: String::new(),
        auth: OperationAuth::Any.as_contract().to_owned(),
        limit: "Unlimited".to_owned(),
        scopes: String::new(),
    };
    let mut lines: Vec<Line> = known.chain((0..NEW_LINES).map(|_| blank())).collect();
    for (number, line) in lines.iter_mut().enumerate() {
        line.number = number;
    }
    lines
}

impl DesignPage {
    /// Shows what was sent in place of what is stored, so that nothing is lost with what is wrong.
    fn with_sent(mut self, fields: &Fields) -> Self {
        for line in &mut self.lines {
            let at = |name: &str| format!("{name}-{}", line.number);
            if fields.has(&at("target")) {
                let text = |name: &str| fields.text(&at(name)).to_owned();
                (line.verb, line.target, line.auth) = (text("verb"), text("target"), text("auth"));
                (line.limit, line.scopes) = (text("limit"), text("scopes"));
            }
        }
        self.endpoints = self.endpoints.with_sent(fields);
        self
    }
}

async fn page(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    view: &ApiView,
    wrong: Wrong,
) -> Result<DesignPage, ApiError> {
    let asker = request.list_asker(POLICIES)?;
    let plans = ListPolicies { asker: asker.clone(), level: PolicyLevel::Subscription };
    let plans = flat(publisher.ask(plans).await)?.value;
    let limits = flat(publisher.ask(ListPolicies { asker, level: PolicyLevel::Advanced }).await)?.value;
    let unlimited = std::iter::once("Unlimited".to_owned());
    let limits = limits.iter().map(|one| one.name.clone()).filter(|name| name != "Unlimited");
    Ok(DesignPage {
        lines: lines_of(&view.api),
        endpoints: Shown::of(&view.api),
        has_all: view.api.operations.len() <= LINES_MAX,
        verbs: ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
        auths: AUTHS.map(|auth| (auth.as_contract(), auth_title(auth))),
        plans: plans.iter().map(|one| (one.name.clone(), one.description.clone())).collect(),
        limits: unlimited.chain(limits).collect(),
        may_change: viewer.may(UPDATE),
        frame: frame(viewer, view, "/design"),
        api: Arc::clone(&view.api),
        wrong,
    })
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    Ok(render(&page(&publisher, &request, viewer, &view, Wrong::default()).await?))
}

/// Writes into an API's body what the form of a part of it says.
type Write = fn(&Fields, &Api, &mut Map<String, Value>);

/// Returns what takes the form of a part of an API: it changes the API, or shows the page again with what is wrong.
pub(super) fn form(write: Write) -> MethodRouter<Address<Publisher>> {
    post(async move |State(publisher), request: Request, viewer: Viewer, Path(id): Path<String>, fields: Fields| {
        set(&publisher, &request, viewer, &id, &fields, write).await
    })
}

async fn set(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    id: &str,
    fields: &Fields,
    write: Write,
) -> Result<Response, ApiError> {
    let view = find(publisher, request, id).await?;
    let mut body = body_of(&view);
    write(fields, &view.api, &mut body);
    match update(publisher, request, id, fields, body).await {
        Ok(()) => Ok(say_and_go(
            "Saved. Gateways go on with the revision that is deployed until you deploy a new one.",
            &format!("/publisher/apis/{id}/design"),
        )),
        Err(error) => {
            let page = page(publisher, request, viewer, &view, error.clone().into()).await?;
            Ok(render_again(&page.with_sent(fields), &error))
        }
    }
}

pub(super) fn operations(fields: &Fields, api: &Api, body: &mut Map<String, Value>) {
    let kept = body.get("operations").and_then(Value::as_array).cloned().unwrap_or_default();
    let lines = 0..LINES_MAX + NEW_LINES;
    let sent = lines.filter_map(|number| operation(fields, number, &kept));
    let sent: Vec<Value> = sent.collect();
    // Those beyond the table are not shown, and stay as they are.
    let unseen = kept.iter().skip(LINES_MAX.min(api.operations.len())).cloned();
    body.insert("operations".to_owned(), sent.into_iter().chain(unseen).collect());
}

/// Returns the operation of a line; nothing for one that is empty or is to go.
fn operation(fields: &Fields, number: usize, kept: &[Value]) -> Option<Value> {
    let at = |name: &str| fields.text(&format!("{name}-{number}"));
    let target = at("target");
    if target.is_empty() || fields.has(&format!("remove-{number}")) {
        return None;
    }
    let is_same = |one: &&Value| one["verb"] == at("verb") && one["target"] == target;
    let mut operation = kept.iter().find(is_same).cloned().unwrap_or_else(|| json!({}));
    operation["verb"] = at("verb").into();
    operation["target"] = target.into();
    operation["authType"] = at("auth").into();
    operation["throttlingPolicy"] = at("limit").into();
    operation["scopes"] = json!(fields.list(&format!("scopes-{number}")));
    Some(operation)
}

pub(super) fn plans(fields: &Fields, _: &Api, body: &mut Map<String, Value>) {
    body.insert("policies".to_owned(), json!(fields.all("plan")));
    let limit = fields.filled("limit").map_or(Value::Null, Value::from);
    body.insert("apiThrottlingPolicy".to_owned(), limit);
}

pub(super) fn security(fields: &Fields, _: &Api, body: &mut Map<String, Value>) {
    body.insert("securityScheme".to_owned(), json!(fields.all("scheme")));
    body.insert("transport".to_owned(), json!(fields.all("transport")));
    if let Some(header) = fields.filled("header") {
        body.insert("authorizationHeader".to_owned(), header.into());
    }
}

pub(super) fn scopes(fields: &Fields, api: &Api, body: &mut Map<String, Value>) {
    let numbers = 0..=api.scopes.len();
    let scopes = numbers.filter_map(|number| {
        let at = |name: &str| fields.text(&format!("{name}-{number}"));
        let name = at("name");
        (!name.is_empty()).then(|| {
            let roles = fields.list(&format!("roles-{number}"));
            let known = api.scopes.iter().find(|one| one.name == name);
            let title = known.map_or(name, |one| one.display_name.as_str());
            let is_shared = known.is_some_and(|one| one.is_shared);
            json!({"scope": {"name": name, "displayName": title, "description": at("about"), "bindings": roles},
                   "shared": is_shared})
        })
    });
    body.insert("scopes".to_owned(), scopes.collect());
}
