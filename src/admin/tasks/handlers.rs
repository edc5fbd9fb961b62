//! Handles what is asked about tasks that wait for a decision.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_database::{Apimgtdb, Caller, Committed, command, tasks};
use portcullis_model::task::Task;
use portcullis_model::{TaskId, TenantDomain};

use crate::actor::Admin;
use crate::admin_error::AdminError;

/// Asks for the tasks of a tenant, those first that wait longest.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Arc<Task>>")]
pub(crate) struct ListTasks {
    pub(crate) tenant: TenantDomain,
}

/// Decides about one.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct DecideTask {
    pub(crate) caller: Caller,
    pub(crate) id: TaskId,
    pub(crate) is_approved: bool,
}

impl Handler<ListTasks> for Admin {
    type Result = Vec<Arc<Task>>;

    fn handle(&mut self, message: ListTasks, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let mut found: Vec<_> = tasks::of_tenant(view.read::<Apimgtdb>(), &message.tenant).cloned().collect();
        found.sort_by_key(|task| (task.created_at, task.id));
        found
    }
}

impl Handler<DecideTask> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: DecideTask, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let DecideTask { caller, id, is_approved } = message;
            let tenant = caller.principal.tenant.clone();
            Ok(handle.submit(command::DecideTask { tenant, id, is_approved }, &caller).await?)
        })
    }
}
