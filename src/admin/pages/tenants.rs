//! `/admin/tenants`: the tenants, a new one, and whether one is active.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Signed};
use portcullis_model::{TenantDomain, Username};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go, when};
use serde_json::Map;

use super::{frame, operator};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::tenants::{CreateTenant, KnownTenant, ListTenants, SetTenantActive};

/// Tenants that are shown.
const SHOWN_MAX: usize = 500;

#[derive(Template)]
#[template(path = "admin_tenants.html")]
struct TenantsPage {
    frame: Frame,
    rows: Vec<(KnownTenant, String)>,
    fields: Fields,
    wrong: Wrong,
}

async fn page(admin: &Address<Admin>, viewer: Viewer, fields: Fields, wrong: Wrong) -> Result<TenantsPage, ApiError> {
    let found = admin.ask(ListTenants).await.map_err(AdminError::from)?;
    let rows = found.into_iter().take(SHOWN_MAX).map(|one| (one.clone(), when(one.record.created_at))).collect();
    Ok(TenantsPage { frame: frame(viewer, "/admin/tenants", "Tenants"), rows, fields, wrong })
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    operator(signed)?;
    Ok(render(&page(&admin, viewer, Fields::default(), Wrong::default()).await?))
}

pub(super) async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let message = CreateTenant {
        caller: operator(signed)?,
        domain: TenantDomain(fields.text("domain").to_owned()),
        owner: Username(fields.text("owner").to_owned()),
        password: fields.raw("password").to_owned(),
        email: fields.text("email").to_owned(),
        attributes: Map::new(),
    };
    match admin.ask(message).await.map_err(AdminError::from)? {
        Ok(made) => Ok(say_and_go(&format!("The tenant {} is there.", made.reply.domain), "/admin/tenants")),
        Err(error) => {
            let error = ApiError::from(error);
            Ok(render_again(&page(&admin, viewer, fields, error.clone().into()).await?, &error))
        }
    }
}

pub(super) async fn act(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path((domain, act)): Path<(String, String)>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let is_active = match act.as_str() {
        "activate" => true,
        "deactivate" => false,
        _ => return Err(ApiError::no_such_path()),
    };
    let message = SetTenantActive { caller: operator(signed)?, domain: TenantDomain(domain), is_active };
    admin.ask(message).await.map_err(AdminError::from)??;
    Ok(say_and_go(if is_active { "The tenant is active." } else { "The tenant is not active." }, "/admin/tenants"))
}
