//! Keys of other key managers in the state: kept, found by application, removed. Whether the caller may is checked by the
//! commands.

use std::sync::Arc;

use portcullis_model::key_manager::{KeyManager, MappedKey};
use portcullis_model::{ApplicationId, ClientId, KeyManagerId, KeyMappingId, TenantDomain};
use uuid::Uuid;

use crate::state::State;

/// Returns the key managers of a tenant, in the order of their ids.
pub(crate) fn key_managers_of<'a>(state: &'a State, tenant: &'a TenantDomain) -> impl Iterator<Item = &'a KeyManager> {
    let all = (tenant.clone(), KeyManagerId(Uuid::nil()))..=(tenant.clone(), KeyManagerId(Uuid::max()));
    state.apimgt.key_managers.range(all).map(|(_, one)| one.as_ref())
}

/// Keeps a key.
pub(crate) fn keep(state: &mut State, key: MappedKey) {
    let tables = &mut state.apimgt;
    tables.mapped_keys_by_application.insert((key.application, key.mapping), (key.key_manager, key.client.clone()));
    tables.mapped_keys.insert((key.key_manager, key.client.clone()), Arc::new(key));
}

/// Removes one key; says whether there was one. Does not advance a generation.
pub(crate) fn remove(state: &mut State, application: ApplicationId, mapping: KeyMappingId) -> bool {
    let found = state.apimgt.mapped_keys_by_application.remove(&(application, mapping));
    found.is_some_and(|key| state.apimgt.mapped_keys.remove(&key).is_some())
}

/// Returns the key mappings of an application, in order.
pub(crate) fn of_application(state: &State, application: ApplicationId) -> Vec<KeyMappingId> {
    let all = (application, KeyMappingId(Uuid::nil()))..=(application, KeyMappingId(Uuid::max()));
    state.apimgt.mapped_keys_by_application.range(all).map(|((_, mapping), _)| *mapping).collect()
}

/// Says whether an application has a client that was registered at the same key manager for the same type of keys.
pub(crate) fn has_registered(state: &State, key: &MappedKey) -> bool {
    let all = (key.application, KeyMappingId(Uuid::nil()))..=(key.application, KeyMappingId(Uuid::max()));
    let tables = &state.apimgt;
    let mut others =
        tables.mapped_keys_by_application.range(all).filter_map(|(_, other)| tables.mapped_keys.get(other));
    others.any(|other| {
        other.registered.is_some() && other.key_manager == key.key_manager && other.key_type == key.key_type
    })
}

/// Removes all keys of a key manager. Does not advance a generation.
pub(crate) fn remove_of_key_manager(state: &mut State, id: KeyManagerId) {
    let all = state.apimgt.mapped_keys.range((id, ClientId(String::new()))..);
    let keys: Vec<_> =
        all.take_while(|((its, _), _)| *its == id).map(|(_, key)| (key.application, key.mapping)).collect();
    for (application, mapping) in keys {
        remove(state, application, mapping);
    }
}
