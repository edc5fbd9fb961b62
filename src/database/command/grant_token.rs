use portcullis_model::authorization::{DeviceDecision, PendingGrant, SpentGrant, TokenDetails};
use portcullis_model::limit::{REVOKED_TOKENS_MAX, SPENT_GRANT_KEPT, TOKENS_PER_CLIENT_MAX};
use portcullis_model::oauth::AccessToken;
use portcullis_model::{Refused, TokenDigest};
use serde::{Deserialize, Serialize};

use super::keep_grant::keep_details;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};
use crate::{kept_tokens, pending};

/// Gives a token that has more to it than [`super::IssueToken`] can say: one for a code, one with further facts, or one
/// that takes the place of another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GrantToken {
    /// The token.
    pub token: AccessToken,
    /// Whether it must be kept: an opaque one, one with a refresh token, or the client's only one.
    pub is_kept: bool,
    /// Further facts about it.
    pub details: TokenDetails,
    /// On what grounds.
    pub grounds: Grounds,
    /// Whether the client has one token at a time for this user and these scopes: the one before is revoked.
    pub is_sole: bool,
}

/// On what grounds a token is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grounds {
    /// None that is used up by it.
    Lasting,
    /// An authorization code, or a device's request that its user allowed.
    Pending(TokenDigest),
    /// A refresh token of a family.
    Refresh {
        /// The family.
        family: TokenDigest,
        /// The digest of the refresh token shown.
        presented: TokenDigest,
    },
}

/// What became of the grounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Granted {
    /// The token is good.
    Done,
    /// They had been used before: all that came from them is revoked now.
    Reused,
}

impl<C: Component> SubmittedBy<C> for GrantToken where C: Writes<Apimgtdb> {}

impl Command for GrantToken {
    type Reply = Granted;

    fn apply(self, state: &mut State, moment: &Moment) -> Result<Granted, Refused> {
        self.check(state)?;
        match &self.grounds {
            Grounds::Lasting => {}
            Grounds::Pending(digest) => match spend(state, *digest, &self.token, moment)? {
                Granted::Done => {}
                Granted::Reused => return Ok(Granted::Reused),
            },
            Grounds::Refresh { family, presented } => {
                if let Granted::Reused = rotate(state, &self, *family, *presented, moment)? {
                    return Ok(Granted::Reused);
                }
            }
        }
        if self.is_sole {
            take_place(state, &self.token);
        }
        if self.is_kept || self.is_sole {
            keep_details(state, self.token.digest, self.details);
            kept_tokens::keep(state, self.token);
        }
        Ok(Granted::Done)
    }
}

impl GrantToken {
    fn check(&self, state: &State) -> Result<(), Refused> {
        let client = &self.token.client;
        if !state.apimgt.clients.contains_key(client) {
            return Err(Refused::not_found("OAuth client", client));
        }
        if state.apimgt.tokens.contains_key(&self.token.digest) {
            return Err(Refused::exists("token", "with this digest"));
        }
        let count = state.apimgt.token_counts.get(client).copied().unwrap_or(0);
        if (self.is_kept || self.is_sole) && count >= TOKENS_PER_CLIENT_MAX {
            return Err(Refused::LimitReached { what: format!("live tokens of {client}"), max: TOKENS_PER_CLIENT_MAX });
        }
        if self.is_sole && state.apimgt.revoked_tokens.len() as u64 >= REVOKED_TOKENS_MAX {
            return Err(Refused::LimitReached { what: "revoked tokens".to_owned(), max: REVOKED_TOKENS_MAX });
        }
        Ok(())
    }
}

/// Uses up a grant that waits. One that was used before takes back what it gave.
fn spend(state: &mut State, digest: TokenDigest, token: &AccessToken, moment: &Moment) -> Result<Granted, Refused> {
    let unknown = || Refused::not_found("grant", "with this digest");
    let grant = state.apimgt.pending_grants.get(&digest).cloned().ok_or_else(unknown)?;
    if *grant.client() != token.client {
        return Err(unknown());
    }
    let until = match grant.as_ref() {
        PendingGrant::Code(code) if code.expires_at > moment.now => code.expires_at,
        PendingGrant::Device(device) if device.expires_at > moment.now => match device.decision {
            Some(DeviceDecision::Allowed { .. }) => device.expires_at,
            Some(DeviceDecision::Denied) | None => return Err(unknown()),
        },
        PendingGrant::Spent(spent) => {
            take_back(state, spent);
            return Ok(Granted::Reused);
        }
        PendingGrant::Code(_) | PendingGrant::Device(_) | PendingGrant::Pushed(_) => return Err(unknown()),
    };
    pending::remove(state, &digest, until);
    let spent = SpentGrant {
        client: token.client.clone(),
        token: token.digest,
        family: token.family,
        token_expires_at: token.expires_at,
    };
    pending::keep(state, digest, PendingGrant::Spent(spent), moment.now.after(SPENT_GRANT_KEPT));
    Ok(Granted::Done)
}

fn take_back(state: &mut State, spent: &SpentGrant) {
    let latest = spent.family.and_then(|family| state.apimgt.refresh_tokens.get(&family).copied());
    if !kept_tokens::revoke(state, &latest.unwrap_or(spent.token)) {
        kept_tokens::revoke_self_contained(state, spent.token, spent.token_expires_at);
    }
    state.deployed.advance(Generation::Keys);
}

/// Uses a refresh token. One that was spent before is a sign of theft: its family is revoked (RFC 9700, section 4.14).
fn rotate(
    state: &mut State,
    command: &GrantToken,
    family: TokenDigest,
    presented: TokenDigest,
    moment: &Moment,
) -> Result<Granted, Refused> {
    let unknown = || Refused::not_found("refresh token", "with this digest");
    let current = state.apimgt.refresh_tokens.get(&family).copied().ok_or_else(unknown)?;
    let spent = state.apimgt.tokens.get(&current).cloned().ok_or_else(unknown)?;
    let refresh = spent.refresh.ok_or_else(unknown)?;
    if spent.client != command.token.client || refresh.expires_at <= moment.now {
        return Err(unknown());
    }
    if refresh.digest != presented {
        kept_tokens::revoke(state, &current);
        state.deployed.advance(Generation::Keys);
        return Ok(Granted::Reused);
    }
    if command.token.family != Some(family) {
        return Err(Refused::invalid("token", "it belongs to another family"));
    }
    let details = state.apimgt.token_details.get(&current).cloned();
    kept_tokens::remove(state, &current);
    if command.is_sole {
        if spent.is_self_contained {
            kept_tokens::revoke_self_contained(state, current, spent.expires_at);
        }
        state.deployed.advance(Generation::Keys);
        return Ok(Granted::Done);
    }
    // The access token that came with the spent refresh token lives on until its own end.
    kept_tokens::keep(state, AccessToken { refresh: None, ..spent.as_ref().clone() });
    if let Some(details) = details {
        state.apimgt.token_details.insert(current, details);
    }
    Ok(Granted::Done)
}

/// Revokes the token that the client had for the same user and scopes, and notes the new one.
fn take_place(state: &mut State, token: &AccessToken) {
    let before = state.apimgt.sole_tokens.insert(kept_tokens::sole_key(token), token.digest);
    if before.is_some_and(|before| kept_tokens::revoke(state, &before)) {
        state.deployed.advance(Generation::Keys);
    }
}
