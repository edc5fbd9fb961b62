//! The bookkeeping of one allowance's open window. It decides nothing: that is the allowance's.

use portcullis_database::counters::{Item, WindowId};
use portcullis_model::{Timestamp, WindowKind};

use crate::rate::Rate;

/// Windows that are over and of which there is something to say; more are merged.
const LATE_MAX: usize = 4;

/// What is said about one counter in one window: an item of a report, and what is owed.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) item: Item,
    pub(crate) owed: u64,
}

/// The bookkeeping of the open window.
pub(crate) struct Book {
    pub(crate) window: WindowId,
    pub(crate) kind: WindowKind,
    pub(crate) limit: u64,
    pub(crate) reserve: u64,
    /// The part of the reserve that may not be used yet.
    pub(crate) withheld: u64,
    pub(crate) granted: u64,
    pub(crate) returned: u64,
    /// Spent, as far as reported.
    pub(crate) reported: i64,
    /// Since when it is dry, as far as is known.
    pub(crate) dry: Option<Timestamp>,
    /// The same, as the node has last answered.
    pub(crate) answered_dry: Option<Timestamp>,
    /// What the log still owes of what was asked for, as far as is known.
    pub(crate) asked: u64,
    /// The report in which it last asked.
    pub(crate) asked_in: u64,
    /// When that was.
    pub(crate) asked_at: Timestamp,
    /// Requests that waited at the last report.
    pub(crate) waiting: u64,
    /// Wanted, and not yet said.
    pub(crate) demand: u64,
    /// When it is to be looked at again.
    pub(crate) look_at: Option<Timestamp>,
    pub(crate) rate: Rate,
    /// The window before and its reserve.
    pub(crate) before: Option<(WindowId, u64)>,
    /// What remains to be said about windows that are over.
    pub(crate) late: Vec<Said>,
}

impl Book {
    pub(crate) fn new(window: WindowId, limit: u64, reserve: u64) -> Self {
        Self {
            window,
            kind: WindowKind::Fixed,
            limit,
            reserve,
            withheld: 0,
            granted: 0,
            returned: 0,
            reported: 0,
            dry: None,
            answered_dry: None,
            asked: 0,
            asked_in: 0,
            asked_at: Timestamp(0),
            waiting: 0,
            demand: 0,
            look_at: None,
            rate: Rate::default(),
            before: None,
            late: Vec::new(),
        }
    }

    /// Notes what is to be said about a window that is over. While the cluster takes no reports, such items must not
    /// pile up: the oldest two become one. Usage is counted over all windows, so it may be told of the later one; what
    /// was returned in the older one is of no use to anybody any more.
    pub(crate) fn push_late(&mut self, said: Said) {
        self.late.push(said);
        if self.late.len() > LATE_MAX {
            let older = self.late.remove(0);
            let later = &mut self.late[0];
            later.item.spent = later.item.spent.saturating_add(older.item.spent);
            later.item.over = later.item.over.saturating_add(older.item.over);
            later.owed = later.owed.saturating_add(older.owed);
        }
    }

    pub(crate) fn must_answer(&self) -> bool {
        self.dry.is_some() && self.answered_dry != self.dry
    }

    pub(crate) fn allowed(&self) -> u64 {
        self.reserve.saturating_add(self.granted).saturating_sub(self.returned)
    }

    pub(crate) fn spent(&self, held: u64) -> i64 {
        let unspent = held.saturating_add(self.withheld);
        i64::try_from(self.allowed()).unwrap_or(i64::MAX) - i64::try_from(unspent).unwrap_or(i64::MAX)
    }
}
