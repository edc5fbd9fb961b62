//! `/admin/settings`: the configuration of a tenant.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_database::Caller;
use portcullis_http::{ApiError, Signed};
use portcullis_model::{TenantConfig, TenantDomain};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::Value;

use super::{ADMIN, asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::tenants::{PutConfig, ReadConfig};

#[derive(Template)]
#[template(path = "admin_settings.html")]
struct SettingsPage {
    frame: Frame,
    text: String,
    /// The document that the form was made from.
    before: String,
    wrong: Wrong,
}

/// Returns a tenant's configuration as text, and as it is stored; nothing is stored where nobody ever put one.
async fn document(admin: &Address<Admin>, tenant: TenantDomain) -> Result<(String, String), ApiError> {
    let config = admin.ask(ReadConfig { tenant }).await.map_err(AdminError::from)?;
    let stored = config.map(|config| config.document.clone()).unwrap_or_default();
    let value = serde_json::from_str::<Value>(&stored).unwrap_or_else(|_| TenantConfig::default_document());
    Ok((format!("{value:#}"), stored))
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, ADMIN)?.principal.tenant;
    let (text, before) = document(&admin, tenant).await?;
    let frame = frame(viewer, "/admin/settings", "Settings");
    Ok(render(&SettingsPage { frame, text, before, wrong: Wrong::default() }))
}

async fn put(admin: &Address<Admin>, caller: Caller, fields: &Fields) -> Result<(), ApiError> {
    let document: Value = serde_json::from_str(fields.raw("text"))
        .map_err(|error| ApiError::bad_request(format!("text: must be JSON: {error}")))?;
    let config = TenantConfig::read(&document).map_err(ApiError::bad_request)?;
    // An empty one was never put: then whoever comes first puts it.
    let expected = Some(fields.raw("before").to_owned()).filter(|before| !before.is_empty());
    admin.ask(PutConfig { caller, expected, config }).await.map_err(AdminError::from)??;
    Ok(())
}

pub(super) async fn change(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, ADMIN)?;
    match put(&admin, caller, &fields).await {
        Ok(()) => Ok(say_and_go("Saved.", "/admin/settings")),
        Err(error) => {
            let frame = frame(viewer, "/admin/settings", "Settings");
            let (text, before) = (fields.raw("text").to_owned(), fields.raw("before").to_owned());
            Ok(render_again(&SettingsPage { frame, text, before, wrong: error.clone().into() }, &error))
        }
    }
}
