//! `/apis/validate-endpoint`: whether somebody answers at an address, before it becomes an API's endpoint. Who may create
//! an API may have the gateways call any address; this tells less than such a call does.

use axum::response::{IntoResponse, Response};
use portcullis_http::ApiError;
use portcullis_http::fetch::Service;
use serde::Deserialize;
use serde_json::json;

use super::request::{Params, Request, required};
use crate::openapi::fetch::{check_address, take_turn};

const CREATE: &[&str] = &["apim:api_create", "apim:api_manage"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidateQuery {
    endpoint_url: Option<String>,
}

/// Asks for the head of what is there. Redirects are not followed; an answer may take 5 s. A tenant's addresses are asked one
/// after the other, as definitions are fetched: 503 where it is not its turn within 5 s.
pub async fn validate(request: Request, Params(query): Params<ValidateQuery>) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let url = required("endpointUrl", query.endpoint_url)?;
    check_address("endpointUrl", &url)?;
    let _turn = take_turn(&asker.identity.principal.tenant).await?;
    let answered = match Service::of_user(&url).await {
        Ok(service) => service.status().await,
        Err(error) => Err(error),
    };
    let body = match answered {
        Ok(status) => json!({
            "statusCode": status.as_u16(),
            "statusMessage": status.canonical_reason().unwrap_or_default(),
            "error": null,
        }),
        // As the original says that nobody answered.
        Err(error) => json!({"statusCode": 0, "statusMessage": "", "error": error.to_string()}),
    };
    Ok(axum::Json(body).into_response())
}
