//! `/apis/{apiId}/revisions` and what deploys them.

use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body, Stamped, body};
use portcullis_model::limit::MANAGEMENT_BODY_BYTES_MAX;
use portcullis_model::{Refused, Revision, RevisionId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{flat, read as read_answer, wrote, wrote_api};
use super::request::{Params, Request, flag, required, role_of_path};
use crate::actor::Publisher;
use crate::dto::fields::Fields;
use crate::dto::revision::{
    REVISION_DESCRIPTION_CHARS_MAX, read_deployments, write, write_deployment, write_with_status,
};
use crate::fault::PublisherError;
use crate::messages::{
    CancelDeployment, ChangeDeployment, CreateRevision, DeleteRevision, DeployRevision, DeployedRevision,
    ListRevisions, RestoreRevision, RevisionMeant, UndeployRevision,
};

pub(crate) const VIEW: &[&str] =
    &["apim:api_view", "apim:api_create", "apim:api_manage", "apim:api_publish", "apim:api_import_export"];
pub(crate) const VIEW_ONE: &[&str] = &["apim:api_view", "apim:api_create", "apim:api_manage", "apim:api_publish"];
pub(crate) const CHANGE: &[&str] =
    &["apim:api_create", "apim:api_manage", "apim:api_publish", "apim:api_import_export"];
pub(crate) const DEPLOY: &[&str] = &["apim:api_create", "apim:api_manage", "apim:api_publish"];

pub(crate) fn revision_id(text: &str) -> Result<RevisionId, ApiError> {
    text.parse().map_err(|_| PublisherError::from(Refused::not_found("revision", text)).into())
}

fn list_of(revisions: &[Arc<Revision>]) -> Value {
    let list: Vec<Value> = revisions.iter().map(|revision| write(revision)).collect();
    json!({"count": list.len(), "list": list})
}

fn deployments_of(revision: &Revision) -> Value {
    revision.deployments.iter().map(|deployment| write_deployment(revision, deployment)).collect()
}

#[derive(Deserialize)]
pub struct ListQuery {
    query: Option<String>,
}

/// The revisions, newest last; `query=deployed:true` or `deployed:false` chooses.
pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let wanted = match query.query.as_deref() {
        None | Some("") => None,
        Some("deployed:true") => Some(true),
        Some("deployed:false") => Some(false),
        Some(other) => {
            let reason = format!("query: is `{other}`; deployed:true and deployed:false are possible");
            return Err(ApiError::bad_request(reason));
        }
    };
    let mut seen = flat(publisher.ask(ListRevisions { asker, id }).await)?;
    seen.value.retain(|revision| wanted.is_none_or(|wanted| revision.deployments.is_empty() != wanted));
    Ok(read_answer(&request.headers, &list_of(&seen.value), seen.index))
}

/// Makes a revision; the body may be left out, for it holds a description alone.
pub async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    body: HttpBody,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let bytes = body::read(&request.headers, body, MANAGEMENT_BODY_BYTES_MAX).await?;
    let body: Map<String, Value> = if bytes.is_empty() { Map::new() } else { body::parse(&bytes)? };
    let mut fields = Fields::new("", body);
    let description = fields.text("description", REVISION_DESCRIPTION_CHARS_MAX).unwrap_or_default();
    fields.finish().map_err(PublisherError::Fields)?;
    let written = flat(publisher.ask(CreateRevision { asker, id, description }).await)?;
    Ok(wrote(StatusCode::CREATED, &written, write(&written.value)))
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((id, revision)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW_ONE)?;
    let wanted = revision_id(&revision)?;
    let seen = flat(publisher.ask(ListRevisions { asker, id }).await)?;
    let found = seen.value.iter().find(|one| one.id == wanted);
    let found = found.ok_or_else(|| ApiError::not_found("revision", revision))?;
    Ok(read_answer(&request.headers, &write(found), seen.index))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((id, revision)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let revision = revision_id(&revision)?;
    let written = flat(publisher.ask(DeleteRevision { asker, id, revision }).await)?;
    Ok(wrote(StatusCode::OK, &written, list_of(&written.value)))
}

pub async fn deployments(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW_ONE)?;
    let seen = flat(publisher.ask(ListRevisions { asker, id }).await)?;
    let list: Vec<Value> = seen
        .value
        .iter()
        .flat_map(|revision| revision.deployments.iter().map(|one| write_deployment(revision, one)))
        .collect();
    Ok(read_answer(&request.headers, &json!({"list": list}), seen.index))
}

/// What may be changed of a deployment.
#[derive(Deserialize)]
pub struct DeploymentBody {
    #[serde(rename = "displayOnDevportal")]
    is_displayed: Option<bool>,
}

/// Changes a deployment, which is named by its environment: as it is, or in base64, as the original's clients send it.
pub async fn change_deployment(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((id, deployment)): Path<(String, String)>,
    Body(body): Body<DeploymentBody>,
) -> Result<Response, ApiError> {
    let asker = request.asker(DEPLOY)?;
    let list = ListRevisions { asker: asker.clone(), id: id.clone() };
    let seen = flat(publisher.ask(list).await)?;
    let mut there = seen.value.iter().flat_map(|revision| &revision.deployments);
    let meant = role_of_path(&deployment);
    let found = there.find(|one| meant.contains(&one.environment));
    let found = found.ok_or_else(|| ApiError::not_found("deployment to", &deployment))?;
    let (environment, is_displayed) = (found.environment.clone(), body.is_displayed.unwrap_or(found.is_displayed));
    let message = ChangeDeployment { asker, id, environment: environment.clone(), is_displayed };
    let written = flat(publisher.ask(message).await)?;
    let revision = &written.value;
    let changed = revision.deployments.iter().find(|one| one.environment == environment);
    Ok(wrote(StatusCode::OK, &written, changed.map_or(Value::Null, |one| write_deployment(revision, one))))
}

#[derive(Deserialize)]
pub struct RevisionQuery {
    #[serde(rename = "revisionId")]
    revision_id: Option<String>,
    #[serde(rename = "revisionNumber", alias = "revisionNum")]
    revision_number: Option<String>,
    #[serde(rename = "allEnvironments")]
    all_environments: Option<String>,
}

pub async fn deploy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(query): Params<RevisionQuery>,
    Body(body): Body<Vec<Value>>,
) -> Result<Response, ApiError> {
    let asker = request.asker(DEPLOY)?;
    let revision = revision_id(&required("revisionId", query.revision_id)?)?;
    let deployments = read_deployments(body)?;
    let written = flat(publisher.ask(DeployRevision { asker, id, revision, deployments }).await)?;
    let DeployedRevision { revision, waiting } = &written.value;
    let waiting = waiting.iter().map(|one| write_with_status(revision, one, true));
    let all = revision.deployments.iter().map(|one| write_deployment(revision, one)).chain(waiting);
    Ok(wrote(StatusCode::OK, &written, Value::Array(all.collect())))
}

/// Takes back a deployment that waits for a decision.
pub async fn cancel(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((id, revision, environment)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let (asker, revision) = (request.asker(DEPLOY)?, revision_id(&revision)?);
    let done = flat(publisher.ask(CancelDeployment { asker, id, revision, environment }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: done.index, unreached: done.unreached }.into_response())
}

pub async fn undeploy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(query): Params<RevisionQuery>,
    body: HttpBody,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let revision =
        match (query.revision_id, query.revision_number) {
            (Some(id), _) => RevisionMeant::Id(revision_id(&id)?),
            (None, Some(number)) => RevisionMeant::Number(number.parse().map_err(|_| {
                ApiError::bad_request(format!("revisionNumber: must be a whole number, not `{number}`"))
            })?),
            (None, None) => return Err(ApiError::bad_request("the query parameter revisionId must be there")),
        };
    let is_all = flag("allEnvironments", query.all_environments.as_deref())?;
    let bytes = body::read(&request.headers, body, MANAGEMENT_BODY_BYTES_MAX).await?;
    let sent = if bytes.is_empty() { Vec::new() } else { read_deployments(body::parse(&bytes)?)? };
    if !is_all && sent.is_empty() {
        let reason = "name the environments to leave, as in [{\"name\": \"Default\"}], or set allEnvironments=true";
        return Err(ApiError::bad_request(reason));
    }
    let environments = (!is_all).then(|| sent.into_iter().map(|deployment| deployment.environment).collect());
    let written = flat(publisher.ask(UndeployRevision { asker, id, revision, environments }).await)?;
    Ok(wrote(StatusCode::CREATED, &written, deployments_of(&written.value)))
}

pub async fn restore(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(query): Params<RevisionQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(DEPLOY)?;
    let revision = revision_id(&required("revisionId", query.revision_id)?)?;
    let written = flat(publisher.ask(RestoreRevision { asker, id, revision }).await)?;
    Ok(wrote_api(StatusCode::CREATED, &written))
}
