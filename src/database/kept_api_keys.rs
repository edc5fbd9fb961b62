//! API keys in the state: kept, found by application, dropped when their time is over. Whether the caller may is checked
//! by the commands.

use std::sync::Arc;

use portcullis_model::{ApiKey, ApiKeyId, ApplicationId, Timestamp, TokenDigest};
use uuid::Uuid;

use crate::state::State;

/// Keeps a key.
pub(crate) fn keep(state: &mut State, key: ApiKey) {
    let tables = &mut state.apimgt;
    tables.api_keys_by_application.insert((key.application, key.id), key.digest);
    if let Some(ends_at) = key.expires_at {
        tables.api_key_ends.insert((ends_at, key.digest), ());
    }
    tables.api_keys.insert(key.digest, Arc::new(key));
}

/// Removes a key. Does not advance a generation.
pub(crate) fn remove(state: &mut State, digest: &TokenDigest) -> Option<Arc<ApiKey>> {
    let tables = &mut state.apimgt;
    let key = tables.api_keys.remove(digest)?;
    tables.api_keys_by_application.remove(&(key.application, key.id));
    if let Some(ends_at) = key.expires_at {
        tables.api_key_ends.remove(&(ends_at, *digest));
    }
    Some(key)
}

/// Returns the digests of an application's keys, in the order of their ids.
pub(crate) fn of_application(state: &State, application: ApplicationId) -> Vec<TokenDigest> {
    let all = (application, ApiKeyId(Uuid::nil()))..=(application, ApiKeyId(Uuid::max()));
    state.apimgt.api_keys_by_application.range(all).map(|(_, digest)| *digest).collect()
}

/// Drops keys whose time is over; a few at a time, so that no entry is slow.
pub(crate) fn drop_ended(state: &mut State, now: Timestamp) {
    const AT_ONCE: usize = 8;
    for _ in 0..AT_ONCE {
        let Some((ends_at, digest)) = state.apimgt.api_key_ends.get_min().map(|(key, ())| *key) else { return };
        if ends_at.after(portcullis_model::limit::EXPIRED_TOKEN_KEPT) > now {
            return;
        }
        if remove(state, &digest).is_none() {
            state.apimgt.api_key_ends.remove(&(ends_at, digest));
        }
    }
}
