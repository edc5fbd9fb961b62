//! Answers requests for tokens: checks the client and its grounds, chooses the scopes, has the token made. How tokens
//! are made and stored is in [`crate::issue`].

use std::sync::Arc;
use std::time::Duration;

use portcullis_database::Apimgtdb;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_model::ApplicationState;
use portcullis_model::oauth::{AccessToken, OauthClient};
use portcullis_model::port::AuthenticationRefusal;

use crate::authority::{Authority, active_user, roles_of_owner};
use crate::bound::{CATCH_UP_WAIT, VALIDITY_S_MAX};
use crate::issue::{Order, Refresh};
use crate::messages::{Grant, RequestToken, TokenReply};
use crate::mint::Family;
use crate::oauth_error::OauthError;
use crate::scope_grant;

impl Authority {
    /// Answers a request for a token.
    pub async fn grant(&self, request: RequestToken) -> Result<TokenReply, OauthError> {
        let client = self.log_in(&request.login).await?;
        let grant = request.grant.name();
        if !client.grants.iter().any(|one| one == grant) {
            return Err(OauthError::unauthorized_client(format!("This client may not use the grant type {grant}.")));
        }
        let scopes = request.scopes;
        match request.grant {
            Grant::ClientCredentials => self.grant_to_client(&client, &scopes.unwrap_or_default(), None).await,
            Grant::Password { username, password } => {
                self.grant_to_user(&client, &username, &password, &scopes.unwrap_or_default()).await
            }
            Grant::RefreshToken(token) => self.grant_again(&client, &token, scopes).await,
        }
    }

    /// Grants a client its own token.
    pub async fn grant_to_client(
        &self,
        client: &OauthClient,
        wanted: &[String],
        validity_s: Option<u64>,
    ) -> Result<TokenReply, OauthError> {
        let view = self.handle.view();
        check_application(&view, client)?;
        let roles = roles_of_owner(&view, client);
        let scopes = scope_grant::granted(&view, client, &roles, false, wanted)?;
        let validity = validity_s
            .or(client.token_validity_s)
            .map(Duration::from_secs)
            .or_else(|| seconds_of(client, "application_access_token_expiry_time"))
            .unwrap_or(self.settings.application_token_validity);
        let order = Order { client, user: None, scopes, grant: "client_credentials", validity, refresh: None };
        self.issue(&view, order).await
    }

    async fn grant_to_user(
        &self,
        client: &OauthClient,
        username: &str,
        password: &str,
        wanted: &[String],
    ) -> Result<TokenReply, OauthError> {
        if !self.settings.is_password_grant_enabled {
            return Err(OauthError::unsupported_grant_type("The password grant is switched off."));
        }
        let user = self.sign_in(username, password).await.map_err(|refusal| match refusal {
            AuthenticationRefusal::Unavailable => {
                OauthError::unavailable("Too many sign-ins failed or wait; try again in a moment.")
            }
            AuthenticationRefusal::Invalid | AuthenticationRefusal::Expired => {
                OauthError::invalid_grant("The user name or the password is not valid.")
            }
        })?;
        if user.tenant != client.tenant && !extra(client, "saasApp").is_some_and(|value| value == true) {
            return Err(OauthError::invalid_grant(format!("This client serves users of {} only.", client.tenant)));
        }
        let view = self.handle.view();
        check_application(&view, client)?;
        let scopes = scope_grant::granted(&view, client, &user.roles, true, wanted)?;
        let may_refresh = client.grants.iter().any(|grant| grant == "refresh_token");
        let refresh = may_refresh.then(|| Refresh { family: Family::draw(), presented: None });
        let validity = self.user_validity(client);
        let order = Order { client, user: Some(user.as_ref()), scopes, grant: "password", validity, refresh };
        self.issue(&view, order).await
    }

    /// Grants a new token for a refresh token, which is spent by that.
    async fn grant_again(
        &self,
        client: &OauthClient,
        text: &str,
        wanted: Option<Vec<String>>,
    ) -> Result<TokenReply, OauthError> {
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
        let username = before.user.as_ref().ok_or_else(not_good)?;
        let user = active_user(&view, &before.tenant, username)
            .filter(|user| before.issued_at >= user.created_at)
            .ok_or_else(|| OauthError::invalid_grant("The user of this refresh token may not sign in."))?;
        let wanted = wanted.unwrap_or_else(|| before.scopes.clone());
        if wanted.iter().any(|scope| !before.scopes.contains(scope)) {
            return Err(OauthError::invalid_scope("A refresh token brings no scope that was not granted at first."));
        }
        let scopes = scope_grant::granted(&view, client, &user.roles, true, &wanted)?;
        let order = Order {
            client,
            user: Some(user.as_ref()),
            scopes,
            grant: "refresh_token",
            validity: self.user_validity(client),
            refresh: Some(Refresh { family, presented: Some(coin.digest) }),
        };
        self.issue(&view, order).await
    }

    fn user_validity(&self, client: &OauthClient) -> Duration {
        seconds_of(client, "user_access_token_expiry_time").unwrap_or(self.settings.user_token_validity)
    }
}

/// Returns the token that holds the live refresh token of a family. Whether the one shown is that is decided in the log.
fn latest(view: &View<Access>, family: Family) -> Option<Arc<AccessToken>> {
    let tables = view.read::<Apimgtdb>();
    tables.tokens.get(tables.refresh_tokens.get(&family.digest())?).cloned()
}

fn check_application(view: &View<Access>, client: &OauthClient) -> Result<(), OauthError> {
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

/// Returns one of the further settings of a client: at the top of the object, or in `additionalProperties`, where the
/// Store's contract has it.
pub(crate) fn extra(client: &OauthClient, name: &str) -> Option<serde_json::Value> {
    let settings: serde_json::Value = serde_json::from_str(&client.other_fields).ok()?;
    settings.get(name).or_else(|| settings.get("additionalProperties")?.get(name)).cloned()
}

/// Returns a duration among the further settings of a client, given in seconds as a number or as its text; a negative
/// one means "never ends".
pub(crate) fn seconds_of(client: &OauthClient, name: &str) -> Option<Duration> {
    let value = extra(client, name)?;
    let seconds = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(VALIDITY_S_MAX)))
}
