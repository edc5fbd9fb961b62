use std::sync::Arc;

use portcullis_model::{ClientId, OauthClient, Refused, Sealed, TenantDomain};
use serde::{Deserialize, Serialize};

use super::revoke_client::reopen;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Gives an OAuth client another secret on an administrator's behalf, whoever registered it; the old one is worth nothing
/// any more, on every node, and a client that was revoked gets tokens again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewClientSecret {
    /// The tenant that it must be of.
    pub tenant: TenantDomain,
    /// The client.
    pub client: ClientId,
    /// The new secret.
    pub secret: Sealed,
}

impl<C: Component> SubmittedBy<C> for RenewClientSecret where C: Writes<Apimgtdb> {}

impl Command for RenewClientSecret {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.client.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let Self { tenant, client, secret } = self;
        let found = state.apimgt.clients.get(&client).filter(|found| found.tenant == tenant);
        let found = found.ok_or_else(|| Refused::not_found("OAuth client", &client))?;
        let renewed = OauthClient { secret, ..OauthClient::clone(found) };
        reopen(state, &client);
        state.apimgt.clients.insert(client, Arc::new(renewed));
        Ok(())
    }
}
