//! Says who is behind credentials shown to the management port. What the caller may do there is the component's to ask.

use std::sync::Arc;

use portcullis_model::port::{Authentication, AuthenticationRefusal, Credentials, Identity, PortFuture};
use portcullis_model::{Principal, User};

use crate::authority::{Authority, active_user, split_username};
use crate::bound::USERNAME_BYTES_MAX;
use crate::known_token::NotGood;
use crate::password::Check;
use crate::rest_scope;

impl Authentication for Authority {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
        Box::pin(async move {
            match credentials {
                Credentials::Basic { username, password } => {
                    let user = self.sign_in(username, password).await?;
                    let scopes = rest_scope::allowed_by(&user.roles);
                    Ok(identity(&user, scopes))
                }
                Credentials::Bearer(token) => self.identify_bearer(token).await,
            }
        })
    }
}

impl Authority {
    /// Returns the user behind a name (`user` or `user@tenant`) and a password.
    pub async fn sign_in(&self, username: &str, password: &str) -> Result<Arc<User>, AuthenticationRefusal> {
        if username.len() > USERNAME_BYTES_MAX {
            return Err(AuthenticationRefusal::Invalid);
        }
        let view = self.handle.view();
        let key = split_username(&view, username);
        let user = active_user(&view, &key.0, &key.1);
        let hash = user.as_ref().map(|user| user.password_hash.as_str());
        match (self.passwords.check(&key, password, hash).await, user) {
            (Check::Good, Some(user)) => Ok(user),
            (Check::NotNow, _) => Err(AuthenticationRefusal::Unavailable),
            (Check::Good | Check::Bad, _) => Err(AuthenticationRefusal::Invalid),
        }
    }

    /// Returns who is behind a token: its user, or the owner of its client for a client's own token.
    async fn identify_bearer(&self, token: &str) -> Result<Identity, AuthenticationRefusal> {
        let token = self.know_surely(token).await.map_err(|fault| match fault {
            NotGood::Expired => AuthenticationRefusal::Expired,
            NotGood::NotHeardOf { is_ours: true } => AuthenticationRefusal::Unavailable,
            NotGood::NotHeardOf { is_ours: false } | NotGood::Unknown => AuthenticationRefusal::Invalid,
        })?;
        // This port takes no proofs: a bound token is no bearer token.
        if token.binding().is_some() {
            return Err(AuthenticationRefusal::Invalid);
        }
        let user = match token.user {
            Some(user) => user,
            None => active_user(&self.handle.view(), &token.client.tenant, &token.client.owner)
                .ok_or(AuthenticationRefusal::Invalid)?,
        };
        // A role that was taken away takes its scopes out of the tokens issued before.
        let is_still_allowed =
            |scope: &String| !rest_scope::is_rest_scope(scope) || rest_scope::is_allowed(scope, &user.roles);
        let scopes = token.scopes.into_iter().filter(is_still_allowed).collect();
        Ok(identity(&user, scopes))
    }
}

fn identity(user: &User, scopes: Vec<String>) -> Identity {
    Identity {
        principal: Principal { tenant: user.tenant.clone(), username: user.username.clone() },
        roles: user.roles.clone(),
        scopes,
    }
}
