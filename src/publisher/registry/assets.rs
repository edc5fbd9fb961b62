//! What tenants keep besides APIs.

use std::sync::Arc;

use portcullis_database::command::{DeleteAsset as DeleteAssetCommand, PutAsset as PutAssetCommand};
use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, assets};
use portcullis_model::asset::Asset;
use portcullis_model::{ApiId, AssetId, Refused, Timestamp};

use super::{Registry, Snapshot, find, seen, written};
use crate::fault::PublisherError;
use crate::messages::{Asker, DeleteAsset, ListAssets, PutAsset, Seen, Written};

impl Registry {
    pub(crate) async fn list_assets(&self, message: ListAssets) -> Result<Seen<Vec<Arc<Asset>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let of = owner(&snapshot, &message.asker, message.api.as_deref())?;
        let tenant = &message.asker.identity.principal.tenant;
        let all = assets::of_tenant(snapshot.read::<Apimgtdb>(), tenant, message.kind);
        let mut all: Vec<_> = all.filter(|asset| asset.api == of).cloned().collect();
        all.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        Ok(seen(&snapshot, all))
    }

    pub(crate) async fn put_asset(&self, message: PutAsset) -> Result<Written<Arc<Asset>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let principal = &message.asker.identity.principal;
        let api = owner(&snapshot, &message.asker, message.api.as_deref())?;
        let asset = Asset {
            id: message.id.unwrap_or_else(|| AssetId::from_random(random_bytes())),
            tenant: principal.tenant.clone(),
            kind: message.kind,
            api,
            name: message.name,
            document: message.document,
            content: message.content,
            created_by: principal.username.clone(),
            created_at: Timestamp::default(),
            updated_by: principal.username.clone(),
            updated_at: Timestamp::default(),
        };
        let command = PutAssetCommand { asset, is_new: message.id.is_none(), expected: message.expected };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let key = (message.kind, principal.tenant.clone(), committed.reply);
        let asset = self.handle.view().read::<Apimgtdb>().assets.get(&key).cloned();
        let asset = asset.ok_or_else(|| Refused::not_found(message.kind.noun(), committed.reply))?;
        Ok(written(committed, |_| asset))
    }

    pub(crate) async fn delete_asset(&self, message: DeleteAsset) -> Result<Written<()>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let of = owner(&snapshot, &message.asker, message.api.as_deref())?;
        let key = (message.kind, message.asker.identity.principal.tenant.clone(), message.id);
        let found = snapshot.read::<Apimgtdb>().assets.get(&key);
        // A retry finds it gone: the state machine then repeats its answer to the first attempt. Whose it is, is checked
        // all the same where it is there: the command does not know.
        let is_retry = found.is_none() && message.asker.idempotency.is_some();
        if !is_retry && found.is_none_or(|asset| asset.api != of) {
            return Err(Refused::not_found(message.kind.noun(), message.id).into());
        }
        let command = DeleteAssetCommand { tenant: key.1, kind: message.kind, id: message.id };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }
}

fn owner(snapshot: &Snapshot, asker: &Asker, api: Option<&str>) -> Result<Option<ApiId>, PublisherError> {
    api.map(|api| find(snapshot, &asker.identity, api).map(|api| api.id)).transpose()
}
