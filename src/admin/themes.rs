//! `/org-themes` and `/tenant-theme` of the Admin v4 contract: looks of the tenant's developer portal.

use actix::{Context, Handler, Message};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Caller, Committed};
use portcullis_http::contract::theme::{self, Archive, Step, TENANT_THEME, Theme};
use portcullis_http::{ApiError, Body, MaybeKey, MultipartForm, Signed, Stamped};
use portcullis_model::asset::AssetKind;
use portcullis_model::{AssetId, TenantDomain};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::assets::{self, DeleteAsset, PutAsset};
use crate::rest_policies::caller;

pub(crate) const MANAGE: &[&str] = &["apim:admin", "apim:tenant_theme_manage"];
pub(crate) const KIND: AssetKind = AssetKind::Theme;

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/org-themes", get(list).post(upload))
        .route("/org-themes/{id}", delete(remove))
        .route("/org-themes/{id}/content", get(content))
        .route("/org-themes/{id}/status", post(change_status))
        .route("/tenant-theme", get(tenant_theme).put(put_tenant_theme))
        .with_state(admin.clone())
}

/// Returns the theme of the tenant, and the draft and what is published of its portal.
///
/// # Errors
/// 403 for who may not manage themes, 503 where Admin does not answer.
pub(crate) async fn all(admin: &Address<Admin>, signed: &Signed) -> Result<(Option<Theme>, Vec<Theme>), ApiError> {
    signed.require(MANAGE)?;
    let assets = assets::all(admin, signed, KIND).await?;
    let (mut own, others): (Vec<Theme>, Vec<Theme>) =
        assets.iter().filter_map(|asset| Theme::of(asset)).partition(|theme| theme.name == TENANT_THEME);
    Ok((own.pop(), others))
}

async fn put(admin: &Address<Admin>, caller: Caller, theme: Theme, is_new: bool) -> Result<Committed<Theme>, ApiError> {
    let document = theme.document();
    let Theme { id, name, content, .. } = theme;
    let message = PutAsset { caller, kind: KIND, id, is_new, name, document, content };
    let Committed { reply, index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    let kept = Theme::of(&reply).ok_or_else(|| ApiError::not_found(KIND.noun(), reply.id))?;
    Ok(Committed { reply: kept, index, unreached })
}

#[derive(Deserialize)]
struct ListQuery {
    publish: Option<bool>,
}

async fn list(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let (_, all) = all(&admin, &signed).await?;
    let Query(query) = query.map_err(|_| ApiError::bad_request("publish: must be true or false"))?;
    let shown = all.iter().filter(|theme| query.publish.is_none_or(|wanted| wanted == theme.is_published));
    Ok(Json(shown.map(Theme::write).collect()))
}

/// Says whether a theme is that of an API, which its publishers alone change.
#[derive(Clone, Debug, Message)]
#[rtype(result = "bool")]
struct IsOfApi {
    tenant: TenantDomain,
    id: AssetId,
}

impl Handler<IsOfApi> for Admin {
    type Result = bool;

    fn handle(&mut self, message: IsOfApi, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let mut all = portcullis_database::assets::of_tenant(view.read::<Apimgtdb>(), &message.tenant, KIND);
        all.any(|asset| asset.id == message.id && asset.api.is_some())
    }
}

/// Makes an archive the draft, instead of the one that was in `all`.
///
/// # Errors
/// Where it is not stored.
pub(crate) async fn put_draft(
    admin: &Address<Admin>,
    caller: Caller,
    all: Vec<Theme>,
    archive: Archive,
) -> Result<Committed<Theme>, ApiError> {
    let before = all.into_iter().find(|theme| !theme.is_published);
    let is_new = before.is_none();
    let theme = before.unwrap_or_else(|| new_theme(false));
    put(admin, caller, theme.with(archive), is_new).await
}

async fn upload(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let (_, all) = all(&admin, &signed).await?;
    let archive = theme::read(&form)?;
    let made = put_draft(&admin, caller(signed, key), all, archive).await?;
    let body = Json(made.reply.write()).into_response();
    Ok(Stamped { body, index: made.index, unreached: made.unreached }.into_response())
}

fn new_theme(is_published: bool) -> Theme {
    Theme::new(AssetId::from_random(random_bytes()), is_published)
}

fn find(all: Vec<Theme>, id: &str) -> Result<Theme, ApiError> {
    let found = all.into_iter().find(|theme| theme.id.to_string() == id);
    found.ok_or_else(|| ApiError::not_found(KIND.noun(), id))
}

/// Answers with the archive of a theme, to be kept as a file.
pub(crate) fn archive(theme: &Theme, name: &str) -> Response {
    let disposition = format!("attachment; filename=\"{name}.zip\"");
    let headers = [(CONTENT_TYPE, "application/zip".to_owned()), (CONTENT_DISPOSITION, disposition)];
    (headers, theme.archive()).into_response()
}

async fn content(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (_, all) = all(&admin, &signed).await?;
    Ok(archive(&find(all, &id)?, "org-theme"))
}

async fn delete_one(admin: &Address<Admin>, caller: Caller, id: AssetId) -> Result<Committed<()>, ApiError> {
    Ok(admin.ask(DeleteAsset { caller, kind: KIND, id }).await.map_err(AdminError::from)??)
}

/// Deletes a theme of the portal: not that of the tenant, nor one of an API.
///
/// # Errors
/// 404 where there is none; 403 and 503 as [`all`].
pub(crate) async fn delete_of_portal(
    admin: &Address<Admin>,
    signed: Signed,
    key: MaybeKey,
    id: &str,
) -> Result<Committed<()>, ApiError> {
    let (tenant, _) = all(admin, &signed).await?;
    let known: AssetId = id.parse().map_err(|_| ApiError::not_found(KIND.noun(), id))?;
    // One that is nowhere is left to the command: it knows a retry, which finds the theme gone.
    let of_api = IsOfApi { tenant: signed.0.principal.tenant.clone(), id: known };
    if tenant.is_some_and(|theme| theme.id == known) || admin.ask(of_api).await.map_err(AdminError::from)? {
        return Err(ApiError::not_found(KIND.noun(), id));
    }
    delete_one(admin, caller(signed, key), known).await
}

async fn remove(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let Committed { index, unreached, .. } = delete_of_portal(&admin, signed, key, &id).await?;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}

#[derive(Deserialize)]
struct StatusBody {
    action: String,
}

/// Publishes a theme of the portal, or makes it a draft again. The index is 0 where nothing was to be done.
///
/// # Errors
/// 404 where there is none, 400 where a draft would be lost; 403 and 503 as [`all`].
pub(crate) async fn set_published(
    admin: &Address<Admin>,
    signed: Signed,
    id: &str,
    is_published: bool,
) -> Result<Committed<()>, ApiError> {
    let (_, all) = all(admin, &signed).await?;
    let steps = theme::change_status(&all, id, is_published).map_err(AdminError::from)?;
    // Several writes: a retry finds what the first try did, and goes on.
    let caller = caller(signed, MaybeKey(None));
    let (mut index, mut unreached) = (0, Vec::new());
    for step in steps {
        let mut done = match step {
            Step::Replace(theme) => {
                let Committed { index, unreached, .. } = put(admin, caller.clone(), theme, false).await?;
                Committed { reply: (), index, unreached }
            }
            Step::Delete(id) => delete_one(admin, caller.clone(), id).await?,
        };
        index = done.index;
        unreached.append(&mut done.unreached);
    }
    unreached.sort_unstable();
    unreached.dedup();
    Ok(Committed { reply: (), index, unreached })
}

async fn change_status(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
    Body(body): Body<StatusBody>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let is_published = theme::is_published_by(&body.action)?;
    let Committed { index, unreached, .. } = set_published(&admin, signed, &id, is_published).await?;
    let body = Json(json!({"id": id, "published": is_published})).into_response();
    if index == 0 {
        return Ok(body);
    }
    Ok(Stamped { body, index, unreached }.into_response())
}

async fn tenant_theme(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Response, ApiError> {
    let (own, _) = all(&admin, &signed).await?;
    let own = own.ok_or_else(|| ApiError::not_found("tenant theme", &signed.0.principal.tenant))?;
    Ok(archive(&own, "tenant-theme"))
}

async fn put_tenant_theme(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let (before, _) = all(&admin, &signed).await?;
    let archive = theme::read(&form)?;
    let is_new = before.is_none();
    let theme = before.unwrap_or_else(|| Theme { name: TENANT_THEME.to_owned(), ..new_theme(true) });
    let made = put(&admin, caller(signed, key), theme.with(archive), is_new).await?;
    Ok(Stamped { body: StatusCode::OK, index: made.index, unreached: made.unreached }.into_response())
}
