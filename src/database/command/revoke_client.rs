use portcullis_model::authorization::ClientRevocation;
use portcullis_model::{ClientId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::{client_secrets, kept_tokens};
use crate::state::{Apimgtdb, Generation, State};

/// Revokes an OAuth client: none of its tokens is accepted by any live node when the answer comes, and it gets none until it
/// has another secret. Its further secrets go with the first; its record stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeClient {
    /// The tenant that it must be of.
    pub tenant: TenantDomain,
    /// The client.
    pub client: ClientId,
}

impl<C: Component> SubmittedBy<C> for RevokeClient where C: Writes<Apimgtdb> {}

impl Command for RevokeClient {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.client.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let Self { tenant, client } = self;
        if state.apimgt.clients.get(&client).is_none_or(|found| found.tenant != tenant) {
            return Err(Refused::not_found("OAuth client", &client));
        }
        for digest in kept_tokens::of_client(state, &client) {
            kept_tokens::remove(state, &digest);
        }
        for (secret, _) in client_secrets::of(state, &client) {
            state.apimgt.client_secrets.remove(&(client.clone(), secret));
        }
        let revocation = ClientRevocation { at: moment.now, is_over: false };
        state.apimgt.revoked_clients.insert(client, revocation);
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}

/// Lets a revoked client get tokens again; those from before stay worthless.
pub(super) fn reopen(state: &mut State, client: &ClientId) {
    if let Some(revocation) = state.apimgt.revoked_clients.get(client).filter(|revocation| !revocation.is_over) {
        let over = ClientRevocation { is_over: true, ..*revocation };
        state.apimgt.revoked_clients.insert(client.clone(), over);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::KeyType;

    use super::super::store_fixture::{Fixture, application, client};
    use super::super::{CreateApplication, DeleteApplication, PutApplicationClient, ReplaceClientSecret};
    use super::*;

    #[test]
    fn a_revoked_client_is_open_again_with_another_secret_and_is_forgotten_with_its_application() {
        let mut fixture = Fixture::new();
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        let record = client("key", 1, KeyType::Production);
        let (mapping, id) = (record.mapping.unwrap(), record.id.clone());
        fixture.apply(PutApplicationClient { client: record, is_new: true, owned_by: None }).unwrap();
        let revoke = |tenant: &str| RevokeClient { tenant: TenantDomain(tenant.to_owned()), client: id.clone() };
        assert!(matches!(fixture.apply(revoke("shop.example")), Err(Refused::NotFound { .. })));
        fixture.apply(revoke("carbon.super")).unwrap();
        let revocation = |fixture: &Fixture| fixture.state.apimgt.revoked_clients.get(&id).copied();
        let at = revocation(&fixture).unwrap();
        assert!(!at.is_over);
        let secret = portcullis_model::Sealed(vec![9]);
        let renew = ReplaceClientSecret { mapping: mapping.id, application: mapping.application, secret, owned_by: None };
        fixture.apply(renew).unwrap();
        assert_eq!(revocation(&fixture), Some(ClientRevocation { is_over: true, ..at }));
        let delete = DeleteApplication { id: mapping.application, owned_by: None, unchanged_since: None };
        fixture.apply(delete).unwrap();
        assert_eq!(revocation(&fixture), None);
    }
}
