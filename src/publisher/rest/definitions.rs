//! `/apis/import-openapi`, `/apis/validate-openapi`, `/apis/{apiId}/swagger`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::ACCEPT;
use portcullis_actor::Address;
use portcullis_http::{ApiError, MultipartForm};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{flat, insisted_on, read_bytes, wrote, wrote_api};
use super::request::{Params, Request, flag};
use crate::actor::Publisher;
use crate::design::Language;
use crate::fault::{DEFINITION_UNREADABLE, FieldFault, PublisherError};
use crate::messages::{ApiView, Asker, GetApi, ImportOpenapi, PutDefinition};
use crate::openapi::document::parse_text;
use crate::openapi::fetch::fetch;
use crate::openapi::{self, Document, Extracted, OpenapiVersion};
use crate::registry::pretty;

pub(crate) const CREATE: &[&str] = &["apim:api_create", "apim:api_manage"];
pub(crate) const VIEW: &[&str] = &["apim:api_view", "apim:api_manage", "apim:api_definition_view"];

/// Returns the one document that a form holds: `file`, a text part, or what is at the address `url`.
pub(super) async fn document_of(asker: &Asker, form: &MultipartForm, text_part: &str) -> Result<String, ApiError> {
    let given = |name: &str| form.fields.get(name).is_some_and(|part| !part.bytes.is_empty());
    match (given("file"), given(text_part), given("url")) {
        (true, false, false) => Ok(form.part("file")?.text("file")?.to_owned()),
        (false, true, false) => Ok(form.part(text_part)?.text(text_part)?.to_owned()),
        (false, false, true) => fetch(&asker.identity.principal.tenant, "url", form.part("url")?.text("url")?).await,
        (false, false, false) => {
            Err(ApiError::bad_request(format!("the form must have a part `file`, `{text_part}` or `url`")))
        }
        _ => Err(ApiError::bad_request(format!("send one of `file`, `{text_part}` and `url`, not several"))),
    }
}

pub async fn import(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let text = document_of(&asker, &form, "inlineAPIDefinition").await?;
    let fields: Map<String, Value> = match form.text("additionalProperties")? {
        None | Some("") => Map::new(),
        Some(properties) => serde_json::from_str(properties)
            .map_err(|error| ApiError::bad_request(format!("additionalProperties: must be a JSON object: {error}")))?,
    };
    let written = flat(publisher.ask(ImportOpenapi { asker, text, fields }).await)?;
    Ok(wrote_api(StatusCode::CREATED, &written))
}

#[derive(Deserialize)]
pub struct ValidateQuery {
    #[serde(rename = "returnContent")]
    return_content: Option<String>,
}

/// Says whether a document could be imported. This asks nothing of the state, so no message is needed.
pub async fn validate(
    request: Request,
    Params(query): Params<ValidateQuery>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let returns_content = flag("returnContent", query.return_content.as_deref())?;
    let text = document_of(&asker, &form, "inlineAPIDefinition").await?;
    let body = match openapi::read(text).await {
        Ok((document, extracted)) => valid(&extracted, &document, returns_content),
        Err(PublisherError::Definition(faults)) => invalid(&faults),
        Err(error) => return Err(error.into()),
    };
    Ok(Json(body).into_response())
}

fn valid(extracted: &Extracted, document: &Document, returns_content: bool) -> Value {
    let servers = document.value.get("servers").and_then(Value::as_array).into_iter().flatten();
    let endpoints: Vec<&str> = servers.filter_map(|server| server.get("url")?.as_str()).collect();
    let openapi = match document.version {
        _ if document.was_swagger2 => "2.0",
        OpenapiVersion::V3_0 => document.value["openapi"].as_str().unwrap_or("3.0"),
        OpenapiVersion::V3_1 => document.value["openapi"].as_str().unwrap_or("3.1"),
    };
    json!({
        "isValid": true,
        "content": returns_content.then(|| document.text.to_string()),
        "info": {
            "name": extracted.title,
            "version": extracted.version,
            "context": extracted.fields.get("context"),
            "description": extracted.description,
            "openAPIVersion": openapi,
            "endpoints": endpoints,
        },
        "errors": [],
    })
}

fn invalid(faults: &[FieldFault]) -> Value {
    let errors: Vec<Value> = faults
        .iter()
        .map(|fault| {
            json!({
                "code": DEFINITION_UNREADABLE.to_string(),
                "message": "Error while parsing OpenAPI definition",
                "description": fault.text(),
            })
        })
        .collect();
    json!({"isValid": false, "content": null, "info": null, "errors": errors})
}

/// The definition as JSON, or as its publisher wrote it where the caller asks for YAML.
pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(GetApi { asker, id }).await)?;
    let text = openapi_of(&seen.value);
    let is_json = text.trim_start().starts_with('{');
    let accept = request.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let wants_yaml = accept.contains("yaml") && !accept.contains("json");
    if is_json != wants_yaml {
        let media_type = if is_json { "application/json" } else { "application/yaml" };
        return Ok(read_bytes(&request.headers, text.as_bytes().to_vec(), media_type, seen.index));
    }
    let document = parse_aside(text).await?;
    if wants_yaml {
        let yaml = serde_saphyr::to_string(&document)
            .map_err(|error| ApiError::internal(format!("The definition cannot be written as YAML: {error}.")))?;
        return Ok(read_bytes(&request.headers, yaml.into_bytes(), "application/yaml", seen.index));
    }
    Ok(read_bytes(&request.headers, document.to_string().into_bytes(), "application/json", seen.index))
}

/// Returns an API's OpenAPI document: its definition, or one that says what the API says where that is in another language.
fn openapi_of(view: &ApiView) -> Arc<str> {
    match Language::of(&view.api, &view.definition) {
        Language::Openapi => Arc::clone(&view.definition),
        _ => Arc::from(pretty(&openapi::write::generate(&view.api))),
    }
}

async fn parse_aside(text: Arc<str>) -> Result<Value, ApiError> {
    openapi::aside(move || parse_text(&text)).await.flatten().map_err(ApiError::from)
}

pub async fn replace(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let text = document_of(&asker, &form, "apiDefinition").await?;
    let insisted = insisted_on(&publisher, &asker, &request.headers, &id).await?;
    let expected = insisted.map(|view| view.api.updated_at);
    let written = flat(publisher.ask(PutDefinition { asker, id, text, expected }).await)?;
    let document = parse_aside(Arc::clone(&written.value.definition)).await?;
    Ok(wrote(StatusCode::OK, &written, document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_version_that_is_told_is_that_of_the_document_as_it_was_given() {
        let rest = "info: {title: pizza, version: '1'}\npaths: {/menu: {get: {responses: {'200': {description: x}}}}}";
        for (head, told) in [("swagger: '2.0'", "2.0"), ("openapi: 3.0.2", "3.0.2"), ("openapi: 3.1.0", "3.1.0")] {
            let (document, extracted) = openapi::read(format!("{head}\n{rest}")).await.unwrap();
            assert_eq!(valid(&extracted, &document, false)["info"]["openAPIVersion"], told);
        }
    }
}
