//! A node's statement: its report, and what costs that were known late have left it owing.

use portcullis_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::report::{Report, ReportReply, take_in_with};
use crate::state::State;

/// A report with what is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The report.
    pub report: Report,
    /// What is owed, in the order of the report's items.
    pub owed: Vec<Owed>,
}

/// What was spent of one counter beyond what the node held, because the cost was known late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// The position of the item among the report's.
    pub item: u32,
    /// How much.
    pub amount: u64,
}

impl Statement {
    /// Returns the report in the form that is understood where the cluster's version knows no balances: what is owed is
    /// counted as used beyond the limit, and no window pays for it.
    #[must_use]
    pub fn without_balances(&self) -> Report {
        let mut report = self.report.clone();
        for owed in &self.owed {
            let item = usize::try_from(owed.item).ok().and_then(|at| report.items.get_mut(at));
            if let Some(item) = item {
                item.over = item.over.saturating_add(owed.amount);
            }
        }
        report
    }
}

impl From<Report> for Statement {
    fn from(report: Report) -> Self {
        Self { report, owed: Vec::new() }
    }
}

/// Takes a statement in: exactly once, in order.
pub fn take_in(state: &mut State, statement: &Statement, now: Timestamp) -> ReportReply {
    take_in_with(state, &statement.report, Some(&statement.owed), now)
}
