//! Revisions and their deployments as the contract has them.

use portcullis_http::time::rfc3339;
use portcullis_model::revision::Deployment;
use portcullis_model::{Revision, Timestamp};
use serde_json::{Map, Value, json};

use super::fields::{Fields, name_of_type};
use super::lifecycle::workflow_status;
use crate::fault::{FieldFault, PublisherError};

/// Characters in a revision's description (REST contract).
pub const REVISION_DESCRIPTION_CHARS_MAX: usize = 255;
const DEPLOYMENTS_MAX: usize = 64;
const NAME_CHARS_MAX: usize = 255;

/// Writes a revision.
#[must_use]
pub fn write(revision: &Revision) -> Value {
    let deployments: Vec<Value> = revision.deployments.iter().map(|one| write_deployment(revision, one)).collect();
    json!({
        "displayName": format!("Revision {}", revision.number),
        "id": revision.id.to_string(),
        "description": revision.description,
        "createdTime": rfc3339(revision.created_at),
        "apiInfo": {"id": revision.api.to_string()},
        "deploymentInfo": deployments,
    })
}

/// Writes one deployment of a revision.
#[must_use]
pub fn write_deployment(revision: &Revision, deployment: &Deployment) -> Value {
    write_with_status(revision, deployment, false)
}

/// Writes a deployment of a revision that may wait for a decision.
#[must_use]
pub fn write_with_status(revision: &Revision, deployment: &Deployment, waits: bool) -> Value {
    json!({
        "revisionUuid": revision.id.to_string(),
        "name": deployment.environment,
        "status": workflow_status(waits),
        "vhost": deployment.vhost,
        "displayOnDevportal": deployment.is_displayed,
        "deployedTime": rfc3339(deployment.deployed_at),
        "successDeployedTime": rfc3339(deployment.deployed_at),
    })
}

/// Reads the list of deployments in the body of `deploy-revision` and `undeploy-revision`. One that names no virtual
/// host has an empty one.
///
/// # Errors
/// Every fault found.
pub fn read_deployments(items: Vec<Value>) -> Result<Vec<Deployment>, PublisherError> {
    let mut faults = Vec::new();
    let mut deployments: Vec<Deployment> = Vec::new();
    if items.len() > DEPLOYMENTS_MAX {
        return Err(PublisherError::field("", format!("at most {DEPLOYMENTS_MAX} deployments are accepted")));
    }
    for (number, item) in items.into_iter().enumerate() {
        let Value::Object(map) = item else {
            let reason = format!("must be an object, not {}", name_of_type(&item));
            faults.push(FieldFault::new(format!("[{number}]"), reason));
            continue;
        };
        let Some(deployment) = read_deployment(number, map, &mut faults) else { continue };
        if deployments.iter().any(|other| other.environment == deployment.environment) {
            faults.push(FieldFault::new(format!("[{number}].name"), "is there twice"));
            continue;
        }
        deployments.push(deployment);
    }
    if faults.is_empty() { Ok(deployments) } else { Err(PublisherError::Fields(faults)) }
}

fn read_deployment(number: usize, map: Map<String, Value>, faults: &mut Vec<FieldFault>) -> Option<Deployment> {
    let mut fields = Fields::new(format!("[{number}]."), map);
    let environment = fields.text("name", NAME_CHARS_MAX);
    let vhost = fields.text("vhost", NAME_CHARS_MAX).filter(|host| !host.is_empty());
    let is_displayed = fields.flag("displayOnDevportal").unwrap_or(true);
    fields.finish_into(faults);
    let mut fault = |name: &str, reason: String| faults.push(FieldFault::new(format!("[{number}].{name}"), reason));
    let Some(environment) = environment else {
        fault("name", "must name an environment".to_owned());
        return None;
    };
    let vhost = vhost.unwrap_or_default().to_ascii_lowercase();
    Some(Deployment { environment, vhost, is_displayed, deployed_at: Timestamp::default() })
}
