//! `/apis/{apiId}/api-themes`: looks of the developer portal for the pages of one API.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_http::contract::theme::{self, Step, Theme};
use portcullis_http::{ApiError, Body, MultipartForm, Stamped};
use portcullis_model::AssetId;
use portcullis_model::asset::AssetKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{archive, flat, read as read_answer, wrote};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::fault::PublisherError;
use crate::messages::{Asker, DeleteAsset, ListAssets, PutAsset, Seen, Written};

const SCOPES: &[&str] = &["apim:api_view", "apim:api_manage"];
const KIND: AssetKind = AssetKind::Theme;

#[derive(Deserialize)]
pub struct ListQuery {
    publish: Option<bool>,
}

async fn all(publisher: &Address<Publisher>, asker: Asker, api: &str) -> Result<Seen<Vec<Theme>>, ApiError> {
    let seen = flat(publisher.ask(ListAssets { asker, kind: KIND, api: Some(api.to_owned()) }).await)?;
    Ok(Seen { value: seen.value.iter().filter_map(|asset| Theme::of(asset)).collect(), index: seen.index })
}

async fn put(
    publisher: &Address<Publisher>,
    asker: Asker,
    api: &str,
    id: Option<AssetId>,
    theme: Theme,
) -> Result<Written<Value>, ApiError> {
    let document = theme.document();
    let Theme { name, content, .. } = theme;
    let api = Some(api.to_owned());
    let message = PutAsset { asker, kind: KIND, id, api, name, document, content, expected: None };
    let written = flat(publisher.ask(message).await)?;
    let shown = Theme::of(&written.value).map(|theme| theme.write()).unwrap_or_default();
    Ok(Written { value: shown, index: written.index, unreached: written.unreached })
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let seen = all(&publisher, request.asker(SCOPES)?, &api).await?;
    let shown = seen.value.iter().filter(|theme| query.publish.is_none_or(|wanted| wanted == theme.is_published));
    Ok(read_answer(&request.headers, &shown.map(Theme::write).collect(), seen.index))
}

/// Makes an archive the draft, instead of the one that was.
pub async fn upload(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(SCOPES)?;
    let before = all(&publisher, asker.clone(), &api).await?.value.into_iter().find(|theme| !theme.is_published);
    let (id, archive) = (before.as_ref().map(|theme| theme.id), theme::read(&form)?);
    let theme = before.unwrap_or_else(|| Theme::new(AssetId::from_random(random_bytes()), false));
    let written = put(&publisher, asker, &api, id, theme.with(archive)).await?;
    let shown = written.value.clone();
    Ok(wrote(StatusCode::OK, &written, shown))
}

pub async fn content(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let seen = all(&publisher, request.asker(SCOPES)?, &api).await?;
    let theme = seen.value.into_iter().find(|theme| theme.id.to_string() == id);
    let theme = theme.ok_or_else(|| ApiError::not_found(KIND.noun(), id))?;
    Ok(archive(theme.archive(), "attachment; filename=\"api-theme.zip\"", seen.index))
}

async fn delete_one(
    publisher: &Address<Publisher>,
    asker: Asker,
    api: &str,
    id: AssetId,
) -> Result<Written<()>, ApiError> {
    flat(publisher.ask(DeleteAsset { asker, kind: KIND, id, api: Some(api.to_owned()) }).await)
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let asker = request.asker(SCOPES)?;
    let known = id.parse().map_err(|_| ApiError::not_found(KIND.noun(), &id))?;
    let Written { index, unreached, .. } = delete_one(&publisher, asker, &api, known).await?;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}

#[derive(Deserialize)]
pub struct StatusBody {
    action: String,
}

pub async fn change_status(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, id)): Path<(String, String)>,
    Body(body): Body<StatusBody>,
) -> Result<Response, ApiError> {
    // Several writes: a retry finds what the first try did, and goes on.
    let asker = Asker { idempotency: None, ..request.asker(SCOPES)? };
    let is_published = theme::is_published_by(&body.action)?;
    let there = all(&publisher, asker.clone(), &api).await?;
    let mut done = Written { value: (), index: there.index, unreached: Vec::new() };
    for step in theme::change_status(&there.value, &id, is_published).map_err(PublisherError::from)? {
        let mut one = match step {
            Step::Replace(theme) => {
                let Written { index, unreached, .. } =
                    put(&publisher, asker.clone(), &api, Some(theme.id), theme).await?;
                Written { value: (), index, unreached }
            }
            Step::Delete(id) => delete_one(&publisher, asker.clone(), &api, id).await?,
        };
        one.unreached.append(&mut done.unreached);
        one.unreached.sort_unstable();
        one.unreached.dedup();
        done = one;
    }
    Ok(wrote(StatusCode::OK, &done, json!({"id": id, "published": is_published})))
}
