//! Who is behind a request to the management port: who asks for it, and the extractors that tell.
//!
//! It reads the `Authorization` header; whether the credentials are good is the Key Manager's to say, through
//! [`Authentication`].

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{Extensions, HeaderMap};
use portcullis_model::TenantDomain;
use portcullis_model::port::{Authentication, AuthenticationRefusal, Credentials, Identity};

use crate::error::ApiError;

/// The tenant in a path below `/t/DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTenant(pub TenantDomain);

/// Who signed in; 401 where nobody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed(pub Identity);

impl Signed {
    /// Checks that the caller holds at least one of `scopes`.
    ///
    /// # Errors
    /// 403 where it holds none of them; 401 where that is for want of a scope of the token shown, as in the original.
    pub fn require(&self, scopes: &[&str]) -> Result<(), ApiError> {
        if self.0.has_any(scopes) {
            return Ok(());
        }
        if self.0.is_token {
            let wanted = format!("The token has none of the scopes this needs: {}", scopes.join(", "));
            return Err(ApiError::new(
                401,
                900_910,
                "The access token does not allow you to access the requested resource",
                wanted,
            )
            .with_challenge());
        }
        let user = &self.0.principal;
        Err(ApiError::forbidden(format!("{user} has none of the scopes this needs: {}", scopes.join(", "))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Signed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Identity>()
            .cloned()
            .map(Self)
            .ok_or_else(|| ApiError::unauthorized("This needs a sign-in: send basic credentials or a bearer token."))
    }
}

/// Who signed in, if anybody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaybeSigned(pub Option<Identity>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeSigned {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Identity>().cloned()))
    }
}

/// Returns the value of a cookie that a browser sent.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Notes with a request who sends it: nobody where there are no credentials.
///
/// # Errors
/// 401 where the credentials are not good, 503 where that cannot be said now.
pub async fn sign_in(authentication: &dyn Authentication, request: &mut Request) -> Result<(), ApiError> {
    if let Some(identity) = identify(authentication, request.headers(), request.extensions()).await? {
        request.extensions_mut().insert(identity);
    }
    Ok(())
}

/// Returns who is behind the `Authorization` header of a request, or `None` where there is no such header. Below
/// `/t/DOMAIN` it must be somebody of that tenant.
///
/// # Errors
/// 401 where the header is not understood or the credentials are not good, 503 where that cannot be said now.
pub async fn identify(
    authentication: &dyn Authentication,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Option<Identity>, ApiError> {
    let tenant = extensions.get::<PathTenant>();
    let origin = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let Some(identity) = identify_from(authentication, headers, tenant, origin).await? else { return Ok(None) };
    if tenant.is_some_and(|tenant| tenant.0 != identity.principal.tenant) {
        return Err(ApiError::unauthorized("These credentials are not of the tenant in the path."));
    }
    Ok(Some(Identity { origin, ..identity }))
}

impl PathTenant {
    /// Returns the whole name of a user of the tenant, who may be named without it.
    #[must_use]
    pub fn whole_name(&self, username: &str) -> String {
        let suffix = format!("@{}", self.0);
        if username.ends_with(&suffix) { username.to_owned() } else { format!("{username}{suffix}") }
    }
}

/// As [`identify`], of credentials from somewhere.
async fn identify_from(
    authentication: &dyn Authentication,
    headers: &HeaderMap,
    tenant: Option<&PathTenant>,
    origin: Option<IpAddr>,
) -> Result<Option<Identity>, ApiError> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let unreadable = || ApiError::unauthorized("The Authorization header must be `Basic …` or `Bearer …`.");
    let header = header.to_str().map_err(|_| unreadable())?;
    let (scheme, rest) = header.trim().split_once(' ').ok_or_else(unreadable)?;
    let rest = rest.trim();
    let found = if scheme.eq_ignore_ascii_case("Bearer") {
        authentication.authenticate(Credentials::Bearer(rest)).await
    } else if scheme.eq_ignore_ascii_case("Basic") {
        let pair = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.ok_or_else(unreadable)?;
        let (username, password) = pair.split_once(':').ok_or_else(unreadable)?;
        let username = tenant.map_or_else(|| username.to_owned(), |tenant| tenant.whole_name(username));
        authentication.authenticate_from(Credentials::Basic { username: &username, password }, origin).await
    } else {
        return Err(unreadable());
    };
    match found {
        Ok(identity) => Ok(Some(identity)),
        Err(AuthenticationRefusal::Unavailable) => {
            Err(ApiError::unavailable("Credentials cannot be checked now; try again in a second."))
        }
        Err(AuthenticationRefusal::Expired) => {
            Err(ApiError::new(401, 900_903, "Access Token Expired", "The token has expired; get a new one.")
                .with_challenge())
        }
        Err(AuthenticationRefusal::Invalid) => {
            Err(ApiError::unauthorized("The user name, password or token is not valid."))
        }
    }
}
