//! Handles what is asked of the cluster: status, join tokens, joining. What changes the membership is in
//! [`crate::membership_handlers`]; it is changed behind [`portcullis_model::cluster::ClusterControl`].

use std::sync::Arc;
use std::time::Duration;

use actix::{Context, Handler, ResponseFuture};
use portcullis_database::command;
use portcullis_database::handle::random_bytes;
use portcullis_database::state::JoinToken;
use portcullis_database::{Caller, Committed};
use portcullis_model::cluster::{ClusterStatus, JoinGrant};
use portcullis_model::join_token::{self, JoinSecret};
use portcullis_model::{Refused, TokenDigest};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{
    CreateJoinToken, DescribeCluster, DigestState, Join, ListJoinTokens, NewJoinToken, RevokeJoinToken, StateDigest,
};

/// How long a join token may live.
const TOKEN_LIVES: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);
/// How many nodes may join with one token.
const TOKEN_USES: std::ops::RangeInclusive<u32> = 1..=100;

/// Returns what a join token is called in lists: the first 8 bytes of its digest.
pub(crate) fn token_id(digest: &TokenDigest) -> String {
    hex::encode(&digest.0[..8])
}

impl Handler<DescribeCluster> for Admin {
    type Result = ResponseFuture<ClusterStatus>;

    fn handle(&mut self, _message: DescribeCluster, _context: &mut Context<Self>) -> Self::Result {
        let cluster = Arc::clone(&self.cluster);
        Box::pin(async move { cluster.status().await })
    }
}

impl Handler<DigestState> for Admin {
    type Result = ResponseFuture<Result<StateDigest, AdminError>>;

    fn handle(&mut self, _message: DigestState, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        Box::pin(async move {
            // It takes time in proportion to the state, so it must not hold up the other messages.
            let digested = tokio::task::spawn_blocking(move || (view.applied_index(), view.digest())).await;
            let (applied_index, digest) = digested.map_err(|_| AdminError::WorkLost("the state's digest"))?;
            Ok(StateDigest { applied_index, digest: digest.map_err(AdminError::Digest)? })
        })
    }
}

impl Handler<CreateJoinToken> for Admin {
    type Result = ResponseFuture<Result<Committed<NewJoinToken>, AdminError>>;

    fn handle(&mut self, message: CreateJoinToken, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        let cluster = Arc::clone(&self.cluster);
        Box::pin(async move {
            let CreateJoinToken { caller, lives, uses } = message;
            check_token(lives, uses)?;
            let mut addresses = cluster.management_addresses();
            addresses.truncate(join_token::ADDRESSES_MAX);
            let secret = JoinSecret(random_bytes());
            let digest = secret.digest();
            let lives_ms = u64::try_from(lives.as_millis()).unwrap_or(u64::MAX);
            let caller = Caller { idempotency: None, ..caller };
            let made = handle.submit(command::CreateJoinToken { digest, lives_ms, uses }, &caller).await?;
            let token =
                join_token::JoinToken { addresses: addresses.clone(), ca_sha256: cluster.ca_fingerprint(), secret };
            let reply = NewJoinToken { text: token.to_string(), digest, addresses, expires_at: made.reply };
            Ok(Committed { reply, index: made.index, unreached: made.unreached })
        })
    }
}

fn check_token(lives: Duration, uses: u32) -> Result<(), Refused> {
    if !TOKEN_LIVES.contains(&lives) {
        let (min, max) = (TOKEN_LIVES.start().as_secs(), TOKEN_LIVES.end().as_secs());
        return Err(Refused::invalid("ttl_s", format!("must be {min} to {max} seconds")));
    }
    if !TOKEN_USES.contains(&uses) {
        return Err(Refused::invalid("uses", format!("must be {} to {}", TOKEN_USES.start(), TOKEN_USES.end())));
    }
    Ok(())
}

impl Handler<ListJoinTokens> for Admin {
    type Result = Vec<Arc<JoinToken>>;

    fn handle(&mut self, _message: ListJoinTokens, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let mut open: Vec<_> =
            view.system().join_tokens.values().filter(|token| token.expires_at > view.now()).cloned().collect();
        open.sort_by_key(|token| (token.created_at, token.digest));
        open
    }
}

impl Handler<RevokeJoinToken> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: RevokeJoinToken, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let view = handle.view();
            let found = view.system().join_tokens.keys().find(|digest| token_id(digest) == message.id).copied();
            let digest = found.ok_or_else(|| Refused::not_found("join token", &message.id))?;
            Ok(handle.submit(command::RevokeJoinToken { digest }, &message.caller).await?)
        })
    }
}

impl Handler<Join> for Admin {
    type Result = ResponseFuture<Result<JoinGrant, AdminError>>;

    fn handle(&mut self, message: Join, _context: &mut Context<Self>) -> Self::Result {
        let cluster = Arc::clone(&self.cluster);
        Box::pin(async move { Ok(cluster.join(message.0).await?) })
    }
}
