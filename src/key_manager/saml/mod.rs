//! The SAML 2.0 bearer grant (RFC 7522): an identity provider whom the tenant trusts says who the user is, in XML.
//!
//! What is believed is read from the very bytes whose digest was signed: the canonical form that this crate writes is checked
//! first and parsed again then. A mistake in the canonical form makes a good assertion be refused, never a bad one believed, and
//! nothing beside what was signed is ever looked at (signature wrapping).

mod assertion;
mod canonical;
mod signature;
mod xml;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use portcullis_database::Apimgtdb;
use portcullis_jose::Jwk;
use portcullis_model::{TenantDomain, Username};

use self::assertion::Assertion;
use crate::authority::{Authority, active_user};
use crate::claims::Audience;
use crate::grant::{Asked, ToUser};
use crate::messages::TokenReply;
use crate::oauth_error::OauthError;

/// The grant's name.
pub(crate) const SAML2_BEARER: &str = "urn:ietf:params:oauth:grant-type:saml2-bearer";
/// Bytes of an assertion, not encoded.
const ASSERTION_BYTES_MAX: usize = 64 << 10;

impl Authority {
    /// Grants a token for an assertion. It brings no refresh token: the issuer is asked again instead.
    pub async fn grant_by_saml(&self, asked: Asked, text: &str) -> Result<TokenReply, OauthError> {
        let tenant = &asked.client.tenant;
        let assertion = self.read_saml(tenant, text)?;
        let name = assertion.subject.strip_suffix(&format!("@{tenant}")).unwrap_or(&assertion.subject);
        let user = active_user(&self.handle.view(), tenant, &Username(name.to_owned()))
            .ok_or_else(|| OauthError::invalid_grant("The subject of the assertion is no user who may sign in."))?;
        let wanted = asked.scopes.clone().unwrap_or_default();
        let details = asked.details(None);
        let to = ToUser { grant: SAML2_BEARER, sign_in: None, details, pending: None };
        self.grant_to_user(&asked, &user, &wanted, to).await
    }

    fn read_saml(&self, tenant: &TenantDomain, text: &str) -> Result<Assertion, OauthError> {
        let document = decoded(text).ok_or_else(|| {
            OauthError::invalid_grant(format!(
                "The assertion must be XML of at most {ASSERTION_BYTES_MAX} bytes, in base64url."
            ))
        })?;
        let refused =
            || OauthError::invalid_grant("The assertion is not by an issuer that is trusted, or not for this server.");
        let view = self.handle.view();
        let signed = signature::read(&document)
            .map_err(|why| OauthError::invalid_grant(format!("The assertion is not signed as it must be: {why}.")))?;
        let issuer = signed.issuer.clone();
        let trusted = view.read::<Apimgtdb>().trusted_issuers.get(&(tenant.clone(), issuer.clone()));
        let trusted = trusted.ok_or_else(refused)?;
        let keys: Vec<Jwk> = serde_json::from_str(&trusted.keys).unwrap_or_default();
        let believed = signed.verify(&keys).ok_or_else(refused)?;
        let assertion = Assertion::read(&believed)
            .map_err(|why| OauthError::invalid_grant(format!("The assertion says too little: {why}.")))?;
        let is_ours = |name: &str| {
            self.is_own_address(&Audience::One(name.to_owned())) || trusted.audience.as_deref() == Some(name)
        };
        if assertion.issuer != issuer || !assertion.is_for(is_ours) {
            return Err(refused());
        }
        let id = format!("saml {} {}", assertion.issuer, assertion.id);
        self.check_life(assertion.begins_at, assertion.ends_at, self.now(&view), Some(id))?;
        Ok(assertion)
    }
}

/// Returns the XML of an assertion: base64url without padding (section 2.1), or base64 as clients of the original send it.
fn decoded(text: &str) -> Option<String> {
    if text.len() > ASSERTION_BYTES_MAX * 4 / 3 + 4 {
        return None;
    }
    let forms = [URL_SAFE_NO_PAD, URL_SAFE, STANDARD, STANDARD_NO_PAD];
    let bytes = forms.into_iter().find_map(|form| form.decode(text).ok())?;
    String::from_utf8(bytes).ok().filter(|text| text.len() <= ASSERTION_BYTES_MAX)
}
