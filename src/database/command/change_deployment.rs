use std::sync::Arc;

use portcullis_model::{ApiId, Refused, Revision};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::{api_rules, environments};

/// Changes whether the Store shows where an API is called in an environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeDeployment {
    /// The API.
    pub api: ApiId,
    /// The environment's name.
    pub environment: String,
    /// Whether it is shown.
    pub is_displayed: bool,
}

impl<C: Component> SubmittedBy<C> for ChangeDeployment where C: Writes<Apimgtdb> {}

impl Command for ChangeDeployment {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} in {}", self.api, self.environment)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        api_rules::find(state, moment, self.api)?;
        let found = environments::revision_in(state, self.api, &self.environment);
        let found = found.ok_or_else(|| Refused::not_found("deployment to", &self.environment))?;
        let mut revision = Revision::clone(&found);
        for deployment in revision.deployments.iter_mut().filter(|one| one.environment == self.environment) {
            deployment.is_displayed = self.is_displayed;
        }
        state.apimgt.revisions.insert((self.api, revision.number), Arc::new(revision));
        Ok(())
    }
}
