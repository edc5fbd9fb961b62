//! `/admin`: the nodes of the cluster, and what to type to change it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Signed};
use portcullis_model::cluster::ClusterStatus;
use portcullis_portal::{Frame, Viewer, render};

use super::{ADMIN, asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::DescribeCluster;
use crate::tasks::ListTasks;

#[derive(Template)]
#[template(path = "admin_cluster.html")]
struct ClusterPage {
    frame: Frame,
    /// Shown to administrators of the first tenant, which runs the cluster.
    cluster: Option<ClusterStatus>,
    tasks: usize,
}

impl ClusterPage {
    /// Returns a number, or a dash where it is not known.
    fn or_dash(&self, number: &Option<u64>) -> String {
        number.map_or_else(|| "–".to_owned(), |number| number.to_string())
    }
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, ADMIN)?.principal.tenant;
    let cluster =
        if tenant.is_super() { Some(admin.ask(DescribeCluster).await.map_err(AdminError::from)?) } else { None };
    let tasks = admin.ask(ListTasks { tenant }).await.map_err(AdminError::from)?.len();
    Ok(render(&ClusterPage { frame: frame(viewer, "/admin", "Cluster"), cluster, tasks }))
}
