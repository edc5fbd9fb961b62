//! `/external-stores`, `/apis/{apiId}/external-stores` and `/apis/{apiId}/publish-to-external-stores`.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Publication;
use crate::actor::Publisher;
use crate::messages::{ListExternalStores, ListPublications, PublishElsewhere};
use crate::rest::answer::{flat, read as read_answer, wrote};
use crate::rest::request::{Params, Request};

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage"];
const PUBLISH: &[&str] = &["apim:api_publish", "apim:api_manage"];

pub(super) fn routes() -> Router<Address<Publisher>> {
    Router::new()
        .route("/external-stores", get(list))
        .route("/apis/{apiId}/external-stores", get(of_api))
        .route("/apis/{apiId}/publish-to-external-stores", post(publish))
}

async fn list(State(publisher): State<Address<Publisher>>, request: Request) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(ListExternalStores { asker: request.list_asker(VIEW)? }).await)?;
    let list: Vec<Value> = seen
        .value
        .iter()
        .map(|one| json!({"id": one.id, "displayName": one.display_name, "type": "wso2", "endpoint": one.endpoint}))
        .collect();
    Ok(read_answer(&request.headers, &json!({"count": list.len(), "list": list}), seen.index))
}

fn write(publications: &[Publication]) -> Value {
    let time = |one: &Publication| {
        let millis = i64::try_from(one.at.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        millis.map(|at| at.to_string())
    };
    let list: Vec<Value> =
        publications.iter().map(|one| json!({"id": one.store, "lastUpdatedTime": time(one)})).collect();
    json!({"count": list.len(), "list": list})
}

async fn of_api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(ListPublications { asker: request.asker(VIEW)?, api }).await)?;
    Ok(read_answer(&request.headers, &write(&seen.value), seen.index))
}

#[derive(Deserialize)]
struct PublishQuery {
    #[serde(rename = "externalStoreIds")]
    external_store_ids: Option<String>,
}

async fn publish(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
    Params(query): Params<PublishQuery>,
) -> Result<Response, ApiError> {
    let named = query.external_store_ids.unwrap_or_default();
    let mut stores: Vec<String> =
        named.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect();
    stores.sort();
    stores.dedup();
    let written = flat(publisher.ask(PublishElsewhere { asker: request.asker(PUBLISH)?, api, stores }).await)?;
    let body = write(&written.value);
    Ok(wrote(StatusCode::OK, &written, body))
}
