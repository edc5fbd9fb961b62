//! `/organizations`: with whom APIs can be shared; and to which one the asker belongs.

use axum::extract::State;
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_http::contract::organization::{write, write_information};
use portcullis_model::asset::AssetKind;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer};
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::{GetOrganization, ListAssets};

const VIEW: &[&str] = &[
    "apim:api_view",
    "apim:api_manage",
    "apim:api_import_export",
    "apim:api_product_import_export",
    "apim:publisher_organization_read",
];
const OWN: &[&str] = &["apim:api_create", "apim:api_manage", "apim:api_publish"];

pub async fn list(State(publisher): State<Address<Publisher>>, request: Request) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(ListAssets { asker, kind: AssetKind::Organization, api: None }).await)?;
    let list: Vec<Value> = seen.value.iter().filter_map(|asset| write(asset)).collect();
    Ok(read_answer(&request.headers, &json!({"count": list.len(), "list": list}), seen.index))
}

pub async fn own(State(publisher): State<Address<Publisher>>, request: Request) -> Result<Response, ApiError> {
    let asker = request.asker(OWN)?;
    let seen = flat(publisher.ask(GetOrganization { asker }).await)?;
    Ok(read_answer(&request.headers, &write_information(seen.value.as_ref()), seen.index))
}
