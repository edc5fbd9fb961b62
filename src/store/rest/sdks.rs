//! `/sdk-gen/languages` and `/apis/{apiId}/sdks/{language}`: clients of APIs, written from their definitions.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use portcullis_http::{ApiError, Stamped, percent};

use super::Face;
use super::query::id;
use super::visitor::MaySubscribe;
use crate::messages::{GetSdk, Visitor};
use crate::sdk::Language;

pub(super) async fn languages(MaySubscribe(_): MaySubscribe) -> Json<Vec<&'static str>> {
    Json(Language::ALL.iter().map(|(name, _)| *name).collect())
}

pub(super) async fn sdk(
    State(face): State<Face>,
    MaySubscribe(_): MaySubscribe,
    visitor: Visitor,
    Path((api, language)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    let language = Language::named(&language).ok_or_else(|| {
        let names: Vec<&str> = Language::ALL.iter().map(|(name, _)| *name).collect();
        ApiError::bad_request(format!("language: must be one of {}, not `{language}`", names.join(", ")))
    })?;
    let Stamped { body: (name, archive), index, unreached } = face.ask(GetSdk { visitor, api, language }).await?;
    let named = format!("attachment; filename*=UTF-8''{}", percent::encoded(&name));
    let mut body = ([(CONTENT_TYPE, HeaderValue::from_static("application/zip"))], archive).into_response();
    body.headers_mut().extend(HeaderValue::from_str(&named).ok().map(|named| (CONTENT_DISPOSITION, named)));
    Ok(Stamped { body, index, unreached }.into_response())
}
