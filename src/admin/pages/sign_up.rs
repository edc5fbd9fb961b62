//! `/sign-up`: somebody makes a user for themselves. Slowed down by address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use askama::Template;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_http::auth::PathTenant;
use portcullis_model::{RequestId, TenantDomain, Username};
use portcullis_portal::{Fields, Frame, Shell, Viewer, Wrong, render, render_again};
use serde_json::{Map, json};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::join_rate::JoinRate;
use crate::tenants::SignUp;

/// What the handlers need.
#[derive(Clone)]
struct Face {
    admin: Address<Admin>,
    rate: Arc<Mutex<JoinRate>>,
}

pub(super) fn routes(admin: &Address<Admin>) -> Router {
    let face = Face { admin: admin.clone(), rate: Arc::default() };
    Router::new().route("/sign-up", get(show).post(sign_up)).with_state(face)
}

#[derive(Template)]
#[template(path = "sign_up.html")]
struct SignUpPage {
    frame: Frame,
    fields: Fields,
    wrong: Wrong,
    is_done: bool,
}

impl SignUpPage {
    fn new(viewer: Viewer, fields: Fields, wrong: Wrong) -> Self {
        Self { frame: Frame::new(viewer, Shell::Store, "", "Sign up"), fields, wrong, is_done: false }
    }
}

async fn show(viewer: Viewer) -> Response {
    render(&SignUpPage::new(viewer, Fields::default(), Wrong::default()))
}

async fn sign_up(
    State(face): State<Face>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    tenant: Option<Extension<PathTenant>>,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let origin = peer.map(|Extension(ConnectInfo(peer))| peer.ip());
    if let Some(address) = origin {
        let noted = face.rate.lock().unwrap_or_else(PoisonError::into_inner).note(address, Instant::now());
        noted.map_err(|wait| {
            ApiError::too_many_requests("Too many sign-ups came from this address; try later.", wait)
        })?;
    }
    let email = fields.text("email").to_owned();
    let mut attributes = Map::new();
    if !email.is_empty() {
        attributes.insert("emails".to_owned(), json!([{"value": email, "primary": true}]));
    }
    let message = SignUp {
        origin,
        request: RequestId::current(),
        tenant: tenant.map_or_else(TenantDomain::super_tenant, |Extension(PathTenant(tenant))| tenant),
        username: Username(fields.text("username").to_owned()),
        password: fields.raw("password").to_owned(),
        email,
        attributes,
    };
    match face.admin.ask(message).await.map_err(AdminError::from)? {
        Ok(_) => {
            let page = SignUpPage::new(viewer, fields, Wrong::default());
            Ok(render(&SignUpPage { is_done: true, ..page }))
        }
        Err(error) => {
            let error = ApiError::from(error);
            Ok(render_again(&SignUpPage::new(viewer, fields, error.clone().into()), &error))
        }
    }
}
