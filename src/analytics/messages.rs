//! What the Analytics actor understands.

use std::time::Duration;

use actix::Message;
use actix::dev::MessageResponse;

/// Asks how it stands.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Observed")]
pub struct Observe;

/// Has everything that was handed on brought to the log; says whether that came about.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "bool")]
pub struct Drain {
    /// How long it may take.
    pub within: Duration,
}

/// How Analytics stands on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, MessageResponse)]
pub struct Observed {
    /// Batches that the log took.
    pub batches_applied: u64,
    /// Proposals that had to be made again.
    pub batches_retried: u64,
    /// Rows that wait to be brought to the log.
    pub rows_waiting: u64,
    /// Calls that are not counted because the cluster refused their batch.
    pub calls_lost: u64,
}
