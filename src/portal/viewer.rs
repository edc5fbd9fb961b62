//! Who looks at a page, as far as the page itself needs to know.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

/// Who looks at a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// The user's whole name; `None` where nobody signed in.
    pub user: Option<String>,
    /// What the user may do.
    pub scopes: Arc<[String]>,
    /// What forms carry to show that they were made for this browser.
    pub form_token: String,
    /// What is said at the top of the page: what the last form did.
    pub said: Option<String>,
    /// The path and query of the page.
    pub path: String,
    /// Where a style sheet is that is laid over that of the pages.
    pub look: Option<String>,
}

impl Viewer {
    /// Says whether the user holds one of `scopes`: for showing a button, never for doing what is behind it.
    #[must_use]
    pub fn may(&self, scopes: &[&str]) -> bool {
        scopes.iter().any(|scope| self.scopes.iter().any(|held| held == scope))
    }

    /// Returns the user's name without the first tenant's domain.
    #[must_use]
    pub fn short_name(&self) -> &str {
        let user = self.user.as_deref().unwrap_or_default();
        user.strip_suffix("@carbon.super").unwrap_or(user)
    }

    /// Returns where to sign in and come back.
    #[must_use]
    pub fn sign_in_path(&self) -> String {
        crate::session::sign_in_path(&self.path)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
