//! Who looks at a page. Whether the credentials are good is the Key Manager's to say, through the port.

use http::request::Parts;
use portcullis_http::{ApiError, Signed, auth};
use portcullis_model::port::{Authentication, Credentials, Identity, SIGN_IN_COOKIE};

use crate::Portal;

impl Portal {
    /// Returns who is signed in with at least one of `scopes`.
    ///
    /// # Errors
    /// 401 where nobody is, 403 where none of the scopes is held.
    pub(crate) async fn visitor(&self, parts: &Parts, scopes: &[&str]) -> Result<Identity, ApiError> {
        visitor(self.authentication.as_ref(), parts, scopes).await
    }
}

/// Returns who is signed in with at least one of `scopes`.
///
/// # Errors
/// 401 where nobody is, 403 where none of the scopes is held.
pub(crate) async fn visitor(
    authentication: &dyn Authentication,
    parts: &Parts,
    scopes: &[&str],
) -> Result<Identity, ApiError> {
    let mut found = auth::identify(authentication, &parts.headers, &parts.extensions).await?;
    // Pages only show, so the browser's sign-in will do.
    if let (None, Some(value)) = (&found, auth::cookie(&parts.headers, SIGN_IN_COOKIE)) {
        found = authentication.authenticate(Credentials::SignIn(value)).await.ok();
    }
    let identity = found.ok_or_else(|| ApiError::unauthorized("This page is for people who are signed in."))?;
    Signed(identity.clone()).require(scopes)?;
    Ok(identity)
}
