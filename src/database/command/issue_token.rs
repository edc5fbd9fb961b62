use portcullis_model::Refused;
use portcullis_model::limit::TOKENS_PER_CLIENT_MAX;
use portcullis_model::oauth::AccessToken;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::kept_tokens;
use crate::state::{Apimgtdb, State};

/// Keeps a token that was issued: an opaque one, or a self-contained one that has a refresh token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueToken {
    /// The token.
    pub token: AccessToken,
}

impl<C: Component> SubmittedBy<C> for IssueToken where C: Writes<Apimgtdb> {}

impl Command for IssueToken {
    type Reply = ();

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let client = &self.token.client;
        if !state.apimgt.clients.contains_key(client) {
            return Err(Refused::not_found("OAuth client", client));
        }
        if state.apimgt.tokens.contains_key(&self.token.digest) {
            return Err(Refused::exists("token", "with this digest"));
        }
        if state.apimgt.token_counts.get(client).is_some_and(|count| *count >= TOKENS_PER_CLIENT_MAX) {
            return Err(Refused::LimitReached { what: format!("live tokens of {client}"), max: TOKENS_PER_CLIENT_MAX });
        }
        kept_tokens::keep(state, self.token);
        Ok(())
    }
}
