use std::sync::Arc;

use portcullis_model::revision::Deployment;
use portcullis_model::{ApiId, Refused, Revision, RevisionId};
use serde::{Deserialize, Serialize};

use super::create_revision::find_revision;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::{api_rules, projection};

/// Deploys a revision to environments. In each it takes the place of the revision that was there. When the answer
/// comes, every live gateway serves it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeployRevision {
    /// The API.
    pub api: ApiId,
    /// The revision.
    pub revision: RevisionId,
    /// Where to; the times are set here.
    pub deployments: Vec<Deployment>,
}

impl<C: Component> SubmittedBy<C> for DeployRevision where C: Writes<Apimgtdb> {}

impl Command for DeployRevision {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{} revision {}", self.api, self.revision)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let api = api_rules::find(state, moment, self.api)?;
        let revision = find_revision(state, self.api, self.revision)?;
        if !api.lifecycle.is_deployable() {
            return Err(Refused::wrong_state(format!("{}:{} is {}", api.name, api.version, api.lifecycle)));
        }
        if self.deployments.is_empty() {
            return Err(Refused::invalid("deployments", "name at least one environment"));
        }
        let environments: Vec<String> = self.deployments.iter().map(|one| one.environment.clone()).collect();
        leave_environments(state, self.api, &environments);
        // Read again: the revision itself may have left the environments to be entered anew.
        let mut revision: Revision = find_revision(state, self.api, revision.id)?.as_ref().clone();
        for mut deployment in self.deployments {
            deployment.deployed_at = moment.now;
            revision.deployments.retain(|one| one.environment != deployment.environment);
            revision.deployments.push(deployment);
        }
        state.apimgt.revisions.insert((self.api, revision.number), Arc::new(revision));
        projection::refresh(state, &api.tenant, &api.name, self.api);
        Ok(())
    }
}

/// Takes whatever revision of the API is in these environments out of them, and says whether there was any.
pub(super) fn leave_environments(state: &mut State, api: ApiId, environments: &[String]) -> bool {
    let mut has_left = false;
    for revision in projection::revisions_of(state, api) {
        has_left |= leave(state, &revision, |environment| environments.contains(environment));
    }
    has_left
}

/// Takes one revision out of the environments that `is_meant` names, and says whether it was in any.
pub(super) fn leave(state: &mut State, revision: &Revision, is_meant: impl Fn(&String) -> bool) -> bool {
    if !revision.deployments.iter().any(|one| is_meant(&one.environment)) {
        return false;
    }
    let mut revision = revision.clone();
    revision.deployments.retain(|one| !is_meant(&one.environment));
    state.apimgt.revisions.insert((revision.api, revision.number), Arc::new(revision));
    true
}
