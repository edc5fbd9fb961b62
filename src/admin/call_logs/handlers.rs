//! Handles what is asked about the log levels of APIs.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_database::{Apimgtdb, Caller, Committed, command};
use portcullis_model::call_log::CallLog;
use portcullis_model::{Api, ApiId, TenantDomain};

use crate::actor::Admin;
use crate::admin_error::AdminError;

/// Asks for a tenant's APIs with what gateways log of their calls, by name and version; for one of them where `api` is
/// given.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<(Arc<Api>, CallLog)>")]
pub(crate) struct ListCallLogs {
    pub(crate) tenant: TenantDomain,
    pub(crate) api: Option<ApiId>,
}

/// Sets how much is logged.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct SetCallLog {
    pub(crate) caller: Caller,
    pub(crate) command: command::SetCallLog,
}

impl Handler<ListCallLogs> for Admin {
    type Result = Vec<(Arc<Api>, CallLog)>;

    fn handle(&mut self, message: ListCallLogs, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let database = view.read::<Apimgtdb>();
        let from = (message.tenant.clone(), String::new(), String::new());
        let ids = database.api_names.range(from..).take_while(|((tenant, ..), _)| *tenant == message.tenant);
        let wanted = ids.filter(|(_, id)| message.api.is_none_or(|wanted| wanted == **id));
        let found = wanted.filter_map(|(_, id)| database.apis.get(id));
        let log = |id| view.deployed().call_logs.get(id).map(|log| CallLog::clone(log)).unwrap_or_default();
        found.map(|api| (Arc::clone(api), log(&api.id))).collect()
    }
}

impl Handler<SetCallLog> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: SetCallLog, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move { Ok(handle.submit(message.command, &message.caller).await?) })
    }
}
