//! Keeps the tokens of the state and their indexes in step: by client, by family, by end. Used by the commands that
//! issue, rotate and revoke; it decides nothing about who may.

use std::sync::Arc;

use portcullis_model::oauth::AccessToken;
use portcullis_model::{ClientId, Timestamp, TokenDigest};

use crate::state::{SoleTokenKey, State};

const LOWEST: TokenDigest = TokenDigest([0; 32]);
const HIGHEST: TokenDigest = TokenDigest([0xff; 32]);

/// Returns whose one token this is, where clients have one at a time.
pub(crate) fn sole_key(token: &AccessToken) -> SoleTokenKey {
    let user = token.user.clone().map(|user| (token.tenant.clone(), user));
    let mut scopes = token.scopes.clone();
    scopes.sort_unstable();
    (token.client.clone(), user, scopes.join(" "))
}

/// Keeps a token that is not kept yet.
pub(crate) fn keep(state: &mut State, token: AccessToken) {
    let tables = &mut state.apimgt;
    let digest = token.digest;
    tables.tokens_by_client.insert((token.client.clone(), digest), ());
    tables.token_ends.insert((token.kept_until(), digest), ());
    if let Some(family) = token.family {
        tables.token_families.insert((family, digest), ());
        if token.refresh.is_some() {
            tables.refresh_tokens.insert(family, digest);
        }
    }
    let count = tables.token_counts.get(&token.client).copied().unwrap_or(0);
    tables.token_counts.insert(token.client.clone(), count + 1);
    tables.tokens.insert(digest, Arc::new(token));
}

/// Removes one token with its refresh token. Does not advance a generation.
pub(crate) fn remove(state: &mut State, digest: &TokenDigest) -> Option<Arc<AccessToken>> {
    let tables = &mut state.apimgt;
    let token = tables.tokens.remove(digest)?;
    tables.token_details.remove(digest);
    if !tables.sole_tokens.is_empty() {
        let key = sole_key(&token);
        if tables.sole_tokens.get(&key) == Some(digest) {
            tables.sole_tokens.remove(&key);
        }
    }
    tables.tokens_by_client.remove(&(token.client.clone(), *digest));
    tables.token_ends.remove(&(token.kept_until(), *digest));
    if let Some(family) = token.family {
        tables.token_families.remove(&(family, *digest));
        if tables.refresh_tokens.get(&family) == Some(digest) {
            tables.refresh_tokens.remove(&family);
        }
    }
    match tables.token_counts.get(&token.client).copied() {
        Some(count) if count > 1 => tables.token_counts.insert(token.client.clone(), count - 1),
        _ => tables.token_counts.remove(&token.client),
    };
    Some(token)
}

/// Removes a token and all of its family, and revokes those that are self-contained until they end. Does not advance a
/// generation. Returns whether there was such a token.
pub(crate) fn revoke(state: &mut State, digest: &TokenDigest) -> bool {
    let Some(token) = state.apimgt.tokens.get(digest).cloned() else { return false };
    let family = token.family.map_or_else(Vec::new, |family| {
        let members = state.apimgt.token_families.range((family, LOWEST)..=(family, HIGHEST));
        members.map(|((_, member), ())| *member).collect()
    });
    for member in family.iter().chain([digest]) {
        let Some(removed) = remove(state, member) else { continue };
        if removed.is_self_contained {
            revoke_self_contained(state, *member, removed.expires_at);
        }
    }
    true
}

/// Notes that a self-contained token is revoked until it ends.
pub(crate) fn revoke_self_contained(state: &mut State, digest: TokenDigest, until: Timestamp) {
    if until <= state.now() {
        return;
    }
    if let Some(before) = state.apimgt.revoked_tokens.insert(digest, until) {
        state.apimgt.revoked_token_ends.remove(&(before, digest));
    }
    state.apimgt.revoked_token_ends.insert((until, digest), ());
}

/// Returns the digests of all tokens kept for a client, in order.
pub(crate) fn of_client(state: &State, id: &ClientId) -> Vec<TokenDigest> {
    let tokens = state.apimgt.tokens_by_client.range((id.clone(), LOWEST)..=(id.clone(), HIGHEST));
    tokens.map(|((_, digest), ())| *digest).collect()
}

/// Drops what no longer needs to be kept; a few at a time, so that no entry is slow.
pub(crate) fn drop_ended(state: &mut State, now: Timestamp) {
    const AT_ONCE: usize = 8;
    for _ in 0..AT_ONCE {
        let Some((ends_at, digest)) = state.apimgt.token_ends.get_min().map(|(key, ())| *key) else { break };
        if ends_at > now {
            break;
        }
        if remove(state, &digest).is_none() {
            state.apimgt.token_ends.remove(&(ends_at, digest));
        }
    }
    for _ in 0..AT_ONCE {
        let Some((ends_at, digest)) = state.apimgt.revoked_token_ends.get_min().map(|(key, ())| *key) else { break };
        if ends_at > now {
            break;
        }
        state.apimgt.revoked_token_ends.remove(&(ends_at, digest));
        state.apimgt.revoked_tokens.remove(&digest);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::application::TokenType;
    use portcullis_model::oauth::{AccessToken, OauthClient, RefreshToken};
    use portcullis_model::{ClientId, Principal, Refused, Sealed, TenantDomain, Timestamp, TokenDigest, Username};

    use crate::State;
    use crate::command::{
        Command, DeleteClient, IssueToken, Moment, PutClient, RefreshRotation, RevokeToken, RotateRefreshToken,
    };
    use crate::state::Generation;

    const HOUR_MS: u64 = 3_600_000;

    fn moment(now_ms: u64) -> Moment {
        Moment { now: Timestamp(now_ms), index: 1, random: [0; 32], principal: Principal::system() }
    }

    fn client(id: &str, name: &str) -> OauthClient {
        OauthClient {
            id: ClientId(id.to_owned()),
            secret: Sealed(Vec::new()),
            tenant: TenantDomain::super_tenant(),
            owner: Username("anna".to_owned()),
            name: name.to_owned(),
            mapping: None,
            grants: Vec::new(),
            callback_url: String::new(),
            token_type: TokenType::Jwt,
            token_validity_s: None,
            other_fields: "{}".to_owned(),
            created_at: Timestamp(0),
        }
    }

    fn token(number: u8, refresh: Option<u8>) -> AccessToken {
        AccessToken {
            digest: TokenDigest([number; 32]),
            client: ClientId("one".to_owned()),
            tenant: TenantDomain::super_tenant(),
            user: Some(Username("anna".to_owned())),
            scopes: Vec::new(),
            grant: "password".to_owned(),
            issued_at: Timestamp(0),
            expires_at: Timestamp(HOUR_MS),
            refresh: refresh
                .map(|number| RefreshToken { digest: TokenDigest([number; 32]), expires_at: Timestamp(24 * HOUR_MS) }),
            family: refresh.map(|_| TokenDigest([200; 32])),
            is_self_contained: true,
        }
    }

    fn state_with_client() -> State {
        let mut state = State::default();
        PutClient { client: client("one", "name"), is_new: true }.apply(&mut state, &moment(0)).unwrap();
        state
    }

    fn rotate(state: &mut State, presented: u8, number: u8, refresh: u8) -> Result<RefreshRotation, Refused> {
        let command = RotateRefreshToken {
            client: ClientId("one".to_owned()),
            family: TokenDigest([200; 32]),
            presented: TokenDigest([presented; 32]),
            token: token(number, Some(refresh)),
        };
        command.apply(state, &moment(1))
    }

    #[test]
    fn a_deleted_client_leaves_no_row_behind() {
        let mut state = state_with_client();
        IssueToken { token: token(1, Some(101)) }.apply(&mut state, &moment(1)).unwrap();
        rotate(&mut state, 101, 2, 102).unwrap();
        let keys = state.deployed.generation(Generation::Keys);
        DeleteClient { client: ClientId("one".to_owned()) }.apply(&mut state, &moment(2)).unwrap();
        let tables = &state.apimgt;
        assert!(tables.clients.is_empty() && tables.client_names.is_empty() && tables.tokens.is_empty());
        assert!(tables.tokens_by_client.is_empty() && tables.token_ends.is_empty() && tables.token_counts.is_empty());
        assert!(tables.refresh_tokens.is_empty() && tables.token_families.is_empty());
        assert!(state.deployed.generation(Generation::Keys) > keys);
        let refused = IssueToken { token: token(3, None) }.apply(&mut state, &moment(3)).unwrap_err();
        assert!(matches!(refused, Refused::NotFound { .. }));
    }

    #[test]
    fn revoking_one_token_of_a_family_lists_all_its_self_contained_ones_until_they_end() {
        let mut state = state_with_client();
        IssueToken { token: token(1, Some(101)) }.apply(&mut state, &moment(1)).unwrap();
        assert_eq!(rotate(&mut state, 101, 2, 102).unwrap(), RefreshRotation::Rotated);
        let revoke = RevokeToken { digest: TokenDigest([2; 32]), self_contained_until: Some(Timestamp(HOUR_MS)) };
        assert!(revoke.apply(&mut state, &moment(2)).unwrap());
        let listed: Vec<_> = state.apimgt.revoked_tokens.keys().copied().collect();
        assert_eq!(listed, [TokenDigest([1; 32]), TokenDigest([2; 32])]);
        super::drop_ended(&mut state, Timestamp(HOUR_MS));
        assert!(state.apimgt.revoked_tokens.is_empty() && state.apimgt.revoked_token_ends.is_empty());
    }

    #[test]
    fn of_those_who_revoke_one_token_the_first_alone_is_told_so() {
        let mut state = state_with_client();
        IssueToken { token: token(1, Some(101)) }.apply(&mut state, &moment(1)).unwrap();
        let mut revoke = |number: u8, until: Option<u64>| {
            let (digest, self_contained_until) = (TokenDigest([number; 32]), until.map(Timestamp));
            RevokeToken { digest, self_contained_until }.apply(&mut state, &moment(2)).unwrap()
        };
        // One that is kept, also where a node did not know that it is; and one that is not.
        assert_eq!([revoke(1, Some(HOUR_MS)), revoke(1, Some(HOUR_MS)), revoke(1, None)], [true, false, false]);
        assert_eq!([revoke(7, Some(HOUR_MS)), revoke(7, Some(HOUR_MS))], [true, false]);
        assert!(!revoke(8, None), "it is none");
        assert!(!revoke(9, Some(0)), "its time is over");
    }

    #[test]
    fn a_refresh_token_of_another_client_or_past_its_end_changes_nothing() {
        let mut state = state_with_client();
        IssueToken { token: token(1, Some(101)) }.apply(&mut state, &moment(1)).unwrap();
        let before = crate::digest::digest(&state).unwrap();
        let command = |client: &str| RotateRefreshToken {
            client: ClientId(client.to_owned()),
            family: TokenDigest([200; 32]),
            presented: TokenDigest([101; 32]),
            token: token(2, Some(102)),
        };
        assert!(command("two").apply(&mut state, &moment(1)).is_err());
        assert!(command("one").apply(&mut state, &moment(25 * HOUR_MS)).is_err());
        assert_eq!(crate::digest::digest(&state).unwrap(), before);
    }

    #[test]
    fn a_client_name_is_taken_once_per_owner_and_given_back_on_rename() {
        let mut state = state_with_client();
        let other = PutClient { client: client("two", "name"), is_new: true };
        assert!(matches!(other.clone().apply(&mut state, &moment(1)).unwrap_err(), Refused::AlreadyExists { .. }));
        PutClient { client: client("one", "renamed"), is_new: false }.apply(&mut state, &moment(1)).unwrap();
        other.apply(&mut state, &moment(1)).unwrap();
        assert_eq!(state.apimgt.client_names.len(), 2);
    }
}
