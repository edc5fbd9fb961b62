//! `/admin`: the nodes of the cluster and the throttling policies.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::request::Parts;
use portcullis_http::ApiError;
use portcullis_model::cluster::ClusterStatus;

use crate::page::{self, Frame};
use crate::{PolicyRow, Portal};

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    frame: Frame,
    /// Shown to administrators of the first tenant, which runs the cluster.
    cluster: Option<ClusterStatus>,
    policies: Vec<PolicyRow>,
}

impl AdminPage {
    /// Returns a number, or a dash where it is not known.
    fn or_dash(&self, number: &Option<u64>) -> String {
        number.map_or_else(|| "–".to_owned(), |number| number.to_string())
    }
}

pub(crate) async fn show(State(portal): State<Portal>, parts: Parts) -> Response {
    match render(&portal, &parts).await {
        Ok(response) => response,
        Err(error) => page::refuse("/admin", &error),
    }
}

async fn render(portal: &Portal, parts: &Parts) -> Result<Response, ApiError> {
    let visitor = portal.visitor(parts, &["apim:admin"]).await?;
    let tenant = &visitor.principal.tenant;
    let cluster = if tenant.is_super() { Some(portal.data.cluster().await) } else { None };
    let policies = portal.data.policies(tenant);
    let frame = Frame { title: "Admin", section: "/admin", user: Some(visitor.principal.to_string()) };
    Ok(page::render(&AdminPage { frame, cluster, policies }))
}
