use portcullis_model::{ApiId, Refused, RevisionId};
use serde::{Deserialize, Serialize};

use super::create_revision::find_revision;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::api_rules;
use crate::state::{Apimgtdb, State};

/// Deletes a revision that is deployed nowhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteRevision {
    /// The API.
    pub api: ApiId,
    /// The revision.
    pub revision: RevisionId,
}

impl<C: Component> SubmittedBy<C> for DeleteRevision where C: Writes<Apimgtdb> {}

impl Command for DeleteRevision {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} revision {}", self.api, self.revision)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        api_rules::find(state, moment, self.api)?;
        let revision = find_revision(state, self.api, self.revision)?;
        if let Some(deployment) = revision.deployments.first() {
            let reason =
                format!("revision {} is deployed to {}; undeploy it first", revision.number, deployment.environment);
            return Err(Refused::wrong_state(reason));
        }
        state.apimgt.revisions.remove(&(self.api, revision.number));
        state.apimgt.revision_ids.remove(&self.revision);
        Ok(())
    }
}
