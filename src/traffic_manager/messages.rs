//! What can be asked of the Traffic Manager. Requests do not come this way: they take from the ledger directly.

use std::time::Duration;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};

/// Asks how the Traffic Manager stands.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Observed")]
pub struct Observe;

/// How the Traffic Manager of one node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Counters this node keeps an allowance of.
    pub allowances: u64,
    /// How often there was no room for one.
    pub allowances_refused: u64,
    /// Reports applied since the start.
    pub reports_applied: u64,
    /// Proposals made again.
    pub reports_retried: u64,
    /// Reports that wait to be applied.
    pub reports_waiting: u64,
    /// Reports whose usage could not be counted.
    pub reports_lost: u64,
    /// Writes of the message store that failed.
    pub reports_unstored: u64,
    /// Ticks without a report because too many wait.
    pub ticks_held_back: u64,
    /// Bytes of the reports that wait.
    pub store_bytes: u64,
    /// Whether so much waits that no more is taken in.
    pub is_store_full: bool,
    /// Whether reports are made durable before they are proposed.
    pub is_store_writable: bool,
    /// Message stores that were set aside because they were damaged.
    pub stores_set_aside: u64,
    /// What was used at most and is not counted, because a message store was lost.
    pub usage_lost_at_most: u64,
}

impl<A: Actor, M: Message<Result = Self>> MessageResponse<A, M> for Observed {
    fn handle(self, _context: &mut A::Context, sender: Option<OneshotSender<Self>>) {
        if let Some(sender) = sender {
            // A caller that is gone needs no answer.
            sender.send(self).ok();
        }
    }
}

/// Has the node give up what it holds, before it stops. Answers whether the log knows of everything.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "bool")]
pub struct Drain {
    /// How long that may take.
    pub within: Duration,
}
