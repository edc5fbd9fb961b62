//! `/publisher/apis/{id}`: what an API is, what is left to do before it can be called, and its end.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_model::api::{Visibility, versioned_context};
use portcullis_model::websub::{RECEIVER, WebsubRules};
use portcullis_model::{Api, ApiKind, Lifecycle, Timestamp};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go, when};
use serde_json::{Map, Value, json};

use super::{find, frame};
use crate::actor::Publisher;
use crate::dto::api_body;
use crate::messages::{ApiView, CopyApi, DeleteApi, GetThumbnail, ListRevisions, UpdateApi};
use crate::rest::answer::flat;
use crate::rest::apis::{CREATE, DELETE, UPDATE, VIEW};
use crate::rest::request::Request;

/// Something to be done before an API can be called.
struct Step {
    text: &'static str,
    path: &'static str,
    is_done: bool,
}

#[derive(Template)]
#[template(path = "publisher_overview.html")]
pub(super) struct OverviewPage {
    frame: Frame,
    api: Arc<Api>,
    path: String,
    steps: Vec<Step>,
    /// Where the source of its events sends them, and what it signs them with.
    events: Option<Events>,
    wrong: Wrong,
    deployed: usize,
    created: String,
    changed: String,
    may_change: bool,
    may_delete: bool,
    has_picture: bool,
    visibilities: [(&'static str, &'static str, bool); 3],
}

/// What the source of an API's events has to know.
struct Events {
    path: String,
    header: String,
    method: &'static str,
    secret: String,
}

impl Events {
    /// Returns it of an API of the type WEBSUB, for those who may change the API.
    fn of(view: &ApiView) -> Option<Self> {
        let rules = WebsubRules::of(&view.api)?;
        let path = format!("{}{RECEIVER}", versioned_context(&view.api.context, &view.api.version));
        let is_on = rules.secret.is_some();
        let secret = view.websub_secret.as_ref().filter(|_| is_on).map(|secret| secret.0.clone()).unwrap_or_default();
        Some(Self { path, header: rules.header, method: rules.algorithm.as_method(), secret })
    }
}

pub(super) async fn page(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    view: &ApiView,
    wrong: Wrong,
) -> Result<OverviewPage, ApiError> {
    let (api, id) = (Arc::clone(&view.api), view.api.id.to_string());
    let revisions = flat(publisher.ask(ListRevisions { asker: request.asker(VIEW)?, id }).await)?.value;
    let deployed = revisions.iter().filter(|revision| !revision.deployments.is_empty()).count();
    let step = |text, path, is_done| Step { text, path, is_done };
    let is_out = matches!(api.lifecycle, Lifecycle::Published | Lifecycle::Prototyped | Lifecycle::Deprecated);
    let is_websub = api.kind == ApiKind::Websub;
    let mut steps = vec![
        step("Give it resources that can be called", "/design", !api.operations.is_empty()),
        step("Say where its backend is", "/design#endpoints", !api.endpoints.production.is_empty()),
        step("Choose business plans", "/design#plans", !api.plans.is_empty()),
        step("Deploy a revision to the gateways", "/revisions", deployed > 0),
        step("Publish it", "/lifecycle", is_out),
    ];
    // Its events come to the gateways by themselves.
    steps.retain(|step| !(is_websub && step.path == "/design#endpoints"));
    let message = GetThumbnail { asker: request.asker(VIEW)?, id: view.api.id.to_string() };
    let has_picture = flat(publisher.ask(message).await)?.value.is_some();
    let is = |one| api.visibility == one;
    let visibilities = [
        ("PUBLIC", "Everybody", is(Visibility::Public)),
        ("PRIVATE", "Whoever is signed in", is(Visibility::Private)),
        ("RESTRICTED", "Whoever has one of the roles", is(Visibility::Restricted)),
    ];
    Ok(OverviewPage {
        path: versioned_context(&api.context, &api.version),
        events: Events::of(view).filter(|_| viewer.may(UPDATE)),
        steps,
        wrong,
        deployed,
        created: when(api.created_at),
        changed: when(api.updated_at),
        may_change: viewer.may(UPDATE),
        may_delete: viewer.may(DELETE),
        frame: frame(viewer, view, ""),
        has_picture,
        visibilities,
        api,
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

/// Returns the contract's fields of an API as it is, to be changed and sent back.
pub(super) fn body_of(view: &ApiView) -> Map<String, Value> {
    match api_body::write(&view.api, None) {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Returns when the API that the form was made from was last changed: another change in between is not overwritten.
pub(super) fn expected(fields: &Fields) -> Option<Timestamp> {
    fields.text("changed").parse().ok().map(Timestamp)
}

/// Changes fields of an API.
pub(super) async fn update(
    publisher: &Address<Publisher>,
    request: &Request,
    id: &str,
    fields: &Fields,
    body: Map<String, Value>,
) -> Result<(), ApiError> {
    let asker = request.asker(UPDATE)?;
    let message = UpdateApi { asker, id: id.to_owned(), fields: body, expected: expected(fields) };
    flat(publisher.ask(message).await).map(drop)
}

pub(super) async fn change(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    let mut body = body_of(&view);
    body.insert("description".to_owned(), fields.raw("description").into());
    body.insert("tags".to_owned(), json!(fields.list("tags")));
    body.insert("visibility".to_owned(), fields.text("visibility").into());
    body.insert("visibleRoles".to_owned(), json!(fields.list("visibleRoles")));
    body.insert("isDefaultVersion".to_owned(), fields.has("isDefaultVersion").into());
    match update(&publisher, &request, &id, &fields, body).await {
        Ok(()) => Ok(say_and_go("Saved.", &format!("/publisher/apis/{id}"))),
        Err(error) => again(&publisher, &request, viewer, &view, error).await,
    }
}

/// Shows the page with what is wrong.
pub(super) async fn again(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    view: &ApiView,
    error: ApiError,
) -> Result<Response, ApiError> {
    let page = page(publisher, request, viewer, view, error.clone().into()).await?;
    Ok(render_again(&page, &error))
}

pub(super) async fn copy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let version = fields.text("version").to_owned();
    let is_default_version = fields.has("isDefaultVersion");
    match flat(publisher.ask(CopyApi { asker, id: id.clone(), version, is_default_version }).await) {
        Ok(made) => Ok(say_and_go("This is the new version.", &format!("/publisher/apis/{}", made.value.api.id))),
        Err(error) => again(&publisher, &request, viewer, &find(&publisher, &request, &id).await?, error).await,
    }
}

pub(super) async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(DELETE)?;
    let view = find(&publisher, &request, &id).await?;
    let outcome = if fields.text("typed") == view.api.name {
        flat(publisher.ask(DeleteApi { asker, id }).await).map(drop)
    } else {
        Err(ApiError::bad_request(format!("typed: must be the API's name, {}", view.api.name)))
    };
    match outcome {
        Ok(()) => Ok(say_and_go(&format!("{} {} is deleted.", view.api.name, view.api.version), "/publisher")),
        Err(error) => again(&publisher, &request, viewer, &view, error).await,
    }
}
