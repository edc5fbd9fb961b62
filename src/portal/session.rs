//! What is around all pages: who is signed in, forms of other sites kept out, errors as pages, headers that protect.
//!
//! A sign-in is a row of the replicated state behind a random cookie, made by the Key Manager at each sign-in anew
//! (so that none can be fixed before), and ended by time, sign-out or a new password. Any node knows it. A form carries
//! the digest of that cookie: whoever cannot read the cookie cannot make the form.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use http::header::{HOST, LOCATION, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_http::{ApiError, auth};
use portcullis_model::port::{Authentication, Credentials, Identity, SIGN_IN_COOKIE};
use sha2::{Digest as _, Sha256};

use crate::frame::Shell;
use crate::page::{self, SAID_COOKIE};
use crate::sends_to::SendsTo;
use crate::viewer::Viewer;
use crate::{Addresses, Places};

/// What a path keeps as it is within a query.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Characters of a path to come back to.
const PATH_CHARS_MAX: usize = 512;

/// What the pages are surrounded by.
#[derive(Clone)]
struct Doorman {
    authentication: Arc<dyn Authentication>,
    places: Places,
}

/// Puts around pages what all share. They find an [`Identity`], a [`Viewer`] and [`Addresses`] in the request's extensions.
pub fn around(pages: Router, authentication: Arc<dyn Authentication>, places: Places) -> Router {
    pages.layer(middleware::from_fn_with_state(Doorman { authentication, places }, admit))
}

/// Returns what a form carries to show that it was made for the browser that holds a cookie.
#[must_use]
pub fn form_token(cookie: &str) -> String {
    let digest = Sha256::new_with_prefix("portcullis form ").chain_update(cookie).finalize();
    hex::encode(&digest[..16])
}

/// Returns where to sign in and come back to `path`.
#[must_use]
pub fn sign_in_path(path: &str) -> String {
    format!("/oauth2/portal?page={}", utf8_percent_encode(path, IN_QUERY))
}

/// Says whether a browser may be sent to a path after a sign-in: to pages of the portals alone.
#[must_use]
pub fn is_page(path: &str) -> bool {
    let (before, _) = path.split_once('?').unwrap_or((path, ""));
    let is_plain = path.len() <= PATH_CHARS_MAX && path.chars().all(|one| one.is_ascii_graphic() && one != '\\');
    is_plain
        && !path.contains("//")
        && !before.contains("..")
        && (path == "/" || Shell::of_path(before) != Shell::Front)
}

/// Says whether a request that changes something comes from a page of this server. Browsers say where it comes from;
/// what is no browser says nothing and sends no cookie of one.
///
/// # Errors
/// 403 where it comes from elsewhere.
pub fn check_site(headers: &HeaderMap) -> Result<(), ApiError> {
    let foreign = || ApiError::forbidden("This form was sent from a page of another site, so nothing was done.");
    if let Some(site) = headers.get("sec-fetch-site") {
        return if site == "same-origin" || site == "none" { Ok(()) } else { Err(foreign()) };
    }
    let Some(origin) = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()) else { return Ok(()) };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_own = origin.split_once("://").is_some_and(|(_, authority)| authority == host);
    if is_own { Ok(()) } else { Err(foreign()) }
}

impl Doorman {
    /// Returns who is behind the browser's cookie.
    async fn identify(&self, cookie: &str, origin: Option<IpAddr>) -> Option<Identity> {
        let identity = self.authentication.authenticate(Credentials::SignIn(cookie)).await.ok()?;
        Some(Identity { origin, ..identity })
    }
}

fn sign_in_of(request: &Request) -> Option<String> {
    auth::cookie(request.headers(), SIGN_IN_COOKIE).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn viewer(request: &Request, identity: Option<&Identity>) -> Viewer {
    let cookie = auth::cookie(request.headers(), SIGN_IN_COOKIE).filter(|_| identity.is_some());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    Viewer {
        user: identity.map(|identity| identity.principal.to_string()),
        scopes: identity.map(|identity| identity.scopes.clone()).unwrap_or_default(),
        form_token: form_token(cookie.unwrap_or_default()),
        said: auth::cookie(request.headers(), SAID_COOKIE).and_then(page::read_said),
        path: path.to_owned(),
        look: None,
    }
}

async fn admit(State(doorman): State<Doorman>, mut request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let identity = match sign_in_of(&request) {
        Some(cookie) => doorman.identify(&cookie, origin).await,
        None => None,
    };
    let viewer = viewer(&request, identity.as_ref());
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let shell = Shell::of_path(request.uri().path());
    let addresses = (doorman.places)();
    let connectable = connectable(&addresses);
    let checked = if is_read { Ok(()) } else { check_site(request.headers()) };
    let mut response = match checked {
        Ok(()) => {
            request.extensions_mut().insert(viewer.clone());
            request.extensions_mut().insert(addresses);
            if let Some(identity) = identity {
                request.extensions_mut().insert(identity);
            }
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = told(viewer.clone(), shell, &error, is_read);
    }
    if viewer.said.is_some() && response.status() != StatusCode::SEE_OTHER {
        page::forget_said(&mut response);
    }
    let connectable = match response.extensions_mut().remove::<SendsTo>() {
        Some(SendsTo(origin)) => format!("{connectable} {origin}"),
        None => connectable,
    };
    page::protect_in_place(&mut response, &connectable);
    response
}

/// Returns the origins that the script may send to: gateways, for trying APIs out.
fn connectable(addresses: &Addresses) -> String {
    format!("{} {}", addresses.gateway_https, addresses.gateway_http)
}

/// Says what is wrong: by the page to sign in, where nobody did, else by a page of its own.
fn told(viewer: Viewer, shell: Shell, error: &ApiError, is_read: bool) -> Response {
    if error.status() == StatusCode::UNAUTHORIZED && is_read && viewer.user.is_none() {
        let path = if is_page(&viewer.path) { viewer.path.as_str() } else { shell.path() };
        if let Ok(location) = HeaderValue::try_from(sign_in_path(path)) {
            return (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
        }
    }
    page::refuse(viewer, shell, error)
}
