//! `/endpoint-certificates`: by what backends are trusted beside what the system trusts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_database::handle::wall_clock;
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, List, MultipartForm, Stamped, percent};
use portcullis_model::endpoint_trust::EndpointCertificate;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer, wrote};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::dto::certificate;
use crate::messages::{
    DeleteEndpointCertificate, ListEndpointCertificates, ListEndpointUsers, PutEndpointCertificate, Seen, Written,
};

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage", "apim:ep_certificates_view", "apim:ep_certificates_manage"];
const ADD: &[&str] = &["apim:api_create", "apim:api_manage", "apim:ep_certificates_add", "apim:ep_certificates_manage"];
const UPDATE: &[&str] =
    &["apim:api_create", "apim:api_manage", "apim:ep_certificates_update", "apim:ep_certificates_manage"];

#[derive(Deserialize)]
pub struct ListQuery {
    alias: Option<String>,
    endpoint: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

fn metadata(one: &EndpointCertificate) -> Value {
    json!({"alias": one.alias, "endpoint": one.endpoint})
}

async fn one(
    publisher: &Address<Publisher>,
    request: &Request,
    alias: &str,
) -> Result<Seen<Arc<EndpointCertificate>>, ApiError> {
    let asker = request.asker(VIEW)?;
    let Seen { value, index } = flat(publisher.ask(ListEndpointCertificates { asker }).await)?;
    let found = value.into_iter().find(|one| one.alias == alias);
    let value = found.ok_or_else(|| ApiError::not_found("endpoint certificate", alias))?;
    Ok(Seen { value, index })
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let (asker, page) = (request.list_asker(VIEW)?, query.page.page()?);
    let mut seen = flat(publisher.ask(ListEndpointCertificates { asker }).await)?;
    let asked = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (alias, endpoint) = (asked(query.alias), asked(query.endpoint));
    seen.value.retain(|one| alias.as_ref().is_none_or(|alias| one.alias == *alias));
    seen.value.retain(|one| endpoint.as_ref().is_none_or(|endpoint| one.endpoint == *endpoint));
    let total = seen.value.len();
    let shown: Vec<Value> = seen.value.iter().skip(page.offset).take(page.limit).map(|one| metadata(one)).collect();
    let mut tail = url::form_urlencoded::Serializer::new(String::new());
    for (name, asked) in [("alias", &alias), ("endpoint", &endpoint)] {
        tail.extend_pairs(asked.iter().map(|text| (name, text)));
    }
    let tail = tail.finish();
    let List { count, list, pagination } = List::part(shown, total, page).with_links("/endpoint-certificates", &tail);
    let body = json!({"count": count, "certificates": list, "pagination": pagination});
    Ok(read_answer(&request.headers, &body, seen.index))
}

pub async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(alias): Path<String>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, &alias).await?;
    let body = certificate::information(&seen.value.certificate, wall_clock());
    Ok(read_answer(&request.headers, &body, seen.index))
}

pub async fn content(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(alias): Path<String>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, &alias).await?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"certificate.crt\"")),
    ];
    Ok((headers, certificate::pem(&seen.value.certificate)).into_response())
}

pub async fn usage(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(alias): Path<String>,
    Params(page): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let (asker, page) = (request.list_asker(VIEW)?, page.page()?);
    let seen = flat(publisher.ask(ListEndpointUsers { asker, alias: alias.clone() }).await)?;
    let all = seen.value.iter().map(|api| {
        json!({
            "id": api.id.to_string(),
            "name": api.name,
            "context": api.context,
            "version": api.version,
            "provider": api.provider.0,
        })
    });
    let link = format!("/endpoint-certificates/{}/usage", percent::encoded(&alias));
    let list = List::of(all.collect(), page).with_links(&link, "");
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

fn put(written: &Written<Arc<EndpointCertificate>>) -> Response {
    let mut response = wrote(StatusCode::OK, written, metadata(&written.value));
    let location = format!("/api/am/publisher/v4/endpoint-certificates/{}", percent::encoded(&written.value.alias));
    response.headers_mut().extend(HeaderValue::from_str(&location).ok().map(|location| (LOCATION, location)));
    response
}

pub async fn add(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let message = PutEndpointCertificate {
        asker: request.asker(ADD)?,
        alias: form.part("alias")?.text("alias")?.trim().to_owned(),
        endpoint: Some(form.part("endpoint")?.text("endpoint")?.to_owned()),
        certificate: form.part("certificate")?.bytes.to_vec(),
    };
    Ok(put(&flat(publisher.ask(message).await)?))
}

pub async fn update(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(alias): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let (asker, certificate) = (request.asker(UPDATE)?, form.part("certificate")?.bytes.to_vec());
    Ok(put(&flat(publisher.ask(PutEndpointCertificate { asker, alias, endpoint: None, certificate }).await)?))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(alias): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(UPDATE)?;
    let written = flat(publisher.ask(DeleteEndpointCertificate { asker, alias }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: written.index, unreached: written.unreached }.into_response())
}
