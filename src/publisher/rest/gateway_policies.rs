//! `/gateway-policies`: what is done to the calls of every API in an environment, before what its publisher applies.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body, List, PageQuery, Stamped, percent};
use portcullis_model::AssetId;
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::gateway_policy::{GATEWAY_LABELS_MAX, GatewayPolicy};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer, wrote};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{Asker, DeleteGatewayPolicy, DeployGatewayPolicy, ListAssets, PutGatewayPolicy, Seen};
use crate::own_policy::apply::hide_steps;

const VIEW: &[&str] = &["apim:gateway_policy_view", "apim:gateway_policy_manage"];
const MANAGE: &[&str] = &["apim:gateway_policy_manage"];
const NOUN: &str = "Gateway Policy Mapping";
const NAME_CHARS_MAX: usize = 255;
const DESCRIPTION_CHARS_MAX: usize = 1_024;

/// The contract's `GatewayPolicyMappings`. `appliedGatewayLabels` is for answers: `/deploy` changes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingBody {
    policy_mapping: Value,
    #[serde(default)]
    description: Option<String>,
    display_name: String,
}

impl MappingBody {
    fn read(self) -> Result<GatewayPolicy, PublisherError> {
        let mut faults = Vec::new();
        let chars = self.display_name.chars().count();
        if self.display_name.trim().is_empty() || chars > NAME_CHARS_MAX {
            let reason = format!("must have 1 to {NAME_CHARS_MAX} characters, not {chars}");
            faults.push(FieldFault::new("displayName", reason));
        }
        let description = self.description.unwrap_or_default();
        if description.chars().count() > DESCRIPTION_CHARS_MAX {
            let reason = format!("may have at most {DESCRIPTION_CHARS_MAX} characters");
            faults.push(FieldFault::new("description", reason));
        }
        let count = |flow: &str| self.policy_mapping[flow].as_array().map_or(0, Vec::len);
        if !self.policy_mapping.is_object() || ["request", "response", "fault"].iter().all(|flow| count(flow) == 0) {
            let reason = "must name a policy in request, response or fault at least";
            faults.push(FieldFault::new("policyMapping", reason));
        }
        if !faults.is_empty() {
            return Err(PublisherError::Fields(faults));
        }
        Ok(GatewayPolicy {
            display_name: self.display_name,
            description,
            policy_mapping: self.policy_mapping,
            applied_gateway_labels: Vec::new(),
        })
    }
}

/// Writes what lists show.
fn write_shown(asset: &Asset) -> Value {
    let policy = GatewayPolicy::of_document(&asset.document);
    json!({
        "id": asset.id.to_string(),
        "description": policy.description,
        "displayName": policy.display_name,
        "appliedGatewayLabels": policy.applied_gateway_labels,
    })
}

fn write(asset: &Asset) -> Value {
    let mut body = write_shown(asset);
    body["policyMapping"] = GatewayPolicy::of_document(&asset.document).policy_mapping;
    hide_steps(&mut body["policyMapping"]);
    body
}

async fn all(publisher: &Address<Publisher>, asker: Asker) -> Result<Seen<Vec<Arc<Asset>>>, ApiError> {
    flat(publisher.ask(ListAssets { asker, kind: AssetKind::GatewayPolicy, api: None }).await)
}

#[derive(Deserialize)]
pub struct ListQuery {
    /// `gatewayLabel:NAME`.
    query: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let page = query.page.page()?;
    let search = query.query.filter(|query| !query.is_empty());
    let label = match search.as_deref().map(|query| query.split_once(':')) {
        None => None,
        Some(Some(("gatewayLabel", label))) => Some(label.trim().trim_matches('"')),
        Some(_) => return Err(ApiError::bad_request("query: must be gatewayLabel:NAME")),
    };
    let mut seen = all(&publisher, request.list_asker(VIEW)?).await?;
    seen.value.sort_by_key(|one| (one.created_at, one.id));
    let bodies = seen.value.iter().map(|asset| write_shown(asset)).filter(|body| {
        let labels = body["appliedGatewayLabels"].as_array();
        label.is_none_or(|label| labels.is_some_and(|labels| labels.iter().any(|one| one == label)))
    });
    let tail = search.as_deref().map(|query| format!("query={}", percent::encoded(query))).unwrap_or_default();
    let list = List::of(bodies.collect(), page).with_links("/gateway-policies", &tail);
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

pub async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Body(body): Body<MappingBody>,
) -> Result<Response, ApiError> {
    let message = PutGatewayPolicy { asker: request.asker(MANAGE)?, id: None, policy: body.read()? };
    let written = flat(publisher.ask(message).await)?;
    let mut body = write_shown(&written.value);
    body.as_object_mut().map(|body| body.shift_remove("appliedGatewayLabels"));
    let mut response = wrote(StatusCode::CREATED, &written, body);
    let location = format!("/api/am/publisher/v4/gateway-policies/{}", written.value.id);
    response.headers_mut().extend(HeaderValue::from_str(&location).ok().map(|location| (LOCATION, location)));
    Ok(response)
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = all(&publisher, request.asker(VIEW)?).await?;
    let found = seen.value.iter().find(|asset| asset.id.to_string() == id);
    let found = found.ok_or_else(|| ApiError::not_found(NOUN, &id))?;
    Ok(read_answer(&request.headers, &write(found), seen.index))
}

fn known(id: &str) -> Result<AssetId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found(NOUN, id))
}

pub async fn update(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(body): Body<MappingBody>,
) -> Result<Response, ApiError> {
    let message = PutGatewayPolicy { asker: request.asker(MANAGE)?, id: Some(known(&id)?), policy: body.read()? };
    let written = flat(publisher.ask(message).await)?;
    Ok(wrote(StatusCode::OK, &written, write(&written.value)))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (asker, id) = (request.asker(MANAGE)?, known(&id)?);
    let there = all(&publisher, asker.clone()).await?.value;
    if let Some(asset) = there.iter().find(|asset| asset.id == id) {
        let labels = GatewayPolicy::of_document(&asset.document).applied_gateway_labels;
        if !labels.is_empty() {
            let reason = format!("The gateway policy mapping is deployed to {}; undeploy it first.", labels.join(", "));
            return Err(ApiError::new(412, 412, "Precondition Failed", reason));
        }
    }
    let written = flat(publisher.ask(DeleteGatewayPolicy { asker, id }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: written.index, unreached: written.unreached }.into_response())
}

/// The contract's `GatewayPolicyDeployment`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentBody {
    gateway_label: String,
    gateway_deployment: bool,
}

pub async fn deploy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(body): Body<Vec<DeploymentBody>>,
) -> Result<Response, ApiError> {
    let (asker, known) = (request.asker(MANAGE)?, known(&id)?);
    if body.is_empty() || body.len() > GATEWAY_LABELS_MAX {
        let reason = format!("1 to {GATEWAY_LABELS_MAX} deployments are accepted, not {}", body.len());
        return Err(ApiError::bad_request(reason));
    }
    let deployments = body.into_iter().map(|one| (one.gateway_label, one.gateway_deployment)).collect();
    let written = flat(publisher.ask(DeployGatewayPolicy { asker, id: known, deployments }).await)?;
    let done = written.value.iter().map(|(label, is_deployed)| {
        json!({"gatewayLabel": label, "gatewayDeployment": is_deployed, "mappingUUID": known.to_string()})
    });
    Ok(wrote(StatusCode::OK, &written, done.collect()))
}
