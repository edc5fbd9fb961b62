//! `/admin/roles`: the roles of a tenant, a new one, and who holds one.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_database::Caller;
use portcullis_http::{ApiError, PageQuery, Signed, percent};
use portcullis_model::{Role, TenantDomain, User, Username};
use portcullis_portal::{Fields, Frame, Part, Viewer, Wrong, page, render, render_again, say_and_go, when};

use super::users::tabs;
use super::{ADMIN, asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::roles::{ChangeRole, CreateRole, DeleteRole, ListHolders, ListRoles};

/// Where the roles are.
const ROLES: &str = "/admin/roles";

/// A role in the list.
struct Row {
    name: String,
    is_system: bool,
    since: String,
}

#[derive(Template)]
#[template(path = "admin_roles.html")]
struct RolesPage {
    frame: Frame,
    rows: Vec<Row>,
    part: Part,
    fields: Fields,
    wrong: Wrong,
}

async fn list_page(
    admin: &Address<Admin>,
    tenant: TenantDomain,
    viewer: Viewer,
    query: &PageQuery,
    fields: Fields,
    wrong: Wrong,
) -> Result<RolesPage, ApiError> {
    let wanted = page::wanted(query)?;
    let found = admin.ask(ListRoles { tenant }).await.map_err(AdminError::from)?;
    let shown = found.iter().skip(wanted.offset).take(wanted.limit);
    let rows: Vec<Row> = shown
        .map(|one| Row {
            name: one.role.0.clone(),
            is_system: one.role.is_system(),
            since: when(one.record.created_at),
        })
        .collect();
    let frame = frame(viewer, "/admin/users", "Roles").beside(tabs(ROLES));
    Ok(RolesPage { frame, part: Part::of(ROLES, "", wanted, rows.len(), found.len()), rows, fields, wrong })
}

pub(super) async fn list(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, ADMIN)?.principal.tenant;
    Ok(render(&list_page(&admin, tenant, viewer, &query, Fields::default(), Wrong::default()).await?))
}

fn path_of(role: &Role) -> String {
    format!("{ROLES}/{}", percent::encoded(&role.0))
}

pub(super) async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, ADMIN)?;
    let tenant = caller.principal.tenant.clone();
    let role = Role(fields.text("name").to_owned());
    match admin.ask(CreateRole { caller, role: role.clone() }).await.map_err(AdminError::from)? {
        Ok(_) => Ok(say_and_go(&format!("The role {role} is there. Nobody holds it yet."), &path_of(&role))),
        Err(error) => {
            let error = ApiError::from(error);
            let query = PageQuery::default();
            let page = list_page(&admin, tenant, viewer, &query, fields, error.clone().into()).await?;
            Ok(render_again(&page, &error))
        }
    }
}

#[derive(Template)]
#[template(path = "admin_role.html")]
struct RolePage {
    frame: Frame,
    role: Role,
    path: String,
    is_everyone: bool,
    holders: Vec<Arc<User>>,
    part: Part,
    fields: Fields,
    wrong: Wrong,
}

async fn role_page(
    admin: &Address<Admin>,
    tenant: TenantDomain,
    viewer: Viewer,
    role: Role,
    query: &PageQuery,
    (fields, wrong): (Fields, Wrong),
) -> Result<RolePage, ApiError> {
    let wanted = page::wanted(query)?;
    let message = ListHolders { tenant, role, offset: wanted.offset, limit: wanted.limit };
    let found = admin.ask(message).await.map_err(AdminError::from)??;
    let role = found.role.role;
    let path = path_of(&role);
    Ok(RolePage {
        frame: frame(viewer, "/admin/users", &role.0).below(ROLES, "Roles"),
        is_everyone: role.0 == Role::EVERYONE,
        part: Part::of(&path, "", wanted, found.shown.len(), found.total),
        holders: found.shown,
        path,
        role,
        fields,
        wrong,
    })
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, ADMIN)?.principal.tenant;
    let nothing = (Fields::default(), Wrong::default());
    Ok(render(&role_page(&admin, tenant, viewer, Role(name), &query, nothing).await?))
}

/// Does what a button of the page is for; returns what is said, and where to go on.
async fn done(
    admin: &Address<Admin>,
    caller: Caller,
    role: Role,
    fields: &Fields,
) -> Result<(String, String), AdminError> {
    let change = ChangeRole { caller, role, new_name: None, add: Vec::new(), remove: Vec::new() };
    let names = || fields.list("users").into_iter().map(Username).collect::<Vec<_>>();
    let (change, said) = match fields.text("act") {
        "rename" => {
            let new = Role(fields.text("name").to_owned());
            let said = format!("The role is called {new} now. Where APIs name it, the old name stays.");
            (ChangeRole { new_name: Some(new), ..change }, said)
        }
        "add" => {
            let add = names();
            let said = format!("{} user{} the role now.", add.len(), if add.len() == 1 { " has" } else { "s have" });
            (ChangeRole { add, ..change }, said)
        }
        "remove" => {
            let said = format!("{} has lost the role everywhere.", fields.text("users"));
            (ChangeRole { remove: names(), ..change }, said)
        }
        "delete" => {
            let ChangeRole { caller, role, .. } = change;
            let said = format!("The role {role} is deleted: nobody holds it any more.");
            admin.ask(DeleteRole { caller, role }).await??;
            return Ok((said, ROLES.to_owned()));
        }
        other => return Err(portcullis_model::Refused::invalid("act", format!("`{other}` is none")).into()),
    };
    let path = path_of(change.new_name.as_ref().unwrap_or(&change.role));
    admin.ask(change).await??;
    Ok((said, path))
}

pub(super) async fn change(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, ADMIN)?;
    let (tenant, role) = (caller.principal.tenant.clone(), Role(name));
    match done(&admin, caller, role.clone(), &fields).await {
        Ok((said, path)) => Ok(say_and_go(&said, &path)),
        Err(error) => {
            let error = ApiError::from(error);
            let shown = (fields, error.clone().into());
            let page = role_page(&admin, tenant, viewer, role, &PageQuery::default(), shown).await?;
            Ok(render_again(&page, &error))
        }
    }
}
