//! Finds out whether a client is who it says it is (RFC 6749, section 2.3; RFC 7523, section 3; RFC 8705, section 2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_database::Apimgtdb;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_jose::Unverified;
use portcullis_model::oauth::OauthClient;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::authority::{Authority, client};
use crate::bound::{ASSERTION_LIFE_MAX, CLIENT_ID_CHARS_MAX, CLIENT_SECRET_BYTES_MAX};
use crate::claims::Audience;
use crate::client_settings::{AuthenticationMethod, ClientSettings};
use crate::messages::{ClientLogin, ClientProof, Evidence};
use crate::oauth_error::OauthError;

/// The claims of a client's assertion (RFC 7523, section 3).
#[derive(Deserialize)]
struct AssertionClaims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
    jti: String,
}

impl Authority {
    /// Returns the client behind what it shows. One registered on another node a moment ago is waited for.
    pub async fn log_in(&self, login: &ClientLogin, evidence: &Evidence) -> Result<Arc<OauthClient>, OauthError> {
        let id = &login.id;
        if id.0.len() > CLIENT_ID_CHARS_MAX {
            return Err(OauthError::invalid_client());
        }
        let mut view = self.handle.view();
        let mut found = client(&view, id);
        if found.is_none()
            && let Some(newer) = self.caught_up().await
        {
            view = newer;
            found = client(&view, id);
        }
        let client = found.ok_or_else(OauthError::invalid_client)?;
        let settings = self.client_settings.of(&client);
        let is_proven = match (&login.proof, settings.authentication) {
            (ClientProof::Secret(secret), AuthenticationMethod::Secret | AuthenticationMethod::Nothing) => {
                self.has_secret(&view, &client, secret)?
            }
            (ClientProof::Nothing, AuthenticationMethod::Nothing) => true,
            (ClientProof::Assertion(text), AuthenticationMethod::PrivateKeyJwt) => {
                self.has_signed(&view, &client, &settings, text)
            }
            (ClientProof::Nothing, AuthenticationMethod::Certificate | AuthenticationMethod::OwnCertificate) => {
                self.has_certificate(&settings, evidence)
            }
            _ => false,
        };
        if is_proven { Ok(client) } else { Err(OauthError::invalid_client()) }
    }

    /// Says whether a secret is one of the client's. All are looked at, however early one fits.
    fn has_secret(&self, view: &View<Access>, client: &OauthClient, shown: &str) -> Result<bool, OauthError> {
        if shown.len() > CLIENT_SECRET_BYTES_MAX {
            return Ok(false);
        }
        let now = self.now(view);
        let further = view.read::<Apimgtdb>().secrets_of(&client.id);
        let live = further.filter(|(_, secret)| secret.expires_at.is_none_or(|at| at > now));
        let every = std::iter::once(&client.secret).chain(live.map(|(_, secret)| &secret.secret));
        let mut is_one = false;
        for sealed in every {
            let secret = self.key.open(sealed).map_err(|cause| {
                tracing::error!(%cause, client = %client.id, "a client secret cannot be opened");
                OauthError::server_error()
            })?;
            let is_same: bool = secret.as_slice().ct_eq(shown.as_bytes()).into();
            is_one |= is_same && !secret.is_empty();
        }
        Ok(is_one)
    }

    /// Says whether an assertion is the client's, for this server, and new.
    fn has_signed(&self, view: &View<Access>, client: &OauthClient, settings: &ClientSettings, text: &str) -> bool {
        let Some(unverified) = Unverified::parse(text) else { return false };
        let fits = |key: &&portcullis_jose::Jwk| unverified.header.kid.is_none() || key.kid == unverified.header.kid;
        let claims = settings
            .keys
            .iter()
            .filter(fits)
            .find_map(|key| unverified.verify::<AssertionClaims>(&key.public_key(unverified.algorithm)?));
        let Some(claims) = claims else { return false };
        let now_s = self.now(view).as_secs();
        let skew_s = self.settings.clock_skew.as_secs();
        let is_in_time = claims.exp > now_s
            && claims.exp <= now_s + ASSERTION_LIFE_MAX.as_secs() + skew_s
            && claims.nbf.is_none_or(|from| from <= now_s + skew_s);
        let is_for_us = self.is_own_address(&claims.aud);
        if claims.iss != client.id.0 || claims.sub != client.id.0 || !is_in_time || !is_for_us || claims.jti.is_empty()
        {
            return false;
        }
        let id = Sha256::digest(format!("client {} {}", client.id, claims.jti)).into();
        self.assertions.note(id, Instant::now() + Duration::from_secs(claims.exp - now_s))
    }

    /// Says whether an audience means this server: its issuer, or where it takes requests.
    pub fn is_own_address(&self, audience: &Audience) -> bool {
        let at = |path: &str| format!("{}{path}", self.settings.base_url);
        audience.has(&self.settings.issuer)
            || audience.has(&self.settings.base_url)
            || ["/oauth2/token", "/oauth2/par", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/device_authorization"]
                .iter()
                .any(|path| audience.has(&at(path)))
    }
}

impl Authority {
    /// Says whether the client's certificate is the one that is registered: one of its own by its hash alone, any other by
    /// what it names and by an authority that counts (RFC 8705, section 2).
    fn has_certificate(&self, settings: &ClientSettings, evidence: &Evidence) -> bool {
        let Some(certificate) = &evidence.certificate else { return false };
        let counts = settings.authentication == AuthenticationMethod::OwnCertificate
            || self.client_authorities.as_ref().is_some_and(|them| them.have_signed(certificate, &evidence.issuers));
        counts && crate::certificate::is_registered(settings, certificate)
    }
}
