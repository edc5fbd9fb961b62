use std::sync::Arc;

use portcullis_model::{Refused, Timestamp, TokenDigest};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::Admin;
use crate::state::{JoinToken, State};

/// Join tokens that may be open at a time.
const JOIN_TOKENS_MAX: usize = 1000;

/// Makes a token with which nodes join. Drops the expired ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateJoinToken {
    /// The digest of the token's secret; the secret itself never enters the log.
    pub digest: TokenDigest,
    /// How long it may be used, in milliseconds.
    pub lives_ms: u64,
    /// How many nodes may join with it.
    pub uses: u32,
}

impl SubmittedBy<Admin> for CreateJoinToken {}

impl Command for CreateJoinToken {
    type Reply = Timestamp;

    fn subject(&self) -> String {
        format!("{} uses", self.uses)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<Timestamp, Refused> {
        if self.uses == 0 {
            return Err(Refused::invalid("uses", "must be at least 1"));
        }
        let is_open = |token: &JoinToken| token.expires_at > moment.now;
        state.system.join_tokens =
            state.system.join_tokens.iter().filter(|(_, token)| is_open(token)).map(|(k, v)| (*k, Arc::clone(v))).collect();
        if state.system.join_tokens.len() >= JOIN_TOKENS_MAX {
            return Err(Refused::LimitReached { what: "open join tokens".to_owned(), max: JOIN_TOKENS_MAX as u64 });
        }
        let expires_at = Timestamp(moment.now.0.saturating_add(self.lives_ms));
        let token = JoinToken { digest: self.digest, created_at: moment.now, expires_at, uses_left: self.uses };
        state.system.join_tokens.insert(self.digest, Arc::new(token));
        Ok(expires_at)
    }
}
