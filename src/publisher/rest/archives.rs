//! `/apis/export` and `/apis/import`: archives of the original's command-line client.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::ACCEPT;
use portcullis_actor::Address;
use portcullis_http::{ApiError, MultipartForm, Stamped, percent};
use serde::Deserialize;
use serde_json::json;

use super::answer::{self, flat};
use super::request::{Params, Request, flag, required};
use crate::actor::Publisher;
use crate::archive::ArchiveFormat;
use crate::messages::{ExportApi, ImportApi, ListRevisions};

const EXPORT: &[&str] =
    &["apim:api_view", "apim:api_publish", "apim:api_create", "apim:api_import_export", "apim:api_manage"];
const IMPORT: &[&str] = &["apim:api_import_export", "apim:admin"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportQuery {
    api_id: Option<String>,
    name: Option<String>,
    version: Option<String>,
    revision_number: Option<String>,
    format: Option<String>,
    preserve_status: Option<String>,
    latest_revision: Option<String>,
}

pub async fn export(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ExportQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(EXPORT)?;
    let mut id = query.api_id.filter(|id| !id.is_empty());
    let (mut name, mut version) = (String::new(), String::new());
    if id.is_none() {
        (name, version) = (required("name", query.name)?, required("version", query.version)?);
    }
    if let (Some(api), Some(number)) = (&id, query.revision_number.as_ref().filter(|number| !number.is_empty())) {
        let all = flat(publisher.ask(ListRevisions { asker: asker.clone(), id: api.clone() }).await)?.value;
        let found = all.iter().find(|revision| revision.number.to_string() == *number);
        id = Some(found.ok_or_else(|| ApiError::not_found("revision", number))?.id.to_string());
    }
    let format = match query.format.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("" | "YAML") => ArchiveFormat::Yaml,
        Some("JSON") => ArchiveFormat::Json,
        Some(other) => return Err(ApiError::bad_request(format!("format: must be YAML or JSON, not `{other}`"))),
    };
    let keeps_status = query.preserve_status.is_none() || flag("preserveStatus", query.preserve_status.as_deref())?;
    let is_latest_revision = flag("latestRevision", query.latest_revision.as_deref())?;
    let message = ExportApi { asker, id, name, version, format, keeps_status, is_latest_revision };
    let found = flat(publisher.ask(message).await)?;
    let (file, archive) = found.value;
    let named = format!("attachment; filename*=UTF-8''{}", percent::encoded(&file));
    Ok(answer::archive(archive, &named, found.index))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportQuery {
    preserve_provider: Option<String>,
    rotate_revision: Option<String>,
    overwrite: Option<String>,
    dry_run: Option<String>,
}

pub async fn import(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ImportQuery>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let is_dry_run = flag("dryRun", query.dry_run.as_deref())?;
    let message = ImportApi {
        asker: request.asker(IMPORT)?,
        archive: form.part("file")?.bytes.to_vec(),
        overwrites: flag("overwrite", query.overwrite.as_deref())?,
        rotates_revisions: flag("rotateRevision", query.rotate_revision.as_deref())?,
        keeps_provider: query.preserve_provider.is_none()
            || flag("preserveProvider", query.preserve_provider.as_deref())?,
        is_dry_run,
    };
    let done = flat(publisher.ask(message).await)?;
    let wants_json = request.headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes() == b"application/json");
    let body = match &done.value {
        Some(view) if wants_json => {
            axum::Json(json!({"id": view.api.id.to_string(), "revision": view.api.revisions_made})).into_response()
        }
        Some(_) => "API Imported Successfully".into_response(),
        None => "The archive can be read; nothing was imported (dryRun)".into_response(),
    };
    Ok(Stamped { body: (StatusCode::OK, body).into_response(), index: done.index, unreached: done.unreached }
        .into_response())
}
