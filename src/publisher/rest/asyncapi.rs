//! `/apis/validate-asyncapi`, `/apis/import-asyncapi`, `/apis/{apiId}/asyncapi` and `/apis/{apiId}/topics`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body, MultipartForm};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{flat, insisted_on, read as read_answer, wrote, wrote_api};
use super::definitions::{CREATE, VIEW, document_of};
use super::request::{Params, Request, flag};
use crate::actor::Publisher;
use crate::design::{Design, Language, asyncapi};
use crate::fault::{DEFINITION_UNREADABLE, FieldFault, PublisherError};
use crate::messages::{ApiView, GetApi, ImportDesign, PutDesign, PutTopics};
use crate::openapi;
use crate::openapi::document::parse_text;
use crate::registry::properties;

const PUT_TOPICS: &[&str] = &["apim:api_create", "apim:api_manage", "apim:api_import_export"];

async fn read(text: String) -> Result<(Design, Value), PublisherError> {
    openapi::aside(move || asyncapi::read(&text)).await?
}

#[derive(Deserialize)]
pub struct ValidateQuery {
    #[serde(rename = "returnContent")]
    return_content: Option<String>,
}

/// Says whether a document could be imported.
pub async fn validate(
    request: Request,
    Params(query): Params<ValidateQuery>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let returns_content = flag("returnContent", query.return_content.as_deref())?;
    let text = document_of(&asker, &form, "apiDefinition").await?;
    let body = match read(text).await {
        Ok((design, document)) => valid(&design, &document, returns_content),
        Err(PublisherError::Definition(faults)) => invalid(&faults),
        Err(error) => return Err(error.into()),
    };
    Ok(Json(body).into_response())
}

fn valid(design: &Design, document: &Value, returns_content: bool) -> Value {
    let servers = asyncapi::servers(document);
    let endpoints: Vec<&str> = servers.iter().map(|(address, _)| address.as_str()).collect();
    let mut protocols: Vec<&str> = servers.iter().map(|(_, protocol)| protocol.as_str()).collect();
    protocols.dedup();
    json!({
        "isValid": true,
        "content": returns_content.then(|| design.text.to_string()),
        "info": {
            "name": design.fields.get("name"),
            "version": design.fields.get("version"),
            "context": null,
            "description": design.fields.get("description"),
            "asyncAPIVersion": document["asyncapi"],
            "protocol": asyncapi::kind_of(document).map(portcullis_model::ApiKind::as_contract),
            "endpoints": endpoints,
            "gatewayVendor": "wso2",
            "asyncTransportProtocols": protocols,
        },
        "errors": [],
    })
}

fn invalid(faults: &[FieldFault]) -> Value {
    let one = |fault: &FieldFault| {
        json!({
            "code": DEFINITION_UNREADABLE.to_string(),
            "message": "Error while parsing AsyncAPI definition",
            "description": fault.text(),
        })
    };
    json!({"isValid": false, "content": null, "info": null, "errors": faults.iter().map(one).collect::<Vec<_>>()})
}

pub async fn import(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let text = document_of(&asker, &form, "apiDefinition").await?;
    let fields = properties(form.text("additionalProperties")?)?;
    let (design, _) = read(text).await?;
    let written = flat(publisher.ask(ImportDesign { asker, design, fields }).await)?;
    Ok(wrote_api(StatusCode::CREATED, &written))
}

/// Returns the document of an API: as it is kept, or one that says what the API says.
async fn document(view: ApiView) -> Result<Value, ApiError> {
    if Language::Asyncapi.check(view.api.kind).is_err() {
        return Err(ApiError::not_found("AsyncAPI definition of API", view.api.id));
    }
    let written = openapi::aside(move || match Language::of(&view.api, &view.definition) {
        Language::Asyncapi => parse_text(&view.definition),
        _ => Ok(asyncapi::generate(&view.api)),
    });
    Ok(written.await??)
}

pub async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(GetApi { asker, id }).await)?;
    let body = document(seen.value).await?;
    Ok(read_answer(&request.headers, &body, seen.index))
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
    let (design, _) = read(text).await?;
    let written = flat(publisher.ask(PutDesign { asker, id, design, expected }).await)?;
    let body = document(written.value.clone()).await?;
    Ok(wrote(StatusCode::OK, &written, body))
}

pub async fn put_topics(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let asker = request.asker(PUT_TOPICS)?;
    let insisted = insisted_on(&publisher, &asker, &request.headers, &id).await?;
    let expected = insisted.map(|view| view.api.updated_at);
    let written = flat(publisher.ask(PutTopics { asker, id, fields, expected }).await)?;
    Ok(wrote_api(StatusCode::OK, &written))
}
