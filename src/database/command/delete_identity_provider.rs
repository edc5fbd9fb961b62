use portcullis_model::{IdentityProviderId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{State, Userdb};

/// Deletes an identity provider, and what is known of who signed in by it. The users stay; nobody signs in as one of them by
/// it when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteIdentityProvider {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The identity provider.
    pub id: IdentityProviderId,
}

impl<C: Component> SubmittedBy<C> for DeleteIdentityProvider where C: Writes<Userdb> {}

impl Command for DeleteIdentityProvider {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.id.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let Self { tenant, id } = self;
        if state.user.identity_providers.remove(&(tenant.clone(), id)).is_none() {
            return Err(Refused::not_found("identity provider", id));
        }
        let first = (tenant.clone(), id, String::new());
        let theirs = state.user.federated_users.range(first..).map(|(key, _)| key);
        let theirs: Vec<_> = theirs.take_while(|key| key.0 == tenant && key.1 == id).cloned().collect();
        for key in theirs {
            state.user.federated_users.remove(&key);
        }
        Ok(())
    }
}
