//! Token exchange (RFC 8693): a token of a user for one of this client's, for no more than the first was good for.

use std::time::Duration;

use portcullis_model::authorization::TokenDetails;

use crate::authority::Authority;
use crate::claims::subject;
use crate::grant::{Asked, check_application};
use crate::issue::Order;
use crate::known_token::{KnownToken, NotGood};
use crate::messages::TokenReply;
use crate::oauth_error::OauthError;
use crate::scope_grant;

/// The grant's name.
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The type of access tokens.
pub(crate) const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The type of JSON Web Tokens, which access tokens may be.
const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What is to be exchanged.
pub struct Exchange {
    /// The token.
    pub subject_token: String,
    /// Its type.
    pub subject_token_type: String,
    /// The token of who acts for the subject.
    pub actor_token: Option<String>,
    /// Its type.
    pub actor_token_type: Option<String>,
    /// The type that is wanted.
    pub requested_token_type: Option<String>,
    /// Whom the new token is to be for.
    pub audiences: Vec<String>,
}

impl Authority {
    /// Exchanges a token.
    pub async fn exchange(&self, mut asked: Asked, exchange: &Exchange) -> Result<TokenReply, OauthError> {
        if asked.settings.is_public() {
            return Err(OauthError::unauthorized_client("Tokens are exchanged by clients that keep a secret."));
        }
        let is_known = |kind: &str| kind == ACCESS_TOKEN_TYPE || kind == JWT_TYPE;
        let requested = exchange.requested_token_type.as_deref().unwrap_or(ACCESS_TOKEN_TYPE);
        let actor_type = exchange.actor_token_type.as_deref();
        if exchange.actor_token.is_some() != actor_type.is_some() {
            return Err(OauthError::invalid_request("actor_token goes with actor_token_type."));
        }
        if !is_known(&exchange.subject_token_type)
            || requested != ACCESS_TOKEN_TYPE
            || actor_type.is_some_and(|kind| !is_known(kind))
        {
            return Err(OauthError::invalid_request("Only access tokens are exchanged, for access tokens."));
        }
        for audience in &exchange.audiences {
            let is_address = url::Url::parse(audience).is_ok_and(|url| !url.cannot_be_a_base());
            if !is_address && *audience != asked.client.id.0 {
                return Err(OauthError::told("invalid_target", "audience must be a URL, or this client."));
            }
            if is_address && !asked.resources.contains(audience) {
                asked.resources.push(audience.clone());
            }
        }
        let subject_token = self.exchanged(&asked, &exchange.subject_token).await?;
        let user = subject_token.user.as_ref().ok_or_else(|| {
            OauthError::invalid_request("The subject_token is an application's own: there is nobody to act for.")
        })?;
        let actor = match &exchange.actor_token {
            Some(text) => {
                let actor = self.exchanged(&asked, text).await?;
                let user = actor.user.as_ref().map(|user| subject(&user.tenant, &user.username));
                Some(user.unwrap_or_else(|| actor.client.id.0.clone()))
            }
            None => subject_token.details.actor.clone(),
        };
        let before = &subject_token.details.resources;
        if !before.is_empty() && !asked.resources.iter().all(|one| before.contains(one)) {
            return Err(OauthError::told("invalid_target", "The subject_token was not given for this resource."));
        }
        let view = self.handle.view();
        check_application(&view, &asked.client)?;
        let wanted = asked.scopes.clone().unwrap_or_else(|| subject_token.scopes.clone());
        if wanted.iter().any(|scope| !subject_token.scopes.contains(scope)) {
            return Err(OauthError::invalid_scope("The subject_token does not carry all the scopes asked for."));
        }
        let scopes = scope_grant::granted(&view, &asked.client, &user.roles, true, &wanted)?;
        let left = subject_token.expires_at.since(self.now(&view)).max(Duration::from_secs(1));
        let resources = if asked.resources.is_empty() { before.clone() } else { asked.resources.clone() };
        let details = TokenDetails {
            signed_in_at: subject_token.details.signed_in_at,
            resources,
            binding: asked.binding.clone(),
            actor,
        };
        let order = Order {
            client: &asked.client,
            user: Some(user.as_ref()),
            scopes,
            grant: TOKEN_EXCHANGE,
            validity: self.user_validity(&asked.settings).min(left),
            refresh: None,
            sign_in: None,
            details,
            pending: None,
        };
        self.issue(&view, order).await
    }

    /// Returns a token that may be exchanged: a good one of the client's tenant, and not bound to somebody else's key.
    async fn exchanged(&self, asked: &Asked, text: &str) -> Result<KnownToken, OauthError> {
        let token = self.know_surely(text).await.map_err(|fault| match fault {
            NotGood::NotHeardOf { is_ours: true } => OauthError::unavailable("The token cannot be checked now."),
            NotGood::Unknown | NotGood::Expired | NotGood::NotHeardOf { is_ours: false } => {
                OauthError::invalid_request("The token to exchange is not valid.")
            }
        })?;
        let is_others = token.binding().is_some() && token.binding() != asked.binding.as_ref();
        if token.client.tenant != asked.client.tenant || is_others {
            return Err(OauthError::invalid_request("The token to exchange is not valid."));
        }
        Ok(token)
    }
}
