use std::sync::Arc;

use portcullis_model::limit::API_REVISIONS_MAX;
use portcullis_model::{Api, ApiId, Refused, Revision, RevisionId};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Regdb, State};
use crate::{api_rules, level, projection};

/// Copies an API as it is into an immutable revision. Replies the revision's number, which is never used again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateRevision {
    /// The API.
    pub api: ApiId,
    /// The new revision's id.
    pub revision: RevisionId,
    /// What the publisher says about it.
    pub description: String,
}

impl<C: Component> SubmittedBy<C> for CreateRevision where C: Writes<Apimgtdb> + Writes<Regdb> {}

impl Command for CreateRevision {
    type Reply = u32;

    fn subject(&self) -> String {
        format!("{} revision {}", self.api, self.revision)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<u32, Refused> {
        let api = api_rules::find(state, moment, self.api)?;
        if state.apimgt.revision_ids.contains_key(&self.revision) {
            return Err(Refused::exists("revision", self.revision));
        }
        if projection::revisions_of(state, self.api).len() >= API_REVISIONS_MAX {
            let what = "revisions of an API at a time; delete one that is not deployed".to_owned();
            return Err(Refused::LimitReached { what, max: API_REVISIONS_MAX as u64 });
        }
        // Gateways of the first level get none of it.
        if state.feature_level() > level::FIRST {
            api_rules::check_mediation(&api)?;
        }
        let number = api.revisions_made + 1;
        let revision = Revision {
            id: self.revision,
            api: self.api,
            number,
            description: self.description,
            created_at: moment.now,
            content: Arc::clone(&api),
            definition: state.reg.definitions.get(&self.api).cloned().unwrap_or_else(|| Arc::from("")),
            deployments: Vec::new(),
        };
        state.apimgt.revisions.insert((self.api, number), Arc::new(revision));
        state.apimgt.revision_ids.insert(self.revision, (self.api, number));
        // The number is bookkeeping, not a change of the API: `updated_at` stays.
        state.apimgt.apis.insert(self.api, Arc::new(Api { revisions_made: number, ..(*api).clone() }));
        Ok(number)
    }
}

/// Returns a revision of an API by its id.
pub(super) fn find_revision(state: &State, api: ApiId, id: RevisionId) -> Result<Arc<Revision>, Refused> {
    state
        .apimgt
        .revision_ids
        .get(&id)
        .filter(|(its_api, _)| *its_api == api)
        .and_then(|key| state.apimgt.revisions.get(key))
        .cloned()
        .ok_or_else(|| Refused::not_found("revision", id))
}
