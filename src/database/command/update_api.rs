use std::sync::Arc;

use portcullis_model::{Api, Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Regdb, State};
use crate::{api_history, api_rules, projection};

/// Replaces what a publisher may change of an API. Name, version, context, provider, protocol and lifecycle stay, as
/// in the original; gateways see the rest with the next deployment, and the default version at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateApi {
    /// The API as it is to be.
    pub api: Api,
    /// Its definition, where that changes too.
    pub definition: Option<Arc<str>>,
    /// When the API that the caller saw was last changed; refused where it has changed since.
    pub expected: Option<Timestamp>,
}

impl<C: Component> SubmittedBy<C> for UpdateApi where C: Writes<Apimgtdb> + Writes<Regdb> {}

impl Command for UpdateApi {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{}:{}", self.api.name, self.api.version)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let current = api_rules::find(state, moment, self.api.id)?;
        refuse_stale(&current, self.expected)?;
        let api = Api {
            tenant: current.tenant.clone(),
            provider: current.provider.clone(),
            name: current.name.clone(),
            context: current.context.clone(),
            version: current.version.clone(),
            kind: current.kind,
            lifecycle: current.lifecycle,
            revisions_made: current.revisions_made,
            created_at: current.created_at,
            updated_at: api_history::time_of_change(moment, current.updated_at),
            updated_by: moment.principal.username.clone(),
            ..self.api
        };
        api_rules::check(state, &api)?;
        if let Some(definition) = &self.definition {
            api_rules::check_definition(definition)?;
        }
        if api.is_default_version {
            unmark_other_defaults(state, &api);
        }
        state.apimgt.apis.insert(api.id, Arc::new(api));
        if let Some(definition) = self.definition {
            state.reg.definitions.insert(current.id, definition);
        }
        projection::refresh(state, &current.tenant, &current.name, current.id);
        Ok(())
    }
}

/// Refuses a change of something that was changed since its author read it.
pub(super) fn refuse_stale(current: &Api, expected: Option<Timestamp>) -> Result<(), Refused> {
    match expected {
        Some(expected) if expected != current.updated_at => {
            Err(Refused::Stale { noun: "API".to_owned(), key: current.id.to_string() })
        }
        _ => Ok(()),
    }
}

/// Takes the mark of the default version from the other versions: there is at most one.
pub(super) fn unmark_other_defaults(state: &mut State, api: &Api) {
    for id in api_rules::versions_of(state, &api.tenant, &api.name) {
        let marked = state.apimgt.apis.get(&id).filter(|other| other.id != api.id && other.is_default_version);
        if let Some(other) = marked {
            let other = Api { is_default_version: false, ..(**other).clone() };
            state.apimgt.apis.insert(id, Arc::new(other));
        }
    }
}
