use std::sync::Arc;

use portcullis_model::Refused;
use portcullis_model::key_manager::{KEY_MANAGERS_PER_TENANT_MAX, KeyManager, RESIDENT_KEY_MANAGER};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::mapped_keys;
use crate::state::{Apimgtdb, Generation, State};

/// Registers a key manager, or changes the one of that id. In force on every gateway when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutKeyManager {
    /// The key manager; `created_at` is set here.
    pub key_manager: KeyManager,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutKeyManager where C: Writes<Apimgtdb> {}

impl Command for PutKeyManager {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut one = self.key_manager;
        if !state.user.tenants.contains_key(&one.tenant) {
            return Err(Refused::not_found("tenant", &one.tenant));
        }
        let key = (one.tenant.clone(), one.id);
        let before = state.apimgt.key_managers.get(&key).cloned();
        match (&before, self.is_new) {
            (Some(_), true) => return Err(Refused::exists("key manager", one.id)),
            (None, false) => return Err(Refused::not_found("key manager", one.id)),
            _ => {}
        }
        check_free(state, &one)?;
        if self.is_new && mapped_keys::key_managers_of(state, &one.tenant).count() >= KEY_MANAGERS_PER_TENANT_MAX {
            let what = format!("key managers of {}", one.tenant);
            return Err(Refused::LimitReached { what, max: KEY_MANAGERS_PER_TENANT_MAX as u64 });
        }
        one.created_at = before.map_or(moment.now, |before| before.created_at);
        state.apimgt.key_managers.insert(key, Arc::new(one));
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}

/// Refuses a name or an issuer that means another key manager.
fn check_free(state: &State, one: &KeyManager) -> Result<(), Refused> {
    let others = || mapped_keys::key_managers_of(state, &one.tenant).filter(|other| other.id != one.id);
    let is_taken = |name: &str| name.eq_ignore_ascii_case(&one.name);
    if is_taken(RESIDENT_KEY_MANAGER) || others().any(|other| is_taken(&other.name)) {
        return Err(Refused::exists("key manager", &one.name));
    }
    if others().any(|other| other.issuer == one.issuer) {
        return Err(Refused::exists("key manager with issuer", &one.issuer));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_model::{
        ApplicationId, ClientId, KeyManagerId, KeyMappingId, KeyType, TenantDomain, Timestamp,
    };
    use portcullis_model::key_manager::{MappedKey, RegisteredClient};

    use super::super::store_fixture::{Fixture, application, user};
    use super::super::{CreateApplication, DeleteApplication, DeleteKeyManager, MapKey, UnmapKey};
    use super::*;

    fn key_manager(number: u8, name: &str, issuer: &str) -> KeyManager {
        KeyManager {
            id: KeyManagerId::from_random([number; 16]),
            tenant: TenantDomain::super_tenant(),
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            jwks_url: Some("https://idp.example/jwks".to_owned()),
            introspection_url: None,
            registration_url: None,
            token_url: None,
            login: None,
            opaque_tokens: None,
            claim_mapping: Vec::new(),
            consumer_key_claim: "azp".to_owned(),
            scopes_claim: "scope".to_owned(),
            is_enabled: true,
            other_fields: "{}".to_owned(),
            created_at: Timestamp(0),
        }
    }

    fn mapped(number: u8, client: &str, application: ApplicationId) -> MappedKey {
        MappedKey {
            mapping: KeyMappingId::from_random([number; 16]),
            key_manager: KeyManagerId::from_random([1; 16]),
            client: ClientId(client.to_owned()),
            application,
            key_type: KeyType::Production,
            registered: None,
            created_at: Timestamp(0),
        }
    }

    fn world() -> (Fixture, ApplicationId) {
        let mut fixture = Fixture::new();
        fixture.state.user.tenants.insert(TenantDomain::super_tenant(), Timestamp(0));
        let shop = application(1, "Shop");
        let id = shop.id;
        fixture.apply(CreateApplication { application: shop }).unwrap();
        fixture.apply(PutKeyManager { key_manager: key_manager(1, "Okta", "https://a"), is_new: true }).unwrap();
        (fixture, id)
    }

    #[test]
    fn names_and_issuers_mean_one_key_manager() {
        let (mut fixture, _) = world();
        let put = |key_manager, is_new| PutKeyManager { key_manager, is_new };
        for taken in [key_manager(1, "Other", "https://b"), key_manager(2, "okta", "https://b"), key_manager(2, "Other", "https://a"), key_manager(2, "resident key manager", "https://b")] {
            assert!(matches!(fixture.apply(put(taken, true)), Err(Refused::AlreadyExists { .. })));
        }
        fixture.apply(put(key_manager(1, "OKTA", "https://c"), false)).unwrap();
        assert!(matches!(fixture.apply(put(key_manager(9, "x", "https://x"), false)), Err(Refused::NotFound { .. })));
    }

    #[test]
    fn mapped_keys_belong_to_one_application_and_go_with_it_or_with_their_key_manager() {
        let (mut fixture, id) = world();
        let map = |number, client, owned_by| MapKey { key: mapped(number, client, id), owned_by };
        assert!(matches!(fixture.apply(map(1, "a", Some(user("eve")))), Err(Refused::NotAllowed { .. })));
        fixture.apply(map(1, "a", Some(user("sam")))).unwrap();
        assert!(matches!(fixture.apply(map(2, "a", None)), Err(Refused::AlreadyExists { .. })));
        fixture.apply(map(2, "b", None)).unwrap();
        // One client that is registered from here for each type of keys; what is made there is nobody's business here.
        let registered = |number, client, key_type| {
            let empty = RegisteredClient {
                secret: None,
                grants: Vec::new(),
                callback_url: String::new(),
                management: None,
            };
            let key = MappedKey { key_type, registered: Some(empty), ..mapped(number, client, id) };
            MapKey { key, owned_by: None }
        };
        let stored = fixture.apply(registered(7, "r", KeyType::Production)).unwrap();
        assert_eq!(stored.client, ClientId("r".to_owned()));
        let again = fixture.apply(registered(8, "s", KeyType::Production));
        assert!(matches!(again, Err(Refused::AlreadyExists { .. })));
        fixture.apply(registered(8, "s", KeyType::Sandbox)).unwrap();
        let unmap = |number, owned_by| UnmapKey { application: id, mapping: KeyMappingId::from_random([number; 16]), owned_by };
        assert!(matches!(fixture.apply(unmap(1, Some(user("eve")))), Err(Refused::NotAllowed { .. })));
        fixture.apply(unmap(1, Some(user("sam")))).unwrap();
        assert!(matches!(fixture.apply(unmap(1, None)), Err(Refused::NotFound { .. })));
        let of_first = KeyManagerId::from_random([1; 16]);
        let delete = DeleteKeyManager { tenant: TenantDomain::super_tenant(), id: of_first };
        let keys = fixture.state.deployed.generation(Generation::Keys);
        fixture.apply(delete.clone()).unwrap();
        assert!(fixture.state.deployed.generation(Generation::Keys) > keys);
        assert!(matches!(fixture.apply(delete), Err(Refused::NotFound { .. })));
        let is_empty = |fixture: &Fixture| {
            let tables = &fixture.state.apimgt;
            tables.mapped_keys.is_empty() && tables.mapped_keys_by_application.is_empty()
        };
        assert!(is_empty(&fixture));
        assert!(matches!(fixture.apply(map(3, "c", None)), Err(Refused::NotFound { .. })));
        fixture.apply(PutKeyManager { key_manager: key_manager(1, "Okta", "https://a"), is_new: true }).unwrap();
        fixture.apply(map(3, "c", None)).unwrap();
        fixture.apply(DeleteApplication { id, owned_by: None, unchanged_since: None }).unwrap();
        assert!(is_empty(&fixture));
    }
}
