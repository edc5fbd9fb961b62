//! The key manager of other nodes: what a node without one asks, and how a node with one answers, as HTTP between
//! nodes. The transport (mutual TLS, which node, what when one is gone) is the port [`NodeCalls`]'s.
//!
//! Bodies are JSON, so that nodes of neighbouring versions understand each other: a field that is unknown is ignored.

mod answering;
mod asking;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use answering::{Ports, routes};
pub use asking::RemoteKeyManager;

/// The path below which a node answers for its key manager.
pub const PATH: &str = "/key-manager";
