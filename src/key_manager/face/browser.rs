//! The pages of the authorization server: authorize, sign in, consent, sign out. Each form is tied to the browser it was
//! made for; where it leads to is checked anew with every step.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use portcullis_actor::Address;
use portcullis_http::auth::cookie;
use portcullis_http::body;
use portcullis_model::port::SIGN_IN_COOKIE;
use portcullis_portal::oauth::{self as pages, Hidden};

use super::federation::address_after;
use super::form;
use crate::actor::KeyManager;
use crate::authority::Authority;
use crate::bound::FORM_BYTES_MAX;
use crate::browser_messages::{
    AuthorizationStep, Authorize, Cookie, Decision, SignInBrowser, SignInRefusal, SignOut, SignOutStep,
};
use crate::mint::Kind;
use crate::oauth_error::OauthError;
use crate::parameters::Parameters;

/// The cookie that forms are tied to.
const FORM_COOKIE: &str = "__Host-portcullis-form";
/// How long a form's cookie is kept, in seconds.
const FORM_COOKIE_S: u64 = 3_600;

/// The key manager, and what makes and knows the marks of forms.
#[derive(Clone)]
pub(super) struct Desk {
    pub address: Address<KeyManager>,
    pub authority: Arc<Authority>,
}

pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/oauth2/authorize", get(authorize).post(authorize_by_form))
        .route("/oauth2/sign-in", post(sign_in))
        .route("/oauth2/consent", post(consent))
        .route("/oauth2/logout", get(sign_out).post(sign_out_by_form))
        .route("/oidc/logout", get(sign_out).post(sign_out_by_form))
        .with_state(desk)
}

/// A form of one of the pages, which is known to come from a page that was made for this browser.
pub(super) struct PageForm {
    pub headers: HeaderMap,
    pub fields: Parameters,
    /// The request that it is about.
    pub to: Parameters,
}

impl Desk {
    /// Reads a form.
    pub async fn read_form(&self, request: Request<Body>, purpose: &str) -> Result<PageForm, OauthError> {
        let (headers, fields) = read(request).await?;
        let is_foreign = |site: &HeaderValue| site != "same-origin" && site != "none";
        let to = fields.get("to").unwrap_or_default();
        let token = fields.get("form_token").unwrap_or_default();
        let cookie = cookie(&headers, FORM_COOKIE).unwrap_or_default();
        let is_own = self.authority.mint.read(Kind::Form, cookie).is_some()
            && self.authority.mint.is_form_token(token, cookie, purpose, to);
        if headers.get("sec-fetch-site").is_some_and(is_foreign) || !is_own {
            return Err(OauthError::forbidden(
                "This form is too old or was not made for this browser. Go back to the application and begin again; cookies must be allowed.",
            ));
        }
        let to = Parameters::parse(to.as_bytes())?;
        Ok(PageForm { headers, fields, to })
    }

    /// Makes a page with a form, and has the browser keep what the form is tied to.
    pub fn page_with_form(
        &self,
        headers: &HeaderMap,
        purpose: &str,
        to: &str,
        page: impl FnOnce(Hidden<'_>) -> Response,
    ) -> Response {
        let mint = &self.authority.mint;
        let known = cookie(headers, FORM_COOKIE).filter(|cookie| mint.read(Kind::Form, cookie).is_some());
        let (value, is_new) = match known {
            Some(known) => (known.to_owned(), false),
            None => (mint.draw(Kind::Form, portcullis_database::handle::wall_clock()), true),
        };
        let form_token = mint.form_token(&value, purpose, to);
        let mut response = page(Hidden { to, form_token: &form_token });
        if is_new {
            set_cookie(&mut response, FORM_COOKIE, &value, Some(FORM_COOKIE_S));
        }
        response
    }

    async fn authorize(
        &self,
        headers: &HeaderMap,
        parameters: Parameters,
        decision: Option<Decision>,
    ) -> Result<Response, OauthError> {
        let step = self.address.ask(Authorize { parameters, sign_in: sign_in_of(headers), decision }).await?;
        Ok(self.show(headers, step))
    }

    fn show(&self, headers: &HeaderMap, step: AuthorizationStep) -> Response {
        match step {
            AuthorizationStep::GoTo(address) => go_to(&address),
            AuthorizationStep::SignIn { client, username, error, to, form_target } => {
                let others = self.authority.sign_ins_elsewhere(&to);
                self.page_with_form(headers, "sign-in", &to, |hidden| {
                    pages::sign_in(hidden, &client, &username, error.as_deref(), &others, form_target.as_deref())
                })
            }
            AuthorizationStep::Ask { client, user, scopes, destination, to, form_target } => {
                let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
                self.page_with_form(headers, "consent", &to, |hidden| {
                    pages::consent(hidden, &client, &user, &scopes, &destination, form_target.as_deref())
                })
            }
            AuthorizationStep::Tell { status, message } => pages::message("This did not work", status, &message),
        }
    }
}

async fn authorize(State(desk): State<Desk>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let parameters = Parameters::parse(parts.uri.query().unwrap_or_default().as_bytes());
    match parameters {
        Ok(parameters) => shown(desk.authorize(&parts.headers, parameters, None).await),
        Err(error) => told(&error),
    }
}

async fn authorize_by_form(State(desk): State<Desk>, request: Request<Body>) -> Response {
    match read(request).await {
        Ok((headers, parameters)) => shown(desk.authorize(&headers, parameters, None).await),
        Err(error) => told(&error),
    }
}

async fn sign_in(State(desk): State<Desk>, request: Request<Body>) -> Response {
    shown(signed_in(&desk, request).await)
}

async fn signed_in(desk: &Desk, request: Request<Body>) -> Result<Response, OauthError> {
    let origin = form::origin(request.extensions());
    let form = desk.read_form(request, "sign-in").await?;
    let username = form.fields.get("username").unwrap_or_default().to_owned();
    let password = form.fields.get("password").unwrap_or_default().to_owned();
    let outcome = desk.address.ask(SignInBrowser { username: username.clone(), password, origin }).await?;
    match outcome {
        Ok(Cookie(value)) => {
            let mut response = go_to(&address_after(&form.to));
            set_cookie(&mut response, SIGN_IN_COOKIE, &value, None);
            Ok(response)
        }
        Err(SignInRefusal::Failed(error)) => Err(error),
        Err(refusal) => refused(desk, &form, &username, &refusal.to_string()).await,
    }
}

/// Shows the page to sign in again, with what is wrong.
async fn refused(desk: &Desk, form: &PageForm, username: &str, error: &str) -> Result<Response, OauthError> {
    let query = form.to.to_query();
    let (client, form_target) = if form.to.get("device").is_some() {
        ("your device".to_owned(), None)
    } else if form.to.get("portal").is_some() {
        (pages::PORTAL.to_owned(), None)
    } else {
        let message = Authorize { parameters: form.to.clone(), sign_in: None, decision: None };
        match desk.address.ask(message).await? {
            AuthorizationStep::SignIn { client, form_target, .. } => (client, form_target),
            step => return Ok(desk.show(&form.headers, step)),
        }
    };
    let others = desk.authority.sign_ins_elsewhere(&query);
    Ok(desk.page_with_form(&form.headers, "sign-in", &query, |hidden| {
        pages::sign_in(hidden, &client, username, Some(error), &others, form_target.as_deref())
    }))
}

async fn consent(State(desk): State<Desk>, request: Request<Body>) -> Response {
    let form = match desk.read_form(request, "consent").await {
        Ok(form) => form,
        Err(error) => return told(&error),
    };
    let decision = match form.fields.get("decision") {
        Some("allow") => Decision::Allowed { is_remembered: form.fields.get("remember") == Some("true") },
        _ => Decision::Denied,
    };
    shown(desk.authorize(&form.headers, form.to, Some(decision)).await)
}

async fn sign_out(State(desk): State<Desk>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    match Parameters::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        Ok(parameters) => shown(signed_out(&desk, &parts.headers, parameters, false).await),
        Err(error) => told(&error),
    }
}

/// Signs out by a form: the page's own, or one of a client, which may send its parameters so.
async fn sign_out_by_form(State(desk): State<Desk>, request: Request<Body>) -> Response {
    let (parts, content) = request.into_parts();
    let bytes = match body::read(&parts.headers, content, FORM_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return told(&OauthError::unreadable(error.status().as_u16(), error.description().to_owned())),
    };
    let parameters = match Parameters::parse(&bytes) {
        Ok(parameters) => parameters,
        Err(error) => return told(&error),
    };
    if parameters.get("form_token").is_none() {
        return shown(signed_out(&desk, &parts.headers, parameters, false).await);
    }
    match desk.read_form(Request::from_parts(parts, Body::from(bytes)), "sign-out").await {
        Ok(form) => shown(signed_out(&desk, &form.headers, form.to, true).await),
        Err(error) => told(&error),
    }
}

async fn signed_out(
    desk: &Desk,
    headers: &HeaderMap,
    parameters: Parameters,
    is_confirmed: bool,
) -> Result<Response, OauthError> {
    let step = desk.address.ask(SignOut { parameters, sign_in: sign_in_of(headers), is_confirmed }).await??;
    match step {
        SignOutStep::Ask { user, to, form_target } => Ok(desk
            .page_with_form(headers, "sign-out", &to, |hidden| pages::sign_out(hidden, &user, form_target.as_deref()))),
        SignOutStep::Done(address) => {
            let mut response = match address {
                Some(address) => go_to(&address),
                None => pages::message("Signed out", StatusCode::OK, "You are signed out."),
            };
            set_cookie(&mut response, SIGN_IN_COOKIE, "", Some(0));
            Ok(response)
        }
    }
}

async fn read(request: Request<Body>) -> Result<(HeaderMap, Parameters), OauthError> {
    let form = super::form::Form::read(request).await?;
    Ok((form.headers, form.parameters))
}

/// Returns the browser's sign-in.
pub(super) fn sign_in_of(headers: &HeaderMap) -> Option<Cookie> {
    cookie(headers, SIGN_IN_COOKIE).map(|value| Cookie(value.to_owned()))
}

pub(super) fn set_cookie(response: &mut Response, name: &str, value: &str, seconds: Option<u64>) {
    let life = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{life}");
    if let Ok(text) = HeaderValue::try_from(text) {
        response.headers_mut().append(SET_COOKIE, text);
    }
}

/// Sends the browser on, by GET, and has nobody keep the address.
pub(super) fn go_to(address: &str) -> Response {
    let Ok(address) = HeaderValue::try_from(address) else {
        return pages::message("This did not work", StatusCode::BAD_REQUEST, "The address to go on to is not valid.");
    };
    let mut response = super::reply::unkept(StatusCode::SEE_OTHER);
    response.headers_mut().insert(LOCATION, address);
    response.headers_mut().insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

pub(super) fn shown(outcome: Result<Response, OauthError>) -> Response {
    outcome.unwrap_or_else(|error| told(&error))
}

/// Tells the user what is wrong.
pub(super) fn told(error: &OauthError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    pages::message("This did not work", status, &error.description).into_response()
}
