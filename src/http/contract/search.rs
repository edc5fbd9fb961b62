//! Results of a search among APIs, products and documents, in the contracts of the Publisher and of the Store.

use portcullis_model::{Api, ApiKind, Document};
use serde_json::{Map, Value, json};

/// Writes an API or a product that was found; what only one of the contracts has is `more`.
#[must_use]
pub fn write_api(api: &Api, provider: &str, has_thumbnail: bool, more: Value) -> Value {
    let others: Map<String, Value> = serde_json::from_str(&api.other_fields).unwrap_or_default();
    let is_product = api.kind == ApiKind::Product;
    let mut body = json!({
        "id": api.id.to_string(),
        "name": api.name,
        "type": if is_product { "APIProduct" } else { "API" },
        "transportType": if is_product { ApiKind::Http.as_contract() } else { api.kind.as_contract() },
        "description": api.description,
        "context": api.context,
        "version": api.version,
        "provider": provider,
        "status": api.lifecycle.as_contract(),
        "thumbnailUri": has_thumbnail.then(|| format!("/apis/{}/thumbnail", api.id)),
        "monetizedInfo": others.get("monetization").is_some_and(|info| info["enabled"] == json!(true)),
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// Writes a document that was found.
#[must_use]
pub fn write_document(document: &Document, api: &Api, provider: &str) -> Value {
    json!({
        "id": document.id.to_string(),
        "name": document.name,
        "type": "DOC",
        "transportType": null,
        "docType": document.kind.as_contract(),
        "summary": document.summary,
        "sourceType": document.source.as_contract(),
        "sourceUrl": document.source_url,
        "otherTypeName": document.other_kind,
        "visibility": document.visibility.as_contract(),
        "apiName": api.name,
        "apiVersion": api.version,
        "apiProvider": provider,
        "apiUUID": api.id.to_string(),
        "associatedType": if api.kind == ApiKind::Product { "APIProduct" } else { "API" },
    })
}
