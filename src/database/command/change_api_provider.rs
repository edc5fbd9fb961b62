use std::sync::Arc;

use portcullis_model::{Api, ApiId, Refused, Username};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::{api_history, api_rules, people};

/// Gives an API to another provider of its tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeApiProvider {
    /// The API.
    pub api: ApiId,
    /// Who is to provide it.
    pub provider: Username,
}

impl<C: Component> SubmittedBy<C> for ChangeApiProvider where C: Writes<Apimgtdb> {}

impl Command for ChangeApiProvider {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} {}", self.api, self.provider.0)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let current = api_rules::find(state, moment, self.api)?;
        if people::user(&state.user, &current.tenant, &self.provider).is_none() {
            return Err(Refused::invalid("provider", format!("there is no user {}", self.provider.0)));
        }
        let api = Api {
            provider: self.provider,
            updated_at: api_history::time_of_change(moment, current.updated_at),
            updated_by: moment.principal.username.clone(),
            ..(*current).clone()
        };
        state.apimgt.apis.insert(api.id, Arc::new(api));
        Ok(())
    }
}
