use portcullis_model::api_key::{
    API_KEY_NAME_CHARS_MAX, API_KEYS_PER_APPLICATION_MAX, PERMITTED_NETWORKS_MAX, PERMITTED_REFERRERS_MAX,
};
use portcullis_model::{ApiKey, ApplicationState, Principal, Refused};
use serde::{Deserialize, Serialize};

use super::create_application::find_application;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::kept_api_keys;
use crate::state::{Apimgtdb, State};

/// Keeps an API key that was issued to an application.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateApiKey {
    /// The key. Its tenant is the application's.
    pub key: ApiKey,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for CreateApiKey where C: Writes<Apimgtdb> {}

impl Command for CreateApiKey {
    type Reply = ();

    fn subject(&self) -> String {
        format!("application {} {}", self.key.application, self.key.name)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let mut key = self.key;
        let application = find_application(state, key.application, self.owned_by.as_ref())?;
        if application.state != ApplicationState::Approved {
            return Err(Refused::wrong_state(format!("application {} is not approved", application.name)));
        }
        check_bounds(&key)?;
        if state.apimgt.api_keys.contains_key(&key.digest)
            || state.apimgt.api_keys_by_application.contains_key(&(key.application, key.id))
        {
            return Err(Refused::exists("API key", key.id));
        }
        if kept_api_keys::of_application(state, key.application).len() >= API_KEYS_PER_APPLICATION_MAX {
            let what = format!("API keys of application {}", application.name);
            return Err(Refused::LimitReached { what, max: API_KEYS_PER_APPLICATION_MAX as u64 });
        }
        key.tenant = application.tenant.clone();
        kept_api_keys::keep(state, key);
        Ok(())
    }
}

fn check_bounds(key: &ApiKey) -> Result<(), Refused> {
    let at_most = |field: &str, count: usize, max: usize| {
        if count > max { Err(Refused::invalid(field, format!("at most {max}, not {count}"))) } else { Ok(()) }
    };
    at_most("permittedIP", key.restriction.networks.len(), PERMITTED_NETWORKS_MAX)?;
    at_most("permittedReferer", key.restriction.referrers.len(), PERMITTED_REFERRERS_MAX)?;
    at_most("keyName", key.name.chars().count(), API_KEY_NAME_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use portcullis_model::{ApiKeyForm, ApiKeyId, KeyRestriction, KeyType, TenantDomain, Timestamp, TokenDigest};
    use portcullis_model::{ApplicationId, Username};

    use super::super::store_fixture::{Fixture, application, user};
    use super::super::{CreateApplication, DeleteApplication, RevokeApiKey};
    use super::*;
    use crate::state::Generation;

    fn key(number: u8, application: ApplicationId, expires_at: Option<Timestamp>) -> ApiKey {
        ApiKey {
            digest: TokenDigest([number; 32]),
            id: ApiKeyId::from_random([number; 16]),
            name: String::new(),
            tenant: TenantDomain::super_tenant(),
            application,
            key_type: KeyType::Production,
            form: ApiKeyForm::Opaque,
            restriction: KeyRestriction::default(),
            issued_by: Username("sam".to_owned()),
            issued_at: Timestamp(0),
            expires_at,
        }
    }

    fn with_application() -> (Fixture, ApplicationId) {
        let mut fixture = Fixture::new();
        let shop = application(1, "Shop");
        let id = shop.id;
        fixture.apply(CreateApplication { application: shop }).unwrap();
        (fixture, id)
    }

    #[test]
    fn a_key_belongs_to_its_application_and_goes_with_it() {
        let (mut fixture, id) = with_application();
        let create = |number, owned_by| CreateApiKey { key: key(number, id, Some(Timestamp(u64::MAX))), owned_by };
        assert!(matches!(fixture.apply(create(1, Some(user("eve")))), Err(Refused::NotAllowed { .. })));
        fixture.apply(create(1, Some(user("sam")))).unwrap();
        assert!(matches!(fixture.apply(create(1, None)), Err(Refused::AlreadyExists { .. })));
        fixture.apply(create(2, None)).unwrap();
        let keys = fixture.state.deployed.generation(Generation::Keys);
        let revoke = |number, application, owned_by| RevokeApiKey { digest: TokenDigest([number; 32]), application, owned_by };
        assert!(matches!(fixture.apply(revoke(1, id, Some(user("eve")))), Err(Refused::NotAllowed { .. })));
        assert_eq!(fixture.state.deployed.generation(Generation::Keys), keys);
        assert!(fixture.apply(revoke(1, id, None)).unwrap());
        assert!(!fixture.apply(revoke(1, id, None)).unwrap(), "revoked before");
        assert!(fixture.state.deployed.generation(Generation::Keys) > keys);
        fixture.apply(DeleteApplication { id, owned_by: None, unchanged_since: None }).unwrap();
        let tables = &fixture.state.apimgt;
        assert!(tables.api_keys.is_empty() && tables.api_keys_by_application.is_empty() && tables.api_key_ends.is_empty());
    }

    #[test]
    fn a_key_of_one_application_is_not_revoked_through_another() {
        let (mut fixture, id) = with_application();
        fixture.apply(CreateApplication { application: application(2, "Other") }).unwrap();
        fixture.apply(CreateApiKey { key: key(1, id, None), owned_by: None }).unwrap();
        let other = application(2, "Other").id;
        let revoke = RevokeApiKey { digest: TokenDigest([1; 32]), application: other, owned_by: None };
        assert!(matches!(fixture.apply(revoke), Err(Refused::Invalid { .. })));
        assert_eq!(fixture.state.apimgt.api_keys.len(), 1);
    }

    #[test]
    fn keys_are_bounded_and_ended_ones_leave_the_state() {
        let (mut fixture, id) = with_application();
        let mut numbered = |number: u32, ends_at| {
            let mut one = key(0, id, ends_at);
            one.digest.0[..4].copy_from_slice(&number.to_be_bytes());
            one.id = ApiKeyId(uuid::Uuid::from_u128(u128::from(number) + 1));
            fixture.apply(CreateApiKey { key: one, owned_by: None })
        };
        for number in 0..API_KEYS_PER_APPLICATION_MAX as u32 {
            numbered(number, Some(Timestamp(60_000))).unwrap();
        }
        assert!(matches!(numbered(9_999, None), Err(Refused::LimitReached { .. })));
        kept_api_keys::drop_ended(&mut fixture.state, Timestamp(60_000 + 3_600_000));
        assert_eq!(fixture.state.apimgt.api_keys.len(), API_KEYS_PER_APPLICATION_MAX - 8);
    }
}
