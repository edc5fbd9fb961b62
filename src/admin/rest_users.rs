//! `/users` of Portcullis' own API: list, create, set a password. A user administers those of their own tenant.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Body, List, MaybeKey, PageQuery, Problem, Signed, Stamped};
use portcullis_model::{Role, User, Username};
use serde::{Deserialize, Serialize};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{CreateUser, ListUsers, Password, SetPassword};
use crate::rest_policies::caller;
use crate::tenants::MakeResetCode;

pub(crate) fn routes(admin: Address<Admin>) -> Router {
    Router::new()
        .route("/users", get(list).post(create))
        .route("/users/{username}/password", put(set_password))
        .route("/users/{username}/reset-code", post(make_reset_code))
        .with_state(admin)
}

fn administrator(signed: Result<Signed, ApiError>) -> Result<Signed, Problem> {
    let signed = signed?;
    signed.require(&["apim:admin"])?;
    Ok(signed)
}

#[derive(Serialize)]
struct UserBody {
    username: String,
    tenant: String,
    roles: Vec<String>,
    email: String,
    is_locked: bool,
    created_at: String,
}

impl UserBody {
    fn of(user: &User) -> Self {
        Self {
            username: user.username.0.clone(),
            tenant: user.tenant.0.clone(),
            roles: user.roles.iter().map(|role| role.0.clone()).collect(),
            email: user.email.clone(),
            is_locked: user.is_locked,
            created_at: rfc3339(user.created_at),
        }
    }
}

async fn list(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<UserBody>>, Problem> {
    let signed = administrator(signed)?;
    let page = page.page()?;
    let found = admin.ask(ListUsers { tenant: signed.0.principal.tenant }).await.map_err(AdminError::from)?;
    let shown = found.iter().skip(page.offset).take(page.limit).map(|user| UserBody::of(user)).collect();
    Ok(Json(List::part(shown, found.len(), page)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUserBody {
    username: String,
    password: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    email: String,
}

async fn create(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    key: MaybeKey,
    body: Result<Body<NewUserBody>, ApiError>,
) -> Result<Response, Problem> {
    let caller = caller(administrator(signed)?, key);
    let Body(body) = body?;
    let message = CreateUser {
        caller,
        username: Username(body.username),
        password: Password(body.password),
        roles: body.roles.into_iter().map(Role).collect(),
        email: body.email,
    };
    let made = admin.ask(message).await.map_err(AdminError::from)??;
    let location = [(LOCATION, format!("/api/portcullis/v1/users/{}", made.reply.username))];
    let body = (StatusCode::CREATED, location, Json(UserBody::of(&made.reply)));
    Ok(Stamped { body, index: made.index, unreached: made.unreached }.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    password: String,
}

async fn set_password(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    key: MaybeKey,
    Path(username): Path<String>,
    body: Result<Body<PasswordBody>, ApiError>,
) -> Result<Response, Problem> {
    let caller = caller(administrator(signed)?, key);
    let Body(body) = body?;
    let message = SetPassword { caller, username: Username(username), password: Password(body.password) };
    let done = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::NO_CONTENT, index: done.index, unreached: done.unreached }.into_response())
}

#[derive(Serialize)]
struct ResetCodeBody {
    code: String,
    lives_s: u64,
}

/// Makes a code for a user who lost the password; whoever shows it at `/api/identity/recovery/v0.9/set-password` sets
/// another.
async fn make_reset_code(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    Path(username): Path<String>,
) -> Result<Json<ResetCodeBody>, Problem> {
    let tenant = administrator(signed)?.0.principal.tenant;
    let message = MakeResetCode { tenant, username: Username(username) };
    let made = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Json(ResetCodeBody { code: made.text, lives_s: made.lives_s }))
}
