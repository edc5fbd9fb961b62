//! Scopes that the APIs of a tenant share.

use std::sync::Arc;

use portcullis_database::{Apimgtdb, command};
use portcullis_model::{Api, Refused, ScopeId, SharedScope};
use uuid::Uuid;

use super::{Registry, Snapshot, may_see, seen, written};
use crate::fault::PublisherError;
use crate::messages::{Asker, DeleteSharedScope, ListScopeUsers, ListSharedScopes, PutSharedScope, Seen, Written};

fn of_tenant<'a>(snapshot: &'a Snapshot, asker: &'a Asker) -> impl Iterator<Item = &'a Arc<SharedScope>> {
    let tenant = &asker.identity.principal.tenant;
    let first = (tenant.clone(), ScopeId(Uuid::nil()));
    let rows = snapshot.read::<Apimgtdb>().shared_scopes.range(first..);
    rows.take_while(move |(key, _)| key.0 == *tenant).map(|(_, scope)| scope)
}

impl Registry {
    pub(crate) async fn list_shared_scopes(
        &self,
        message: ListSharedScopes,
    ) -> Result<Seen<Vec<Arc<SharedScope>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let mut scopes: Vec<_> = of_tenant(&snapshot, &message.asker).cloned().collect();
        scopes.sort_by(|one, next| one.name.cmp(&next.name));
        Ok(seen(&snapshot, scopes))
    }

    pub(crate) async fn put_shared_scope(
        &self,
        message: PutSharedScope,
    ) -> Result<Written<Arc<SharedScope>>, PublisherError> {
        let PutSharedScope { asker, scope, is_new } = message;
        let scope = SharedScope { tenant: asker.identity.principal.tenant.clone(), ..scope };
        let (id, name) = (scope.id, scope.name.clone());
        let committed = self.handle.submit(command::PutSharedScope { scope, is_new }, &asker.caller()).await?;
        let after = self.handle.view();
        // By its name where it is new: a retry finds the one that the first try made.
        let is_meant = |scope: &&Arc<SharedScope>| if is_new { scope.name == name } else { scope.id == id };
        let stored = of_tenant(&after, &asker).find(is_meant).cloned();
        let stored = stored.ok_or_else(|| Refused::not_found("scope", id))?;
        Ok(written(committed, |()| stored))
    }

    pub(crate) async fn delete_shared_scope(&self, message: DeleteSharedScope) -> Result<Written<()>, PublisherError> {
        let DeleteSharedScope { asker, id } = message;
        let tenant = asker.identity.principal.tenant.clone();
        let committed = self.handle.submit(command::DeleteSharedScope { tenant, id }, &asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }

    pub(crate) async fn list_scope_users(
        &self,
        message: ListScopeUsers,
    ) -> Result<Seen<Vec<Arc<Api>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let uses = |api: &&Arc<Api>| {
            may_see(&message.asker.identity, api)
                && api.scopes.iter().any(|own| own.is_shared && own.name == message.name)
        };
        let users = snapshot.read::<Apimgtdb>().apis.values().filter(uses).cloned().collect();
        Ok(seen(&snapshot, users))
    }
}
