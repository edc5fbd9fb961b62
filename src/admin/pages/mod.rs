//! Admin's web pages, and the page to sign up: faces over the same messages as the REST paths, with the same scopes.

mod audit;
mod cluster;
mod counters;
mod deny;
mod growth;
mod json_text;
mod key_manager_form;
mod key_managers;
mod policies;
mod policy_form;
mod removal;
mod roles;
mod settings;
mod settings_form;
mod sign_up;
mod tasks;
mod tenants;
mod test_call;
mod theme;
mod users;

use axum::Router;
use axum::routing::{get, post};
use portcullis_actor::Address;
use portcullis_database::{Caller, ClusterKey};
use portcullis_http::{ApiError, MaybeKey, Signed};
use portcullis_portal::{Frame, Shell, Viewer};

use crate::actor::Admin;
use crate::rest_policies::caller;

/// Scopes of administrators.
const ADMIN: &[&str] = &["apim:admin"];

/// Returns the pages, to be mounted at the root.
pub(crate) fn routes(admin: &Address<Admin>, key: ClusterKey) -> Router {
    let pages = Router::new()
        .route("/admin", get(cluster::show))
        .route("/admin/nodes/{id}/remove", get(removal::show).post(removal::remove))
        .route("/admin/policies", get(policies::list))
        .route("/admin/policies/counters", get(counters::show))
        .route("/admin/policies/test", get(test_call::show).post(test_call::test))
        .route("/admin/policies/{level}", get(policies::new).post(policies::create))
        .route("/admin/policies/{level}/{id}", get(policies::show).post(policies::change))
        .route("/admin/policies/{level}/{id}/delete", post(policies::delete))
        .route("/admin/deny", get(deny::show).post(deny::create))
        .route("/admin/deny/{id}/{act}", post(deny::act))
        .route("/admin/tasks", get(tasks::show).post(tasks::decide))
        .route("/admin/statistics/growth", get(growth::show))
        .route("/admin/users", get(users::show).post(users::create))
        .route("/admin/users/{name}", post(users::change))
        .route("/admin/users/{name}/password", post(users::set_password))
        .route("/admin/roles", get(roles::list).post(roles::create))
        .route("/admin/roles/{name}", get(roles::show).post(roles::change))
        .route("/admin/tenants", get(tenants::show).post(tenants::create))
        .route("/admin/tenants/{domain}/{act}", post(tenants::act))
        .route("/admin/audit", get(audit::show))
        .route("/admin/settings", get(settings::show).post(settings::change))
        .route(theme::THEME, get(theme::show).post(theme::upload))
        .route("/admin/theme/{id}", post(theme::act))
        .route("/admin/theme/{id}/content", get(theme::content))
        .route("/admin/theme/{id}/logo", get(theme::logo))
        .with_state(admin.clone());
    pages.merge(key_managers::routes(admin, key)).merge(sign_up::routes(admin))
}

/// Returns who asks, where they hold one of the scopes.
fn asker(signed: Signed, scopes: &[&str]) -> Result<Caller, ApiError> {
    signed.require(scopes)?;
    Ok(caller(signed, MaybeKey(None)))
}

/// Returns an administrator of the first tenant, which runs the cluster.
fn operator(signed: Signed) -> Result<Caller, ApiError> {
    let caller = asker(signed, ADMIN)?;
    if caller.principal.tenant.is_super() {
        return Ok(caller);
    }
    Err(ApiError::forbidden("This is for administrators of the first tenant, which runs the cluster."))
}

fn frame(viewer: Viewer, part: &'static str, title: &str) -> Frame {
    Frame::new(viewer, Shell::Admin, part, title)
}
