use std::sync::Arc;

use portcullis_model::monetization::taken_over;
use portcullis_model::{Api, ApiId, Refused, RevisionId};
use serde::{Deserialize, Serialize};

use super::create_revision::find_revision;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Regdb, State};
use crate::{api_history, api_rules};

/// The feature level from which whether an API is billed stays.
const BILLING_STAYS_SINCE: u32 = 2;

/// Makes the API what it was when a revision was made of it. Its place in its life, the default version, what is
/// deployed and whether its use is billed stay.
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
        let mut api = Api {
            lifecycle: current.lifecycle,
            is_default_version: current.is_default_version,
            revisions_made: current.revisions_made,
            created_at: current.created_at,
            updated_at: api_history::time_of_change(moment, current.updated_at),
            updated_by: moment.principal.username.clone(),
            ..(*revision.content).clone()
        };
        if state.feature_level() >= BILLING_STAYS_SINCE
            && let Some(other_fields) = taken_over(&api.other_fields, &current.other_fields)
        {
            api.other_fields = other_fields;
        }
        api_rules::check(state, &api)?;
        state.apimgt.apis.insert(self.api, Arc::new(api));
        state.reg.definitions.insert(self.api, Arc::clone(&revision.definition));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::CreateRevision;
    use super::super::store_fixture::{Fixture, api};
    use super::*;

    #[test]
    fn whether_an_api_is_billed_stays() {
        let with =
            |is_on: bool| Api { other_fields: format!(r#"{{"a":1,"monetization":{{"enabled":{is_on}}}}}"#), ..api(7) };
        let revision = RevisionId::from_random([1; 16]);
        // At an earlier level all nodes restore it as they did.
        for (level, was_on, is_on, stays) in [(2, true, false, true), (2, false, true, true), (1, true, false, false)] {
            let mut fixture = Fixture::new();
            fixture.at_level(level);
            fixture.publish(with(was_on));
            fixture.apply(CreateRevision { api: api(7).id, revision, description: String::new() }).unwrap();
            fixture.publish(with(is_on));
            fixture.apply(RestoreRevision { api: api(7).id, revision }).unwrap();
            let after = fixture.state.apimgt.apis[&api(7).id].is_monetized();
            assert_eq!(after, if stays { is_on } else { was_on }, "{level} {was_on}");
        }
    }
}
