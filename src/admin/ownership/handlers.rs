//! Handles what is asked about whose applications and APIs are.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_database::{Apimgtdb, Caller, Committed, command};
use portcullis_model::{Api, ApiId, Application, ApplicationId, TenantDomain, Username};
use uuid::Uuid;

use crate::actor::Admin;
use crate::admin_error::AdminError;

/// Asks for the applications of a tenant.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Arc<Application>>")]
pub(crate) struct ListApplications {
    pub(crate) tenant: TenantDomain,
}

/// Asks for one application of a tenant, with how many subscriptions it has.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<(Arc<Application>, usize)>")]
pub(crate) struct FindApplication {
    pub(crate) tenant: TenantDomain,
    pub(crate) id: ApplicationId,
}

/// Asks for the APIs of a tenant.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Arc<Api>>")]
pub(crate) struct ListApis {
    pub(crate) tenant: TenantDomain,
}

/// Deletes an application, whoever it belongs to.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct DeleteApplication {
    pub(crate) caller: Caller,
    pub(crate) id: ApplicationId,
}

/// Gives an application to another user.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct ChangeApplicationOwner {
    pub(crate) caller: Caller,
    pub(crate) id: ApplicationId,
    pub(crate) owner: Username,
}

/// Gives an API to another provider.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct ChangeApiProvider {
    pub(crate) caller: Caller,
    pub(crate) api: ApiId,
    pub(crate) provider: Username,
}

fn with_subscriptions(database: &Apimgtdb, application: &Arc<Application>) -> (Arc<Application>, usize) {
    let id = application.id;
    let every_api = (id, ApiId(Uuid::nil()))..=(id, ApiId(Uuid::max()));
    (Arc::clone(application), database.subscriptions_by_application.range(every_api).count())
}

impl Handler<FindApplication> for Admin {
    type Result = Option<(Arc<Application>, usize)>;

    fn handle(&mut self, message: FindApplication, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let database = view.read::<Apimgtdb>();
        let found = database.applications.get(&message.id).filter(|one| one.tenant == message.tenant);
        found.map(|one| with_subscriptions(database, one))
    }
}

impl Handler<ListApplications> for Admin {
    type Result = Vec<Arc<Application>>;

    fn handle(&mut self, message: ListApplications, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let all = view.read::<Apimgtdb>().applications.values();
        all.filter(|one| one.tenant == message.tenant).cloned().collect()
    }
}

impl Handler<ListApis> for Admin {
    type Result = Vec<Arc<Api>>;

    fn handle(&mut self, message: ListApis, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        view.read::<Apimgtdb>().apis.values().filter(|api| api.tenant == message.tenant).cloned().collect()
    }
}

impl Handler<DeleteApplication> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: DeleteApplication, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let DeleteApplication { caller, id } = message;
            let delete = command::DeleteApplication { id, owned_by: None, unchanged_since: None };
            Ok(handle.submit(delete, &caller).await?)
        })
    }
}

impl Handler<ChangeApplicationOwner> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: ChangeApplicationOwner, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let ChangeApplicationOwner { caller, id, owner } = message;
            let tenant = caller.principal.tenant.clone();
            Ok(handle.submit(command::ChangeApplicationOwner { tenant, id, owner }, &caller).await?)
        })
    }
}

impl Handler<ChangeApiProvider> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: ChangeApiProvider, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let ChangeApiProvider { caller, api, provider } = message;
            Ok(handle.submit(command::ChangeApiProvider { api, provider }, &caller).await?)
        })
    }
}
