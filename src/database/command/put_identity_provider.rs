use std::sync::Arc;

use portcullis_model::Refused;
use portcullis_model::identity_provider::{IDENTITY_PROVIDERS_PER_TENANT_MAX, IdentityProvider};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::federation;
use crate::state::{State, Userdb};

/// Registers an identity provider, or changes the one of that id. No node lets in by one that was switched off when the
/// answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutIdentityProvider {
    /// The identity provider; `created_at` is set here.
    pub provider: IdentityProvider,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutIdentityProvider where C: Writes<Userdb> {}

impl Command for PutIdentityProvider {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.provider.name.clone()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut one = self.provider;
        if !state.user.tenants.contains_key(&one.tenant) {
            return Err(Refused::not_found("tenant", &one.tenant));
        }
        let key = (one.tenant.clone(), one.id);
        let before = state.user.identity_providers.get(&key).cloned();
        match (&before, self.is_new) {
            (Some(_), true) => return Err(Refused::exists("identity provider", one.id)),
            (None, false) => return Err(Refused::not_found("identity provider", one.id)),
            _ => {}
        }
        let others = || federation::providers_of(&state.user, &one.tenant).filter(|other| other.id != one.id);
        if others().any(|other| other.name.eq_ignore_ascii_case(&one.name)) {
            return Err(Refused::exists("identity provider", &one.name));
        }
        if self.is_new && others().count() >= IDENTITY_PROVIDERS_PER_TENANT_MAX {
            let what = format!("identity providers of {}", one.tenant);
            return Err(Refused::LimitReached { what, max: IDENTITY_PROVIDERS_PER_TENANT_MAX as u64 });
        }
        one.created_at = before.map_or(moment.now, |before| before.created_at);
        state.user.identity_providers.insert(key, Arc::new(one));
        Ok(())
    }
}
