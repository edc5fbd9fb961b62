//! `/apis/validate-wsdl`, `/apis/import-wsdl`, `/apis/{apiId}/wsdl` and `/apis/{apiId}/wsdl-info`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_DISPOSITION;
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_http::{ApiError, MultipartForm};
use serde_json::{Value, json};

use super::answer::{flat, insisted_on, read as read_answer, read_bytes, wrote, wrote_api};
use super::definitions::CREATE;
use super::request::Request;
use crate::actor::Publisher;
use crate::design::wsdl::{self, Kept, Wsdl};
use crate::design::{Design, soap_to_rest};
use crate::fault::{DEFINITION_UNREADABLE, FieldFault, PublisherError};
use crate::messages::{ApiView, Asker, GetApi, ImportDesign, PutDesign};
use crate::openapi;
use crate::openapi::fetch::fetch;
use crate::registry::properties;

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage"];

async fn read(bytes: Vec<u8>) -> Result<(Design, Wsdl), PublisherError> {
    openapi::aside(move || wsdl::read(&bytes)).await?
}

/// Returns the one document, or archive, that a form holds: `file`, or what is at the address `url`.
async fn document_of(asker: &Asker, form: &MultipartForm) -> Result<Vec<u8>, ApiError> {
    let given = |name: &str| form.fields.get(name).is_some_and(|part| !part.bytes.is_empty());
    match (given("file"), given("url")) {
        (true, false) => Ok(form.part("file")?.bytes.to_vec()),
        (false, true) => {
            let url = form.part("url")?.text("url")?;
            fetch(&asker.identity.principal.tenant, "url", url).await.map(String::into_bytes)
        }
        (false, false) => Err(ApiError::bad_request("the form must have a part `file` or `url`")),
        (true, true) => Err(ApiError::bad_request("send one of `file` and `url`, not both")),
    }
}

/// Says whether a document or archive could be imported.
pub async fn validate(request: Request, form: MultipartForm) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let bytes = document_of(&asker, &form).await?;
    let body = match read(bytes).await {
        Ok((_, wsdl)) => {
            let one = |(name, location): &(String, String)| json!({"name": name, "location": location});
            let endpoints: Vec<Value> = wsdl.endpoints.iter().map(one).collect();
            json!({"isValid": true, "errors": [], "wsdlInfo": {"version": wsdl.version, "endpoints": endpoints}})
        }
        Err(PublisherError::Definition(faults)) => invalid(&faults),
        Err(error) => return Err(error.into()),
    };
    Ok(Json(body).into_response())
}

fn invalid(faults: &[FieldFault]) -> Value {
    let one = |fault: &FieldFault| {
        json!({
            "code": DEFINITION_UNREADABLE.to_string(),
            "message": "Error while parsing WSDL definition",
            "description": fault.text(),
        })
    };
    json!({"isValid": false, "errors": faults.iter().map(one).collect::<Vec<_>>(), "wsdlInfo": null})
}

pub async fn import(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let becomes_rest = match form.text("implementationType")? {
        None | Some("" | "SOAP") => false,
        Some("SOAPTOREST") => true,
        Some(other) => {
            let reason = format!("implementationType: is {other}; SOAP and SOAPTOREST are accepted");
            return Err(ApiError::bad_request(reason));
        }
    };
    let bytes = document_of(&asker, &form).await?;
    let fields = properties(form.text("additionalProperties")?)?;
    let (mut design, wsdl) = read(bytes).await?;
    if becomes_rest {
        design = openapi::aside(move || soap_to_rest::design(&design.text, &wsdl, design.fields)).await??;
    }
    let written = flat(publisher.ask(ImportDesign { asker, design, fields }).await)?;
    Ok(wrote_api(StatusCode::CREATED, &written))
}

fn kept(view: &ApiView) -> Result<Kept, ApiError> {
    let kept = (view.api.kind == portcullis_model::ApiKind::Soap).then(|| wsdl::kept(&view.definition)).flatten();
    kept.ok_or_else(|| ApiError::not_found("WSDL of API", view.api.id))
}

pub async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(GetApi { asker, id }).await)?;
    let (bytes, media_type, end) = match kept(&seen.value)? {
        Kept::Document(text) => (text.into_bytes(), "application/wsdl+xml", "wsdl"),
        Kept::Archive(bytes) => (bytes, "application/zip", "zip"),
    };
    let mut response = read_bytes(&request.headers, bytes, media_type, seen.index);
    let api = &seen.value.api;
    let named = format!("attachment; filename=\"{}-{}.{end}\"", api.name, api.version);
    response.headers_mut().extend(HeaderValue::from_str(&named).ok().map(|named| (CONTENT_DISPOSITION, named)));
    Ok(response)
}

pub async fn info(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(GetApi { asker, id }).await)?;
    Ok(read_answer(&request.headers, &json!({"type": type_of(&kept(&seen.value)?)}), seen.index))
}

fn type_of(kept: &Kept) -> &'static str {
    match kept {
        Kept::Document(_) => "WSDL",
        Kept::Archive(_) => "ZIP",
    }
}

pub async fn replace(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let bytes = document_of(&asker, &form).await?;
    let insisted = insisted_on(&publisher, &asker, &request.headers, &id).await?;
    let expected = insisted.map(|view| view.api.updated_at);
    let (design, _) = read(bytes).await?;
    let written = flat(publisher.ask(PutDesign { asker, id, design, expected }).await)?;
    let body = json!({"type": type_of(&kept(&written.value)?)});
    Ok(wrote(StatusCode::OK, &written, body))
}
