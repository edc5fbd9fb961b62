//! `/admin/theme`: the look of the developer portal: what is in force, a draft, and what becomes of each.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use portcullis_actor::Address;
use portcullis_http::contract::theme::{self, TENANT_THEME, Theme};
use portcullis_http::{ApiError, MaybeKey, Signed};
use portcullis_model::asset::Asset;
use portcullis_model::{AssetId, TenantDomain};
use portcullis_portal::{Fields, Frame, Tab, Viewer, Wrong, render, render_again, say_and_go, when};

use super::settings::SETTINGS;
use super::{asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::assets::{self, ListAssets};
use crate::themes::{self, KIND, MANAGE};

/// Where it is.
pub(super) const THEME: &str = "/admin/theme";

/// A theme in the list.
struct Row {
    id: AssetId,
    is_of_tenant: bool,
    is_published: bool,
    is_in_force: bool,
    /// As `#rrggbb`.
    accent: Option<String>,
    has_logo: bool,
    changed: String,
    by: String,
}

#[derive(Template)]
#[template(path = "admin_theme.html")]
struct ThemePage {
    frame: Frame,
    rows: Vec<Row>,
    wrong: Wrong,
}

impl ThemePage {
    fn is_any_in_force(&self) -> bool {
        self.rows.iter().any(|row| row.is_in_force)
    }
}

/// Returns the pages about what holds for the tenant.
pub(super) fn tabs(path: &str) -> Vec<Tab> {
    let tab = |(to, name): (&str, &'static str)| Tab { path: to.to_owned(), name, is_current: to == path };
    [(SETTINGS, "Settings"), (THEME, "Theme")].map(tab).into()
}

/// Returns the one that the developer portal looks by, as the Store chooses it: of those that bring something, what was
/// published for the portal last, else the tenant's.
fn in_force(all: &[Arc<Asset>]) -> Option<AssetId> {
    let brings = |asset: &Asset| Theme::of(asset).is_some_and(|theme| theme.is_published && !theme.look.is_empty());
    let worn = all.iter().filter(|asset| brings(asset));
    worn.max_by_key(|asset| (asset.name != TENANT_THEME, asset.updated_at)).map(|asset| asset.id)
}

fn rows(all: &[Arc<Asset>]) -> Vec<Row> {
    let in_force = in_force(all);
    let row = |asset: &Arc<Asset>| {
        let theme = Theme::of(asset)?;
        Some(Row {
            id: theme.id,
            is_of_tenant: theme.name == TENANT_THEME,
            is_published: theme.is_published,
            is_in_force: in_force == Some(theme.id),
            accent: theme.look.accent.map(|accent| accent.text()),
            has_logo: theme.look.logo.is_some(),
            changed: when(asset.updated_at),
            by: asset.updated_by.to_string(),
        })
    };
    let mut rows: Vec<Row> = all.iter().filter_map(row).collect();
    rows.sort_by_key(|row| (!row.is_in_force, row.is_of_tenant, !row.is_published));
    rows
}

async fn page(
    admin: &Address<Admin>,
    tenant: TenantDomain,
    viewer: Viewer,
    wrong: Wrong,
) -> Result<ThemePage, ApiError> {
    let all = admin.ask(ListAssets { tenant, kind: KIND }).await.map_err(AdminError::from)?;
    Ok(ThemePage { frame: frame(viewer, SETTINGS, "Theme").beside(tabs(THEME)), rows: rows(&all), wrong })
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, MANAGE)?.principal.tenant;
    Ok(render(&page(&admin, tenant, viewer, Wrong::default()).await?))
}

/// Says what was done, or shows the page with what is wrong.
async fn tell(
    admin: &Address<Admin>,
    tenant: TenantDomain,
    viewer: Viewer,
    outcome: Result<&str, ApiError>,
) -> Result<Response, ApiError> {
    match outcome {
        Ok(said) => Ok(say_and_go(said, THEME)),
        Err(error) => Ok(render_again(&page(admin, tenant, viewer, error.clone().into()).await?, &error)),
    }
}

async fn put(admin: &Address<Admin>, signed: Signed, fields: &Fields) -> Result<&'static str, ApiError> {
    let (_, all) = themes::all(admin, &signed).await?;
    let file = fields.file("file").ok_or_else(|| ApiError::bad_request("file: choose a zip file"))?;
    // One that is too large is told of by the field too.
    let archive = theme::read_file(&file.bytes).map_err(|error| {
        let reason = error.description().to_owned();
        if reason.starts_with("file: ") { error } else { error.with_item("file", reason) }
    })?;
    let made = themes::put_draft(admin, asker(signed, MANAGE)?, all, archive).await?;
    Ok(if made.reply.look.is_empty() {
        "The draft is there, but pages find neither a colour nor a logo in it."
    } else {
        "The draft is there. It is in force when it is published."
    })
}

pub(super) async fn upload(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let tenant = asker(signed.clone(), MANAGE)?.principal.tenant;
    let outcome = put(&admin, signed, &fields).await;
    tell(&admin, tenant, viewer, outcome).await
}

/// Publishes a theme, takes it back, or deletes it.
pub(super) async fn act(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let tenant = asker(signed.clone(), MANAGE)?.principal.tenant;
    let (outcome, said) = match fields.text("act") {
        "publish" => (themes::set_published(&admin, signed, &id, true).await, "Published: it is in force."),
        "unpublish" => (themes::set_published(&admin, signed, &id, false).await, "Taken back: it is a draft again."),
        "delete" => {
            let done = themes::delete_of_portal(&admin, signed, MaybeKey(None), &id).await;
            (done, "The theme is deleted.")
        }
        other => return Err(ApiError::bad_request(format!("act: `{other}` is none"))),
    };
    tell(&admin, tenant, viewer, outcome.map(|_| said)).await
}

async fn find(admin: &Address<Admin>, signed: &Signed, id: &str) -> Result<Theme, ApiError> {
    signed.require(MANAGE)?;
    let all = assets::all(admin, signed, KIND).await?;
    let found = all.iter().find(|asset| asset.id.to_string() == id).and_then(|asset| Theme::of(asset));
    found.ok_or_else(|| ApiError::not_found(KIND.noun(), id))
}

pub(super) async fn content(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(themes::archive(&find(&admin, &signed, &id).await?, "theme"))
}

pub(super) async fn logo(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let theme = find(&admin, &signed, &id).await?;
    let logo = theme.look.logo.ok_or_else(|| ApiError::not_found("logo of theme", id))?;
    let (media_type, picture) = logo.picture();
    Ok(([(CONTENT_TYPE, media_type)], picture).into_response())
}
