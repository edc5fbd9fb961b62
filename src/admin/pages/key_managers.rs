//! `/admin/key-managers`: other systems whose tokens gateways take.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use portcullis_actor::Address;
use portcullis_database::ClusterKey;
use portcullis_database::handle::random_bytes;
use portcullis_http::{ApiError, Signed};
use portcullis_model::key_manager::KeyManager;
use portcullis_model::{KeyManagerId, TenantDomain};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::{Map, Value, json};

use super::{asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::key_manager_body::{Reading, read};
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
        .route("/admin/key-managers", get(show).post(create))
        .route("/admin/key-managers/{id}/delete", post(delete))
        .with_state(Desk { admin: admin.clone(), key })
}

#[derive(Template)]
#[template(path = "admin_key_managers.html")]
struct KeyManagersPage {
    frame: Frame,
    rows: Vec<Arc<KeyManager>>,
    fields: Fields,
    wrong: Wrong,
    may_change: bool,
}

impl KeyManagersPage {
    fn issuer(&self, one: &KeyManager) -> String {
        let said: Value = serde_json::from_str(&one.other_fields).unwrap_or_default();
        let issuer = said["issuer"].as_str().map(str::to_owned);
        issuer.or_else(|| one.token_url.clone()).unwrap_or_default()
    }
}

async fn page(
    desk: &Desk,
    tenant: TenantDomain,
    viewer: Viewer,
    fields: Fields,
    wrong: Wrong,
) -> Result<KeyManagersPage, ApiError> {
    let rows = desk.admin.ask(ListKeyManagers { tenant }).await.map_err(AdminError::from)?;
    let may_change = viewer.may(MANAGE);
    Ok(KeyManagersPage { frame: frame(viewer, "/admin/key-managers", "Key managers"), rows, fields, wrong, may_change })
}

async fn show(State(desk): State<Desk>, signed: Signed, viewer: Viewer) -> Result<Response, ApiError> {
    let tenant = asker(signed, VIEW)?.principal.tenant;
    Ok(render(&page(&desk, tenant, viewer, Fields::default(), Wrong::default()).await?))
}

/// Returns a key manager as the contract has it.
fn body_of(fields: &Fields) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("type".to_owned(), "custom".into());
    body.insert("enabled".to_owned(), true.into());
    for name in ["name", "issuer", "tokenEndpoint", "introspectionEndpoint"] {
        if let Some(text) = fields.filled(name) {
            body.insert(name.to_owned(), text.into());
        }
    }
    if let Some(url) = fields.filled("jwks") {
        body.insert("certificates".to_owned(), json!({"type": "JWKS", "value": url}));
    }
    body
}

async fn create(
    State(desk): State<Desk>,
    signed: Signed,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, MANAGE)?;
    let tenant = caller.principal.tenant.clone();
    let id = KeyManagerId::from_random(random_bytes());
    let reading = Reading { id, tenant: tenant.clone(), previous: None, key: &desk.key };
    let outcome = match read(body_of(&fields), reading) {
        Ok(key_manager) => {
            let message = PutKeyManager { caller, key_manager, is_new: true };
            desk.admin.ask(message).await.map_err(AdminError::from)?.map_err(ApiError::from)
        }
        Err(refused) => Err(AdminError::from(refused).into()),
    };
    match outcome {
        Ok(made) => Ok(say_and_go(&format!("Gateways take tokens of {} now.", made.reply.name), "/admin/key-managers")),
        Err(error) => Ok(render_again(&page(&desk, tenant, viewer, fields, error.clone().into()).await?, &error)),
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
