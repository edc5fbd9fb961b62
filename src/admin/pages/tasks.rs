//! `/admin/tasks`: what waits for a decision.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Signed};
use portcullis_model::task::Task;
use portcullis_portal::{Fields, Frame, Viewer, render, say_and_go, when};

use super::{asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::tasks::{DECIDE, DecideTask, ListTasks, VIEW};

/// Tasks that are shown: those that wait longest.
const SHOWN_MAX: usize = 100;

#[derive(Template)]
#[template(path = "admin_tasks.html")]
struct TasksPage {
    frame: Frame,
    tasks: Vec<(Arc<Task>, String)>,
    total: usize,
    may_decide: bool,
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, VIEW)?.principal.tenant;
    let found = admin.ask(ListTasks { tenant }).await.map_err(AdminError::from)?;
    let page = TasksPage {
        total: found.len(),
        tasks: found.into_iter().take(SHOWN_MAX).map(|task| (Arc::clone(&task), when(task.created_at))).collect(),
        may_decide: viewer.may(DECIDE),
        frame: frame(viewer, "/admin/tasks", "Tasks"),
    };
    Ok(render(&page))
}

pub(super) async fn decide(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, DECIDE)?;
    let text = fields.text("task");
    let id = text.parse().map_err(|_| ApiError::not_found("task", text))?;
    let is_approved = match fields.text("decision") {
        "approve" => true,
        "reject" => false,
        other => return Err(ApiError::bad_request(format!("decision: must be approve or reject, not `{other}`"))),
    };
    admin.ask(DecideTask { caller, id, is_approved }).await.map_err(AdminError::from)??;
    Ok(say_and_go(if is_approved { "Approved." } else { "Rejected." }, "/admin/tasks"))
}
