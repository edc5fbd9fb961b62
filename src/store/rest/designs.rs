//! `/apis/{apiId}/graphql-schema`, `/graphql-policies/complexity`, `/async-api-specification`, `/topics` and `/wsdl`: open to
//! anybody, show what the visitor may see.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::contract::content;
use portcullis_http::contract::wsdl::Kept;
use portcullis_http::{ApiError, Stamped};
use portcullis_model::Content;
use serde::Deserialize;

use super::Face;
use super::answer::found;
use super::query::{Query, id};
use crate::messages::{GetAsyncapi, GetFieldCosts, GetSchema, GetWsdl, ListSchemaTypes, ListTopics, Visitor};

pub(super) async fn schema(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    let Stamped { body, index, .. } = face.ask(GetSchema { visitor, api }).await?;
    let schema = Content { media_type: "text/plain; charset=utf-8".to_owned(), bytes: body.as_bytes().to_vec() };
    Ok(content::write(&headers, &schema, None, index))
}

pub(super) async fn costs(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    found(&headers, face.ask(GetFieldCosts { visitor, api }).await?)
}

pub(super) async fn types(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    found(&headers, face.ask(ListSchemaTypes { visitor, api }).await?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlaceQuery {
    environment_name: Option<String>,
}

pub(super) async fn asyncapi(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    Query(query): Query<PlaceQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    let environment = query.environment_name.filter(|name| !name.is_empty());
    found(&headers, face.ask(GetAsyncapi { visitor, api, environment }).await?)
}

pub(super) async fn topics(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    found(&headers, face.ask(ListTopics { visitor, api }).await?)
}

pub(super) async fn wsdl(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    Query(query): Query<PlaceQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    let environment = query.environment_name.filter(|name| !name.is_empty());
    let Stamped { body, index, .. } = face.ask(GetWsdl { visitor, api, environment }).await?;
    Ok(write_wsdl(&headers, body, index))
}

/// Answers with a WSDL, or an archive with it.
pub(crate) fn write_wsdl(headers: &HeaderMap, kept: Kept, index: u64) -> Response {
    let (media_type, bytes, name) = match kept {
        Kept::Document(text) => ("application/wsdl+xml", text.into_bytes(), "service.wsdl"),
        Kept::Archive(bytes) => ("application/zip", bytes, "service.zip"),
    };
    let content = Content { media_type: media_type.to_owned(), bytes };
    content::write(headers, &content, Some(name), index)
}
