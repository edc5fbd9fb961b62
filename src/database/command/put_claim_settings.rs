use std::sync::Arc;

use portcullis_model::claim_settings::{CLAIM_CHARS_MAX, CLAIMS_MAX, ClaimSettings};
use portcullis_model::{Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{State, Userdb};

/// Sets a tenant's claims: all of them, made from the version that is one less.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutClaimSettings {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The claims; refused where their version is not the one after what is there.
    pub settings: ClaimSettings,
}

impl<C: Component> SubmittedBy<C> for PutClaimSettings where C: Writes<Userdb> {}

impl Command for PutClaimSettings {
    type Reply = ();
    /// What a client must no longer be told it is not told.
    const EVERYWHERE: bool = true;

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let Self { tenant, settings } = self;
        if !state.user.tenants.contains_key(&tenant) {
            return Err(Refused::not_found("tenant", &tenant));
        }
        let before = state.user.claim_settings.get(&tenant).map_or(0, |before| before.version);
        if settings.version != before + 1 {
            return Err(Refused::Stale { noun: "claims".to_owned(), key: tenant.0 });
        }
        check(&settings)?;
        state.user.claim_settings.insert(tenant, Arc::new(settings));
        Ok(())
    }
}

/// Refuses more, and longer ones, than there may be.
fn check(settings: &ClaimSettings) -> Result<(), Refused> {
    let counts = [settings.local.len(), settings.dialects.len(), settings.scopes.len()];
    let of_dialects = settings.dialects.iter().map(|dialect| dialect.claims.len());
    let of_scopes = settings.scopes.iter().map(|scope| scope.claims.len());
    if counts.into_iter().chain(of_dialects).chain(of_scopes).any(|count| count > CLAIMS_MAX) {
        return Err(Refused::LimitReached { what: "claims".to_owned(), max: CLAIMS_MAX as u64 });
    }
    let of_local = settings.local.iter().flat_map(|one| [&one.name, &one.attribute, &one.title, &one.description]);
    let of_dialects = settings.dialects.iter().flat_map(|dialect| {
        dialect.claims.iter().flat_map(|claim| [&claim.uri, &claim.local]).chain([&dialect.uri])
    });
    let of_scopes = settings
        .scopes
        .iter()
        .flat_map(|scope| [&scope.name, &scope.title, &scope.description].into_iter().chain(&scope.claims));
    if of_local.chain(of_dialects).chain(of_scopes).any(|text| text.chars().count() > CLAIM_CHARS_MAX) {
        let what = "characters of a claim".to_owned();
        return Err(Refused::LimitReached { what, max: CLAIM_CHARS_MAX as u64 });
    }
    Ok(())
}
