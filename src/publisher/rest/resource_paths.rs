//! `/apis/{apiId}/resource-paths`: what can be called, as a list.

use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, List, PageQuery};
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::messages::GetApi;

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage"];

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(page): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let (asker, page) = (request.asker(VIEW)?, page.page()?);
    let seen = flat(publisher.ask(GetApi { asker, id: id.clone() }).await)?;
    let operations = seen.value.api.operations.iter().enumerate();
    let all: Vec<Value> = operations
        .map(|(number, one)| json!({"id": number + 1, "resourcePath": one.target, "httpVerb": one.verb}))
        .collect();
    let list = List::of(all, page).with_links(&format!("/apis/{id}/resource-paths"), "");
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}
