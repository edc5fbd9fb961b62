use portcullis_model::{ApiId, Refused, RevisionId};
use serde::{Deserialize, Serialize};

use super::create_revision::find_revision;
use super::deploy_revision::leave;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::{api_rules, projection};

/// Takes a revision out of environments. When the answer comes, no live gateway serves it there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UndeployRevision {
    /// The API.
    pub api: ApiId,
    /// The revision.
    pub revision: RevisionId,
    /// Which environments; `None` for all.
    pub environments: Option<Vec<String>>,
}

impl<C: Component> SubmittedBy<C> for UndeployRevision where C: Writes<Apimgtdb> {}

impl Command for UndeployRevision {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{} revision {}", self.api, self.revision)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let api = api_rules::find(state, moment, self.api)?;
        let revision = find_revision(state, self.api, self.revision)?;
        if let Some(environments) = &self.environments
            && let Some(other) =
                environments.iter().find(|name| !revision.deployments.iter().any(|one| one.environment == **name))
        {
            let reason = format!("revision {} is not deployed to {other}", revision.number);
            return Err(Refused::invalid("name", reason));
        }
        let is_meant = |name: &String| self.environments.as_ref().is_none_or(|meant| meant.contains(name));
        if leave(state, &revision, is_meant) {
            projection::refresh(state, &api.tenant, &api.name, self.api);
        }
        Ok(())
    }
}
