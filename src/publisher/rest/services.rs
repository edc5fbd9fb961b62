//! `/apis/import-service` and `/apis/{apiId}/reimport-service`: APIs made from services of the catalogue.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body};
use portcullis_model::asset::Asset;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{flat, wrote_api};
use super::request::{Params, Request, required};
use crate::actor::Publisher;
use crate::catalogue::{Service, digest_of, find_by_key};
use crate::dto::api_body::{self, kept_fields};
use crate::messages::{Asker, GetApi, ImportOpenapi, PutDefinition, UpdateApi};

const CREATE: &[&str] = &["apim:api_create", "apim:api_manage"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportQuery {
    service_key: Option<String>,
}

/// Refuses a service from which no API is made here.
fn check(service: &Service) -> Result<(), ApiError> {
    if matches!(service.definition_type.as_str(), "OAS3" | "OAS2") {
        return Ok(());
    }
    let (key, kind) = (&service.service_key, &service.definition_type);
    Err(ApiError::bad_request(format!(
        "serviceKey: {key} is of the type {kind}; APIs are made from services of the types OAS3 and OAS2"
    )))
}

pub async fn import(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ImportQuery>,
    Body(mut fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let (asker, key) = (request.asker(CREATE)?, required("serviceKey", query.service_key)?);
    let (asset, service) = find_by_key(&publisher, asker.clone(), &key).await?;
    check(&service)?;
    fields.retain(|_, value| !value.is_null());
    fields.insert("serviceInfo".to_owned(), info(&asset, &service));
    fields.entry("endpointConfig").or_insert_with(|| {
        let place = json!({"url": service.service_url});
        json!({"endpoint_type": "http", "production_endpoints": place, "sandbox_endpoints": place})
    });
    let text = asset.content.clone();
    let written = flat(publisher.ask(ImportOpenapi { asker, text, fields }).await)?;
    Ok(wrote_api(StatusCode::CREATED, &written))
}

/// Writes what an API keeps of its service; `md5` says of which state of it.
fn info(asset: &Asset, service: &Service) -> Value {
    json!({
        "key": service.service_key,
        "name": service.name,
        "version": service.version,
        "outdated": false,
        "md5": digest_of(asset),
    })
}

/// Gives an API the definition that its service has by now.
pub async fn reimport(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let seen = flat(publisher.ask(GetApi { asker: asker.clone(), id: id.clone() }).await)?;
    let fields = kept_fields(&seen.value.api);
    let key = fields.get("serviceInfo").and_then(|info| info["key"].as_str());
    let key = key.ok_or_else(|| ApiError::bad_request("The API is not made from a service of the catalogue."))?;
    let (asset, service) = find_by_key(&publisher, asker.clone(), key).await?;
    check(&service)?;
    let put = PutDefinition { asker: asker.clone(), id: id.clone(), text: asset.content.clone(), expected: None };
    let written = flat(publisher.ask(put).await)?;
    let mut fields = api_body::write(&written.value.api, None);
    fields["serviceInfo"] = info(&asset, &service);
    let Value::Object(fields) = fields else { return Ok(wrote_api(StatusCode::OK, &written)) };
    // A request that is sent again has the outcome of its first write, and does the second anew.
    let asker = Asker { idempotency: None, ..asker };
    let written = flat(publisher.ask(UpdateApi { asker, id, fields, expected: None }).await)?;
    Ok(wrote_api(StatusCode::OK, &written))
}
