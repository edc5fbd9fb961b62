//! The message by which SCIM asks Admin, and its answer.

use std::fmt;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_database::Caller;
use portcullis_model::NodeId;
use serde_json::{Map, Value};

use super::listing::{Search, Shape};
use super::people::People;
use super::schema::Resource;
use super::scim_error::ScimError;
use crate::actor::Admin;

/// One SCIM request for a resource of the caller's tenant.
#[derive(Message)]
#[rtype(result = "Result<ScimReply, ScimError>")]
pub(crate) struct ScimCall {
    pub(crate) caller: Caller,
    /// The address of `/scim2` as the caller knows it, for locations.
    pub(crate) base: String,
    pub(crate) resource: Resource,
    pub(crate) action: Action,
    /// What of the resource the caller wants to see.
    pub(crate) shape: Shape,
}

impl fmt::Debug for ScimCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScimCall({:?} by {})", self.resource, self.caller.principal)
    }
}

/// Which resource is meant.
#[derive(Clone)]
pub(crate) enum Which {
    Id(String),
    /// The caller (`/Me`).
    Caller,
}

/// What is to be done. Documents may hold passwords: none of this is ever shown.
pub(crate) enum Action {
    Read(Which),
    Search(Search),
    Create(Map<String, Value>),
    Replace { which: Which, document: Map<String, Value>, if_match: Option<u64> },
    Patch { which: Which, request: Map<String, Value>, if_match: Option<u64> },
    Delete { which: Which, if_match: Option<u64> },
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct ScimReply {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
    pub(crate) location: Option<String>,
    /// The resource's version.
    pub(crate) version: Option<u64>,
    /// The index of the write, if there was one.
    pub(crate) index: Option<u64>,
    pub(crate) unreached: Vec<NodeId>,
}

impl Handler<ScimCall> for Admin {
    type Result = ResponseFuture<Result<ScimReply, ScimError>>;

    fn handle(&mut self, message: ScimCall, _context: &mut Context<Self>) -> Self::Result {
        let people = People { handle: self.handle.clone(), passwords: self.passwords };
        Box::pin(async move { people.answer(message).await })
    }
}
