use std::sync::Arc;

use portcullis_model::revision::Deployment;
use portcullis_model::task::{Task, TaskKind, TaskSubject};
use portcullis_model::{Api, ApiId, Refused, Revision, RevisionId};
use serde::{Deserialize, Serialize};

use super::create_revision::find_revision;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::tasks::{self, Question};
use crate::{api_rules, environments, projection};

/// Deploys a revision to environments. In each it takes the place of the revision that was there. When the answer
/// comes, every live gateway serves it; where the tenant wants deployments decided about, it waits.
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
        if !tasks::are_wanted(state, &api.tenant, TaskKind::RevisionDeployment) {
            return self.deploy(state, moment);
        }
        let revision = self.check(state, &api)?;
        let drafts: Vec<Task> = self
            .deployments
            .iter()
            .map(|deployment| tasks::draft(state, moment, question(&api, &revision, deployment, moment)))
            .collect::<Result<_, _>>()?;
        for (task, deployment) in drafts.into_iter().zip(&self.deployments) {
            // What was asked for the same place before is not asked any more.
            tasks::forget(state, &api.tenant, |subject| is_for(subject, self.api, &deployment.environment));
            tasks::open(state, task);
        }
        Ok(())
    }
}

fn is_for(subject: &TaskSubject, api: ApiId, environment: &str) -> bool {
    matches!(
        subject,
        TaskSubject::Deployment { api: its, deployment, .. } if *its == api && deployment.environment == environment
    )
}

fn question(api: &Api, revision: &Revision, deployment: &Deployment, moment: &Moment) -> Question {
    let (environment, user) = (&deployment.environment, &moment.principal.username);
    Question {
        tenant: api.tenant.clone(),
        subject: TaskSubject::Deployment { api: api.id, revision: revision.id, deployment: deployment.clone() },
        about: format!("{} {environment}", revision.id),
        description: format!(
            "Approve deployment of revision {} of API [{} - {}] to {environment} asked for by {user}",
            revision.number, api.name, api.version
        ),
        properties: vec![
            ("apiName", api.name.clone()),
            ("apiVersion", api.version.clone()),
            ("revisionId", revision.number.to_string()),
            ("environment", environment.clone()),
            ("userName", user.0.clone()),
        ],
        asked_by: moment.principal.clone(),
    }
}

impl DeployRevision {
    fn check(&self, state: &State, api: &Api) -> Result<Arc<Revision>, Refused> {
        let revision = find_revision(state, self.api, self.revision)?;
        if !api.lifecycle.is_deployable() {
            return Err(Refused::wrong_state(format!("{}:{} is {}", api.name, api.version, api.lifecycle)));
        }
        if self.deployments.is_empty() {
            return Err(Refused::invalid("deployments", "name at least one environment"));
        }
        for one in &self.deployments {
            environments::check_place(state, &api.tenant, &one.environment, &one.vhost)?;
        }
        Ok(revision)
    }

    /// Does it, whether or not deployments wait for a decision.
    pub(super) fn deploy(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let api = api_rules::find(state, moment, self.api)?;
        let revision = self.check(state, &api)?;
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
