//! Keeps grants that wait, sign-ins, and their ends in step. Used by the commands; it decides nothing about who may.

use std::sync::Arc;

use portcullis_model::authorization::{PendingGrant, SignIn};
use portcullis_model::{Timestamp, TokenDigest};

use crate::state::State;

/// Keeps a grant until `until`.
pub(crate) fn keep(state: &mut State, digest: TokenDigest, grant: PendingGrant, until: Timestamp) {
    if let PendingGrant::Device(device) = &grant {
        state.apimgt.user_codes.insert(device.user_code.clone(), digest);
    }
    state.apimgt.pending_grants.insert(digest, Arc::new(grant));
    state.apimgt.pending_grant_ends.insert((until, digest), ());
}

/// Removes a grant that is kept until `until`.
pub(crate) fn remove(state: &mut State, digest: &TokenDigest, until: Timestamp) {
    if let Some(grant) = state.apimgt.pending_grants.remove(digest)
        && let PendingGrant::Device(device) = grant.as_ref()
        && state.apimgt.user_codes.get(&device.user_code) == Some(digest)
    {
        state.apimgt.user_codes.remove(&device.user_code);
    }
    state.apimgt.pending_grant_ends.remove(&(until, *digest));
}

/// Removes a sign-in.
pub(crate) fn sign_out(state: &mut State, digest: &TokenDigest) -> Option<Arc<SignIn>> {
    let sign_in = state.apimgt.sign_ins.remove(digest)?;
    state.apimgt.sign_in_ends.remove(&(sign_in.expires_at, *digest));
    Some(sign_in)
}

/// Drops what has ended; a few at a time, so that no entry is slow.
pub(crate) fn drop_ended(state: &mut State, now: Timestamp) {
    const AT_ONCE: usize = 8;
    for _ in 0..AT_ONCE {
        let Some((until, digest)) = state.apimgt.pending_grant_ends.get_min().map(|(key, ())| *key) else { break };
        if until > now {
            break;
        }
        remove(state, &digest, until);
    }
    for _ in 0..AT_ONCE {
        let Some((until, digest)) = state.apimgt.sign_in_ends.get_min().map(|(key, ())| *key) else { break };
        if until > now {
            break;
        }
        state.apimgt.sign_in_ends.remove(&(until, digest));
        state.apimgt.sign_ins.remove(&digest);
    }
}
