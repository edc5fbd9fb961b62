//! Handles what is asked about gateway environments.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_database::{Apimgtdb, Caller, Committed, command, environments};
use portcullis_model::{Environment, EnvironmentId, Refused, TenantDomain};

use crate::actor::Admin;
use crate::admin_error::AdminError;

/// Asks for the environments of a tenant, the one that every tenant has first.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Arc<Environment>>")]
pub(crate) struct ListEnvironments {
    pub(crate) tenant: TenantDomain,
}

/// Creates an environment, or changes one.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<Arc<Environment>>, AdminError>")]
pub(crate) struct PutEnvironment {
    pub(crate) caller: Caller,
    pub(crate) environment: Environment,
    pub(crate) is_new: bool,
}

/// Deletes an environment to which nothing is deployed.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct DeleteEnvironment {
    pub(crate) caller: Caller,
    pub(crate) id: EnvironmentId,
}

impl Handler<ListEnvironments> for Admin {
    type Result = Vec<Arc<Environment>>;

    fn handle(&mut self, message: ListEnvironments, _context: &mut Context<Self>) -> Self::Result {
        environments::of_tenant(self.handle.view().read::<Apimgtdb>(), &message.tenant)
    }
}

impl Handler<PutEnvironment> for Admin {
    type Result = ResponseFuture<Result<Committed<Arc<Environment>>, AdminError>>;

    fn handle(&mut self, message: PutEnvironment, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let PutEnvironment { caller, environment, is_new } = message;
            let tenant = environment.tenant.clone();
            let made = handle.submit(command::PutEnvironment { environment, is_new }, &caller).await?;
            let stored = handle.view().read::<Apimgtdb>().environments.get(&(tenant, made.reply)).cloned();
            let reply = stored.ok_or_else(|| Refused::not_found("gateway environment", made.reply))?;
            Ok(Committed { reply, index: made.index, unreached: made.unreached })
        })
    }
}

impl Handler<DeleteEnvironment> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: DeleteEnvironment, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let DeleteEnvironment { caller, id } = message;
            let tenant = caller.principal.tenant.clone();
            Ok(handle.submit(command::DeleteEnvironment { tenant, id }, &caller).await?)
        })
    }
}
