//! Keys of other key managers that call for an application: mapped, listed, taken away again. They are made there, not
//! here, and their secrets stay there.

use std::sync::Arc;

use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Committed, command};
use portcullis_http::Stamped;
use portcullis_model::key_manager::{KeyManager, MappedKey};
use portcullis_model::{
    ApplicationId, ClientId, KeyManagerId, KeyMappingId, KeyType, Refused, TenantDomain, Timestamp,
};
use uuid::Uuid;

use crate::actor::{Desk, Request, StoreView};
use crate::applications::find_owned;
use crate::dto::key::KeyDto;
use crate::error::StoreError;
use crate::messages::{MapKeys, Subscriber};

/// Characters of a consumer key.
const CONSUMER_KEY_CHARS_MAX: usize = 255;

impl Request for MapKeys {
    type Reply = Stamped<KeyDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let consumer_key = self.body.consumer_key.trim().to_owned();
        if consumer_key.is_empty() || consumer_key.len() > CONSUMER_KEY_CHARS_MAX {
            let reason = format!("must have 1 to {CONSUMER_KEY_CHARS_MAX} characters");
            return Err(Refused::invalid("consumerKey", reason).into());
        }
        let view = desk.view_for(self.subscriber.consistency).await?;
        let application = find_owned(&view, &self.subscriber, self.application)?;
        let named = self.body.key_manager.unwrap_or_default();
        let key_manager = by_name(&view, &application.tenant, &named).ok_or_else(|| {
            Refused::invalid("keyManager", format!("there is no key manager {named} whose keys could be mapped"))
        })?;
        let key = MappedKey {
            mapping: KeyMappingId::from_random(random_bytes()),
            key_manager: key_manager.id,
            client: ClientId(consumer_key),
            application: application.id,
            key_type: KeyType::from(self.body.key_type),
            created_at: Timestamp::default(),
        };
        let owned_by = Some(self.subscriber.principal.clone());
        let committed = desk.submit(command::MapKey { key: key.clone(), owned_by }, &self.subscriber).await?;
        let Committed { index, unreached, .. } = committed;
        Ok(Stamped { body: KeyDto::mapped(&key, &key_manager.name), index, unreached })
    }
}

/// Returns the enabled key managers of a tenant, by name.
pub(crate) fn key_managers_of(view: &StoreView, tenant: &TenantDomain) -> Vec<Arc<KeyManager>> {
    let all = (tenant.clone(), KeyManagerId(Uuid::nil()))..=(tenant.clone(), KeyManagerId(Uuid::max()));
    let all = view.read::<Apimgtdb>().key_managers.range(all).filter(|(_, one)| one.is_enabled);
    let mut found: Vec<_> = all.map(|(_, one)| Arc::clone(one)).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

fn by_name(view: &StoreView, tenant: &TenantDomain, name: &str) -> Option<Arc<KeyManager>> {
    let is_named = |one: &Arc<KeyManager>| one.name.eq_ignore_ascii_case(name) || one.id.to_string() == name;
    key_managers_of(view, tenant).into_iter().find(is_named)
}

/// Returns the mapped keys of an application.
pub(crate) fn mapped_of(view: &StoreView, application: ApplicationId) -> Vec<KeyDto> {
    let tables = view.read::<Apimgtdb>();
    let all = (application, KeyMappingId(Uuid::nil()))..=(application, KeyMappingId(Uuid::max()));
    let keys = tables.mapped_keys_by_application.range(all).filter_map(|(_, key)| tables.mapped_keys.get(key));
    let name_of = |key: &MappedKey| {
        let mut managers = tables.key_managers.iter();
        managers.find(|((_, id), _)| *id == key.key_manager).map(|(_, one)| one.name.clone()).unwrap_or_default()
    };
    keys.map(|key| KeyDto::mapped(key, &name_of(key))).collect()
}

/// Takes a mapped key away; `None` where the id means none of an application's.
///
/// # Errors
/// The refusal, or why the cluster could not decide.
pub(crate) async fn unmap(
    desk: &Desk,
    subscriber: &Subscriber,
    application: ApplicationId,
    mapping: KeyMappingId,
) -> Result<Option<Stamped<()>>, StoreError> {
    let view = desk.view_for(subscriber.consistency).await?;
    if !view.read::<Apimgtdb>().mapped_keys_by_application.contains_key(&(application, mapping)) {
        return Ok(None);
    }
    let owned_by = Some(subscriber.principal.clone());
    let unmap = command::UnmapKey { application, mapping, owned_by };
    let Committed { index, unreached, .. } = desk.submit(unmap, subscriber).await?;
    Ok(Some(Stamped { body: (), index, unreached }))
}
