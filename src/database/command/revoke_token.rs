use portcullis_model::limit::REVOKED_TOKENS_MAX;
use portcullis_model::{Refused, Timestamp, TokenDigest};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::kept_tokens;
use crate::state::{Apimgtdb, Generation, State};

/// Revokes a token: one that is kept, with all that came from the same sign-in (RFC 7009), or a self-contained one
/// until it ends. Refused on every node when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeToken {
    /// The token's digest.
    pub digest: TokenDigest,
    /// When a self-contained token ends that is not kept; `None` for one that is.
    pub self_contained_until: Option<Timestamp>,
}

impl<C: Component> SubmittedBy<C> for RevokeToken where C: Writes<Apimgtdb> {}

impl Command for RevokeToken {
    /// Whether this revoked something: of those that revoke one token the first alone is told so.
    type Reply = bool;
    const EVERYWHERE: bool = true;

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<bool, Refused> {
        let was_listed = state.apimgt.revoked_tokens.contains_key(&self.digest);
        let was_kept = kept_tokens::revoke(state, &self.digest);
        if let (false, Some(until)) = (was_kept, self.self_contained_until) {
            if state.apimgt.revoked_tokens.len() as u64 >= REVOKED_TOKENS_MAX {
                return Err(Refused::LimitReached { what: "revoked tokens".to_owned(), max: REVOKED_TOKENS_MAX });
            }
            kept_tokens::revoke_self_contained(state, self.digest, until);
        }
        // As earlier versions do, so that what the log leads to is the same: also where there was nothing to revoke.
        if was_kept || self.self_contained_until.is_some() {
            state.deployed.advance(Generation::Keys);
        }
        Ok(was_kept || (!was_listed && state.apimgt.revoked_tokens.contains_key(&self.digest)))
    }
}
