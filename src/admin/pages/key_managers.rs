//! `/admin/key-managers`: other systems whose tokens gateways take.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_database::{Caller, ClusterKey};
use portcullis_http::{ApiError, Signed};
use portcullis_model::key_manager::KeyManager;
use portcullis_model::{KeyManagerId, TenantDomain};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::json;

use super::key_manager_form::{Sent, body_of};
use super::{asker, frame, json_text};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::key_manager_body::{Reading, read, write};
use crate::messages::{DeleteKeyManager, ListKeyManagers, PutKeyManager};
use crate::rest_key_managers::{MANAGE, VIEW};

/// What the handlers share.
#[derive(Clone)]
struct Desk {
    admin: Address<Admin>,
    /// What seals secrets.
    key: ClusterKey,
}

pub(super) fn routes(admin: &Address<Admin>, key: ClusterKey) -> Router {
    Router::new()
        .route(KEY_MANAGERS, get(list).post(create))
        .route("/admin/key-managers/{id}", get(show).post(change))
        .route("/admin/key-managers/{id}/delete", post(delete))
        .with_state(Desk { admin: admin.clone(), key })
}

/// Where they are.
const KEY_MANAGERS: &str = "/admin/key-managers";

#[derive(Template)]
#[template(path = "admin_key_managers.html")]
struct KeyManagersPage {
    frame: Frame,
    rows: Vec<Arc<KeyManager>>,
    sent: Sent,
    wrong: Wrong,
    action: String,
    is_new: bool,
    may_change: bool,
}

async fn all(desk: &Desk, tenant: &TenantDomain) -> Result<Vec<Arc<KeyManager>>, ApiError> {
    Ok(desk.admin.ask(ListKeyManagers { tenant: tenant.clone() }).await.map_err(AdminError::from)?)
}

async fn page(
    desk: &Desk,
    tenant: &TenantDomain,
    viewer: Viewer,
    sent: Sent,
    wrong: Wrong,
) -> Result<KeyManagersPage, ApiError> {
    let rows = all(desk, tenant).await?;
    let may_change = viewer.may(MANAGE);
    let frame = frame(viewer, KEY_MANAGERS, "Key managers");
    Ok(KeyManagersPage { frame, rows, sent, wrong, action: KEY_MANAGERS.to_owned(), is_new: true, may_change })
}

async fn list(State(desk): State<Desk>, signed: Signed, viewer: Viewer) -> Result<Response, ApiError> {
    let tenant = asker(signed, VIEW)?.principal.tenant;
    Ok(render(&page(&desk, &tenant, viewer, Sent::new(), Wrong::default()).await?))
}

/// Reads what a form says and has it stored.
async fn put(desk: &Desk, caller: Caller, fields: &Fields, previous: Option<&KeyManager>) -> Result<String, ApiError> {
    let tenant = caller.principal.tenant.clone();
    let before = previous.map_or_else(|| json!({}), write);
    let body = body_of(fields, before)?;
    let id = previous.map_or_else(|| KeyManagerId::from_random(random_bytes()), |previous| previous.id);
    let told = |error: AdminError| match ApiError::from(error) {
        error if fields.text("act") == "json" => json_text::at_line("json", fields.raw("json"), &error),
        error => error,
    };
    let key_manager = read(body, Reading { id, tenant, previous, is_global: false, key: &desk.key })
        .map_err(|error| told(error.into()))?;
    let message = PutKeyManager { caller, key_manager, is_new: previous.is_none() };
    let made = desk.admin.ask(message).await.map_err(AdminError::from)?.map_err(told)?;
    Ok(made.reply.name.clone())
}

async fn create(
    State(desk): State<Desk>,
    signed: Signed,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, MANAGE)?;
    let tenant = caller.principal.tenant.clone();
    match put(&desk, caller, &fields, None).await {
        Ok(name) => Ok(say_and_go(&format!("Gateways take tokens of {name} now."), KEY_MANAGERS)),
        Err(error) => {
            let sent = Sent::of_fields(&fields, &json!({"type": "custom"}));
            Ok(render_again(&page(&desk, &tenant, viewer, sent, error.clone().into()).await?, &error))
        }
    }
}

#[derive(Template)]
#[template(path = "admin_key_manager.html")]
struct KeyManagerPage {
    frame: Frame,
    sent: Sent,
    wrong: Wrong,
    action: String,
    is_new: bool,
    may_change: bool,
}

impl KeyManagerPage {
    fn of(viewer: Viewer, one: &KeyManager, sent: Sent, wrong: Wrong) -> Self {
        let may_change = viewer.may(MANAGE);
        let frame = frame(viewer, KEY_MANAGERS, &one.name).below(KEY_MANAGERS, "Key managers");
        Self { frame, sent, wrong, action: format!("{KEY_MANAGERS}/{}", one.id), is_new: false, may_change }
    }
}

async fn find(desk: &Desk, tenant: &TenantDomain, id: &str) -> Result<Arc<KeyManager>, ApiError> {
    let unknown = || ApiError::not_found("key manager", id.chars().take(100).collect::<String>());
    let wanted: KeyManagerId = id.parse().map_err(|_| unknown())?;
    all(desk, tenant).await?.into_iter().find(|one| one.id == wanted).ok_or_else(unknown)
}

async fn show(
    State(desk): State<Desk>,
    signed: Signed,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let one = find(&desk, &asker(signed, VIEW)?.principal.tenant, &id).await?;
    Ok(render(&KeyManagerPage::of(viewer, &one, Sent::of(&write(&one)), Wrong::default())))
}

async fn change(
    State(desk): State<Desk>,
    signed: Signed,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, MANAGE)?;
    let one = find(&desk, &caller.principal.tenant, &id).await?;
    match put(&desk, caller, &fields, Some(&one)).await {
        Ok(_) => Ok(say_and_go("Saved: in force on every gateway.", &format!("{KEY_MANAGERS}/{id}"))),
        Err(error) => {
            let sent = Sent::of_fields(&fields, &write(&one));
            Ok(render_again(&KeyManagerPage::of(viewer, &one, sent, error.clone().into()), &error))
        }
    }
}

async fn delete(
    State(desk): State<Desk>,
    signed: Signed,
    Path(id): Path<String>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, MANAGE)?;
    let id = id.parse().map_err(|_| ApiError::not_found("key manager", &id))?;
    desk.admin.ask(DeleteKeyManager { caller, id }).await.map_err(AdminError::from)??;
    Ok(say_and_go("The key manager is deleted.", "/admin/key-managers"))
}
