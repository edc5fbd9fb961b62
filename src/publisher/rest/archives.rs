//! `/apis/export`, `/apis/import`, and the same of `/api-products`: archives of the original's command-line client.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::ACCEPT;
use portcullis_actor::Address;
use portcullis_http::{ApiError, MultipartForm, Stamped, percent};
use serde::Deserialize;
use serde_json::json;

use super::answer::{self, flat};
use super::apis::VIEW;
use super::request::{Params, Request, flag, required};
use crate::actor::Publisher;
use crate::archive::ArchiveFormat;
use crate::messages::{ExportApi, ExportProduct, ImportApi, ImportProduct, ImportedApi, ListRevisions, Seen};

const EXPORT: &[&str] =
    &["apim:api_view", "apim:api_publish", "apim:api_create", "apim:api_import_export", "apim:api_manage"];
const IMPORT: &[&str] = &["apim:api_import_export", "apim:admin"];
const EXPORT_PRODUCT: &[&str] = &["apim:api_view", "apim:api_product_import_export"];
const IMPORT_PRODUCT: &[&str] = &["apim:api_product_import_export"];

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
    let format = format_of(query.format.as_deref())?;
    let keeps_status = query.preserve_status.is_none() || flag("preserveStatus", query.preserve_status.as_deref())?;
    let is_latest_revision = flag("latestRevision", query.latest_revision.as_deref())?;
    // More tokens may export an API than may read it.
    let shows_secrets = asker.identity.has_any(VIEW);
    let message = ExportApi { asker, id, name, version, format, keeps_status, is_latest_revision, shows_secrets };
    let found = flat(publisher.ask(message).await)?;
    Ok(saved_as(found))
}

fn format_of(text: Option<&str>) -> Result<ArchiveFormat, ApiError> {
    match text.map(str::to_ascii_uppercase).as_deref() {
        None | Some("" | "YAML") => Ok(ArchiveFormat::Yaml),
        Some("JSON") => Ok(ArchiveFormat::Json),
        Some(other) => Err(ApiError::bad_request(format!("format: must be YAML or JSON, not `{other}`"))),
    }
}

fn saved_as(found: Seen<(String, Vec<u8>)>) -> Response {
    let (file, archive) = found.value;
    let named = format!("attachment; filename*=UTF-8''{}", percent::encoded(&file));
    answer::archive(archive, &named, found.index)
}

/// Adds to a sentence which files of an archive were not read, where there are such.
fn with_left_out(done: &str, left_out: &[String]) -> String {
    if left_out.is_empty() { done.to_owned() } else { format!("{done}; not read: {}", left_out.join(", ")) }
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
    let wants_json =
        request.headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"));
    let ImportedApi { view, left_out } = &done.value;
    let body = match view {
        Some(view) if wants_json => {
            let (id, revision) = (view.api.id.to_string(), view.api.revisions_made);
            axum::Json(json!({"id": id, "revision": revision, "leftOut": left_out})).into_response()
        }
        None if wants_json => axum::Json(json!({"leftOut": left_out})).into_response(),
        Some(_) => with_left_out("API Imported Successfully", left_out).into_response(),
        None => with_left_out("The archive can be read; nothing was imported (dryRun)", left_out).into_response(),
    };
    Ok(Stamped { body: (StatusCode::OK, body).into_response(), index: done.index, unreached: done.unreached }
        .into_response())
}

pub async fn export_product(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ExportQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(EXPORT_PRODUCT)?;
    let number = query.revision_number.filter(|number| !number.is_empty());
    let revision = number.map(|number| number.parse().map_err(|_| ApiError::not_found("revision", &number)));
    let message = ExportProduct {
        asker,
        name: required("name", query.name)?,
        version: required("version", query.version)?,
        revision: revision.transpose()?,
        format: format_of(query.format.as_deref())?,
        keeps_status: query.preserve_status.is_none() || flag("preserveStatus", query.preserve_status.as_deref())?,
        is_latest_revision: flag("latestRevision", query.latest_revision.as_deref())?,
    };
    Ok(saved_as(flat(publisher.ask(message).await)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportProductQuery {
    preserve_provider: Option<String>,
    rotate_revision: Option<String>,
    #[serde(rename = "importAPIs")]
    import_apis: Option<String>,
    #[serde(rename = "overwriteAPIProduct")]
    overwrite_product: Option<String>,
    #[serde(rename = "overwriteAPIs")]
    overwrite_apis: Option<String>,
}

pub async fn import_product(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ImportProductQuery>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let message = ImportProduct {
        asker: request.asker(IMPORT_PRODUCT)?,
        archive: form.part("file")?.bytes.to_vec(),
        overwrites: flag("overwriteAPIProduct", query.overwrite_product.as_deref())?,
        rotates_revisions: flag("rotateRevision", query.rotate_revision.as_deref())?,
        keeps_provider: query.preserve_provider.is_none()
            || flag("preserveProvider", query.preserve_provider.as_deref())?,
        imports_apis: flag("importAPIs", query.import_apis.as_deref())?,
        overwrites_apis: flag("overwriteAPIs", query.overwrite_apis.as_deref())?,
    };
    let done = flat(publisher.ask(message).await)?;
    let body = with_left_out("API Product imported successfully.", &done.value);
    Ok(Stamped { body, index: done.index, unreached: done.unreached }.into_response())
}
