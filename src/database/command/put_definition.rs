use std::sync::Arc;

use portcullis_model::api::{ApiScope, Operation};
use portcullis_model::{Api, ApiId, Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::update_api::refuse_stale;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Regdb, State};
use crate::{api_history, api_rules};

/// Replaces an API's definition, and with it the operations and scopes that the definition names. Gateways see them
/// with the next deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutDefinition {
    /// The API.
    pub api: ApiId,
    /// The definition as its publisher wrote it.
    pub definition: Arc<str>,
    /// The operations it names.
    pub operations: Vec<Operation>,
    /// The scopes that it and the API name.
    pub scopes: Vec<ApiScope>,
    /// When the API that the caller saw was last changed; refused where it has changed since.
    pub expected: Option<Timestamp>,
}

impl<C: Component> SubmittedBy<C> for PutDefinition where C: Writes<Apimgtdb> + Writes<Regdb> {}

impl Command for PutDefinition {
    type Reply = ();

    fn subject(&self) -> String {
        self.api.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let current = api_rules::find(state, moment, self.api)?;
        refuse_stale(&current, self.expected)?;
        let api = Api {
            operations: self.operations,
            scopes: self.scopes,
            updated_at: api_history::time_of_change(moment, current.updated_at),
            updated_by: moment.principal.username.clone(),
            ..(*current).clone()
        };
        api_rules::check_definition(&self.definition)?;
        api_rules::check(state, &api)?;
        state.apimgt.apis.insert(api.id, Arc::new(api));
        state.reg.definitions.insert(self.api, self.definition);
        Ok(())
    }
}
