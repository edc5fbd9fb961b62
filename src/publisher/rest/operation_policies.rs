//! `/operation-policies` and `/apis/{apiId}/operation-policies`: the policies that a publisher can apply. Some come with
//! the program; the others are the tenant's own, or an API's.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_http::{ApiError, List, MultipartForm, PageQuery, Stamped, percent};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::mediation::step::KINDS;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{self, flat, read as read_answer, wrote};
use super::request::{Params, Request, required};
use crate::actor::Publisher;
use crate::archive::{self, ArchiveFormat};
use crate::dto::policies;
use crate::messages::{Asker, DeleteAsset, ListAssets, PutAsset, Seen, Written};
use crate::openapi;
use crate::own_policy::{OwnPolicy, Specification, key_of, synapse};

pub(crate) const VIEW: &[&str] = &[
    "apim:common_operation_policy_view",
    "apim:common_operation_policy_manage",
    "apim:policies_import_export",
    "apim:mediation_policy_view",
    "apim:api_view",
];
const VIEW_OF_API: &[&str] = &[
    "apim:api_view",
    "apim:api_manage",
    "apim:mediation_policy_view",
    "apim:mediation_policy_manage",
    "apim:api_mediation_policy_manage",
];
const MANAGE: &[&str] = &["apim:common_operation_policy_manage"];
const DELETE: &[&str] = &["apim:common_operation_policy_manage", "apim:policies_import_export"];
const MANAGE_OF_API: &[&str] = &[
    "apim:api_manage",
    "apim:mediation_policy_create",
    "apim:mediation_policy_manage",
    "apim:api_mediation_policy_manage",
];
const TRANSFER: &[&str] = &["apim:policies_import_export"];
const KIND: AssetKind = AssetKind::OperationPolicy;

/// Which policies are listed.
#[derive(Deserialize)]
pub struct ListQuery {
    /// `name:NAME`, or a part of a name.
    query: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

/// One policy, of whichever origin.
struct Shown {
    body: Value,
    /// Where it is not one that comes with the program.
    asset: Option<Arc<Asset>>,
}

/// Returns the policies that come with the program, and the tenant's own or those of an API.
async fn all(publisher: &Address<Publisher>, asker: Asker, api: Option<String>) -> Result<Seen<Vec<Shown>>, ApiError> {
    let seen = flat(publisher.ask(ListAssets { asker, kind: KIND, api }).await)?;
    let mut shown: Vec<Shown> = KINDS.iter().map(|kind| Shown { body: policies::write(kind), asset: None }).collect();
    shown.extend(seen.value.into_iter().map(|asset| Shown { body: policies::write_own(&asset), asset: Some(asset) }));
    Ok(Seen { value: shown, index: seen.index })
}

async fn list_of(
    publisher: &Address<Publisher>,
    request: &Request,
    asker: Asker,
    query: &ListQuery,
    api: Option<String>,
) -> Result<Response, ApiError> {
    let page = query.page.page()?;
    let wanted = query.query.as_deref().unwrap_or_default().to_lowercase();
    let exact = wanted.strip_prefix("name:");
    let link =
        api.as_ref().map_or_else(|| "/operation-policies".to_owned(), |api| format!("/apis/{api}/operation-policies"));
    let mut seen = all(publisher, asker, api).await?;
    seen.value.retain(|shown| {
        let name = shown.body["name"].as_str().unwrap_or_default().to_lowercase();
        exact.map_or_else(|| name.contains(&wanted), |exact| name == exact)
    });
    let bodies: Vec<Value> = seen.value.into_iter().map(|shown| shown.body).collect();
    let search = query.query.as_deref().map(|query| format!("query={}", percent::encoded(query))).unwrap_or_default();
    Ok(read_answer(&request.headers, &json!(List::of(bodies, page).with_links(&link, &search)), seen.index))
}

async fn found(
    publisher: &Address<Publisher>,
    asker: Asker,
    api: Option<String>,
    id: &str,
) -> Result<Seen<Shown>, ApiError> {
    let seen = all(publisher, asker, api).await?;
    let one = seen.value.into_iter().find(|shown| shown.body["id"] == id);
    let value = one.ok_or_else(|| ApiError::not_found("Operation Policy", id))?;
    Ok(Seen { value, index: seen.index })
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    list_of(&publisher, &request, request.list_asker(VIEW)?, &query, None).await
}

pub async fn list_of_api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    list_of(&publisher, &request, request.list_asker(VIEW_OF_API)?, &query, Some(api)).await
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = found(&publisher, request.asker(VIEW)?, None, &id).await?;
    Ok(read_answer(&request.headers, &seen.value.body, seen.index))
}

pub async fn read_of_api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let seen = found(&publisher, request.asker(VIEW_OF_API)?, Some(api), &id).await?;
    Ok(read_answer(&request.headers, &seen.value.body, seen.index))
}

/// Writes a policy as an archive: its specification, and its definition where it has one.
fn zipped(shown: &Shown, format: ArchiveFormat, index: u64) -> Result<Response, ApiError> {
    let text = |name: &str| shown.body[name].as_str().unwrap_or_default().to_owned();
    let stem = format!("{}_{}", text("name"), text("version"));
    let definition = shown.asset.as_ref().map(|asset| asset.content.clone());
    let archive = archive::policy(&stem, &shown.body, definition, format)?;
    let named = format!("attachment; filename=\"{stem}.zip\"");
    Ok(answer::archive(archive, &named, index))
}

pub async fn content(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = found(&publisher, request.asker(VIEW)?, None, &id).await?;
    zipped(&seen.value, ArchiveFormat::Yaml, seen.index)
}

pub async fn content_of_api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let seen = found(&publisher, request.asker(VIEW_OF_API)?, Some(api), &id).await?;
    zipped(&seen.value, ArchiveFormat::Yaml, seen.index)
}

#[derive(Deserialize)]
pub struct ExportQuery {
    name: Option<String>,
    version: Option<String>,
    format: Option<String>,
}

pub async fn export(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ExportQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(TRANSFER)?;
    let (name, version) = (required("name", query.name)?, required("version", query.version)?);
    let format = match query.format.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("" | "YAML") => ArchiveFormat::Yaml,
        Some("JSON") => ArchiveFormat::Json,
        Some(other) => return Err(ApiError::bad_request(format!("format: must be YAML or JSON, not `{other}`"))),
    };
    let seen = all(&publisher, asker, None).await?;
    let is_it = |shown: &Shown| shown.body["name"] == *name && shown.body["version"] == *version;
    let one = seen.value.into_iter().find(is_it);
    let one = one.ok_or_else(|| ApiError::not_found("Operation Policy", key_of(&name, &version)))?;
    zipped(&one, format, seen.index)
}

/// Understands a policy and keeps it.
async fn put(
    publisher: &Address<Publisher>,
    asker: Asker,
    api: Option<String>,
    specification: &str,
    definition: &str,
) -> Result<Written<Arc<Asset>>, ApiError> {
    let specification = Specification::parse(specification)?;
    let own = OwnPolicy { steps: synapse::map(definition, &specification)?, specification };
    let message = PutAsset {
        asker,
        kind: KIND,
        id: None,
        api,
        name: key_of(&own.specification.name, &own.specification.version),
        document: json!(own).to_string(),
        content: definition.to_owned(),
        expected: None,
    };
    flat(publisher.ask(message).await)
}

async fn uploaded(
    publisher: &Address<Publisher>,
    asker: Asker,
    api: Option<String>,
    form: &MultipartForm,
) -> Result<Response, ApiError> {
    if form.fields.contains_key("ccPolicyDefinitionFile") {
        let reason = "ccPolicyDefinitionFile: definitions for Choreo Connect are not understood; send a synapsePolicyDefinitionFile";
        return Err(ApiError::bad_request(reason));
    }
    let specification = form.part("policySpecFile")?.text("policySpecFile")?;
    let definition = form.part("synapsePolicyDefinitionFile")?.text("synapsePolicyDefinitionFile")?;
    let base = api.as_ref().map(|api| format!("/apis/{api}")).unwrap_or_default();
    let written = put(publisher, asker, api, specification, definition).await?;
    let mut response = wrote(StatusCode::CREATED, &written, policies::write_own(&written.value));
    let location = format!("/api/am/publisher/v4{base}/operation-policies/{}", written.value.id);
    response.headers_mut().extend(HeaderValue::from_str(&location).ok().map(|location| (LOCATION, location)));
    Ok(response)
}

pub async fn upload(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    uploaded(&publisher, request.asker(MANAGE)?, None, &form).await
}

pub async fn upload_to_api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    uploaded(&publisher, request.asker(MANAGE_OF_API)?, Some(api), &form).await
}

pub async fn import(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(TRANSFER)?;
    let archive = form.part("file")?.bytes.to_vec();
    let (specification, definition) = openapi::aside(move || archive::read_policy(&archive)).await??;
    let written = put(&publisher, asker, None, &specification, &definition).await?;
    let body = "Policy Imported Successfully.";
    Ok(Stamped { body, index: written.index, unreached: written.unreached }.into_response())
}

async fn deleted(
    publisher: &Address<Publisher>,
    asker: Asker,
    api: Option<String>,
    id: &str,
) -> Result<Response, ApiError> {
    if KINDS.iter().any(|kind| policies::id_of(kind).to_string() == id) {
        let reason = "The policy comes with the program and cannot be deleted.";
        return Err(ApiError::new(403, 403, "Forbidden", reason.to_owned()));
    }
    let known = id.parse().map_err(|_| ApiError::not_found("Operation Policy", id))?;
    let written = flat(publisher.ask(DeleteAsset { asker, kind: KIND, id: known, api }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: written.index, unreached: written.unreached }.into_response())
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    deleted(&publisher, request.asker(DELETE)?, None, &id).await
}

pub async fn delete_of_api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    deleted(&publisher, request.asker(MANAGE_OF_API)?, Some(api), &id).await
}
