use std::sync::Arc;

use portcullis_model::authorization::{Consent, PendingGrant, TokenDetails};
use portcullis_model::limit::{CONSENTS_MAX, PENDING_GRANTS_MAX};
use portcullis_model::{Refused, TokenDigest};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::pending;
use crate::state::{Apimgtdb, State};

/// Keeps a grant that is to be turned into a token later: an authorization code, a device's request, or a pushed
/// request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeepGrant {
    /// The digest of the code or of the reference.
    pub digest: TokenDigest,
    /// The grant.
    pub grant: PendingGrant,
    /// The pushed request that it comes from, which is used up by that.
    pub spends: Option<TokenDigest>,
    /// Whether the user is not to be asked again for the scopes of this code.
    pub is_remembered: bool,
}

impl<C: Component> SubmittedBy<C> for KeepGrant where C: Writes<Apimgtdb> {}

impl Command for KeepGrant {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let tables = &state.apimgt;
        let client = self.grant.client();
        if !tables.clients.contains_key(client) {
            return Err(Refused::not_found("OAuth client", client));
        }
        if tables.pending_grants.contains_key(&self.digest) {
            return Err(Refused::exists("grant", "with this digest"));
        }
        if tables.pending_grants.len() >= PENDING_GRANTS_MAX {
            let what = "sign-ins under way".to_owned();
            return Err(Refused::LimitReached { what, max: PENDING_GRANTS_MAX as u64 });
        }
        let until = match &self.grant {
            PendingGrant::Code(code) => code.expires_at,
            PendingGrant::Device(device) if tables.user_codes.contains_key(&device.user_code) => {
                return Err(Refused::exists("device request", "with this user code"));
            }
            PendingGrant::Device(device) => device.expires_at,
            PendingGrant::Pushed(pushed) => pushed.expires_at,
            PendingGrant::Spent(_) => return Err(Refused::invalid("grant", "must not be spent")),
        };
        if let Some(pushed) = &self.spends {
            match tables.pending_grants.get(pushed).map(AsRef::as_ref) {
                Some(PendingGrant::Pushed(request)) if request.expires_at > moment.now => {
                    let until = request.expires_at;
                    pending::remove(state, pushed, until);
                }
                _ => return Err(Refused::not_found("pushed request", "with this reference")),
            }
        }
        if let (PendingGrant::Code(code), true) = (&self.grant, self.is_remembered) {
            let key = (code.tenant.clone(), code.username.clone(), code.client.clone());
            let mut scopes = code.scopes.clone();
            if let Some(before) = state.apimgt.consents.get(&key) {
                scopes.extend(before.scopes.iter().filter(|scope| !code.scopes.contains(scope)).cloned());
            }
            // Beyond the bound users are asked again: that takes nothing from anybody.
            if state.apimgt.consents.len() < CONSENTS_MAX || state.apimgt.consents.contains_key(&key) {
                state.apimgt.consents.insert(key, Arc::new(Consent { scopes, given_at: moment.now }));
            }
        }
        pending::keep(state, self.digest, self.grant, until);
        Ok(())
    }
}

/// Notes further facts about a token, where there are any.
pub(super) fn keep_details(state: &mut State, digest: TokenDigest, details: TokenDetails) {
    if !details.is_empty() {
        state.apimgt.token_details.insert(digest, Arc::new(details));
    }
}
