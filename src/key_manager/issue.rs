//! Makes tokens and has them stored where they must be: opaque ones always, self-contained ones only with a refresh
//! token. Who gets what is decided before.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::command::{IssueToken, RefreshRotation, RotateRefreshToken};
use portcullis_database::handle::{View, random_bytes};
use portcullis_database::{Apimgtdb, Caller, SubmitError};
use portcullis_model::oauth::{AccessToken, OauthClient, RefreshToken};
use portcullis_model::{Application, Principal, Refused, Timestamp, TokenDigest, TokenType, User};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::authority::Authority;
use crate::bound::VALIDITY_S_MAX;
use crate::claims::{APPLICATION, APPLICATION_USER, AccessClaims, ApplicationClaim, IdClaims, subject};
use crate::grant::seconds_of;
use crate::jws;
use crate::keyring::Signing;
use crate::messages::TokenReply;
use crate::mint::{self, Family};
use crate::oauth_error::OauthError;
use crate::scope_grant::OPENID;

/// What token to make.
pub(crate) struct Order<'a> {
    pub client: &'a OauthClient,
    pub user: Option<&'a User>,
    pub scopes: Vec<String>,
    pub grant: &'static str,
    pub validity: Duration,
    /// The refresh token to make with it, if any.
    pub refresh: Option<Refresh>,
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
        let validity_s = order.validity.as_secs().clamp(1, VALIDITY_S_MAX);
        // Whole seconds, as in a JSON Web Token, so that both forms end at the same moment.
        let issued_at = Timestamp(now.as_secs() * 1000);
        let expires_at = issued_at.after(Duration::from_secs(validity_s));
        let application = application_of(view, order.client);
        let token_type = application.as_ref().map_or(order.client.token_type, |application| application.token_type);
        let has_id_token = order.user.is_some() && order.scopes.iter().any(|scope| scope == OPENID);
        let signing = if token_type == TokenType::Jwt || has_id_token {
            Some(self.keyring.signing(&self.handle, &self.key).await?)
        } else {
            None
        };
        let (access_token, digest) = match (token_type, &signing) {
            (TokenType::Jwt, Some(signing)) => {
                let claims = self.claims(&order, application.as_deref(), issued_at, expires_at);
                let text = sign(jws::ACCESS_TOKEN, &claims, signing)?;
                let digest = jws::digest_of(&text);
                (text, digest)
            }
            (TokenType::Jwt, None) | (TokenType::Opaque, _) => {
                let text = self.mint.access_token(now);
                let digest = mint::digest_of(&text);
                (text, digest)
            }
        };
        let id_token = match (&signing, order.user) {
            (Some(signing), Some(user)) if has_id_token => {
                let claims = self.id_claims(order.client, user, &access_token, issued_at, expires_at);
                Some(sign(jws::ID_TOKEN, &claims, signing)?)
            }
            _ => None,
        };
        let refresh_token = order.refresh.map(|refresh| self.mint.refresh_token(now, refresh.family));
        if token_type == TokenType::Opaque || refresh_token.is_some() {
            let refresh = refresh_token.as_ref().map(|text| RefreshToken {
                digest: mint::digest_of(text),
                expires_at: now.after(self.refresh_validity(order.client)),
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
            self.store(&order, token).await?;
        }
        Ok(TokenReply { access_token, refresh_token, id_token, scopes: order.scopes, expires_in_s: validity_s })
    }

    async fn store(&self, order: &Order<'_>, token: AccessToken) -> Result<(), OauthError> {
        let username = order.user.map_or(&order.client.owner, |user| &user.username).clone();
        let caller = Caller::new(Principal { tenant: token.tenant.clone(), username });
        let client = token.client.clone();
        let Some((family, presented)) = order.refresh.and_then(|refresh| Some((refresh.family, refresh.presented?)))
        else {
            let issued = self.handle.submit(IssueToken { token }, &caller).await;
            return match issued {
                Ok(_) => Ok(()),
                // The client was deleted in between.
                Err(SubmitError::Refused(Refused::NotFound { .. })) => Err(OauthError::invalid_client()),
                Err(error) => Err(error.into()),
            };
        };
        let rotation = RotateRefreshToken { client: client.clone(), family: family.digest(), presented, token };
        match self.handle.submit(rotation, &caller).await {
            Ok(committed) if committed.reply == RefreshRotation::Rotated => Ok(()),
            Ok(_) => {
                tracing::warn!(%client, user = %caller.principal, "a spent refresh token was used again, its tokens are revoked");
                Err(OauthError::invalid_grant(
                    "The refresh token was spent before. All tokens from this sign-in are revoked; sign in again.",
                ))
            }
            Err(SubmitError::Refused(Refused::NotFound { .. })) => {
                Err(OauthError::invalid_grant("The refresh token is unknown, spent, revoked or expired."))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn refresh_validity(&self, client: &OauthClient) -> Duration {
        let validity = seconds_of(client, "refresh_token_expiry_time");
        validity.unwrap_or(self.settings.refresh_token_validity).min(Duration::from_secs(VALIDITY_S_MAX))
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
            aud: client.clone(),
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
        }
    }

    fn id_claims(
        &self,
        client: &OauthClient,
        user: &User,
        access_token: &str,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> IdClaims {
        let hash = Sha256::digest(access_token.as_bytes());
        IdClaims {
            iss: self.settings.issuer.clone(),
            sub: subject(&user.tenant, &user.username),
            aud: client.id.0.clone(),
            azp: client.id.0.clone(),
            iat: issued_at.as_secs(),
            auth_time: issued_at.as_secs(),
            exp: expires_at.as_secs(),
            at_hash: URL_SAFE_NO_PAD.encode(&hash[..16]),
        }
    }
}

fn application_of(view: &View<Access>, client: &OauthClient) -> Option<Arc<Application>> {
    view.read::<Apimgtdb>().applications.get(&client.mapping?.application).cloned()
}

fn sign<T: serde::Serialize>(kind: &str, claims: &T, signing: &Signing) -> Result<String, OauthError> {
    jws::sign(kind, claims, signing.id, &signing.pair).map_err(|cause| {
        tracing::error!(%cause, key = %signing.id, "no token can be signed");
        OauthError::server_error()
    })
}
