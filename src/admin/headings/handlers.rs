//! Handles what is asked about categories and labels.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_database::{Apimgtdb, Caller, Committed, command, headings};
use portcullis_model::heading::{Heading, HeadingKind};
use portcullis_model::{Api, HeadingId, Refused, TenantDomain};

use crate::actor::Admin;
use crate::admin_error::AdminError;

/// Asks for the categories or the labels of a tenant, by name, with the APIs filed under each.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<(Arc<Heading>, Vec<Arc<Api>>)>")]
pub(crate) struct ListHeadings {
    pub(crate) tenant: TenantDomain,
    pub(crate) kind: HeadingKind,
}

/// Creates a category or a label, or changes one.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<Arc<Heading>>, AdminError>")]
pub(crate) struct PutHeading {
    pub(crate) caller: Caller,
    pub(crate) heading: Heading,
    pub(crate) is_new: bool,
}

/// Deletes a category or a label under which no API is filed.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct DeleteHeading {
    pub(crate) caller: Caller,
    pub(crate) kind: HeadingKind,
    pub(crate) id: HeadingId,
}

impl Handler<ListHeadings> for Admin {
    type Result = Vec<(Arc<Heading>, Vec<Arc<Api>>)>;

    fn handle(&mut self, message: ListHeadings, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let database = view.read::<Apimgtdb>();
        let mut below = headings::apis_below(database, &message.tenant, message.kind);
        let with_apis = |heading: &Arc<Heading>| (Arc::clone(heading), below.remove(&heading.id).unwrap_or_default());
        let mut found: Vec<_> = headings::of_tenant(database, &message.tenant, message.kind).map(with_apis).collect();
        found.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        found
    }
}

impl Handler<PutHeading> for Admin {
    type Result = ResponseFuture<Result<Committed<Arc<Heading>>, AdminError>>;

    fn handle(&mut self, message: PutHeading, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let PutHeading { caller, heading, is_new } = message;
            let (tenant, kind) = (heading.tenant.clone(), heading.kind);
            let made = handle.submit(command::PutHeading { heading, is_new }, &caller).await?;
            let stored = handle.view().read::<Apimgtdb>().headings.get(&(tenant, kind, made.reply)).cloned();
            let reply = stored.ok_or_else(|| Refused::not_found(kind.noun(), made.reply))?;
            Ok(Committed { reply, index: made.index, unreached: made.unreached })
        })
    }
}

impl Handler<DeleteHeading> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: DeleteHeading, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let DeleteHeading { caller, kind, id } = message;
            let tenant = caller.principal.tenant.clone();
            Ok(handle.submit(command::DeleteHeading { tenant, kind, id }, &caller).await?)
        })
    }
}
