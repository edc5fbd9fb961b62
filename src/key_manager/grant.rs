//! Answers requests for tokens: checks the client and its grounds, chooses the scopes, has the token made. How tokens
//! are made and stored is in [`crate::issue`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_database::Apimgtdb;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_model::authorization::{TokenBinding, TokenDetails};
use portcullis_model::oauth::{AccessToken, OauthClient};
use portcullis_model::port::AuthenticationRefusal;
use portcullis_model::{ApplicationState, Timestamp, TokenDigest, User};

use crate::assertion_grant::JWT_BEARER;
use crate::authority::{Authority, active_user, roles_of_owner};
use crate::bound::CATCH_UP_WAIT;
use crate::client_settings::ClientSettings;
use crate::issue::{Order, Refresh, SignInFacts};
use crate::messages::{Grant, RequestToken, TokenReply};
use crate::mint::Family;
use crate::oauth_error::OauthError;
use crate::saml::SAML2_BEARER;
use crate::scope_grant;

impl Authority {
    /// Answers a request for a token.
    pub async fn grant(&self, request: RequestToken) -> Result<TokenReply, OauthError> {
        let client = self.log_in(&request.login, &request.evidence).await?;
        let grant = request.grant.name();
        if !client.grants.iter().any(|one| one == grant) {
            return Err(OauthError::unauthorized_client(format!("This client may not use the grant type {grant}.")));
        }
        let settings = self.client_settings.of(&client);
        let binding = self.binding(&settings, &request.evidence)?;
        let asked = Asked { client, settings, scopes: request.scopes, resources: request.resources, binding };
        match request.grant {
            Grant::ClientCredentials => self.grant_by_credentials(asked).await,
            Grant::Password { username, password } => {
                let user = self.user_of_password(&username, &password, request.evidence.origin).await?;
                self.grant_by_password(asked, &user).await
            }
            Grant::RefreshToken(token) => self.grant_again(asked, &token).await,
            Grant::AuthorizationCode { code, redirect_uri, verifier } => {
                self.grant_by_code(asked, &code, redirect_uri.as_deref(), verifier.as_deref()).await
            }
            Grant::Assertion(text) => self.grant_by_assertion(asked, &text).await,
            Grant::Saml(text) => self.grant_by_saml(asked, &text).await,
            Grant::DeviceCode(code) => self.grant_to_device(asked, &code).await,
            Grant::Exchange(exchange) => self.exchange(asked, &exchange).await,
        }
    }

    async fn grant_by_credentials(&self, asked: Asked) -> Result<TokenReply, OauthError> {
        if asked.settings.is_public() {
            return Err(OauthError::unauthorized_client("A public client has no authority of its own."));
        }
        let wanted = asked.scopes.clone().unwrap_or_default();
        let details = asked.details(None);
        self.grant_to_client(&asked.client, &wanted, None, details).await
    }

    /// Grants a client its own token.
    pub async fn grant_to_client(
        &self,
        client: &Arc<OauthClient>,
        wanted: &[String],
        validity_s: Option<u64>,
        details: TokenDetails,
    ) -> Result<TokenReply, OauthError> {
        let view = self.handle.view();
        check_application(&view, client)?;
        let settings = self.client_settings.of(client);
        let roles = roles_of_owner(&view, client);
        let scopes = scope_grant::granted(&view, client, &roles, false, wanted)?;
        let validity = validity_s
            .or(client.token_validity_s)
            .map(Duration::from_secs)
            .or(settings.application_validity)
            .unwrap_or(self.settings.application_token_validity);
        let order = Order {
            client,
            user: None,
            scopes,
            grant: "client_credentials",
            validity,
            refresh: None,
            sign_in: None,
            details,
            pending: None,
        };
        self.issue(&view, order).await
    }

    async fn user_of_password(
        &self,
        username: &str,
        password: &str,
        origin: Option<IpAddr>,
    ) -> Result<Arc<User>, OauthError> {
        if !self.settings.is_password_grant_enabled {
            return Err(OauthError::unsupported_grant_type("The password grant is switched off."));
        }
        self.sign_in_from(username, password, origin).await.map_err(|refusal| match refusal {
            AuthenticationRefusal::Unavailable => {
                OauthError::unavailable("Too many sign-ins failed or wait; try again in a moment.")
            }
            AuthenticationRefusal::Invalid | AuthenticationRefusal::Expired => {
                OauthError::invalid_grant("The user name or the password is not valid.")
            }
        })
    }

    async fn grant_by_password(&self, asked: Asked, user: &Arc<User>) -> Result<TokenReply, OauthError> {
        let wanted = asked.scopes.clone().unwrap_or_default();
        let details = asked.details(None);
        self.grant_to_user(&asked, user, &wanted, ToUser { grant: "password", sign_in: None, details, pending: None })
            .await
    }

    /// Grants a token on behalf of a user, with a refresh token where the client may use one.
    pub async fn grant_to_user(
        &self,
        asked: &Asked,
        user: &User,
        wanted: &[String],
        to: ToUser<'_>,
    ) -> Result<TokenReply, OauthError> {
        let client = &asked.client;
        if user.tenant != client.tenant && !asked.settings.is_saas {
            return Err(OauthError::invalid_grant(format!("This client serves users of {} only.", client.tenant)));
        }
        let view = self.handle.view();
        check_application(&view, client)?;
        let scopes = scope_grant::granted(&view, client, &user.roles, true, wanted)?;
        let may_refresh = ![JWT_BEARER, SAML2_BEARER].contains(&to.grant)
            && client.grants.iter().any(|grant| grant == "refresh_token");
        let order = Order {
            client,
            user: Some(user),
            scopes,
            grant: to.grant,
            validity: self.user_validity(&asked.settings),
            refresh: may_refresh.then(|| Refresh { family: Family::draw(), presented: None }),
            sign_in: to.sign_in,
            details: to.details,
            pending: to.pending,
        };
        self.issue(&view, order).await
    }

    /// Grants a new token for a refresh token, which is spent by that.
    async fn grant_again(&self, asked: Asked, text: &str) -> Result<TokenReply, OauthError> {
        let client = &asked.client;
        let not_good = || OauthError::invalid_grant("The refresh token is unknown, spent, revoked or expired.");
        let (coin, family) = self.mint.read_refresh(text).ok_or_else(not_good)?;
        let mut view = self.handle.view();
        if latest(&view, family).is_none() {
            // Another node may have issued it a moment ago: a client must not lose its sign-in because this one lags.
            view = self.handle.linearizable_view(CATCH_UP_WAIT).await?;
        }
        let before = latest(&view, family).ok_or_else(not_good)?;
        if before.client != client.id {
            return Err(not_good());
        }
        check_application(&view, client)?;
        let details = view.read::<Apimgtdb>().token_details.get(&before.digest);
        let details = asked.details_again(details.map(AsRef::as_ref))?;
        let username = before.user.as_ref().ok_or_else(not_good)?;
        let user = active_user(&view, &before.tenant, username)
            .filter(|user| before.issued_at.as_secs() >= user.created_at.as_secs())
            .ok_or_else(|| OauthError::invalid_grant("The user of this refresh token may not sign in."))?;
        let wanted = asked.scopes.clone().unwrap_or_else(|| before.scopes.clone());
        if wanted.iter().any(|scope| !before.scopes.contains(scope)) {
            return Err(OauthError::invalid_scope("A refresh token brings no scope that was not granted at first."));
        }
        let scopes = scope_grant::granted(&view, client, &user.roles, true, &wanted)?;
        let order = Order {
            client,
            user: Some(user.as_ref()),
            scopes,
            grant: "refresh_token",
            validity: self.user_validity(&asked.settings),
            refresh: Some(Refresh { family, presented: Some(coin.digest) }),
            sign_in: None,
            details,
            pending: None,
        };
        self.issue(&view, order).await
    }

    pub fn user_validity(&self, client: &ClientSettings) -> Duration {
        client.user_validity.unwrap_or(self.settings.user_token_validity)
    }
}

/// What is asked for, and by whom.
pub(crate) struct Asked {
    pub client: Arc<OauthClient>,
    pub settings: Arc<ClientSettings>,
    /// The scopes; `None` where the client named none.
    pub scopes: Option<Vec<String>>,
    pub resources: Vec<String>,
    /// What the token is bound to.
    pub binding: Option<TokenBinding>,
}

/// What is particular to one way of getting a user's token.
pub(crate) struct ToUser<'a> {
    pub grant: &'a str,
    pub sign_in: Option<SignInFacts>,
    pub details: TokenDetails,
    pub pending: Option<TokenDigest>,
}

impl Asked {
    /// Returns the further facts of the token.
    pub fn details(&self, signed_in_at: Option<Timestamp>) -> TokenDetails {
        TokenDetails { signed_in_at, resources: self.resources.clone(), binding: self.binding.clone(), actor: None }
    }

    /// Returns the further facts of a token that follows another: it is for no more than that one, and a public client's
    /// stays bound to the same key.
    fn details_again(&self, before: Option<&TokenDetails>) -> Result<TokenDetails, OauthError> {
        let before = before.cloned().unwrap_or_default();
        if self.settings.is_public() && before.binding.is_some() && before.binding != self.binding {
            return Err(OauthError::invalid_grant("The refresh token is bound to another key or certificate."));
        }
        let allows = |resource: &String| before.resources.is_empty() || before.resources.contains(resource);
        if !self.resources.iter().all(allows) {
            return Err(OauthError::told("invalid_target", "The refresh token was not given for this resource."));
        }
        let resources = if self.resources.is_empty() { before.resources } else { self.resources.clone() };
        Ok(TokenDetails { resources, binding: self.binding.clone(), ..before })
    }
}

/// Returns the token that holds the live refresh token of a family. Whether the one shown is that is decided in the log.
fn latest(view: &View<Access>, family: Family) -> Option<Arc<AccessToken>> {
    let tables = view.read::<Apimgtdb>();
    tables.tokens.get(tables.refresh_tokens.get(&family.digest())?).cloned()
}

/// Refuses a client whose application may not be used.
pub(crate) fn check_application(view: &View<Access>, client: &OauthClient) -> Result<(), OauthError> {
    let Some(mapping) = client.mapping else { return Ok(()) };
    let application = view.read::<Apimgtdb>().applications.get(&mapping.application);
    match application.map(|application| application.state) {
        Some(ApplicationState::Approved) => Ok(()),
        Some(ApplicationState::Created | ApplicationState::Rejected) => {
            Err(OauthError::unauthorized_client("The application of this client is not approved."))
        }
        None => Err(OauthError::unauthorized_client("The application of this client does not exist any more.")),
    }
}
