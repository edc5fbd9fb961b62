//! Which use of an API was told to whoever bills it: so that each call is told once, however late it is counted and however
//! often somebody asks. What counts calls, and what tells them, is elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::ApplicationId;
use crate::time::Timestamp;

/// Days for which calls may still be counted; what nodes report later than that is told to nobody.
pub const OPEN_DAYS: u32 = 7;
/// Records of one batch. One has up to 2 KiB, so that a batch leaves room for the rest of what keeps the book.
pub const RECORDS_MAX: usize = 500;

/// Calls of an application by a plan on a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Usage {
    /// The day, counted from 1970.
    pub day: u32,
    /// The application.
    pub application: ApplicationId,
    /// The plan by which it called.
    pub plan: String,
    /// Calls that were answered without a fault.
    pub calls: u64,
}

impl Usage {
    fn key(&self) -> String {
        format!("{} {}", self.application, self.plan)
    }
}

/// Records that are told together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// By what its receiver knows it again.
    pub id: String,
    /// What is sent, the same each time.
    pub body: String,
}

/// What was told of one API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageBook {
    /// Days before this one take nothing further.
    closed: u32,
    /// Calls that were told, by application and plan, and by day from `closed` on.
    told: BTreeMap<String, BTreeMap<u32, u64>>,
    /// What was gathered, and was not taken yet.
    pub pending: Option<Batch>,
    /// When the last batch was taken.
    pub taken_at: Option<Timestamp>,
}

impl UsageBook {
    /// Begins anew: nothing that was counted until now is told. What waits goes on waiting.
    pub fn begin(&mut self, counted: &[Usage], today: u32) {
        self.closed = today;
        self.told.clear();
        counted.iter().filter(|one| one.day >= today).for_each(|one| self.note(one));
    }

    /// Returns what was counted and not told, by day, and notes it as told; at most [`RECORDS_MAX`] records, the rest with the
    /// next call. `counted` is sorted, and has all calls of each day from [`UsageBook::from`] on.
    pub fn gather(&mut self, counted: &[Usage], today: u32) -> Vec<Usage> {
        let mut new = Vec::new();
        let from = self.closed;
        for one in counted.iter().filter(|one| one.day >= from) {
            let told = self.told.get(&one.key()).and_then(|days| days.get(&one.day)).copied().unwrap_or_default();
            let calls = one.calls.saturating_sub(told);
            if calls == 0 {
                continue;
            }
            if new.len() == RECORDS_MAX {
                return new;
            }
            new.push(Usage { calls, ..one.clone() });
            self.note(one);
        }
        self.closed = self.closed.max(today.saturating_sub(OPEN_DAYS));
        let closed = self.closed;
        self.told.values_mut().for_each(|days| days.retain(|day, _| *day >= closed));
        self.told.retain(|_, days| !days.is_empty());
        new
    }

    /// Returns the first day of which calls may be told.
    #[must_use]
    pub fn from(&self) -> u32 {
        self.closed
    }

    /// Notes that the batch that waits was taken.
    pub fn taken(&mut self, at: Timestamp) {
        self.pending = None;
        self.taken_at = Some(at);
    }

    fn note(&mut self, one: &Usage) {
        self.told.entry(one.key()).or_default().insert(one.day, one.calls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(day: u32, application: u8, calls: u64) -> Usage {
        Usage { day, application: ApplicationId::from_random([application; 16]), plan: "Gold".to_owned(), calls }
    }

    fn told(book: &mut UsageBook, counted: &[Usage], today: u32) -> Vec<(u32, u64)> {
        book.gather(counted, today).iter().map(|one| (one.day, one.calls)).collect()
    }

    #[test]
    fn each_call_is_told_once_however_late_it_is_counted() {
        let mut book = UsageBook::default();
        book.begin(&[usage(99, 1, 5), usage(100, 1, 3)], 100);
        // What was there before does not count.
        assert_eq!(told(&mut book, &[usage(100, 1, 3)], 100), []);
        assert_eq!(told(&mut book, &[usage(100, 1, 10), usage(100, 2, 1)], 100), [(100, 7), (100, 1)]);
        assert_eq!(told(&mut book, &[usage(100, 1, 10), usage(100, 2, 1)], 101), []);
        // A node reports calls of two days ago.
        assert_eq!(
            told(&mut book, &[usage(100, 1, 12), usage(100, 2, 1), usage(102, 1, 4)], 102),
            [(100, 2), (102, 4)]
        );
        // A month later all that was not told is told, and then it is too late.
        assert_eq!(told(&mut book, &[usage(110, 1, 6), usage(130, 1, 1)], 130), [(110, 6), (130, 1)]);
        assert_eq!(told(&mut book, &[usage(110, 1, 9), usage(130, 1, 1)], 130), []);
        assert!(book.told.values().all(|days| days.keys().all(|day| *day >= 130 - OPEN_DAYS)), "{book:?}");
        assert_eq!(book.from(), 130 - OPEN_DAYS);
    }

    #[test]
    fn more_than_a_batch_holds_is_told_with_the_next() {
        let mut book = UsageBook::default();
        let counted: Vec<Usage> = (0..800).map(|day| usage(day, 1, 2)).collect();
        let first = book.gather(&counted, 800);
        assert_eq!(first.len(), RECORDS_MAX);
        let second = book.gather(&counted, 800);
        assert_eq!((second.len(), second.first().map(|one| one.day)), (300, Some(500)));
        assert_eq!(book.gather(&counted, 800), []);
    }
}
