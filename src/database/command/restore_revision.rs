use std::sync::Arc;

use portcullis_model::{Api, ApiId, Refused, RevisionId};
use serde::{Deserialize, Serialize};

use super::create_revision::find_revision;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Regdb, State};
use crate::{api_history, api_rules};

/// Makes the API what it was when a revision was made of it. Its place in its life, the default version and what is
/// deployed stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreRevision {
    /// The API.
    pub api: ApiId,
    /// The revision.
    pub revision: RevisionId,
}

impl<C: Component> SubmittedBy<C> for RestoreRevision where C: Writes<Apimgtdb> + Writes<Regdb> {}

impl Command for RestoreRevision {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} revision {}", self.api, self.revision)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let current = api_rules::find(state, moment, self.api)?;
        let revision = find_revision(state, self.api, self.revision)?;
        let api = Api {
            lifecycle: current.lifecycle,
            is_default_version: current.is_default_version,
            revisions_made: current.revisions_made,
            created_at: current.created_at,
            updated_at: api_history::time_of_change(moment, current.updated_at),
            updated_by: moment.principal.username.clone(),
            ..(*revision.content).clone()
        };
        api_rules::check(state, &api)?;
        state.apimgt.apis.insert(self.api, Arc::new(api));
        state.reg.definitions.insert(self.api, Arc::clone(&revision.definition));
        Ok(())
    }
}
