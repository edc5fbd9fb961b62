//! Keys of other key managers that call for an application: mapped, listed, taken away again. The secrets of those that
//! were made there stay there.

use std::sync::Arc;

use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Committed, Userdb, command, key_managers, people};
use portcullis_http::Stamped;
use portcullis_model::key_manager::{KeyManager, MappedKey, RegisteredClient};
use portcullis_model::{
    ApplicationId, ClientId, KeyManagerId, KeyMappingId, KeyType, Principal, Refused, TenantDomain, Timestamp,
};
use uuid::Uuid;

use crate::actor::{Desk, Request, StoreView};
use crate::applications::find_owned;
use crate::dto::key::{KeyDto, TokenDto};
use crate::error::StoreError;
use crate::foreign_keys::forget;
use crate::messages::{KeyRef, MapKeys, Subscriber};

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
        check_permitted(&view, &key_manager, &self.subscriber)?;
        let key = MappedKey {
            mapping: KeyMappingId::from_random(random_bytes()),
            key_manager: key_manager.id,
            client: ClientId(consumer_key),
            application: application.id,
            key_type: KeyType::from(self.body.key_type),
            registered: None,
            created_at: Timestamp::default(),
        };
        let owned_by = Some(self.subscriber.principal.clone());
        let committed = desk.submit(command::MapKey { key, owned_by }, &self.subscriber).await?;
        let Committed { reply: stored, index, unreached } = committed;
        Ok(Stamped { body: mapped_dto(&desk, &stored, &key_manager.name, None)?, index, unreached })
    }
}

/// Returns the enabled key managers of a tenant and those of all tenants, by name; of one name the tenant's first.
pub(crate) fn key_managers_of(view: &StoreView, tenant: &TenantDomain) -> Vec<Arc<KeyManager>> {
    let all = key_managers::of_tenant(view.read::<Apimgtdb>(), tenant).filter(|one| one.is_enabled);
    let mut found: Vec<_> = all.cloned().collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// Returns an enabled key manager of a tenant, by its name or id.
pub(crate) fn by_name(view: &StoreView, tenant: &TenantDomain, name: &str) -> Option<Arc<KeyManager>> {
    let is_named = |one: &Arc<KeyManager>| one.name.eq_ignore_ascii_case(name) || one.id.to_string() == name;
    key_managers_of(view, tenant).into_iter().find(is_named)
}

/// Refuses keys of a key manager that is not for the roles of who asks.
pub(crate) fn check_permitted(view: &StoreView, one: &KeyManager, subscriber: &Subscriber) -> Result<(), Refused> {
    let Principal { tenant, username } = &subscriber.principal;
    let user = people::user(view.read::<Userdb>(), tenant, username);
    if one.permits(user.map_or(&[], |user| &user.roles)) {
        return Ok(());
    }
    Err(Refused::NotAllowed { reason: format!("the key manager {} is not for your roles", one.name) })
}

/// Returns the keys of other key managers that call for an application.
fn all_of(view: &StoreView, application: ApplicationId) -> impl Iterator<Item = &Arc<MappedKey>> {
    let tables = view.read::<Apimgtdb>();
    let all = (application, KeyMappingId(Uuid::nil()))..=(application, KeyMappingId(Uuid::max()));
    tables.mapped_keys_by_application.range(all).filter_map(|(_, key)| tables.mapped_keys.get(key))
}

/// Says whether an application has a client that was registered at a key manager for a type of keys.
pub(crate) fn has_registered(
    view: &StoreView,
    application: ApplicationId,
    at: KeyManagerId,
    key_type: KeyType,
) -> bool {
    all_of(view, application).any(|key| key.registered.is_some() && key.key_manager == at && key.key_type == key_type)
}

/// Returns the mapped keys of an application.
///
/// # Errors
/// Where a secret does not open.
pub(crate) fn mapped_of(desk: &Desk, view: &StoreView, application: ApplicationId) -> Result<Vec<KeyDto>, StoreError> {
    all_of(view, application).map(|key| describe_mapped(desk, view, key, None)).collect()
}

/// Returns the clients of an application that were registered at other key managers from here.
pub(crate) fn registered_of(view: &StoreView, application: ApplicationId) -> Vec<RegisteredClient> {
    all_of(view, application).filter_map(|key| key.registered.clone()).collect()
}

/// Says whether an id means a key of another key manager.
pub(crate) fn is_mapped(view: &StoreView, application: ApplicationId, key: KeyRef) -> bool {
    let KeyRef::Mapping(id) = key else { return false };
    view.read::<Apimgtdb>().mapped_keys_by_application.contains_key(&(application, id))
}

/// Returns a key of another key manager that calls for a subscriber's application; `None` where the id means none.
///
/// # Errors
/// Where there is no such application of the subscriber's.
pub(crate) fn find_mapped(
    view: &StoreView,
    subscriber: &Subscriber,
    application: ApplicationId,
    key: KeyRef,
) -> Result<Option<Arc<MappedKey>>, Refused> {
    let KeyRef::Mapping(id) = key else { return Ok(None) };
    let application = find_owned(view, subscriber, application)?;
    Ok(all_of(view, application.id).find(|key| key.mapping == id).map(Arc::clone))
}

fn key_manager_of(view: &StoreView, id: KeyManagerId) -> Option<&Arc<KeyManager>> {
    view.read::<Apimgtdb>().key_managers.iter().find(|((_, its), _)| *its == id).map(|(_, one)| one)
}

/// Makes the body of a key of another key manager.
///
/// # Errors
/// Where the secret does not open.
pub(crate) fn describe_mapped(
    desk: &Desk,
    view: &StoreView,
    key: &MappedKey,
    token: Option<TokenDto>,
) -> Result<KeyDto, StoreError> {
    let name = key_manager_of(view, key.key_manager).map(|one| one.name.clone()).unwrap_or_default();
    mapped_dto(desk, key, &name, token)
}

/// Makes the body of a key of the key manager of this name.
///
/// # Errors
/// Where the secret does not open.
pub(crate) fn mapped_dto(
    desk: &Desk,
    key: &MappedKey,
    key_manager: &str,
    token: Option<TokenDto>,
) -> Result<KeyDto, StoreError> {
    let sealed = key.registered.as_ref().and_then(|registered| registered.secret.as_ref());
    let secret = sealed.map(|sealed| desk.issuer.open_secret(sealed)).transpose()?;
    Ok(KeyDto::mapped(key, key_manager, secret.unwrap_or_default(), token))
}

/// Gets a token of a key that was registered at another key manager, from there.
///
/// # Errors
/// Where the key was made there, or the other key manager gives none.
pub(crate) async fn issue_mapped(
    desk: &Desk,
    view: &StoreView,
    key: &MappedKey,
    scopes: Vec<String>,
) -> Result<TokenDto, StoreError> {
    let one = key_manager_of(view, key.key_manager).filter(|one| one.is_enabled);
    let (Some(one), Some(registered)) = (one, &key.registered) else {
        let reason = format!("the keys {} were made at another key manager: get tokens there", key.client);
        return Err(Refused::wrong_state(reason).into());
    };
    Ok(TokenDto::from(desk.foreign.issue(one, &key.client, registered, scopes).await?))
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
    let Some(key) = all_of(&view, application).find(|key| key.mapping == mapping).map(Arc::clone) else {
        return Ok(None);
    };
    let owned_by = Some(subscriber.principal.clone());
    let unmap = command::UnmapKey { application, mapping, owned_by };
    let Committed { index, unreached, .. } = desk.submit(unmap, subscriber).await?;
    if let Some(registered) = &key.registered {
        forget(desk, registered).await;
    }
    Ok(Some(Stamped { body: (), index, unreached }))
}
