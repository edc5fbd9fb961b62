//! `/admin/users`: the users of a tenant, a new one, and what one may do.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, PageQuery, Signed};
use portcullis_model::{Role, TenantDomain, User, Username};
use portcullis_portal::{Fields, Frame, Part, Tab, Viewer, Wrong, page, render, render_again, say_and_go, when};
use serde::Deserialize;

use super::{ADMIN, asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{ChangeUser, CreateUser, ListUsers, Password, SetPassword, UserChange};

#[derive(Default, Deserialize)]
pub(super) struct UsersQuery {
    #[serde(default)]
    q: String,
    #[serde(flatten)]
    page: PageQuery,
}

#[derive(Template)]
#[template(path = "admin_users.html")]
struct UsersPage {
    frame: Frame,
    query: String,
    rows: Vec<(Arc<User>, String)>,
    part: Part,
    roles: Vec<&'static str>,
    fields: Fields,
    wrong: Wrong,
}

/// Returns the pages about people.
pub(super) fn tabs(path: &str) -> Vec<Tab> {
    let tab = |(to, name): (&str, &'static str)| Tab { path: to.to_owned(), name, is_current: to == path };
    [("/admin/users", "Users"), ("/admin/roles", "Roles")].map(tab).into()
}

async fn page(
    admin: &Address<Admin>,
    tenant: TenantDomain,
    viewer: Viewer,
    query: UsersQuery,
    fields: Fields,
    wrong: Wrong,
) -> Result<UsersPage, ApiError> {
    let wanted = page::wanted(&query.page)?;
    let mut found = admin.ask(ListUsers { tenant }).await.map_err(AdminError::from)?;
    let part_of_name = query.q.to_lowercase();
    if !part_of_name.is_empty() {
        found.retain(|user| user.username.0.to_lowercase().contains(&part_of_name));
    }
    let total = found.len();
    let shown = found.into_iter().skip(wanted.offset).take(wanted.limit);
    let rows: Vec<_> = shown.map(|user| (Arc::clone(&user), when(user.created_at))).collect();
    let tail =
        if query.q.is_empty() { String::new() } else { format!("q={}", portcullis_http::percent::encoded(&query.q)) };
    Ok(UsersPage {
        frame: frame(viewer, "/admin/users", "Users").beside(tabs("/admin/users")),
        part: Part::of("/admin/users", &tail, wanted, rows.len(), total),
        query: query.q,
        rows,
        roles: Role::SYSTEM.into_iter().filter(|role| *role != Role::EVERYONE).collect(),
        fields,
        wrong,
    })
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Query(query): Query<UsersQuery>,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, ADMIN)?.principal.tenant;
    Ok(render(&page(&admin, tenant, viewer, query, Fields::default(), Wrong::default()).await?))
}

/// Shows the page with what is wrong.
async fn again(
    admin: &Address<Admin>,
    tenant: TenantDomain,
    viewer: Viewer,
    fields: Fields,
    error: AdminError,
) -> Result<Response, ApiError> {
    let error = ApiError::from(error);
    let page = page(admin, tenant, viewer, UsersQuery::default(), fields, error.clone().into()).await?;
    Ok(render_again(&page, &error))
}

pub(super) async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, ADMIN)?;
    let tenant = caller.principal.tenant.clone();
    let others = fields.list("other_roles");
    let message = CreateUser {
        caller,
        username: Username(fields.text("username").to_owned()),
        password: Password(fields.raw("password").to_owned()),
        roles: fields.all("role").into_iter().chain(others).map(Role).collect(),
        email: fields.text("email").to_owned(),
    };
    match admin.ask(message).await.map_err(AdminError::from)? {
        Ok(made) => Ok(say_and_go(&format!("{} can sign in now.", made.reply.username), "/admin/users")),
        Err(error) => again(&admin, tenant, viewer, fields, error).await,
    }
}

pub(super) async fn set_password(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, ADMIN)?;
    let tenant = caller.principal.tenant.clone();
    let password = Password(fields.raw("password").to_owned());
    let message = SetPassword { caller, username: Username(name.clone()), password };
    match admin.ask(message).await.map_err(AdminError::from)? {
        Ok(_) => Ok(say_and_go(&format!("{name} has a new password, and is signed out everywhere."), "/admin/users")),
        Err(error) => again(&admin, tenant, viewer, Fields::default(), error).await,
    }
}

/// Gives and takes roles, locks, unlocks and deletes.
pub(super) async fn change(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, ADMIN)?;
    let tenant = caller.principal.tenant.clone();
    let role = Role(fields.text("role").to_owned());
    let (change, said) = match fields.text("act") {
        "grant" => (UserChange::Grant(role), "has the role now"),
        "revoke" => (UserChange::Revoke(role), "has lost the role everywhere"),
        "lock" => (UserChange::Lock(true), "is locked, and signed out everywhere"),
        "unlock" => (UserChange::Lock(false), "can sign in again"),
        "delete" => (UserChange::Delete, "is deleted"),
        other => return Err(ApiError::bad_request(format!("act: `{other}` is none"))),
    };
    let message = ChangeUser { caller, username: Username(name.clone()), change };
    match admin.ask(message).await.map_err(AdminError::from)? {
        Ok(_) => Ok(say_and_go(&format!("{name} {said}."), "/admin/users")),
        Err(error) => again(&admin, tenant, viewer, Fields::default(), error).await,
    }
}
