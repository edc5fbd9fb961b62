//! The pages of the authorization server: sign in, consent, enter a device's code, sign out. They hold a form each and
//! work without JavaScript; what the form's answer means is the Key Manager's.

use askama::Template;
use axum::response::Response;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};

use crate::frame::{Frame, Shell};
use crate::page;
use crate::viewer::Viewer;

/// What every form carries along unseen.
#[derive(Clone, Debug)]
pub struct Hidden<'a> {
    /// What the form is about: the request that goes on after it.
    pub to: &'a str,
    /// Shows that this server made the form for this browser.
    pub form_token: &'a str,
}

/// The name of the portals among the clients that people sign in to.
pub const PORTAL: &str = "the portal";

/// The page to sign in.
#[derive(Clone, Debug, Template)]
#[template(path = "oauth_sign_in.html")]
struct SignInPage<'a> {
    frame: Frame,
    hidden: Hidden<'a>,
    client: &'a str,
    username: &'a str,
    error: Option<&'a str>,
    /// Addresses and names of where to sign in instead.
    others: &'a [(String, String)],
    /// Whether it is for the portals, where people may sign up.
    is_portal: bool,
}

/// The page on which a user says what a client may do.
#[derive(Clone, Debug, Template)]
#[template(path = "oauth_consent.html")]
struct ConsentPage<'a> {
    frame: Frame,
    hidden: Hidden<'a>,
    client: &'a str,
    scopes: Vec<(&'a str, &'static str)>,
    destination: &'a str,
}

/// The page to enter the code that a device shows.
#[derive(Clone, Debug, Template)]
#[template(path = "oauth_device.html")]
struct DevicePage<'a> {
    frame: Frame,
    hidden: Hidden<'a>,
    user_code: &'a str,
    error: Option<&'a str>,
}

#[derive(Clone, Debug, Template)]
#[template(path = "oauth_device_consent.html")]
struct DeviceConsentPage<'a> {
    frame: Frame,
    hidden: Hidden<'a>,
    client: &'a str,
    user_code: &'a str,
    scopes: Vec<(&'a str, &'static str)>,
}

#[derive(Clone, Debug, Template)]
#[template(path = "oauth_sign_out.html")]
struct SignOutPage<'a> {
    frame: Frame,
    hidden: Hidden<'a>,
}

#[derive(Clone, Debug, Template)]
#[template(path = "oauth_message.html")]
struct MessagePage<'a> {
    frame: Frame,
    message: &'a str,
}

fn frame(title: &'static str, user: Option<&str>) -> Frame {
    let viewer = Viewer { user: user.map(str::to_owned), ..Viewer::default() };
    Frame::new(viewer, Shell::Oauth, "", title)
}

/// Returns scopes with what they allow, where people can be told in a sentence.
fn described<'a>(scopes: &[&'a str]) -> Vec<(&'a str, &'static str)> {
    let about = |scope: &str| match scope {
        "openid" => "know who you are",
        "profile" => "know your name",
        "email" => "know your e-mail address",
        "groups" => "know your roles",
        "offline_access" => "go on while you are away",
        "default" => "act for you where no special right is needed",
        _ => "",
    };
    scopes.iter().map(|scope| (*scope, about(scope))).collect()
}

/// Renders the page to sign in. `client` is the application for which; `others` are addresses and names of where to sign in
/// instead; `form_target` is where the browser may be sent on to after the form.
pub fn sign_in(
    hidden: Hidden<'_>,
    client: &str,
    username: &str,
    error: Option<&str>,
    others: &[(String, String)],
    form_target: Option<&str>,
) -> Response {
    let status = if error.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let is_portal = client == PORTAL;
    finished(
        &SignInPage { frame: frame("Sign in", None), hidden, client, username, error, others, is_portal },
        status,
        form_target,
    )
}

/// Renders the page that asks whether a client may have what it wants.
pub fn consent(
    hidden: Hidden<'_>,
    client: &str,
    user: &str,
    scopes: &[&str],
    destination: &str,
    form_target: Option<&str>,
) -> Response {
    let frame = frame("Allow access?", Some(user));
    let page = ConsentPage { frame, hidden, client, scopes: described(scopes), destination };
    finished(&page, StatusCode::OK, form_target)
}

/// Renders the page to enter the code that a device shows.
pub fn device(hidden: Hidden<'_>, user_code: &str, user: Option<&str>, error: Option<&str>) -> Response {
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    finished(&DevicePage { frame: frame("Connect a device", user), hidden, user_code, error }, status, None)
}

/// Renders the page that asks whether a device may have what it wants.
pub fn device_consent(hidden: Hidden<'_>, client: &str, user: &str, user_code: &str, scopes: &[&str]) -> Response {
    let frame = frame("Connect this device?", Some(user));
    let page = DeviceConsentPage { frame, hidden, client, user_code, scopes: described(scopes) };
    finished(&page, StatusCode::OK, None)
}

/// Renders the page that asks whether to sign out.
pub fn sign_out(hidden: Hidden<'_>, user: &str, form_target: Option<&str>) -> Response {
    finished(&SignOutPage { frame: frame("Sign out?", Some(user)), hidden }, StatusCode::OK, form_target)
}

/// Renders a page that only says something.
pub fn message(title: &'static str, status: StatusCode, message: &str) -> Response {
    finished(&MessagePage { frame: frame(title, None), message }, status, None)
}

/// Puts the page's headers on. Browsers hold the target of a form to the policy also where an answer to it sends them
/// on, so the client's origin is allowed there beside this server.
fn finished(page: &impl Template, status: StatusCode, form_target: Option<&str>) -> Response {
    let mut response = page::render(page);
    if response.status() == StatusCode::OK {
        *response.status_mut() = status;
    }
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    page::protect_in_place(&mut response, "");
    let is_plain = |target: &&str| target.chars().all(|c| c.is_ascii_graphic() && !";,'\"".contains(c));
    if let Some(target) = form_target.filter(is_plain) {
        let policy = policy.replace("form-action 'self'", &format!("form-action 'self' {target}"));
        if let Ok(policy) = HeaderValue::try_from(policy) {
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
    }
    response
}
