//! Handles what is asked about other key managers. Their tokens are not looked at here.

use std::sync::Arc;

use actix::{Context, Handler, ResponseFuture};
use portcullis_database::{Apimgtdb, Committed, command, key_managers};
use portcullis_model::Refused;
use portcullis_model::key_manager::KeyManager;

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{DeleteKeyManager, ListGlobalKeyManagers, ListKeyManagers, PutKeyManager};

impl Handler<ListKeyManagers> for Admin {
    type Result = Vec<Arc<KeyManager>>;

    fn handle(&mut self, message: ListKeyManagers, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        by_age(key_managers::own_of(view.read::<Apimgtdb>(), &message.tenant))
    }
}

impl Handler<ListGlobalKeyManagers> for Admin {
    type Result = Vec<Arc<KeyManager>>;

    fn handle(&mut self, _message: ListGlobalKeyManagers, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        by_age(key_managers::global(view.read::<Apimgtdb>()))
    }
}

fn by_age<'a>(all: impl Iterator<Item = &'a Arc<KeyManager>>) -> Vec<Arc<KeyManager>> {
    let mut found: Vec<_> = all.cloned().collect();
    found.sort_by_key(|one| (one.created_at, one.id));
    found
}

impl Handler<PutKeyManager> for Admin {
    type Result = ResponseFuture<Result<Committed<Arc<KeyManager>>, AdminError>>;

    fn handle(&mut self, message: PutKeyManager, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let PutKeyManager { caller, key_manager, is_new } = message;
            let (tenant, name) = (key_manager.tenant.clone(), key_manager.name.clone());
            let made = handle.submit(command::PutKeyManager { key_manager, is_new }, &caller).await?;
            // By its name, not its id: a retry finds the one that the first try made.
            let view = handle.view();
            let mut all = view.read::<Apimgtdb>().key_managers.iter();
            let found = all.find(|((its, _), one)| *its == tenant && one.name == name).map(|(_, one)| Arc::clone(one));
            let reply = found.ok_or_else(|| Refused::not_found("key manager", name))?;
            Ok(Committed { reply, index: made.index, unreached: made.unreached })
        })
    }
}

impl Handler<DeleteKeyManager> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: DeleteKeyManager, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let DeleteKeyManager { caller, id } = message;
            let tenant = caller.principal.tenant.clone();
            Ok(handle.submit(command::DeleteKeyManager { tenant, id }, &caller).await?)
        })
    }
}
