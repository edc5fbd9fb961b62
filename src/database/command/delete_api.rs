use portcullis_model::api::versioned_context;
use portcullis_model::{ApiId, ApplicationId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Regdb, State};
use crate::{api_rules, belongings, projection, tasks};

/// Deletes an API with its revisions, deployments and documents. Refused while it has subscriptions, as in the
/// original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteApi {
    /// The API.
    pub api: ApiId,
}

impl<C: Component> SubmittedBy<C> for DeleteApi where C: Writes<Apimgtdb> + Writes<Regdb> {}

impl Command for DeleteApi {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.api.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let api = api_rules::find(state, moment, self.api)?;
        let first = (self.api, ApplicationId(uuid::Uuid::nil()));
        let subscribed = state.apimgt.subscriptions_by_api.range(first..).take_while(|((id, _), _)| *id == self.api);
        let count = subscribed.count();
        if count > 0 {
            let reason = format!(
                "{}:{} has {count} subscription(s); they must be removed first, or the API retired",
                api.name, api.version
            );
            return Err(Refused::wrong_state(reason));
        }
        if let Some(product) = api_rules::product_with(state, &api) {
            let reason = format!(
                "{}:{} is part of the product {} {}; take it out of that first",
                api.name, api.version, product.name, product.version
            );
            return Err(Refused::wrong_state(reason));
        }
        for revision in projection::revisions_of(state, self.api) {
            state.apimgt.revisions.remove(&(self.api, revision.number));
            state.apimgt.revision_ids.remove(&revision.id);
        }
        let events: Vec<_> =
            state.apimgt.lifecycle_events.range((self.api, 0)..=(self.api, u64::MAX)).map(|(key, _)| *key).collect();
        for key in events {
            state.apimgt.lifecycle_events.remove(&key);
        }
        state.apimgt.contexts.remove(&(api.tenant.clone(), versioned_context(&api.context, &api.version)));
        state.apimgt.api_names.remove(&(api.tenant.clone(), api.name.clone(), api.version.clone()));
        state.apimgt.apis.remove(&self.api);
        state.reg.definitions.remove(&self.api);
        belongings::remove(state, self.api);
        tasks::forget_api(state, &api.tenant, self.api);
        projection::remove_certificates(state, self.api);
        projection::refresh(state, &api.tenant, &api.name, self.api);
        Ok(())
    }
}
