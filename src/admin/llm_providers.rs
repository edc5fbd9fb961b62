//! `/llm-providers` of the Admin v4 contract: a thin face over the messages.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_database::handle::random_bytes;
use portcullis_http::contract::llm_provider::{LlmProvider, read_models};
use portcullis_http::{ApiError, MaybeKey, MultipartForm, Signed, Stamped};
use portcullis_model::asset::AssetKind;
use portcullis_model::{AssetId, Refused};
use serde_json::{Value, json};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::assets::{self, DeleteAsset, PutAsset};
use crate::rest_policies::caller;

const VIEW: &[&str] = &["apim:admin"];
const MANAGE: &[&str] = &["apim:admin", "apim:llm_provider_manage"];
const KIND: AssetKind = AssetKind::LlmProvider;

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/llm-providers", get(list).post(create))
        .route("/llm-providers/{llmProviderId}", get(show).put(update).delete(remove))
        .with_state(admin.clone())
}

async fn all(admin: &Address<Admin>, signed: &Signed) -> Result<Vec<LlmProvider>, ApiError> {
    Ok(LlmProvider::all(assets::all(admin, signed, KIND).await?.iter()))
}

async fn one(admin: &Address<Admin>, signed: &Signed, id: &str) -> Result<LlmProvider, ApiError> {
    let found = all(admin, signed).await?.into_iter().find(|provider| provider.id.to_string() == id);
    found.ok_or_else(|| ApiError::not_found(KIND.noun(), id))
}

fn write(provider: &LlmProvider) -> Value {
    let mut body = provider.write();
    body["modelList"] = json!(provider.models);
    body
}

async fn list(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<Value>, ApiError> {
    signed.require(VIEW)?;
    let list: Vec<Value> = all(&admin, &signed).await?.iter().map(LlmProvider::write_summary).collect();
    Ok(Json(json!({"count": list.len(), "list": list})))
}

async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    signed.require(VIEW)?;
    Ok(Json(write(&one(&admin, &signed, &id).await?)))
}

/// Returns the text of a part of a form; `None` where it is missing or empty.
fn text(form: &MultipartForm, name: &str) -> Result<Option<String>, ApiError> {
    Ok(form.text(name)?.filter(|text| !text.trim().is_empty()).map(str::to_owned))
}

/// Returns the text of a part that must be there.
fn required(form: &MultipartForm, name: &str) -> Result<String, ApiError> {
    text(form, name)?.ok_or_else(|| ApiError::bad_request(format!("{name}: must be there")))
}

async fn keep(
    admin: &Address<Admin>,
    signed: Signed,
    key: MaybeKey,
    provider: &LlmProvider,
    is_new: bool,
) -> Result<(LlmProvider, Committed<()>), ApiError> {
    provider.check().map_err(AdminError::from)?;
    let message = PutAsset {
        caller: caller(signed, key),
        kind: KIND,
        id: provider.id,
        is_new,
        name: provider.asset_name(),
        document: provider.document(),
        content: provider.definition.clone(),
    };
    let Committed { reply, index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    let kept = LlmProvider::all(std::iter::once(&reply)).into_iter().find(|one| one.id == reply.id);
    let kept = kept.ok_or_else(|| ApiError::not_found(KIND.noun(), reply.id))?;
    Ok((kept, Committed { reply: (), index, unreached }))
}

async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let provider = LlmProvider {
        id: AssetId::from_random(random_bytes()),
        name: required(&form, "name")?,
        api_version: required(&form, "apiVersion")?,
        description: text(&form, "description")?.unwrap_or_default(),
        is_built_in: false,
        configurations: required(&form, "configurations")?,
        definition: required(&form, "apiDefinition")?,
        models: models(&form)?.unwrap_or_default(),
    };
    let taken = all(&admin, &signed).await?;
    // Those of the tenant are for the command to tell, which knows a retry from another provider.
    if taken.iter().any(|one| one.is_built_in && one.asset_name().eq_ignore_ascii_case(&provider.asset_name())) {
        return Err(AdminError::from(Refused::exists(KIND.noun(), provider.asset_name())).into());
    }
    let (kept, Committed { index, unreached, .. }) = keep(&admin, signed, key, &provider, true).await?;
    let location = format!("/api/am/admin/v4/llm-providers/{}", kept.id);
    let body = (StatusCode::CREATED, [(LOCATION, location)], Json(write(&kept))).into_response();
    Ok(Stamped { body, index, unreached }.into_response())
}

fn models(form: &MultipartForm) -> Result<Option<Vec<String>>, ApiError> {
    let text = text(form, "modelList")?;
    Ok(text.map(|text| read_models(&text)).transpose().map_err(AdminError::from)?)
}

/// Changes a provider; what is not sent stays. Of one that comes with the program the definition and the models change.
async fn update(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let before = one(&admin, &signed, &id).await?;
    let stays = |name: &str, is: &str| match text(&form, name)? {
        Some(sent) if sent != is => Err(ApiError::bad_request(format!("{name}: stays as it is, {is}"))),
        _ => Ok(()),
    };
    stays("name", &before.name)?;
    stays("apiVersion", &before.api_version)?;
    let changeable = |name: &str, is: &str| {
        Ok::<_, ApiError>(match text(&form, name)? {
            Some(sent) if !before.is_built_in => sent,
            _ => is.to_owned(),
        })
    };
    let provider = LlmProvider {
        description: changeable("description", &before.description)?,
        configurations: changeable("configurations", &before.configurations)?,
        definition: text(&form, "apiDefinition")?.unwrap_or_else(|| before.definition.clone()),
        models: models(&form)?.unwrap_or_else(|| before.models.clone()),
        ..before.clone()
    };
    // One that comes with the program is kept from its first change on.
    let is_new = !assets::all(&admin, &signed, KIND).await?.iter().any(|asset| asset.id == provider.id);
    let (kept, Committed { index, unreached, .. }) = keep(&admin, signed, key, &provider, is_new).await?;
    Ok(Stamped { body: Json(write(&kept)).into_response(), index, unreached }.into_response())
}

async fn remove(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let known: AssetId = id.parse().map_err(|_| ApiError::not_found(KIND.noun(), &id))?;
    if all(&admin, &signed).await?.iter().any(|one| one.id == known && one.is_built_in) {
        let reason = "The LLM provider comes with the program and is not deleted; its models and its definition can be \
                      changed.";
        return Err(ApiError::new(403, 403, "Forbidden", reason));
    }
    let message = DeleteAsset { caller: caller(signed, key), kind: KIND, id: known };
    let Committed { reply: (), index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}
