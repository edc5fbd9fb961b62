//! Finds out what an access token is: whose it is, what it may, until when. Whether that is enough for what the bearer
//! wants is decided by who asks.

use std::sync::Arc;

use portcullis_database::Apimgtdb;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_jose::Unverified;
use portcullis_model::authorization::{TokenBinding, TokenDetails};
use portcullis_model::oauth::OauthClient;
use portcullis_model::{Timestamp, TokenDigest, User};

use crate::authority::{Authority, active_user, client};
use crate::bound::{FRESH_TOKEN, TOKEN_BYTES_MAX};
use crate::claims::{APPLICATION_USER, AccessClaims, Audience, Confirmation, read_subject};
use crate::jws;
use crate::mint;

/// A good access token.
#[derive(Clone, Debug)]
pub(crate) struct KnownToken {
    /// What stands for it in the state.
    pub digest: TokenDigest,
    /// Its client.
    pub client: Arc<OauthClient>,
    /// Its user; `None` for an application's own token.
    pub user: Option<Arc<User>>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its id, where it is a JSON Web Token.
    pub jti: Option<String>,
    /// Further facts about it.
    pub details: TokenDetails,
}

impl KnownToken {
    /// Returns what its bearer must prove.
    pub fn binding(&self) -> Option<&TokenBinding> {
        self.details.binding.as_ref()
    }
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotGood {
    /// It is unknown, forged or revoked.
    Unknown,
    /// It may have been issued on another node a moment ago, and this node has not heard of it yet.
    NotHeardOf {
        /// Whether it is sure that this cluster issued it a moment ago.
        is_ours: bool,
    },
    /// Its time is over.
    Expired,
}

impl Authority {
    /// Finds out what a token is, as far as `view` knows.
    pub fn know(&self, view: &View<Access>, text: &str) -> Result<KnownToken, NotGood> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(NotGood::Unknown);
        }
        if text.contains('.') { self.know_signed(view, text) } else { self.know_opaque(view, text) }
    }

    /// Finds out what a token is, and asks the cluster where this node may lag behind.
    pub async fn know_surely(&self, text: &str) -> Result<KnownToken, NotGood> {
        let is_ours = match self.know(&self.handle.view(), text) {
            Err(NotGood::NotHeardOf { is_ours }) => is_ours,
            known => return known,
        };
        let view = self.caught_up().await.ok_or(NotGood::NotHeardOf { is_ours })?;
        self.know(&view, text)
    }

    fn know_opaque(&self, view: &View<Access>, text: &str) -> Result<KnownToken, NotGood> {
        let coin = self.mint.read_access(text).ok_or(NotGood::Unknown)?;
        let now = self.now(view);
        let Some(token) = view.read::<Apimgtdb>().tokens.get(&coin.digest) else {
            let is_fresh = now.since(coin.issued_at) < FRESH_TOKEN;
            return Err(if is_fresh { NotGood::NotHeardOf { is_ours: true } } else { NotGood::Unknown });
        };
        if token.is_self_contained {
            return Err(NotGood::Unknown);
        }
        if token.expires_at <= now {
            return Err(NotGood::Expired);
        }
        let client = client(view, &token.client).ok_or(NotGood::Unknown)?;
        let user = match &token.user {
            Some(username) => Some(active_user(view, &token.tenant, username).ok_or(NotGood::Unknown)?),
            None => None,
        };
        // Who was deleted and created again under the same name is somebody else.
        if user.as_ref().is_some_and(|user| token.issued_at.as_secs() < user.created_at.as_secs()) {
            return Err(NotGood::Unknown);
        }
        Ok(KnownToken {
            digest: coin.digest,
            client,
            user,
            scopes: token.scopes.clone(),
            issued_at: token.issued_at,
            expires_at: token.expires_at,
            jti: None,
            details: view
                .read::<Apimgtdb>()
                .token_details
                .get(&coin.digest)
                .map(|kept| kept.as_ref().clone())
                .unwrap_or_default(),
        })
    }

    fn know_signed(&self, view: &View<Access>, text: &str) -> Result<KnownToken, NotGood> {
        let claims = self.verified_claims(view, text)?;
        let now = self.now(view);
        let digest = jws::digest_of(text);
        if claims.iss != self.settings.issuer || view.read::<Apimgtdb>().revoked_tokens.contains_key(&digest) {
            return Err(NotGood::Unknown);
        }
        if claims.exp <= now.as_secs() {
            return Err(NotGood::Expired);
        }
        if claims.nbf > now.as_secs().saturating_add(self.settings.clock_skew.as_secs()) {
            return Err(NotGood::Unknown);
        }
        let id = portcullis_model::ClientId(claims.client_id.clone());
        let client = client(view, &id).ok_or(NotGood::NotHeardOf { is_ours: false })?;
        // A client that was deleted and made again with the same id does not bring its old tokens back.
        if claims.iat < client.created_at.as_secs() {
            return Err(NotGood::Unknown);
        }
        let revocation = view.read::<Apimgtdb>().revoked_clients.get(&id);
        if revocation.is_some_and(|revocation| claims.iat <= revocation.at.as_secs()) {
            return Err(NotGood::Unknown);
        }
        let user = if claims.aut == APPLICATION_USER {
            let (tenant, username) = read_subject(&claims.sub).ok_or(NotGood::Unknown)?;
            Some(active_user(view, &tenant, &username).ok_or(NotGood::Unknown)?)
        } else {
            None
        };
        if user.as_ref().is_some_and(|user| claims.iat < user.created_at.as_secs()) {
            return Err(NotGood::Unknown);
        }
        Ok(KnownToken {
            digest,
            client,
            user,
            scopes: claims.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            issued_at: Timestamp(claims.iat.saturating_mul(1000)),
            expires_at: Timestamp(claims.exp.saturating_mul(1000)),
            jti: Some(claims.jti.clone()),
            details: TokenDetails {
                signed_in_at: claims.auth_time.map(|at| Timestamp(at.saturating_mul(1000))),
                resources: resources_of(&claims),
                binding: claims.cnf.as_ref().and_then(Confirmation::binding),
                actor: claims.act.as_ref().map(|actor| actor.sub.clone()),
            },
        })
    }

    /// Returns the claims of a token that a key of this cluster signed. The outcome of the signature check, and nothing
    /// else, is remembered, under the digest of the whole text, for as long as the key is there.
    fn verified_claims(&self, view: &View<Access>, text: &str) -> Result<Arc<AccessClaims>, NotGood> {
        let remembered_as = mint::digest_of(text);
        if let Some((claims, key)) = self.verified.get(&remembered_as) {
            let is_there = view.read::<Apimgtdb>().signing_keys.contains_key(&key);
            return if is_there { Ok(claims) } else { Err(NotGood::Unknown) };
        }
        let unverified = Unverified::parse(text).ok_or(NotGood::Unknown)?;
        if unverified.header.typ.as_deref() != Some(jws::ACCESS_TOKEN) {
            return Err(NotGood::Unknown);
        }
        let named = unverified.header.kid.as_deref().and_then(|kid| kid.parse().ok()).ok_or(NotGood::Unknown)?;
        let key = self.keyring.verifying(view, named).ok_or(NotGood::NotHeardOf { is_ours: false })?;
        let claims: AccessClaims = unverified.verify(&key).ok_or(NotGood::Unknown)?;
        let claims = Arc::new(claims);
        self.verified.insert(remembered_as, (Arc::clone(&claims), named));
        Ok(claims)
    }
}

/// Returns what a token is for, where that is something else than its client.
fn resources_of(claims: &AccessClaims) -> Vec<String> {
    match &claims.aud {
        Audience::One(one) if *one == claims.client_id => Vec::new(),
        Audience::One(one) => vec![one.clone()],
        Audience::Several(several) => several.clone(),
    }
}
