//! `/applications/export` and `/applications/import`: archives of the original's command-line client.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_http::{ApiError, MultipartForm, Stamped, percent};
use portcullis_model::Username;
use serde::Deserialize;
use serde_json::json;

use super::Face;
use super::query::{Query, word};
use super::visitor::MayMoveApplications;
use crate::messages::{ExportApplication, ImportApplication};

const NO_AND_YES: [(&str, bool); 2] = [("false", false), ("true", true)];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportQuery {
    app_name: Option<String>,
    app_owner: Option<String>,
    with_keys: Option<String>,
    format: Option<String>,
}

fn required(name: &str, value: Option<String>) -> Result<String, ApiError> {
    let value = value.filter(|value| !value.is_empty());
    value.ok_or_else(|| ApiError::bad_request(format!("the query parameter {name} must be there")))
}

pub(super) async fn export(
    State(face): State<Face>,
    MayMoveApplications(subscriber): MayMoveApplications,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    let owner = required("appOwner", query.app_owner)?;
    let domain = format!("@{}", subscriber.principal.tenant);
    let export = ExportApplication {
        name: required("appName", query.app_name)?,
        owner: Username(owner.strip_suffix(&domain).unwrap_or(&owner).to_owned()),
        has_keys: word("withKeys", query.with_keys.as_deref(), &NO_AND_YES)?,
        is_json: word("format", query.format.as_deref(), &[("YAML", false), ("JSON", true)])?,
        subscriber,
    };
    let Stamped { body: (name, archive), index, unreached } = face.ask(export).await?;
    let named = format!("attachment; filename*=UTF-8''{}", percent::encoded(&name));
    let mut body = ([(CONTENT_TYPE, HeaderValue::from_static("application/zip"))], archive).into_response();
    body.headers_mut().extend(HeaderValue::from_str(&named).ok().map(|named| (CONTENT_DISPOSITION, named)));
    Ok(Stamped { body, index, unreached }.into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportQuery {
    preserve_owner: Option<String>,
    skip_subscriptions: Option<String>,
    app_owner: Option<String>,
    skip_application_keys: Option<String>,
    update: Option<String>,
    ignore_tier: Option<String>,
}

pub(super) async fn import(
    State(face): State<Face>,
    MayMoveApplications(subscriber): MayMoveApplications,
    Query(query): Query<ImportQuery>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let flag = |name: &str, value: &Option<String>| word(name, value.as_deref(), &NO_AND_YES);
    let import = ImportApplication {
        subscriber,
        archive: form.part("file")?.bytes.to_vec(),
        owner: query.app_owner.clone().filter(|owner| !owner.is_empty()).map(Username),
        keeps_owner: flag("preserveOwner", &query.preserve_owner)?,
        skips_subscriptions: flag("skipSubscriptions", &query.skip_subscriptions)?,
        skips_keys: flag("skipApplicationKeys", &query.skip_application_keys)?,
        updates: flag("update", &query.update)?,
        ignores_plans: flag("ignoreTier", &query.ignore_tier)?,
    };
    let Stamped { body: imported, index, unreached } = face.ask(import).await?;
    // Where some APIs could not be subscribed to, the contract answers with those.
    let body = if imported.skipped.is_empty() && imported.remark.is_none() {
        Json(imported.application).into_response()
    } else {
        let mut list = json!({"count": imported.skipped.len(), "list": imported.skipped});
        if let Some(remark) = imported.remark {
            list["message"] = remark.into();
            list["application"] = json!(imported.application);
        }
        (StatusCode::MULTI_STATUS, Json(list)).into_response()
    };
    Ok(Stamped { body, index, unreached }.into_response())
}
