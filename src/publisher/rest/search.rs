//! `/search`: APIs, products and documents at once.

use axum::extract::State;
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::contract::search::{write_api, write_document};
use portcullis_http::{ApiError, List, PageQuery, percent};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::dto::api_body::{kept_fields, provider_of};
use crate::messages::{FindAll, Found};

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage", "apim:api_import_export", "apim:api_product_import_export"];

#[derive(Deserialize)]
pub struct SearchQuery {
    query: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

fn write(found: &Found) -> Value {
    match found {
        Found::Document { api, document } => write_document(document, api, &provider_of(api)),
        Found::Api { api, has_thumbnail } => {
            let others = kept_fields(api);
            let business = others.get("businessInformation").cloned().unwrap_or_default();
            let more = json!({
                "contextTemplate": portcullis_model::api::versioned_context(&api.context, "{version}"),
                "hasThumbnail": has_thumbnail,
                "advertiseOnly": others.get("advertiseInfo").is_some_and(|info| info["advertised"] == json!(true)),
                "businessOwner": business.get("businessOwner"),
                "businessOwnerEmail": business.get("businessOwnerEmail"),
                "TechnicalOwner": business.get("technicalOwner"),
                "TechnicalOwnerEmail": business.get("technicalOwnerEmail"),
            });
            write_api(api, &provider_of(api), *has_thumbnail, more)
        }
    }
}

pub async fn find(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<SearchQuery>,
) -> Result<Response, ApiError> {
    let (asker, page) = (request.list_asker(VIEW)?, query.page.page()?);
    let text = query.query.unwrap_or_default();
    let tail = if text.is_empty() { String::new() } else { format!("query={}", percent::encoded(&text)) };
    let found = flat(publisher.ask(FindAll { asker, query: text, page }).await)?;
    let shown = found.value.page.iter().map(write).collect();
    let list = List::part(shown, found.value.total, page).with_links("/search", &tail);
    Ok(read_answer(&request.headers, &json!(list), found.index))
}
