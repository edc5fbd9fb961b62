//! Throttle counters: who may spend how much of each limit in the current window.

use std::sync::Arc;

use portcullis_model::{CounterKey, NodeId};
use serde::{Deserialize, Serialize};

use crate::table::tables;

tables! {
    /// Throttle counters and grants. Written by the Traffic Manager.
    pub struct Counters {
        /// Counters of the current windows.
        700 counters: CounterKey => Arc<Counter>,
        /// The last report applied from each node, so that a replay counts once.
        701 sources: NodeId => Source,
    }
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The window's number.
    pub window: u64,
}

/// The last report applied from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Which start of the node.
    pub incarnation: u64,
    /// The report's number.
    pub sequence: u64,
}
