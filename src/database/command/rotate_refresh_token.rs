use portcullis_model::limit::TOKENS_PER_CLIENT_MAX;
use portcullis_model::oauth::AccessToken;
use portcullis_model::{ClientId, Refused, TokenDigest};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::kept_tokens;
use crate::state::{Apimgtdb, Generation, State};

/// Spends a refresh token for a new access token and a new refresh token of the same family. A refresh token that was
/// spent before is a sign of theft: the whole family is revoked then (RFC 9700, section 4.14).
///
/// The access token that came with the spent refresh token lives on until its own end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotateRefreshToken {
    /// The client that shows the refresh token.
    pub client: ClientId,
    /// The family, which all tokens from one sign-in share.
    pub family: TokenDigest,
    /// The digest of the refresh token shown.
    pub presented: TokenDigest,
    /// The new access token, with its refresh token.
    pub token: AccessToken,
}

/// What became of a refresh token that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefreshRotation {
    /// It was spent, and the new tokens are good.
    Rotated,
    /// It had been spent before: all tokens of its family are revoked now.
    Reused,
}

impl<C: Component> SubmittedBy<C> for RotateRefreshToken where C: Writes<Apimgtdb> {}

impl Command for RotateRefreshToken {
    type Reply = RefreshRotation;

    fn apply(self, state: &mut State, moment: &Moment) -> Result<RefreshRotation, Refused> {
        let unknown = || Refused::not_found("refresh token", "with this digest");
        let current = state.apimgt.refresh_tokens.get(&self.family).copied().ok_or_else(unknown)?;
        let spent = state.apimgt.tokens.get(&current).cloned().ok_or_else(unknown)?;
        let refresh = spent.refresh.ok_or_else(unknown)?;
        if spent.client != self.client || refresh.expires_at <= moment.now {
            return Err(unknown());
        }
        if refresh.digest != self.presented {
            kept_tokens::revoke(state, &current);
            state.deployed.advance(Generation::Keys);
            return Ok(RefreshRotation::Reused);
        }
        if self.token.family != Some(self.family) || self.token.client != self.client {
            return Err(Refused::invalid("token", "it belongs to another family or client"));
        }
        if state.apimgt.tokens.contains_key(&self.token.digest) {
            return Err(Refused::exists("token", "with this digest"));
        }
        if state.apimgt.token_counts.get(&self.client).is_some_and(|count| *count >= TOKENS_PER_CLIENT_MAX) {
            let what = format!("live tokens of {}", self.client);
            return Err(Refused::LimitReached { what, max: TOKENS_PER_CLIENT_MAX });
        }
        kept_tokens::remove(state, &current);
        kept_tokens::keep(state, AccessToken { refresh: None, ..spent.as_ref().clone() });
        kept_tokens::keep(state, self.token);
        Ok(RefreshRotation::Rotated)
    }
}
