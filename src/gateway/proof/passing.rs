//! Passes calls on with the gateway's proof: once more where the backend asks for another one.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Response, StatusCode};
use tracing::debug;

use super::digest::Digest;
use super::token::{NoToken, Token, TokenSource};
use super::{Proof, Shown};
use crate::attempt;
use crate::body::ReplyBody;
use crate::forward::{self, CallBody, Passage};
use crate::mediation;
use crate::refusal::Refusal;
use crate::route::endpoint::EndpointGroup;
use crate::upstream::UpstreamError;
use crate::upstream::exchange::Answer;
use crate::worker::Worker;

/// What a handshake of a WebSocket shows: a field for the head, or a pair for the query.
pub(crate) enum ShownOnce {
    Token(Arc<Token>),
    Pair(String),
    Field,
}

impl ShownOnce {
    /// Returns what goes into the head.
    pub(crate) fn of<'a>(&'a self, proof: &'a Proof) -> Option<Shown<'a>> {
        match (self, proof) {
            (Self::Token(token), _) => Some(Shown::Field(&AUTHORIZATION, &token.field)),
            (Self::Field, Proof::Field(name, value)) => Some(Shown::Field(name, value)),
            _ => None,
        }
    }
}

/// Returns what a call shows that is sent once and has no body.
///
/// # Errors
/// Where there is no proof of that kind.
pub(crate) async fn shown(worker: &Rc<Worker>, proof: &Proof) -> Result<ShownOnce, Refusal> {
    match proof {
        Proof::Field(..) => Ok(ShownOnce::Field),
        Proof::Query { pair, .. } => Ok(ShownOnce::Pair(pair.to_string())),
        Proof::Token(source) => Ok(ShownOnce::Token(source.token(worker).await.map_err(|error| no_token(&error))?)),
        Proof::Digest(_) | Proof::Signature(_) | Proof::Invocation(_) | Proof::Unusable => {
            Err(Refusal::no_proof_for_backend())
        }
    }
}

/// Passes a call on with the gateway's proof.
///
/// # Errors
/// What the caller is told where no backend answers, or the gateway has no proof for it.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    group: &EndpointGroup,
    proof: &Proof,
    body: CallBody,
) -> Result<Response<ReplyBody>, Refusal> {
    match proof {
        Proof::Field(name, value) => {
            let passage = Passage { shown: Some(Shown::Field(name, value)), ..*passage };
            let outcome = send(worker, &passage, group, body).await;
            forward::reply(worker, &passage, outcome)
        }
        Proof::Query { name, pair } => {
            let kept = passage.query.and_then(|query| mediation::query_without(query, name));
            let query = kept.map_or_else(|| pair.to_string(), |kept| format!("{kept}&{}", pair.as_str()));
            let passage = Passage { query: Some(&query), ..*passage };
            let outcome = send(worker, &passage, group, body).await;
            forward::reply(worker, &passage, outcome)
        }
        Proof::Token(source) => by_token(worker, passage, group, source, body).await,
        Proof::Digest(digest) => by_digest(worker, passage, group, digest, body).await,
        // Other calls would be the caller's own with the publisher's key.
        Proof::Invocation(_) if !mediation::is_invocation(passage.request) => Err(Refusal::no_function()),
        Proof::Signature(signer) | Proof::Invocation(signer) => {
            let held = body.hold(worker, passage).await?;
            let shown = Shown::Signature { signer, body: &held, at: worker.clock.now().timestamp };
            let passage = Passage { shown: Some(shown), ..*passage };
            let outcome = attempt::try_endpoints(worker, &passage, group, forward::held(passage.request, held.clone()));
            let outcome = outcome.await;
            forward::reply(worker, &passage, outcome)
        }
        Proof::Unusable => Err(Refusal::no_proof_for_backend()),
    }
}

async fn send(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    group: &EndpointGroup,
    body: CallBody,
) -> Result<Answer, UpstreamError> {
    let body = body.begin(worker, passage).await?;
    attempt::try_endpoints(worker, passage, group, body).await
}

/// With a token. One that the backend does not accept may have been revoked before its time: another one is asked for,
/// once, where the call can be sent again.
async fn by_token(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    group: &EndpointGroup,
    source: &Arc<TokenSource>,
    body: CallBody,
) -> Result<Response<ReplyBody>, Refusal> {
    let token = source.token(worker).await.map_err(|error| no_token(&error))?;
    let body = match body.begin(worker, passage).await {
        Ok(body) => body,
        Err(error) => return forward::reply(worker, passage, Err(error)),
    };
    let again = body.again();
    let first = Passage { shown: Some(field_of(&token)), ..*passage };
    let mut outcome = attempt::try_endpoints(worker, &first, group, body).await;
    let is_refused = matches!(&outcome, Ok(answer) if answer.status == StatusCode::UNAUTHORIZED);
    if let Some(body) = again.filter(|_| is_refused) {
        source.forget(&token);
        // When the first answer came is not when the call is answered.
        passage.way.answered.set(None);
        let token = source.token(worker).await.map_err(|error| no_token(&error))?;
        let second = Passage { shown: Some(field_of(&token)), ..*passage };
        outcome = attempt::try_endpoints(worker, &second, group, body).await;
    }
    forward::reply(worker, passage, outcome)
}

fn field_of(token: &Token) -> Shown<'_> {
    Shown::Field(&AUTHORIZATION, &token.field)
}

/// With an answer to the backend's challenge; the first call, and one after the challenge has changed, is sent twice.
async fn by_digest(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    group: &EndpointGroup,
    digest: &Digest,
    body: CallBody,
) -> Result<Response<ReplyBody>, Refusal> {
    let held: Bytes = body.hold(worker, passage).await?;
    // The challenge is in the headers of the answer.
    let passage = Passage { shown: Some(Shown::Digest(digest)), takes_lines: false, ..*passage };
    let body = || forward::held(passage.request, held.clone());
    let mut outcome = attempt::try_endpoints(worker, &passage, group, body()).await;
    if let Ok(answer) = &outcome
        && answer.status == StatusCode::UNAUTHORIZED
        && digest.learn(&answer.headers)
    {
        outcome = attempt::try_endpoints(worker, &passage, group, body()).await;
    }
    forward::reply(worker, &passage, outcome)
}

fn no_token(error: &NoToken) -> Refusal {
    debug!(%error, "call not passed on: no token for its backend");
    Refusal::no_proof_for_backend()
}
