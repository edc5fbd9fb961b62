//! Revisions of APIs and products, where they are deployed, and their states of life.

use http::Method;
use portcullis_http::percent::encoded;
use portcullis_model::Lifecycle;
use portcullis_model::lifecycle::LifecycleAction;
use portcullis_model::limit::API_REVISIONS_MAX;
use serde_json::{Value, json};

use super::api::Beside;
use super::kind::{Kind, Shape};
use super::server::Server;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

impl Server {
    /// Brings along what is written beside an API: documents, deployments, state.
    pub(super) async fn bring(&self, kind: &Kind, id: &str, beside: &Beside, is_changed: bool) -> Result<(), Failure> {
        let at = self.at(kind, id);
        if let Some(documents) = beside.documents.as_ref().and_then(Value::as_array) {
            self.bring_documents(&at, documents).await?;
        }
        if let Some(deployments) = beside.deployments.as_ref().and_then(Value::as_array) {
            self.bring_deployments(&at, deployments, is_changed).await?;
        }
        match &beside.state {
            Some(state) => self.bring_state(kind, id, state).await,
            None => Ok(()),
        }
    }

    /// Deploys where a file says, and nowhere else. `is_changed` says whether gateways need another state of it.
    async fn bring_deployments(&self, at: &str, wanted: &[Value], is_changed: bool) -> Result<(), Failure> {
        let there = self.list(&format!("{at}/deployments")).await?;
        let is_there = |one: &Value| {
            there.iter().any(|other| {
                let same = |field: &str| one.get(field).is_none_or(|value| value.is_null() || *value == other[field]);
                one["name"] == other["name"] && same("vhost") && same("displayOnDevportal")
            })
        };
        if !wanted.is_empty() && (is_changed || !wanted.iter().all(is_there)) {
            let revision = self.new_revision(at).await?;
            let path = format!("{at}/deploy-revision?revisionId={}", encoded(&revision));
            self.send(Method::POST, &path, &json!(wanted)).await?;
        }
        for gone in there.iter().filter(|one| !wanted.iter().any(|wanted| wanted["name"] == one["name"])) {
            let revision = gone["revisionUuid"].as_str().unwrap_or_default();
            let path = format!("{at}/undeploy-revision?revisionId={}", encoded(revision));
            self.send(Method::POST, &path, &json!([{"name": gone["name"], "vhost": gone["vhost"]}])).await?;
        }
        Ok(())
    }

    /// Makes a revision; where there are as many as there may be, the oldest that is deployed nowhere goes.
    async fn new_revision(&self, at: &str) -> Result<String, Failure> {
        let revisions = self.list(&format!("{at}/revisions")).await?;
        if revisions.len() >= API_REVISIONS_MAX {
            let is_idle = |one: &&Value| one["deploymentInfo"].as_array().is_none_or(Vec::is_empty);
            let oldest = revisions.iter().find(is_idle).ok_or_else(|| {
                let why = format!("there are {API_REVISIONS_MAX} revisions, and all of them are deployed");
                let next = "undeploy one in the publisher";
                Failure::new(Exit::Conflict, "no revision can be made", why, next)
            })?;
            self.remove(&format!("{at}/revisions/{}", oldest["id"].as_str().unwrap_or_default())).await?;
        }
        let made = self.send(Method::POST, &format!("{at}/revisions"), &json!({"description": "applied"})).await?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }

    async fn bring_state(&self, kind: &Kind, id: &str, wanted: &str) -> Result<(), Failure> {
        let is_product = kind.shape == Shape::Product;
        let field = if is_product { "state" } else { "lifeCycleStatus" };
        let raw = self.get(&self.at(kind, id)).await?;
        let now: Lifecycle = raw[field].as_str().unwrap_or_default().parse().map_err(|_| unknown(&raw[field]))?;
        let meant: Lifecycle = wanted.parse().map_err(|_| unknown(&json!(wanted)))?;
        for action in way(now, meant).ok_or_else(|| {
            let why = format!("nothing leads from {now} to {meant}");
            Failure::new(
                Exit::Conflict,
                "the state of life cannot be changed",
                why,
                "say another state, or make a new version",
            )
        })? {
            let parameter = if is_product { "apiProductId" } else { "apiId" };
            let action = encoded(action.as_contract());
            let path = format!("{}/change-lifecycle?action={action}&{parameter}={}", kind.path, encoded(id));
            let changed = self.send(Method::POST, &path, &json!({})).await?;
            if changed["workflowStatus"] == "CREATED" {
                output::say(&format!(
                    "{} waits for approval: portcullis task list",
                    raw["name"].as_str().unwrap_or_default()
                ));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Deletes what is at a path.
    pub(super) async fn remove(&self, path: &str) -> Result<(), Failure> {
        let deleted = self.client().delete(path).await;
        deleted.map(|_| ()).map_err(|fault| crate::remote::of_client(&fault))
    }
}

fn unknown(state: &Value) -> Failure {
    let why = "there are CREATED, PROTOTYPED, PUBLISHED, BLOCKED, DEPRECATED and RETIRED";
    Failure::new(Exit::Failed, format!("{state} is no state of life"), why, "use one of those")
}

/// Returns the shortest way from one state to another; nothing where there is none.
fn way(from: Lifecycle, to: Lifecycle) -> Option<Vec<LifecycleAction>> {
    let mut ways = vec![(from, Vec::new())];
    let mut seen = vec![from];
    let mut next = 0;
    while let Some((state, actions)) = ways.get(next).cloned() {
        if state == to {
            return Some(actions);
        }
        for (action, target) in state.transitions() {
            if !seen.contains(target) {
                seen.push(*target);
                ways.push((*target, actions.iter().copied().chain([*action]).collect()));
            }
        }
        next += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_way_through_life_but_none_back_from_its_end() {
        use {Lifecycle as L, LifecycleAction as A};
        assert_eq!(way(L::Created, L::Published), Some(vec![A::Publish]));
        assert_eq!(way(L::Published, L::Published), Some(Vec::new()));
        assert_eq!(way(L::Created, L::Retired).map(|way| way.len()), Some(3));
        assert_eq!(way(L::Retired, L::Published), None);
    }
}
