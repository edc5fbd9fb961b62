//! The device grant's endpoint, and the page on which a user decides.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, Request, StatusCode};
use portcullis_portal::oauth as pages;
use serde_json::json;

use super::browser::{Desk, shown, sign_in_of, told};
use super::form::Form;
use super::reply::unkept;
use crate::authorization_request::read_resources;
use crate::device::{DeviceStep, POLL_INTERVAL, StartDevice, VisitDevice};
use crate::oauth_error::OauthError;
use crate::parameters::Parameters;
use crate::scope_grant;

/// What a form of the page is for.
const PURPOSE: &str = "device";

pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/oauth2/device_authorization", post(start))
        .route("/oauth2/device_authorize", post(start))
        .route("/oauth2/device", get(visit).post(visit_by_form))
        .with_state(desk)
}

async fn start(State(desk): State<Desk>, request: Request<Body>) -> Result<Response, OauthError> {
    let form = Form::read(request).await?;
    let login = form.login()?;
    let scopes = scope_grant::parse(form.parameters.get("scope").unwrap_or_default())?;
    let resources = read_resources(&form.parameters)?;
    let message = StartDevice { login, evidence: form.evidence, scopes, resources };
    let started = desk.address.ask(message).await??;
    let page = format!("{}/oauth2/device", desk.authority.settings.base_url);
    Ok(unkept(Json(json!({
        "device_code": started.device_code,
        "user_code": started.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", started.user_code),
        "expires_in": started.expires_in_s,
        "interval": POLL_INTERVAL.as_secs(),
    }))))
}

async fn visit(State(desk): State<Desk>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    match Parameters::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        Ok(parameters) => {
            // A code in the address only fills the form: the user compares it with the device's.
            let user_code = parameters.get("user_code").unwrap_or_default().to_owned();
            shown(enter(&desk, &parts.headers, &user_code).await)
        }
        Err(error) => told(&error),
    }
}

async fn enter(desk: &Desk, headers: &HeaderMap, user_code: &str) -> Result<Response, OauthError> {
    let message = VisitDevice { sign_in: sign_in_of(headers), user_code: String::new(), is_allowed: None };
    match desk.address.ask(message).await?? {
        DeviceStep::Enter { user, .. } => {
            Ok(desk.page_with_form(headers, PURPOSE, "", |hidden| pages::device(hidden, user_code, Some(&user), None)))
        }
        step => Ok(show(desk, headers, user_code, step)),
    }
}

async fn visit_by_form(State(desk): State<Desk>, request: Request<Body>) -> Response {
    let form = match desk.read_form(request, PURPOSE).await {
        Ok(form) => form,
        Err(error) => return told(&error),
    };
    let user_code = form.fields.get("user_code").unwrap_or_default().to_owned();
    let is_allowed = form.fields.get("decision").map(|decision| decision == "allow");
    let message = VisitDevice { sign_in: sign_in_of(&form.headers), user_code: user_code.clone(), is_allowed };
    let step = match desk.address.ask(message).await {
        Ok(step) => step,
        Err(error) => return told(&error.into()),
    };
    shown(step.map(|step| show(&desk, &form.headers, &user_code, step)))
}

fn show(desk: &Desk, headers: &HeaderMap, user_code: &str, step: DeviceStep) -> Response {
    match step {
        DeviceStep::SignIn => {
            let to = Parameters::default().with("device", "true").with("user_code", user_code).to_query();
            let others = desk.authority.sign_ins_elsewhere(&to);
            desk.page_with_form(headers, "sign-in", &to, |hidden| {
                pages::sign_in(hidden, "your device", "", None, &others, None)
            })
        }
        DeviceStep::Enter { user, error } => desk.page_with_form(headers, PURPOSE, "", |hidden| {
            pages::device(hidden, user_code, Some(&user), error.as_deref())
        }),
        DeviceStep::Ask { client, user, scopes, user_code } => {
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            desk.page_with_form(headers, PURPOSE, "", |hidden| {
                pages::device_consent(hidden, &client, &user, &user_code, &scopes)
            })
        }
        DeviceStep::Done { is_allowed: true } => {
            pages::message("Connected", StatusCode::OK, "The device may act for you now. You can close this page.")
        }
        DeviceStep::Done { is_allowed: false } => {
            pages::message("Not connected", StatusCode::OK, "The device gets nothing. You can close this page.")
        }
    }
}
