//! `/apis/{apiId}/client-certs/{keyType}`, and the contract's older `/apis/{apiId}/client-certificates`, which means
//! those for production.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_database::handle::wall_clock;
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, MultipartForm, Stamped};
use portcullis_model::KeyType;
use portcullis_model::client_certificate::ClientCertificate;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer, wrote};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::dto::certificate;
use crate::messages::{DeleteClientCertificate, ListClientCertificates, PutClientCertificate, Seen};

const VIEW: &[&str] =
    &["apim:api_view", "apim:api_manage", "apim:client_certificates_view", "apim:client_certificates_manage"];
const ADD: &[&str] =
    &["apim:api_create", "apim:api_manage", "apim:client_certificates_add", "apim:client_certificates_manage"];
const UPDATE: &[&str] =
    &["apim:api_create", "apim:api_manage", "apim:client_certificates_update", "apim:client_certificates_manage"];

/// The part of a path below an API that names certificates: a key type, or nothing, and an alias, or nothing.
#[derive(Deserialize)]
pub struct Named {
    #[serde(rename = "apiId")]
    id: String,
    #[serde(rename = "keyType")]
    key_type: Option<String>,
    alias: Option<String>,
}

impl Named {
    fn key_type(&self) -> Result<KeyType, ApiError> {
        match self.key_type.as_deref() {
            None => Ok(KeyType::Production),
            Some(text) => text
                .to_ascii_uppercase()
                .parse()
                .map_err(|_| ApiError::bad_request(format!("keyType: must be PRODUCTION or SANDBOX, not {text}"))),
        }
    }

    fn alias(&self) -> String {
        self.alias.clone().unwrap_or_default()
    }
}

#[derive(Deserialize)]
pub struct ListQuery {
    alias: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn all(
    publisher: &Address<Publisher>,
    request: &Request,
    named: &Named,
) -> Result<Seen<Vec<Arc<ClientCertificate>>>, ApiError> {
    let (asker, key_type) = (request.asker(VIEW)?, named.key_type()?);
    let mut seen = flat(publisher.ask(ListClientCertificates { asker, id: named.id.clone() }).await)?;
    seen.value.retain(|one| one.key_type == key_type);
    Ok(seen)
}

async fn one(
    publisher: &Address<Publisher>,
    request: &Request,
    named: &Named,
) -> Result<Seen<Arc<ClientCertificate>>, ApiError> {
    let Seen { value, index } = all(publisher, request, named).await?;
    let alias = named.alias();
    let found = value.into_iter().find(|one| one.alias == alias);
    let value = found.ok_or_else(|| ApiError::not_found("client certificate", &alias))?;
    Ok(Seen { value, index })
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let page = query.page.page()?;
    let mut seen = all(&publisher, &request, &named).await?;
    if let Some(alias) = query.alias.filter(|alias| !alias.is_empty()) {
        seen.value.retain(|one| one.alias == alias);
    }
    let total = seen.value.len();
    let list: Vec<Value> =
        seen.value.iter().skip(page.offset).take(page.limit).map(|one| certificate::metadata(one)).collect();
    let body = json!({
        "count": list.len(),
        "certificates": list,
        "pagination": { "offset": page.offset, "limit": page.limit, "total": total, "next": "", "previous": "" },
    });
    Ok(read_answer(&request.headers, &body, seen.index))
}

pub async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, &named).await?;
    Ok(read_answer(&request.headers, &certificate::information(&seen.value.certificate, wall_clock()), seen.index))
}

pub async fn content(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, &named).await?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"certificate.crt\"")),
    ];
    Ok((headers, certificate::pem(&seen.value.certificate)).into_response())
}

pub async fn add(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let (asker, key_type) = (request.asker(ADD)?, named.key_type()?);
    let message = PutClientCertificate {
        asker,
        id: named.id,
        alias: form.part("alias")?.text("alias")?.trim().to_owned(),
        key_type,
        plan: Some(form.part("tier")?.text("tier")?.trim().to_owned()),
        certificate: Some(form.part("certificate")?.bytes.to_vec()),
        is_new: true,
    };
    let written = flat(publisher.ask(message).await)?;
    let mut response = wrote(StatusCode::OK, &written, certificate::metadata(&written.value));
    let one = &written.value;
    let location =
        format!("/api/am/publisher/v4/apis/{}/client-certs/{}/{}", one.api, one.key_type.as_contract(), one.alias);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub async fn update(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let (asker, key_type) = (request.asker(UPDATE)?, named.key_type()?);
    let given = form.fields.get("certificate").filter(|part| !part.bytes.is_empty());
    let plan = form.text("tier")?.map(str::trim).filter(|plan| !plan.is_empty()).map(str::to_owned);
    if given.is_none() && plan.is_none() {
        return Err(ApiError::bad_request("the form must have a part `certificate` or `tier`"));
    }
    let certificate = given.map(|part| part.bytes.to_vec());
    let alias = named.alias();
    let message = PutClientCertificate { asker, id: named.id, alias, key_type, plan, certificate, is_new: false };
    let written = flat(publisher.ask(message).await)?;
    Ok(wrote(StatusCode::OK, &written, certificate::metadata(&written.value)))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
) -> Result<Response, ApiError> {
    let (asker, key_type, alias) = (request.asker(UPDATE)?, named.key_type()?, named.alias());
    let written = flat(publisher.ask(DeleteClientCertificate { asker, id: named.id, alias, key_type }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: written.index, unreached: written.unreached }.into_response())
}
