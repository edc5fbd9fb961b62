//! The actor itself: what it holds. Its handlers are in the files named after what they handle.

use std::sync::Arc;

use actix::{Actor, Context};
use portcullis_database::{Handle, access};
use portcullis_model::cluster::ClusterControl;

/// The Admin actor. It keeps nothing between messages: all it knows is in the databases.
pub struct Admin {
    pub(crate) handle: Handle<access::Admin>,
    pub(crate) cluster: Arc<dyn ClusterControl>,
    pub(crate) hash_password: fn(&str) -> String,
}

impl Admin {
    pub(crate) fn new(
        handle: Handle<access::Admin>,
        cluster: Arc<dyn ClusterControl>,
        hash_password: fn(&str) -> String,
    ) -> Self {
        Self { handle, cluster, hash_password }
    }
}

impl Actor for Admin {
    type Context = Context<Self>;
}
