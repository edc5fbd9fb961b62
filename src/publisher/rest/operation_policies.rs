//! `/operation-policies` and `/apis/{apiId}/operation-policies`: the policies that a publisher can apply. They come with
//! the program; there are no others.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use portcullis_http::{ApiError, List, PageQuery};
use portcullis_model::mediation::step::KINDS;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{Params, Request};
use crate::dto::policies;

pub(crate) const VIEW: &[&str] = &["apim:common_operation_policy_view", "apim:mediation_policy_view", "apim:api_view"];
pub(crate) const MANAGE: &[&str] =
    &["apim:common_operation_policy_manage", "apim:mediation_policy_manage", "apim:api_manage"];

/// Which policies are listed.
#[derive(Deserialize)]
pub struct ListQuery {
    /// `name:NAME`, or a part of a name.
    query: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

fn list_of(query: &ListQuery, path: &str) -> Result<Response, ApiError> {
    let page = query.page.page()?;
    let wanted = query.query.as_deref().unwrap_or_default().to_lowercase();
    let exact = wanted.strip_prefix("name:");
    let is_meant = |name: &str| match exact {
        Some(exact) => name.to_lowercase() == exact,
        None => name.to_lowercase().contains(&wanted),
    };
    let all: Vec<Value> = KINDS.iter().filter(|kind| is_meant(kind.name)).map(policies::write).collect();
    Ok(axum::Json(json!(List::of(all, page).with_links(path, ""))).into_response())
}

fn found(id: &str) -> Result<Response, ApiError> {
    let kind = KINDS.iter().find(|kind| policies::id_of(kind).to_string() == id);
    let kind = kind.ok_or_else(|| ApiError::not_found("Operation Policy", id))?;
    Ok(axum::Json(policies::write(kind)).into_response())
}

pub async fn list(request: Request, Params(query): Params<ListQuery>) -> Result<Response, ApiError> {
    request.asker(VIEW)?;
    list_of(&query, "/operation-policies")
}

/// An API has no policies of its own beside those of all.
pub async fn list_of_api(
    request: Request,
    Path(api): Path<String>,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    request.asker(VIEW)?;
    list_of(&query, &format!("/apis/{api}/operation-policies"))
}

pub async fn read(request: Request, Path(id): Path<String>) -> Result<Response, ApiError> {
    request.asker(VIEW)?;
    found(&id)
}

pub async fn read_of_api(request: Request, Path((_, id)): Path<(String, String)>) -> Result<Response, ApiError> {
    request.asker(VIEW)?;
    found(&id)
}

/// Refuses a policy of one's own, whose content would be a program of the original's gateway.
pub async fn refuse(request: Request) -> Result<Response, ApiError> {
    request.asker(MANAGE)?;
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    Err(ApiError::new(
        501,
        501,
        "Not Implemented",
        format!(
            "Policies of your own are programs for the original's gateway, which this one does not run. Apply those that come \
             with it: {}.",
            names.join(", ")
        ),
    ))
}
