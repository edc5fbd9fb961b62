//! `/key-managers` of the Admin v4 contract: a thin face over the messages.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_database::{ClusterKey, Committed};
use portcullis_http::{ApiError, Body, MaybeKey, MultipartForm, Signed, Stamped, fetch};
use portcullis_model::key_manager::{KeyManager, RESIDENT_KEY_MANAGER};
use portcullis_model::{KeyManagerId, Refused};
use serde_json::{Map, Value, json};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::key_manager_body::{Reading, brief, check_url, discovered, read, write};
use crate::messages::{DeleteKeyManager, ListGlobalKeyManagers, ListKeyManagers, PutKeyManager};
use crate::rest_policies::caller;

pub(crate) const VIEW: &[&str] = &["apim:admin", "apim:admin_operations", "apim:keymanagers_manage"];
pub(crate) const MANAGE: &[&str] = VIEW;
/// The type where nothing is said.
const TYPE: &str = "custom";

/// What the handlers share.
#[derive(Clone)]
struct Desk {
    admin: Address<Admin>,
    /// What seals secrets.
    key: ClusterKey,
    /// Whether those are meant that are for all tenants.
    is_global: bool,
}

impl Desk {
    /// Those of all tenants are the first tenant's to see and to change.
    fn require(&self, signed: &Signed) -> Result<(), ApiError> {
        signed.require(MANAGE)?;
        if self.is_global && !signed.0.principal.tenant.is_super() {
            let reason = "only administrators of the first tenant have global key managers".to_owned();
            return Err(AdminError::from(Refused::NotAllowed { reason }).into());
        }
        Ok(())
    }

    fn path(&self) -> &'static str {
        if self.is_global { "/api/am/admin/v4/global-key-managers" } else { "/api/am/admin/v4/key-managers" }
    }
}

pub(crate) fn routes(admin: &Address<Admin>, key: &ClusterKey) -> Router {
    let desk = |is_global| Desk { admin: admin.clone(), key: key.clone(), is_global };
    let own = Router::new()
        .route("/key-managers", get(list).post(create))
        .route("/key-managers/discover", post(discover))
        .route("/key-managers/{keyManagerId}", get(show).put(update).delete(remove))
        .with_state(desk(false));
    let global = Router::new()
        .route("/global-key-managers", get(list_global).post(create))
        .route("/global-key-managers/{keyManagerId}", get(show).put(update).delete(remove))
        .with_state(desk(true));
    own.merge(global)
}

async fn all(desk: &Desk, signed: &Signed) -> Result<Vec<Arc<KeyManager>>, ApiError> {
    desk.require(signed)?;
    if desk.is_global {
        return global(desk).await;
    }
    let message = ListKeyManagers { tenant: signed.0.principal.tenant.clone() };
    Ok(desk.admin.ask(message).await.map_err(AdminError::from)?)
}

async fn global(desk: &Desk) -> Result<Vec<Arc<KeyManager>>, ApiError> {
    Ok(desk.admin.ask(ListGlobalKeyManagers).await.map_err(AdminError::from)?)
}

/// Refuses to change a key manager of all tenants as if it were the tenant's.
async fn refuse_global(desk: &Desk, id: KeyManagerId) -> Result<(), ApiError> {
    if desk.is_global || !global(desk).await?.iter().any(|one| one.id == id) {
        return Ok(());
    }
    let reason = "The key manager is for all tenants; it is changed at /global-key-managers.";
    Err(ApiError::new(403, 403, "Forbidden", reason))
}

async fn list(State(desk): State<Desk>, signed: Signed) -> Result<Json<Value>, ApiError> {
    let own = all(&desk, &signed).await?;
    let resident = json!({
        "id": RESIDENT_KEY_MANAGER, "name": RESIDENT_KEY_MANAGER, "type": "default",
        "description": "This is Resident Key Manager", "enabled": true, "isGlobal": true, "isUsed": true, "tokenType": "DIRECT",
    });
    let mut list = vec![resident];
    list.extend(own.iter().chain(&global(&desk).await?).map(|one| brief(one)));
    Ok(Json(json!({ "count": list.len(), "list": list })))
}

async fn list_global(State(desk): State<Desk>, signed: Signed) -> Result<Json<Value>, ApiError> {
    let list: Vec<Value> = all(&desk, &signed).await?.iter().map(|one| brief(one)).collect();
    Ok(Json(json!({ "count": list.len(), "list": list })))
}

async fn show(State(desk): State<Desk>, signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let wanted = id_of(&id)?;
    let own = all(&desk, &signed).await?;
    let found = own.into_iter().chain(global(&desk).await?).find(|one| one.id == wanted);
    found.map(|one| Json(write(&one))).ok_or_else(|| ApiError::not_found("key manager", id))
}

async fn create(
    State(desk): State<Desk>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    desk.require(&signed)?;
    let caller = caller(signed, key);
    let (id, tenant) = (KeyManagerId::from_random(random_bytes()), caller.principal.tenant.clone());
    let reading = Reading { id, tenant, previous: None, is_global: desk.is_global, key: &desk.key };
    let key_manager = read(body, reading).map_err(AdminError::from)?;
    let made =
        desk.admin.ask(PutKeyManager { caller, key_manager, is_new: true }).await.map_err(AdminError::from)??;
    let location = format!("{}/{}", desk.path(), made.reply.id);
    let answer = (StatusCode::CREATED, [(LOCATION, location)], Json(write(&made.reply))).into_response();
    Ok(Stamped { body: answer, index: made.index, unreached: made.unreached }.into_response())
}

async fn update(
    State(desk): State<Desk>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let id = id_of(&id)?;
    let previous = all(&desk, &signed).await?.into_iter().find(|one| one.id == id);
    refuse_global(&desk, id).await?;
    if desk.is_global && previous.is_none() {
        return Err(ApiError::not_found("key manager", id));
    }
    let caller = caller(signed, key);
    let tenant = caller.principal.tenant.clone();
    let reading = Reading { id, tenant, previous: previous.as_deref(), is_global: desk.is_global, key: &desk.key };
    let key_manager = read(body, reading).map_err(AdminError::from)?;
    let made =
        desk.admin.ask(PutKeyManager { caller, key_manager, is_new: false }).await.map_err(AdminError::from)??;
    let answer = Json(write(&made.reply)).into_response();
    Ok(Stamped { body: answer, index: made.index, unreached: made.unreached }.into_response())
}

async fn remove(
    State(desk): State<Desk>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = id_of(&id)?;
    let own = all(&desk, &signed).await?;
    refuse_global(&desk, id).await?;
    // A retry finds it gone, which the command knows from one that never was; one of the tenant alone is not meant.
    if desk.is_global && !own.iter().any(|one| one.id == id) && own_has(&desk, &signed, id).await? {
        return Err(ApiError::not_found("key manager", id));
    }
    let message = DeleteKeyManager { caller: caller(signed, key), id };
    let Committed { reply: (), index, unreached } = desk.admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}

/// Says whether the tenant has a key manager for itself.
async fn own_has(desk: &Desk, signed: &Signed, id: KeyManagerId) -> Result<bool, ApiError> {
    let message = ListKeyManagers { tenant: signed.0.principal.tenant.clone() };
    let own = desk.admin.ask(message).await.map_err(AdminError::from)?;
    Ok(own.iter().any(|one| one.id == id))
}

/// Says what a well-known document says. Only administrators may have the node fetch something.
async fn discover(signed: Signed, form: MultipartForm) -> Result<Json<Value>, ApiError> {
    signed.require(MANAGE)?;
    let url = form.part("url")?.text("url")?.trim().to_owned();
    check_url("url", &url).map_err(AdminError::from)?;
    let kind = form.text("type")?.map(str::trim).filter(|kind| !kind.is_empty()).unwrap_or(TYPE);
    match fetch::json::<Map<String, Value>>(&signed.0.principal.tenant, &url).await {
        Ok(document) if document.contains_key("issuer") => {
            Ok(Json(json!({ "valid": true, "value": discovered(kind, &url, &document) })))
        }
        Ok(_) => Ok(Json(json!({ "valid": false }))),
        Err(cause) => {
            tracing::warn!(%cause, url, "a well-known document cannot be fetched");
            Ok(Json(json!({ "valid": false })))
        }
    }
}

/// An id that cannot be one is of a key manager that does not exist.
fn id_of(text: &str) -> Result<KeyManagerId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("key manager", text))
}
