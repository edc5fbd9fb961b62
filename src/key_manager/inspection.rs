//! Revokes tokens, spends those that are good for one call, and tells what they are: RFC 7009, RFC 7662 and the user info
//! of OpenID Connect. Issuing is elsewhere.

use std::sync::Arc;
use std::time::Duration;

use portcullis_database::access::KeyManager as Access;
use portcullis_database::command::RevokeToken;
use portcullis_database::handle::View;
use portcullis_database::{Apimgtdb, Caller, people};
use portcullis_model::oauth::AccessToken;
use portcullis_model::port::{AuthenticationRefusal, KeyRefusal};
use portcullis_model::{ClientId, Principal, TenantDomain, Timestamp, TokenDigest};

use crate::authority::{Authority, active_user, client};
use crate::bound::CATCH_UP_WAIT;
use crate::claims::subject;
use crate::foreign::foreign_digest;
use crate::jws;
use crate::known_token::{KnownToken, NotGood};
use crate::messages::{DescribeUser, Introspect, Introspection, Revoke, Revoked, UserFacts};
use crate::mint;
use crate::oauth_error::OauthError;
use crate::scope_grant::OPENID;
use crate::user_claims::{self, ClaimConfiguration};

/// How long it may take until a token that is spent is on the list; every live node has as long again to hear of it.
const SPEND_WITHIN: Duration = Duration::from_secs(4);

/// What there is to revoke.
struct Target {
    client: ClientId,
    digest: TokenDigest,
    self_contained_until: Option<Timestamp>,
}

impl Authority {
    /// Revokes a token of the client. A token that is not good, or not known to the cluster, is as good as revoked; one
    /// that this node alone does not know is looked for.
    pub async fn revoke(&self, request: Revoke) -> Result<Revoked, OauthError> {
        let client = self.log_in(&request.login, &request.evidence).await?;
        let Some(target) = self.target(&request.token).await? else { return Ok(Revoked::default()) };
        if target.client != client.id {
            return Err(OauthError::unauthorized_client("The token was issued to another client."));
        }
        let caller = Caller::new(Principal { tenant: client.tenant.clone(), username: client.owner.clone() });
        let command = RevokeToken { digest: target.digest, self_contained_until: target.self_contained_until };
        let committed = self.handle.submit(command, &caller).await?;
        Ok(Revoked { index: Some(committed.index), unreached: committed.unreached })
    }

    /// Revokes a token that a gateway found good until `until`, and refuses it where another call did so before: the log
    /// says which of them was the first.
    pub async fn spend_token(&self, text: &str, until: Timestamp) -> Result<(), KeyRefusal> {
        let unavailable = |cause: &dyn std::fmt::Display| {
            tracing::warn!(%cause, "a token could not be spent");
            KeyRefusal::Unavailable
        };
        let target = self.target(text).await.map_err(|error| unavailable(&error))?;
        let (digest, self_contained_until, principal) = match target {
            Some(target) => {
                let view = self.handle.view();
                let client = client(&view, &target.client).ok_or(KeyRefusal::Invalid)?;
                let owner = Principal { tenant: client.tenant.clone(), username: client.owner.clone() };
                (target.digest, target.self_contained_until, owner)
            }
            None if self.is_foreign(text) => (foreign_digest(text), Some(until), Principal::system()),
            None => return Err(KeyRefusal::Invalid),
        };
        let mut caller = Caller::new(principal);
        caller.within = SPEND_WITHIN;
        let command = RevokeToken { digest, self_contained_until };
        let committed = self.handle.submit(command, &caller).await.map_err(|error| unavailable(&error))?;
        if committed.reply { Ok(()) } else { Err(KeyRefusal::Invalid) }
    }

    async fn target(&self, text: &str) -> Result<Option<Target>, OauthError> {
        let view = self.handle.view();
        if let Some(target) = self.target_in(&view, text) {
            return Ok(Some(target));
        }
        let may_lag = self.mint.read_access(text).is_some()
            || self.mint.read_refresh(text).is_some()
            || matches!(self.know(&view, text), Err(NotGood::NotHeardOf { .. }));
        if !may_lag {
            return Ok(None);
        }
        let view = self.handle.linearizable_view(CATCH_UP_WAIT).await?;
        Ok(self.target_in(&view, text))
    }

    fn target_in(&self, view: &View<Access>, text: &str) -> Option<Target> {
        let tables = view.read::<Apimgtdb>();
        let by_refresh_token = self.find_by_refresh_token(view, text).map(|(token, _)| token);
        let digest = if text.contains('.') { jws::digest_of(text) } else { mint::digest_of(text) };
        // One that is kept goes also after its own end: its refresh token may live on.
        if let Some(token) = by_refresh_token.as_ref().or_else(|| tables.tokens.get(&digest)) {
            return Some(Target { client: token.client.clone(), digest: token.digest, self_contained_until: None });
        }
        let known = self.know(view, text).ok()?;
        Some(Target {
            client: known.client.id.clone(),
            digest: known.digest,
            self_contained_until: Some(known.expires_at),
        })
    }

    /// Returns the token that a live refresh token belongs to, and until when the refresh token is good.
    fn find_by_refresh_token(&self, view: &View<Access>, text: &str) -> Option<(Arc<AccessToken>, Timestamp)> {
        let (coin, family) = self.mint.read_refresh(text)?;
        let tables = view.read::<Apimgtdb>();
        let token = tables.tokens.get(tables.refresh_tokens.get(&family.digest())?)?;
        let refresh = token.refresh.filter(|refresh| refresh.digest == coin.digest)?;
        Some((Arc::clone(token), refresh.expires_at))
    }

    /// Tells a client or an administrator what a token is. Both learn about tokens of their own tenant only.
    pub async fn introspect(&self, request: Introspect) -> Result<Introspection, OauthError> {
        let tenant = self.tenant_of_asker(&request).await?;
        if self.mint.read_refresh(&request.token).is_some() {
            let mut found = self.find_by_refresh_token(&self.handle.view(), &request.token);
            if found.is_none() {
                let view = self.caught_up().await;
                found = view.and_then(|view| self.find_by_refresh_token(&view, &request.token));
            }
            let described = found.map(|(token, ends_at)| self.describe_refresh_token(&token, ends_at, &tenant));
            return Ok(described.unwrap_or(Introspection::Inactive));
        }
        let Ok(token) = self.know_surely(&request.token).await else { return Ok(Introspection::Inactive) };
        if token.client.tenant != tenant {
            return Ok(Introspection::Inactive);
        }
        Ok(describe(&token))
    }

    /// Returns the tenant of who asks: a client, or a user who may administer.
    async fn tenant_of_asker(&self, request: &Introspect) -> Result<TenantDomain, OauthError> {
        let refused = match self.log_in(&request.login, &request.evidence).await {
            Ok(client) => return Ok(client.tenant.clone()),
            Err(refused) => refused,
        };
        let Some((username, password)) = &request.as_user else { return Err(refused) };
        match self.sign_in_from(username, password, request.evidence.origin).await {
            Ok(user) if self.may_administer(&user) => Ok(user.tenant.clone()),
            Err(AuthenticationRefusal::Unavailable) => {
                Err(OauthError::unavailable("Too many sign-ins failed or wait; try again in a moment."))
            }
            Ok(_) | Err(AuthenticationRefusal::Invalid | AuthenticationRefusal::Expired) => Err(refused),
        }
    }

    fn describe_refresh_token(
        &self,
        token: &AccessToken,
        expires_at: Timestamp,
        tenant: &TenantDomain,
    ) -> Introspection {
        let view = self.handle.view();
        let client = crate::authority::client(&view, &token.client);
        let user = token.user.as_ref().and_then(|user| active_user(&view, &token.tenant, user));
        let (Some(client), Some(user)) = (client, user) else { return Introspection::Inactive };
        if client.tenant != *tenant || expires_at <= self.now(&view) {
            return Introspection::Inactive;
        }
        let subject = subject(&user.tenant, &user.username);
        let details = view.read::<Apimgtdb>().token_details.get(&token.digest);
        Introspection::Active {
            client: client.id.clone(),
            username: subject.clone(),
            subject,
            is_user_token: true,
            is_refresh_token: true,
            scopes: token.scopes.clone(),
            issued_at_s: token.issued_at.as_secs(),
            expires_at_s: expires_at.as_secs(),
            jti: None,
            details: Box::new(details.map(|kept| kept.as_ref().clone()).unwrap_or_default()),
        }
    }

    /// Tells who the user behind a token is.
    pub async fn describe_user(&self, request: &DescribeUser) -> Result<UserFacts, OauthError> {
        let text = &request.token;
        let token = self.know_surely(text).await.map_err(|fault| match fault {
            NotGood::Expired => OauthError::invalid_token("The access token has expired."),
            NotGood::NotHeardOf { is_ours: true } => OauthError::unavailable("The access token cannot be checked now."),
            NotGood::NotHeardOf { is_ours: false } | NotGood::Unknown => {
                OauthError::invalid_token("The access token is not valid.")
            }
        })?;
        self.check_possession(token.binding(), text, request.is_shown_as_bound, &request.evidence)?;
        if !token.scopes.iter().any(|scope| scope == OPENID) {
            return Err(OauthError::insufficient_scope("The access token does not carry the scope openid."));
        }
        let user = token.user.ok_or_else(|| OauthError::insufficient_scope("The access token is not a user's."))?;
        let view = self.handle.view();
        let profile = people::profile_of(view.read(), &user);
        let configuration = ClaimConfiguration::of(&token.client);
        let settings = user_claims::settings_of(view.read(), &token.client.tenant);
        let claims = user_claims::told(&user, &profile.attributes, &token.scopes, &configuration, &settings);
        Ok(UserFacts { subject: subject(&user.tenant, &user.username), claims })
    }
}

fn describe(token: &KnownToken) -> Introspection {
    let client = &token.client;
    let (username, subject) = match &token.user {
        Some(user) => (subject(&user.tenant, &user.username), subject(&user.tenant, &user.username)),
        None => (subject(&client.tenant, &client.owner), client.id.0.clone()),
    };
    Introspection::Active {
        client: client.id.clone(),
        username,
        subject,
        is_user_token: token.user.is_some(),
        is_refresh_token: false,
        scopes: token.scopes.clone(),
        issued_at_s: token.issued_at.as_secs(),
        expires_at_s: token.expires_at.as_secs(),
        jti: token.jti.clone(),
        details: Box::new(token.details.clone()),
    }
}
