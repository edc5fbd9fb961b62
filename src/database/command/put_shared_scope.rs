use std::sync::Arc;

use portcullis_model::limit::SHARED_SCOPES_MAX;
use portcullis_model::{Api, Refused, SharedScope};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Creates a scope that APIs share, or changes it for all APIs that have it. New tokens go by it everywhere when the answer
/// comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutSharedScope {
    /// The scope. The name of one that is there does not change.
    pub scope: SharedScope,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutSharedScope where C: Writes<Apimgtdb> {}

impl Command for PutSharedScope {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.scope.name.clone()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let mut scope = self.scope;
        let key = (scope.tenant.clone(), scope.id);
        match (state.apimgt.shared_scopes.get(&key), self.is_new) {
            (Some(_), true) => return Err(Refused::exists("scope", &scope.name)),
            (None, false) => return Err(Refused::not_found("scope", scope.id)),
            (Some(existing), false) => scope.name.clone_from(&existing.name),
            (None, true) => check_new(state, &scope)?,
        }
        let unknown = scope.roles.iter().find(|role| !state.user.roles.contains_key(&(scope.tenant.clone(), (*role).clone())));
        if let Some(role) = unknown {
            return Err(Refused::invalid("bindings", format!("there is no role {role}")));
        }
        let users: Vec<Arc<Api>> = state.apimgt.apis.values().filter(|api| has(api, &scope)).cloned().collect();
        for api in users {
            let mut changed = Api::clone(&api);
            for own in changed.scopes.iter_mut().filter(|own| own.is_shared && own.name == scope.name) {
                own.display_name.clone_from(&scope.display_name);
                own.description.clone_from(&scope.description);
                own.roles.clone_from(&scope.roles);
            }
            state.apimgt.apis.insert(changed.id, Arc::new(changed));
        }
        state.apimgt.shared_scopes.insert(key, Arc::new(scope));
        Ok(())
    }
}

/// Says whether an API uses a shared scope.
pub(super) fn has(api: &Api, scope: &SharedScope) -> bool {
    api.tenant == scope.tenant && api.scopes.iter().any(|own| own.is_shared && own.name == scope.name)
}

fn check_new(state: &State, scope: &SharedScope) -> Result<(), Refused> {
    let of_tenant = state.apimgt.shared_scopes.iter().filter(|(key, _)| key.0 == scope.tenant);
    let mut count = 0;
    for (_, other) in of_tenant {
        if other.name == scope.name {
            return Err(Refused::exists("scope", &scope.name));
        }
        count += 1;
    }
    if count >= SHARED_SCOPES_MAX {
        return Err(Refused::LimitReached { what: "shared scopes".to_owned(), max: SHARED_SCOPES_MAX as u64 });
    }
    let is_own = |api: &Arc<Api>| api.tenant == scope.tenant && api.scopes.iter().any(|own| !own.is_shared && own.name == scope.name);
    if state.apimgt.apis.values().any(is_own) {
        return Err(Refused::exists("scope", format!("{} of an API", scope.name)));
    }
    Ok(())
}
