//! Handles what is asked about what tenants keep besides APIs. What is in it is understood by the faces that serve it.

use std::sync::Arc;
use std::time::Duration;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_actor::Address;
use portcullis_database::{Apimgtdb, Caller, Committed, assets, command};
use portcullis_http::{ApiError, Signed};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::{AssetId, Refused, TenantDomain, Timestamp};

use crate::actor::Admin;
use crate::admin_error::AdminError;

/// How long a read waits for what was acknowledged on other nodes.
const FRESH_WITHIN: Duration = Duration::from_secs(2);

/// Asks for what a tenant keeps of a kind, by name; what belongs to an API is left out.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Arc<Asset>>")]
pub(crate) struct ListAssets {
    pub(crate) tenant: TenantDomain,
    pub(crate) kind: AssetKind,
}

/// Adds something that a tenant keeps, or replaces it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<Arc<Asset>>, AdminError>")]
pub(crate) struct PutAsset {
    pub(crate) caller: Caller,
    pub(crate) kind: AssetKind,
    pub(crate) id: AssetId,
    pub(crate) is_new: bool,
    pub(crate) name: String,
    pub(crate) document: String,
    pub(crate) content: String,
}

/// Deletes something that a tenant keeps.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct DeleteAsset {
    pub(crate) caller: Caller,
    pub(crate) kind: AssetKind,
    pub(crate) id: AssetId,
}

impl Handler<ListAssets> for Admin {
    type Result = ResponseFuture<Vec<Arc<Asset>>>;

    fn handle(&mut self, message: ListAssets, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            // What is written depends on what is there; without a leader nothing is written, and this node's state is shown.
            let view = handle.linearizable_view(FRESH_WITHIN).await.unwrap_or_else(|_| handle.view());
            let all = assets::of_tenant(view.read::<Apimgtdb>(), &message.tenant, message.kind);
            let mut all: Vec<_> = all.filter(|asset| asset.api.is_none()).cloned().collect();
            all.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
            all
        })
    }
}

impl Handler<PutAsset> for Admin {
    type Result = ResponseFuture<Result<Committed<Arc<Asset>>, AdminError>>;

    fn handle(&mut self, message: PutAsset, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let PutAsset { caller, kind, id, is_new, name, document, content } = message;
            let (tenant, user) = (caller.principal.tenant.clone(), caller.principal.username.clone());
            let asset = Asset {
                id,
                tenant: tenant.clone(),
                kind,
                api: None,
                name,
                document,
                content,
                created_by: user.clone(),
                created_at: Timestamp::default(),
                updated_by: user,
                updated_at: Timestamp::default(),
            };
            let made = handle.submit(command::PutAsset { asset, is_new, expected: None }, &caller).await?;
            let stored = handle.view().read::<Apimgtdb>().assets.get(&(kind, tenant, made.reply)).cloned();
            let reply = stored.ok_or_else(|| Refused::not_found(kind.noun(), made.reply))?;
            Ok(Committed { reply, index: made.index, unreached: made.unreached })
        })
    }
}

impl Handler<DeleteAsset> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: DeleteAsset, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let DeleteAsset { caller, kind, id } = message;
            let tenant = caller.principal.tenant.clone();
            Ok(handle.submit(command::DeleteAsset { tenant, kind, id }, &caller).await?)
        })
    }
}

/// Returns what the tenant of who asks keeps of a kind.
///
/// # Errors
/// 503 where Admin does not answer.
pub(crate) async fn all(admin: &Address<Admin>, signed: &Signed, kind: AssetKind) -> Result<Vec<Arc<Asset>>, ApiError> {
    let message = ListAssets { tenant: signed.0.principal.tenant.clone(), kind };
    Ok(admin.ask(message).await.map_err(AdminError::from)?)
}
