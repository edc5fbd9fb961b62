//! The pages between which a browser goes to sign in elsewhere, and the sign-in of the portals.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::Request;
use http::request::Parts;
use portcullis_actor::OfRequest;
use portcullis_http::auth::cookie;
use portcullis_model::port::SIGN_IN_COOKIE;
use portcullis_portal::{oauth as pages, session};

use super::browser::{Desk, go_to, set_cookie, shown, sign_in_of};
use super::form;
use crate::browser_messages::{Cookie, SignOut};
use crate::federation::{Arrival, BeginSignIn, Departure, EndSignIn};
use crate::oauth_error::OauthError;
use crate::parameters::Parameters;

/// What the browser keeps while it is elsewhere.
const JOURNEY_COOKIE: &str = "__Host-portcullis-elsewhere";
/// How long, in seconds.
const JOURNEY_COOKIE_S: u64 = 600;

pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/oauth2/sign-in-elsewhere", get(depart))
        .route("/commonauth", get(arrive))
        .route("/oauth2/portal", get(portal))
        .route("/oauth2/portal/sign-out", post(leave_portal))
        .with_state(desk)
}

/// Returns the address that goes on after a sign-in.
pub(super) fn address_after(to: &Parameters) -> String {
    if to.get("device").is_some() {
        return format!("/oauth2/device?{}", to.clone().without("device").to_query());
    }
    match to.get("portal") {
        Some(path) => portal_path(path).to_owned(),
        None => format!("/oauth2/authorize?{}", to.to_query()),
    }
}

/// Returns the path of a page of the portals, the front page for any other path: a sign-in leads nowhere else.
fn portal_path(path: &str) -> &str {
    if session::is_page(path) { path } else { "/" }
}

fn query(parts: &Parts) -> Result<Parameters, OauthError> {
    Parameters::parse(parts.uri.query().unwrap_or_default().as_bytes())
}

async fn depart(State(desk): State<Desk>, request: Request<Body>) -> Response {
    shown(departed(&desk, &request.into_parts().0).await)
}

async fn departed(desk: &Desk, parts: &Parts) -> Result<Response, OauthError> {
    let parameters = query(parts)?;
    let to = Parameters::parse(parameters.get("to").unwrap_or_default().as_bytes())?;
    let provider = parameters.need("provider")?.to_owned();
    let Departure { address, cookie } = desk.address.ask(BeginSignIn { provider, to }).await??;
    let mut response = go_to(&address);
    set_cookie(&mut response, JOURNEY_COOKIE, &cookie.0, Some(JOURNEY_COOKIE_S));
    Ok(response)
}

async fn arrive(State(desk): State<Desk>, request: Request<Body>) -> Response {
    let outcome = arrived(&desk, &request.into_parts().0).await;
    let mut response = shown(outcome);
    set_cookie(&mut response, JOURNEY_COOKIE, "", Some(0));
    response
}

async fn arrived(desk: &Desk, parts: &Parts) -> Result<Response, OauthError> {
    let kept = cookie(&parts.headers, JOURNEY_COOKIE).map(|value| Cookie(value.to_owned()));
    let origin = form::origin(&parts.extensions);
    let message = EndSignIn { parameters: query(parts)?, cookie: kept, origin };
    let Arrival { sign_in, to } = desk.address.ask(OfRequest::new(message)).await??;
    let mut response = go_to(&address_after(&to));
    set_cookie(&mut response, SIGN_IN_COOKIE, &sign_in.0, None);
    Ok(response)
}

/// Has a user sign in for the portals.
async fn portal(State(desk): State<Desk>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let parameters = match query(&parts) {
        Ok(parameters) => parameters,
        Err(error) => return super::browser::told(&error),
    };
    let path = portal_path(parameters.get("page").unwrap_or_default());
    if desk.authority.signed_in(sign_in_of(&parts.headers).as_ref()).await.is_some() {
        return go_to(path);
    }
    let mut to = Parameters::default().with("portal", path);
    if let Some(tenant) = parameters.get("tenant") {
        to = to.with("tenant", tenant);
    }
    let to = to.to_query();
    let others = desk.authority.sign_ins_elsewhere(&to);
    desk.page_with_form(&parts.headers, "sign-in", &to, |hidden| {
        pages::sign_in(hidden, pages::PORTAL, "", None, &others, None)
    })
}

/// Signs out of the portals, by their button.
async fn leave_portal(State(desk): State<Desk>, request: Request<Body>) -> Response {
    shown(left_portal(&desk, request).await)
}

async fn left_portal(desk: &Desk, request: Request<Body>) -> Result<Response, OauthError> {
    let form = form::Form::read(request).await?;
    let sign_in = sign_in_of(&form.headers);
    let expected = sign_in.as_ref().map(|cookie| session::form_token(&cookie.0)).unwrap_or_default();
    let is_own = form.parameters.get("form_token") == Some(expected.as_str());
    if session::check_site(&form.headers).is_err() || !is_own {
        return Err(OauthError::forbidden("This form was not made for this browser, so nothing was done."));
    }
    desk.address.ask(SignOut { parameters: Parameters::default(), sign_in, is_confirmed: true }).await??;
    let mut response = go_to("/");
    set_cookie(&mut response, SIGN_IN_COOKIE, "", Some(0));
    Ok(response)
}
