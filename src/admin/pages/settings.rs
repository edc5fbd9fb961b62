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

use super::settings_form::SettingsForm;
use super::theme::tabs;
use super::{ADMIN, asker, frame, json_text};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::tenants::{PutConfig, ReadConfig};

/// Where they are.
pub(super) const SETTINGS: &str = "/admin/settings";

#[derive(Template)]
#[template(path = "admin_settings.html")]
struct SettingsPage {
    frame: Frame,
    form: SettingsForm,
    text: String,
    /// The document that the form was made from.
    before: String,
    wrong: Wrong,
    is_json: bool,
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
    let frame = frame(viewer, SETTINGS, "Settings").beside(tabs(SETTINGS));
    let form = SettingsForm::of(&serde_json::from_str(&text).unwrap_or_default());
    Ok(render(&SettingsPage { frame, form, text, before, wrong: Wrong::default(), is_json: false }))
}

/// Returns the document that a form says: the whole of it as JSON, or the fields of the form over what there was.
fn document_of(fields: &Fields) -> Result<Value, ApiError> {
    if fields.text("act") == "json" {
        return json_text::parse("text", fields.raw("text"));
    }
    let before = serde_json::from_str(fields.raw("before")).unwrap_or_else(|_| TenantConfig::default_document());
    Ok(SettingsForm::of_fields(fields).write(before))
}

async fn put(admin: &Address<Admin>, caller: Caller, fields: &Fields) -> Result<(), ApiError> {
    let document = document_of(fields)?;
    let config = TenantConfig::read(&document).map_err(ApiError::bad_request).map_err(|error| {
        if fields.text("act") == "json" { json_text::at_line("text", fields.raw("text"), &error) } else { error }
    })?;
    let expected = Some(fields.raw("before").to_owned()).filter(|before| !before.is_empty());
    // The form was made where nothing was stored yet.
    if expected.is_none() && !self::document(admin, caller.principal.tenant.clone()).await?.1.is_empty() {
        let reason = "Somebody changed the configuration meanwhile, so nothing was done. Load the page again.";
        return Err(ApiError::conflict(reason));
    }
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
        Ok(()) => Ok(say_and_go("Saved.", SETTINGS)),
        Err(error) => {
            let frame = frame(viewer, SETTINGS, "Settings").beside(tabs(SETTINGS));
            let (before, is_json) = (fields.raw("before").to_owned(), fields.text("act") == "json");
            let stored = serde_json::from_str(&before).unwrap_or_else(|_| TenantConfig::default_document());
            let (form, text) = if is_json {
                (SettingsForm::of(&stored), fields.raw("text").to_owned())
            } else {
                (SettingsForm::of_fields(&fields), format!("{stored:#}"))
            };
            let wrong = error.clone().into();
            Ok(render_again(&SettingsPage { frame, form, text, before, wrong, is_json }, &error))
        }
    }
}
