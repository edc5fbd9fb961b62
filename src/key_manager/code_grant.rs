//! Grants a token for an authorization code (RFC 6749, section 4.1.3). That a code is good once is decided in the log.

use portcullis_database::command::RevokeToken;
use portcullis_database::{Apimgtdb, Caller};
use portcullis_model::authorization::{PendingGrant, SpentGrant, TokenBinding};
use portcullis_model::{Principal, TokenDigest};

use crate::authority::{Authority, active_user};
use crate::grant::{Asked, ToUser};
use crate::issue::SignInFacts;
use crate::messages::TokenReply;
use crate::mint::Kind;
use crate::oauth_error::OauthError;
use crate::pkce;

impl Authority {
    /// Grants a token for a code.
    pub async fn grant_by_code(
        &self,
        asked: Asked,
        code: &str,
        redirect_uri: Option<&str>,
        verifier: Option<&str>,
    ) -> Result<TokenReply, OauthError> {
        let not_good = || OauthError::invalid_grant("The code is unknown, used up or too old.");
        let coin = self.mint.read(Kind::Code, code).ok_or_else(not_good)?;
        let grant = self.pending(coin.digest).await.ok_or_else(not_good)?;
        if *grant.client() != asked.client.id {
            return Err(not_good());
        }
        let code = match grant.as_ref() {
            PendingGrant::Code(code) => code,
            PendingGrant::Spent(spent) => return Err(self.take_back(&asked, coin.digest, spent).await),
            PendingGrant::Device(_) | PendingGrant::Pushed(_) => return Err(not_good()),
        };
        let is_same_address = match redirect_uri {
            Some(named) => named == code.redirect_uri,
            None => !code.is_redirect_uri_named,
        };
        if !is_same_address {
            return Err(OauthError::invalid_grant("The redirect_uri is not that of the authorization request."));
        }
        if !pkce::is_proven(code.challenge.as_deref(), verifier) {
            return Err(OauthError::invalid_grant("The code_verifier does not fit the code_challenge."));
        }
        if let Some(key) = &code.proof_key
            && asked.binding != Some(TokenBinding::Key(key.clone()))
        {
            return Err(OauthError::invalid_grant("The code is bound to another key (dpop_jkt)."));
        }
        if !asked.resources.iter().all(|one| code.resources.is_empty() || code.resources.contains(one)) {
            return Err(OauthError::told("invalid_target", "The code was not given for this resource."));
        }
        let user = active_user(&self.handle.view(), &code.tenant, &code.username)
            .filter(|user| code.signed_in_at >= user.created_at)
            .ok_or_else(|| OauthError::invalid_grant("The user of this code may not sign in."))?;
        let mut details = asked.details(Some(code.signed_in_at));
        if details.resources.is_empty() {
            details.resources.clone_from(&code.resources);
        }
        let to = ToUser {
            grant: "authorization_code",
            sign_in: Some(SignInFacts { at: code.signed_in_at, nonce: code.nonce.clone() }),
            details,
            pending: Some(coin.digest),
        };
        self.grant_to_user(&asked, &user, &code.scopes, to).await
    }

    /// Answers for a grant that was used before: what it gave is revoked, in the log, and everywhere.
    pub async fn take_back(&self, asked: &Asked, digest: TokenDigest, spent: &SpentGrant) -> OauthError {
        let token =
            spent.family.and_then(|family| self.handle.view().read::<Apimgtdb>().refresh_tokens.get(&family).copied());
        let command =
            RevokeToken { digest: token.unwrap_or(spent.token), self_contained_until: Some(spent.token_expires_at) };
        let owner = Principal { tenant: asked.client.tenant.clone(), username: asked.client.owner.clone() };
        tracing::warn!(client = %asked.client.id, ?digest, "a code was used again, its tokens are revoked");
        match self.handle.submit(command, &Caller::new(owner)).await {
            Ok(_) => {
                OauthError::invalid_grant("The code was used before. All tokens from it are revoked; sign in again.")
            }
            Err(error) => error.into(),
        }
    }
}
