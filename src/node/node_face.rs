//! What this node answers to other nodes for its components, by HTTP on the cluster port. Who comes here is a node of
//! the cluster: the transport has seen to that.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Extension, Router};
use portcullis_database::StateCell;
use portcullis_http::layers;
use portcullis_http::node_line::{FromNode, serve_node};
use portcullis_key_manager::thrift::Door;
use portcullis_model::NodeId;
use portcullis_model::port::PortFuture;
use portcullis_raft::{Guest, RaftNode};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::component_nodes::{MIN_INDEX, did_nothing};

/// How long this node takes to apply what the asking node has applied already, before it says that it is behind.
const CATCH_UP_WITHIN: Duration = Duration::from_millis(500);

/// The faces of this node's components for other nodes.
#[derive(Default)]
pub(crate) struct NodeFaces {
    pub(crate) key_manager: Option<Router>,
    pub(crate) traffic_manager: Option<Router>,
}

/// Answers other nodes from now on. Once the door declines they are told to ask another node, so that none waits for
/// a node that is about to go; once `ends` does, connections end when what is under way is answered.
pub(crate) fn answer_nodes(raft: &RaftNode, faces: NodeFaces, door: Doorkeeper, ends: watch::Receiver<bool>) {
    let router = router(faces, door);
    let runtime = Handle::current();
    raft.receive_guests(Box::new(move |guest: Guest| {
        let (router, stop) = (router.clone(), ends.clone());
        runtime.spawn(async move {
            let Guest { node, stream, place } = guest;
            serve_node(stream, router, node, stop).await;
            // Its place among the connections is taken until here.
            drop(place);
        });
    }));
}

pub(crate) fn router(faces: NodeFaces, door: Doorkeeper) -> Router {
    let mut router = Router::new();
    if let Some(key_manager) = faces.key_manager {
        router = router.nest(portcullis_key_manager::remote::PATH, key_manager);
    }
    if let Some(traffic_manager) = faces.traffic_manager {
        router = router.nest(portcullis_traffic_manager::PATH, traffic_manager);
    }
    let elsewhere = async || did_nothing("this node does not serve that component".to_owned());
    let router = router.fallback(elsewhere).layer(middleware::from_fn_with_state(door, admit));
    layers::around(router)
}

/// Who decides which requests of other nodes are answered.
#[derive(Clone)]
pub(crate) struct Doorkeeper {
    pub(crate) cell: Arc<StateCell>,
    pub(crate) declines: watch::Receiver<bool>,
}

impl Doorkeeper {
    /// Lets a question in, or says why another node should be asked: only nodes that are still in the cluster, and only
    /// once this node has applied what they have. Else a verdict could be older than what the asking node knows, and be
    /// kept by it.
    async fn let_in(&self, from: Option<NodeId>, min_index: Option<u64>) -> Result<(), String> {
        let Self { cell, declines } = self;
        if *declines.borrow() {
            return Err("this node is stopping".to_owned());
        }
        if let Some(index) = min_index
            && tokio::time::timeout(CATCH_UP_WITHIN, cell.wait_applied(index)).await.is_err()
        {
            return Err(format!("this node is at index {}, behind {index}", cell.applied()));
        }
        let is_gone = |node: NodeId| cell.load().system.nodes.get(&node).is_none_or(|node| node.removed_at.is_some());
        match from {
            Some(node) if is_gone(node) => Err(format!("node {node} is not in the cluster any more")),
            _ => Ok(()),
        }
    }
}

impl Door for Doorkeeper {
    fn admit(&self, asker: Option<NodeId>, min_index: Option<u64>) -> PortFuture<'_, Result<(), String>> {
        Box::pin(self.let_in(asker, min_index))
    }
}

/// Answers what the doorkeeper lets in.
async fn admit(
    State(door): State<Doorkeeper>,
    Extension(FromNode(from)): Extension<FromNode>,
    request: Request,
    next: Next,
) -> Response {
    let wanted = request.headers().get(MIN_INDEX).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match door.let_in(Some(from), wanted).await {
        Ok(()) => next.run(request).await,
        Err(why) => did_nothing(why),
    }
}
