//! Throttle counters: who may spend how much of each limit in the current window.
//!
//! The decisions (`window`, `reserve`, `counter`) are functions of values, shared by `apply`, by the nodes' ledgers and
//! by the model that tests them. What a node does with its part is not here: that is the Traffic Manager's ledger. Why
//! the sum over all nodes cannot pass a limit is in `docs/decisions/0010-throttling.md`.

pub mod balance;
pub mod counter;
pub mod holdings;
pub mod listing;
pub mod policy_change;
pub mod report;
pub mod reserve;
pub mod reset;
pub mod statement;
pub mod window;

use std::sync::Arc;

use portcullis_model::mutant::{self, Mutant};
use portcullis_model::{CounterKey, LimitKey, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

pub use balance::{Balance, Before};
pub use counter::{Counter, Dry, Holding};
pub use holdings::Holdings;
pub use policy_change::{PolicyChange, PolicyKey};
pub use report::{Item, Report, ReportReply};
pub use reserve::{Holder, ReserveTable, Segment};
pub use statement::{Owed, Statement};
pub use window::{Terms, WindowId};

use crate::table::tables;

/// Counters kept at a time. Beyond them, new ones get no grants; what they spend of the reserve is counted.
pub const COUNTERS_MAX: usize = 1_000_000;
/// Rows of running totals. Beyond them, new counters have none.
pub const USAGE_ROWS_MAX: usize = 1_000_000;

tables! {
    /// Throttle counters and grants. Written by the Traffic Manager.
    pub struct Counters {
        /// Counters of the current windows.
        700 counters: CounterKey => Arc<Counter>,
        /// The last report applied from each node, so that a replay counts once.
        701 sources: NodeId => Source,
        /// Requests admitted in all, by counter.
        702 usage: CounterKey => u64,
        /// When counters may be dropped.
        703 ends: (Timestamp, CounterKey) => (),
        /// The one row that says who holds which share of the reserve.
        704 reserve: () => Arc<ReserveTable>,
        /// What earlier versions kept of changes, by policy; nothing is added any more.
        705 policy_changes: PolicyKey => PolicyChange,
        /// What counters bring along beside their limit: only those with sliding windows, costs that were known late,
        /// or a reset.
        706 balances: CounterKey => Arc<Balance>,
        /// The last change of each limit that has changed.
        719 limit_changes: LimitKey => PolicyChange,
    }
}

/// The last report applied from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Which start of the node.
    pub incarnation: u64,
    /// The report's number.
    pub sequence: u64,
}

impl Counters {
    /// Returns the table of shares.
    #[must_use]
    pub fn reserve_table(&self) -> Arc<ReserveTable> {
        self.reserve.get(&()).map(Arc::clone).unwrap_or_default()
    }

    /// Returns how much of a counter the nodes together may hold at `now`.
    #[must_use]
    pub fn capacity(&self, key: &CounterKey, counter: &Counter, now: Timestamp) -> u64 {
        let more = if mutant::is(Mutant::OverGrant) { counter.limit / 4 } else { 0 };
        self.balances.get(key).map_or(counter.limit, |balance| balance.capacity(counter, now)).saturating_add(more)
    }

    /// Grants what is there of a counter at `now`. What is owed is paid first, from what nodes hold and do not need.
    fn settle(&self, key: &CounterKey, counter: &mut Counter, now: Timestamp) {
        let capacity = self.capacity(key, counter, now);
        if self.balances.contains_key(key) && counter.exposure() > capacity {
            counter.run_dry(now);
        }
        counter.settle(now, capacity);
    }

    /// Returns what may still be granted of a counter at `now`.
    #[must_use]
    pub fn pool(&self, key: &CounterKey, counter: &Counter, now: Timestamp) -> u64 {
        counter.pool_under(self.capacity(key, counter, now))
    }
}
