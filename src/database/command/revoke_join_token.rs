use portcullis_model::{Refused, TokenDigest};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::Admin;
use crate::state::State;

/// Makes a join token useless.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeJoinToken {
    /// The digest of the token's secret.
    pub digest: TokenDigest,
}

impl SubmittedBy<Admin> for RevokeJoinToken {}

impl Command for RevokeJoinToken {
    type Reply = ();

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        match state.system.join_tokens.remove(&self.digest) {
            Some(_) => Ok(()),
            None => Err(Refused::not_found("join token", "with this digest")),
        }
    }
}
