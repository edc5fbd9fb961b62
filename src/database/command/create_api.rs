use std::sync::Arc;

use portcullis_model::api::versioned_context;
use portcullis_model::{Api, ApiId, Lifecycle, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Regdb, State};
use crate::{api_history, api_rules};

/// Creates an API, or another version of one, with its definition. It begins as `CREATED`, without revisions.
/// Replies its id, which a retry with the same idempotency key gets too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateApi {
    /// The API; tenant, lifecycle, times and numbers are set here.
    pub api: Api,
    /// Its definition (OpenAPI document).
    pub definition: Arc<str>,
}

impl<C: Component> SubmittedBy<C> for CreateApi where C: Writes<Apimgtdb> + Writes<Regdb> {}

impl Command for CreateApi {
    type Reply = ApiId;

    fn subject(&self) -> String {
        format!("{}:{}", self.api.name, self.api.version)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<ApiId, Refused> {
        let mut api = self.api;
        api.tenant = moment.principal.tenant.clone();
        api.lifecycle = Lifecycle::Created;
        api.revisions_made = 0;
        api.created_at = moment.now;
        api.updated_at = moment.now;
        api.updated_by = moment.principal.username.clone();
        if state.apimgt.apis.contains_key(&api.id) {
            return Err(Refused::exists("API", api.id));
        }
        api_rules::check_definition(&self.definition)?;
        api_rules::check(state, &api)?;
        let id = api.id;
        let context = versioned_context(&api.context, &api.version);
        state.apimgt.contexts.insert((api.tenant.clone(), context), id);
        state.apimgt.api_names.insert((api.tenant.clone(), api.name.clone(), api.version.clone()), id);
        if api.is_default_version {
            super::update_api::unmark_other_defaults(state, &api);
        }
        state.apimgt.apis.insert(id, Arc::new(api));
        state.reg.definitions.insert(id, self.definition);
        api_history::record_lifecycle(state, id, None, Lifecycle::Created, moment);
        Ok(id)
    }
}
