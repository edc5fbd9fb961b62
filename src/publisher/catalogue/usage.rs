//! Which APIs are made from a service.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_http::page::Page;
use portcullis_model::Api;
use serde_json::{Value, json};

use super::rest::{VIEW, one};
use crate::actor::Publisher;
use crate::dto::api_body::{kept_fields, provider_of};
use crate::messages::{ApiSearch, Asker, ListApis};
use crate::rest::answer::{flat, read as read_answer};
use crate::rest::request::Request;

/// Returns the APIs that are made from a service and that the asker may see.
pub(super) async fn users_of(
    publisher: &Address<Publisher>,
    asker: Asker,
    key: &str,
) -> Result<Vec<Arc<Api>>, ApiError> {
    let list = ListApis { asker, search: ApiSearch::default(), page: Page::ALL };
    let all = flat(publisher.ask(list).await)?.value.page;
    let is_made_from = |api: &Api| {
        api.other_fields.contains("serviceInfo")
            && kept_fields(api).get("serviceInfo").is_some_and(|info| info["key"] == *key)
    };
    Ok(all.into_iter().map(|listed| listed.api).filter(|api| is_made_from(api)).collect())
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = one(&publisher, asker.clone(), &id).await?;
    let users = users_of(&publisher, asker, &seen.value.name).await?;
    let list: Vec<Value> = users
        .iter()
        .map(|api| {
            json!({
                "id": api.id.to_string(),
                "name": api.name,
                "version": api.version,
                "context": api.context,
                "provider": provider_of(api),
            })
        })
        .collect();
    Ok(read_answer(&request.headers, &json!({"count": list.len(), "list": list}), seen.index))
}
