//! The JWT bearer grant (RFC 7523, section 2.1): somebody whom the tenant trusts says who the user is.

use std::time::{Duration, Instant};

use portcullis_database::Apimgtdb;
use portcullis_jose::{Jwk, Unverified};
use portcullis_model::authorization::TrustedIssuer;
use portcullis_model::{TenantDomain, Timestamp, Username};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::authority::{Authority, active_user};
use crate::bound::ASSERTION_LIFE_MAX;
use crate::claims::Audience;
use crate::grant::{Asked, ToUser};
use crate::messages::TokenReply;
use crate::oauth_error::OauthError;

/// The grant's name.
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The claims of an assertion (section 3).
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    jti: Option<String>,
}

impl Authority {
    /// Grants a token for an assertion. It brings no refresh token: the issuer is asked again instead.
    pub async fn grant_by_assertion(&self, asked: Asked, text: &str) -> Result<TokenReply, OauthError> {
        let claims = self.read_assertion(&asked.client.tenant, text)?;
        let tenant = &asked.client.tenant;
        let name = claims.sub.strip_suffix(&format!("@{tenant}")).unwrap_or(&claims.sub);
        let user = active_user(&self.handle.view(), tenant, &Username(name.to_owned()))
            .ok_or_else(|| OauthError::invalid_grant("The subject of the assertion is no user who may sign in."))?;
        let wanted = asked.scopes.clone().unwrap_or_default();
        let details = asked.details(None);
        let to = ToUser { grant: JWT_BEARER, sign_in: None, details, pending: None };
        self.grant_to_user(&asked, &user, &wanted, to).await
    }

    fn read_assertion(&self, tenant: &TenantDomain, text: &str) -> Result<Claims, OauthError> {
        let refused =
            || OauthError::invalid_grant("The assertion is not by an issuer that is trusted, or not for this server.");
        let unverified = Unverified::parse(text).ok_or_else(refused)?;
        let named: Claims = unverified.claims_unchecked().ok_or_else(refused)?;
        let view = self.handle.view();
        let trusted = view.read::<Apimgtdb>().trusted_issuers.get(&(tenant.clone(), named.iss));
        let trusted = trusted.ok_or_else(refused)?;
        let claims = keys_of(trusted)
            .iter()
            .filter(|key| unverified.header.kid.is_none() || key.kid.is_none() || key.kid == unverified.header.kid)
            .find_map(|key| unverified.verify::<Claims>(&key.public_key(unverified.algorithm)?))
            .ok_or_else(refused)?;
        let is_for_us =
            self.is_own_address(&claims.aud) || trusted.audience.as_ref().is_some_and(|own| claims.aud.has(own));
        if !is_for_us {
            return Err(refused());
        }
        let at = |seconds: u64| Timestamp(seconds.saturating_mul(1_000));
        let id = claims.jti.as_ref().map(|jti| format!("issuer {} {jti}", claims.iss));
        self.check_life(claims.nbf.map(at), at(claims.exp), self.now(&view), id)?;
        Ok(claims)
    }

    /// Checks that an assertion is good now and not for too long, and that one with an id was not used before.
    pub(crate) fn check_life(
        &self,
        begins_at: Option<Timestamp>,
        ends_at: Timestamp,
        now: Timestamp,
        id: Option<String>,
    ) -> Result<(), OauthError> {
        let skew = self.settings.clock_skew;
        let is_in_time = ends_at > now
            && ends_at <= now.after(ASSERTION_LIFE_MAX).after(skew)
            && begins_at.is_none_or(|from| from <= now.after(skew));
        if !is_in_time {
            let most = ASSERTION_LIFE_MAX.as_secs();
            return Err(OauthError::invalid_grant(format!(
                "The assertion is over, not good yet, or good for more than {most} s."
            )));
        }
        let Some(id) = id else { return Ok(()) };
        let until = Instant::now() + Duration::from_millis(ends_at.0 - now.0);
        if self.assertions.note(Sha256::digest(id).into(), until) {
            return Ok(());
        }
        Err(OauthError::invalid_grant("The assertion was used before."))
    }
}

/// Returns an issuer's keys, as they were checked when they came.
fn keys_of(trusted: &TrustedIssuer) -> Vec<Jwk> {
    serde_json::from_str(&trusted.keys).unwrap_or_default()
}
