//! `/admin/nodes/{id}/remove`: takes a node out of the cluster for good, as `portcullis cluster node remove` does. What
//! protects the cluster stands against it here too, and is not passed over: that is the shell's (`--force`).

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Signed};
use portcullis_model::cluster::{ClusterStatus, NodeStatus};
use portcullis_model::{MembershipChange, NodeId};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go};

use super::{frame, operator};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{ChangeMembership, DescribeCluster};

#[derive(Template)]
#[template(path = "admin_removal.html")]
struct RemovalPage {
    frame: Frame,
    node: NodeStatus,
    /// What is typed to remove it.
    typed: String,
    answered_by: NodeId,
    wrong: Wrong,
}

/// Returns what names a node among the others: its name, or its id where another has that name too.
fn name_of(cluster: &ClusterStatus, node: &NodeStatus) -> String {
    let is_unique = !node.name.is_empty() && cluster.nodes.iter().filter(|one| one.name == node.name).count() == 1;
    if is_unique { node.name.clone() } else { node.id.to_string() }
}

async fn page(admin: &Address<Admin>, viewer: Viewer, id: &str) -> Result<RemovalPage, ApiError> {
    let cluster = admin.ask(DescribeCluster).await.map_err(AdminError::from)?;
    let unknown = || ApiError::not_found("node", id.chars().take(20).collect::<String>());
    let wanted = id.parse().map(NodeId).map_err(|_| unknown())?;
    let node = cluster.nodes.iter().find(|one| one.id == wanted).ok_or_else(unknown)?.clone();
    Ok(RemovalPage {
        frame: frame(viewer, "/admin", &format!("Remove node {}", node.id)).below("/admin", "Cluster"),
        typed: name_of(&cluster, &node),
        answered_by: cluster.answered_by,
        node,
        wrong: Wrong::default(),
    })
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    operator(signed)?;
    Ok(render(&page(&admin, viewer, &id).await?))
}

pub(super) async fn remove(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    operator(signed)?;
    let mut page = page(&admin, viewer, &id).await?;
    if fields.text("typed") != page.typed {
        let error = ApiError::bad_request(format!("typed: must be {}; nothing was done", page.typed));
        page.wrong = error.clone().into();
        return Ok(render_again(&page, &error));
    }
    let message = ChangeMembership { change: MembershipChange::Remove { node: page.node.id }, force: false };
    match admin.ask(message).await.map_err(AdminError::from)? {
        Ok(()) => {
            let NodeStatus { id, name, .. } = &page.node;
            let said =
                format!("Node {id} ({name}) is removed. Its certificate is refused, and its id is never used again.");
            Ok(say_and_go(&said, "/admin"))
        }
        Err(refused) => {
            let error = ApiError::from(refused);
            page.wrong = error.clone().into();
            Ok(render_again(&page, &error))
        }
    }
}
