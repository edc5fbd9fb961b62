//! Makes tokens and has them stored where they must be: opaque ones always, self-contained ones only with a refresh
//! token. Who gets what is decided before.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::command::{GrantToken, Granted, Grounds, IssueToken, RefreshRotation, RotateRefreshToken};
use portcullis_database::handle::{View, random_bytes};
use portcullis_database::{Apimgtdb, Caller, SubmitError};
use portcullis_jose::Algorithm;
use portcullis_model::authorization::{TokenBinding, TokenDetails};
use portcullis_model::oauth::{AccessToken, OauthClient, RefreshToken};
use portcullis_model::{Application, Principal, Refused, Timestamp, TokenDigest, TokenType, User};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::authority::Authority;
use crate::bound::VALIDITY_S_MAX;
use crate::claims::{
    APPLICATION, APPLICATION_USER, AccessClaims, Actor, ApplicationClaim, Audience, Confirmation, IdClaims, subject,
};
use crate::client_settings::ClientSettings;
use crate::jws;
use crate::messages::TokenReply;
use crate::mint::{self, Family};
use crate::oauth_error::OauthError;
use crate::scope_grant::OPENID;

/// What token to make.
pub(crate) struct Order<'a> {
    pub client: &'a Arc<OauthClient>,
    pub user: Option<&'a User>,
    pub scopes: Vec<String>,
    pub grant: &'a str,
    pub validity: Duration,
    /// The refresh token to make with it, if any.
    pub refresh: Option<Refresh>,
    /// What is known of the user's sign-in; `None` where there was none just now.
    pub sign_in: Option<SignInFacts>,
    /// Further facts that go with it.
    pub details: TokenDetails,
    /// The grant that waited, and is used up for it.
    pub pending: Option<TokenDigest>,
}

/// What an id token tells of the sign-in.
pub(crate) struct SignInFacts {
    pub at: Timestamp,
    pub nonce: Option<String>,
}

/// What refresh token to make.
#[derive(Clone, Copy)]
pub(crate) struct Refresh {
    pub family: Family,
    /// The digest of the refresh token that is spent for it; `None` for the first of the family.
    pub presented: Option<TokenDigest>,
}

impl Authority {
    /// Makes a token and stores what must be stored.
    pub async fn issue(&self, view: &View<Access>, order: Order<'_>) -> Result<TokenReply, OauthError> {
        let now = self.now(view);
        let settings = self.client_settings.of(order.client);
        let validity_s = order.validity.as_secs().clamp(1, VALIDITY_S_MAX);
        // Whole seconds, as in a JSON Web Token, so that both forms end at the same moment.
        let issued_at = Timestamp(now.as_secs() * 1000);
        let expires_at = issued_at.after(Duration::from_secs(validity_s));
        let application = application_of(view, order.client);
        let token_type = application.as_ref().map_or(order.client.token_type, |application| application.token_type);
        let (access_token, digest) = match token_type {
            TokenType::Jwt => {
                let claims = self.claims(&order, application.as_deref(), issued_at, expires_at);
                let text = self.sign(self.settings.signing_algorithm, jws::ACCESS_TOKEN, &claims, now).await?;
                let digest = jws::digest_of(&text);
                (text, digest)
            }
            TokenType::Opaque => {
                let text = self.mint.access_token(now);
                let digest = mint::digest_of(&text);
                (text, digest)
            }
        };
        let id_token = match order.user {
            Some(user) if order.scopes.iter().any(|scope| scope == OPENID) => {
                let algorithm = settings.id_token_algorithm.unwrap_or(self.settings.signing_algorithm);
                let ends_at = issued_at.after(settings.id_token_validity.unwrap_or(Duration::from_secs(validity_s)));
                let claims = self.id_claims(&order, user, &access_token, issued_at, ends_at);
                Some(self.sign(algorithm, jws::ID_TOKEN, &claims, now).await?)
            }
            _ => None,
        };
        let refresh_token = order.refresh.map(|refresh| self.mint.refresh_token(now, refresh.family));
        let is_kept = token_type == TokenType::Opaque || refresh_token.is_some();
        let reply = TokenReply {
            access_token,
            id_token,
            scopes: order.scopes.clone(),
            expires_in_s: validity_s,
            is_key_bound: matches!(order.details.binding, Some(TokenBinding::Key(_))),
            refresh_token,
        };
        if is_kept || order.pending.is_some() || self.settings.has_one_token {
            let refresh = reply.refresh_token.as_ref().map(|text| RefreshToken {
                digest: mint::digest_of(text),
                expires_at: now.after(self.refresh_validity(&settings)),
            });
            let token = AccessToken {
                digest,
                client: order.client.id.clone(),
                tenant: order.user.map_or(&order.client.tenant, |user| &user.tenant).clone(),
                user: order.user.map(|user| user.username.clone()),
                scopes: order.scopes.clone(),
                grant: order.grant.to_owned(),
                issued_at,
                expires_at,
                refresh,
                family: order.refresh.map(|refresh| refresh.family.digest()),
                is_self_contained: token_type == TokenType::Jwt,
            };
            self.store(order, token, is_kept).await?;
        }
        Ok(reply)
    }

    /// Stores a token. What needs no more than the first feature level has is said in its commands, so that a cluster of
    /// two versions goes on issuing.
    async fn store(&self, order: Order<'_>, token: AccessToken, is_kept: bool) -> Result<(), OauthError> {
        let username = order.user.map_or(&order.client.owner, |user| &user.username).clone();
        let caller = Caller::new(Principal { tenant: token.tenant.clone(), username });
        let client = token.client.clone();
        let spent = order.refresh.and_then(|refresh| Some((refresh.family.digest(), refresh.presented?)));
        let is_simple = order.details.is_empty() && order.pending.is_none() && !self.settings.has_one_token;
        let outcome = match (is_simple, spent) {
            (true, None) => self.handle.submit(IssueToken { token }, &caller).await.map(|_| Granted::Done),
            (true, Some((family, presented))) => {
                let rotation = RotateRefreshToken { client: client.clone(), family, presented, token };
                self.handle.submit(rotation, &caller).await.map(|committed| match committed.reply {
                    RefreshRotation::Rotated => Granted::Done,
                    RefreshRotation::Reused => Granted::Reused,
                })
            }
            (false, spent) => {
                let grounds = match (order.pending, spent) {
                    (Some(digest), _) => Grounds::Pending(digest),
                    (None, Some((family, presented))) => Grounds::Refresh { family, presented },
                    (None, None) => Grounds::Lasting,
                };
                let is_sole = self.settings.has_one_token;
                let command = GrantToken { token, is_kept, details: order.details, grounds, is_sole };
                self.handle.submit(command, &caller).await.map(|committed| committed.reply)
            }
        };
        let unknown = || match (order.pending, spent) {
            (Some(_), _) => OauthError::invalid_grant("The code is unknown, used up or too old."),
            (None, Some(_)) => OauthError::invalid_grant("The refresh token is unknown, spent, revoked or expired."),
            // The client was deleted in between.
            (None, None) => OauthError::invalid_client(),
        };
        match outcome {
            Ok(Granted::Done) => Ok(()),
            Ok(Granted::Reused) => {
                tracing::warn!(%client, user = %caller.principal, "a spent code or refresh token was used again, its tokens are revoked");
                Err(OauthError::invalid_grant(
                    "It was used before. All tokens from this sign-in are revoked; sign in again.",
                ))
            }
            Err(SubmitError::Refused(Refused::NotFound { .. })) => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }

    async fn sign<T: serde::Serialize>(
        &self,
        algorithm: Algorithm,
        kind: &str,
        claims: &T,
        now: Timestamp,
    ) -> Result<String, OauthError> {
        let signing = self.keyring.signing(&self.handle, &self.key, algorithm, now).await?;
        signing.sign(kind, claims).map_err(|cause| {
            tracing::error!(%cause, key = %signing.id, "no token can be signed");
            OauthError::server_error()
        })
    }

    fn refresh_validity(&self, client: &ClientSettings) -> Duration {
        client.refresh_validity.unwrap_or(self.settings.refresh_token_validity).min(Duration::from_secs(VALIDITY_S_MAX))
    }

    fn claims(
        &self,
        order: &Order<'_>,
        application: Option<&Application>,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> AccessClaims {
        let client = &order.client.id.0;
        AccessClaims {
            iss: self.settings.issuer.clone(),
            sub: order.user.map_or_else(|| client.clone(), |user| subject(&user.tenant, &user.username)),
            aut: if order.user.is_some() { APPLICATION_USER } else { APPLICATION }.to_owned(),
            aud: match order.details.resources.as_slice() {
                [] => Audience::One(client.clone()),
                [one] => Audience::One(one.clone()),
                several => Audience::Several(several.to_vec()),
            },
            azp: client.clone(),
            client_id: client.clone(),
            consumer_key: client.clone(),
            iat: issued_at.as_secs(),
            nbf: issued_at.as_secs(),
            exp: expires_at.as_secs(),
            jti: uuid::Builder::from_random_bytes(random_bytes()).into_uuid().to_string(),
            scope: order.scopes.join(" "),
            keytype: order.client.mapping.map(|mapping| mapping.key_type.as_contract().to_owned()),
            application: application.map(|application| ApplicationClaim {
                uuid: Uuid::to_string(&application.id.0),
                name: application.name.clone(),
                tier: application.policy.clone(),
                owner: application.owner.0.clone(),
            }),
            auth_time: order.details.signed_in_at.map(Timestamp::as_secs),
            cnf: order.details.binding.as_ref().map(Confirmation::of),
            act: order.details.actor.clone().map(|sub| Actor { sub }),
        }
    }

    fn id_claims(
        &self,
        order: &Order<'_>,
        user: &User,
        access_token: &str,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> IdClaims {
        let hash = Sha256::digest(access_token.as_bytes());
        let client = order.client;
        // Without a sign-in just now: when there was one, or now, where the password was shown with the request.
        let signed_in_at = order.sign_in.as_ref().map(|facts| facts.at).or(order.details.signed_in_at);
        IdClaims {
            iss: self.settings.issuer.clone(),
            sub: subject(&user.tenant, &user.username),
            aud: client.id.0.clone(),
            azp: client.id.0.clone(),
            iat: issued_at.as_secs(),
            auth_time: signed_in_at.unwrap_or(issued_at).as_secs(),
            exp: expires_at.as_secs(),
            at_hash: URL_SAFE_NO_PAD.encode(&hash[..16]),
            nonce: order.sign_in.as_ref().and_then(|facts| facts.nonce.clone()),
        }
    }
}

fn application_of(view: &View<Access>, client: &OauthClient) -> Option<Arc<Application>> {
    view.read::<Apimgtdb>().applications.get(&client.mapping?.application).cloned()
}
