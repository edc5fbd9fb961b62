//! Lists of allowances with something to report: what changed, what is urgent, what to look at again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError, Weak};

use portcullis_model::{CounterKey, Timestamp};
use tokio::sync::Notify;

use crate::allowance::NodeAllowance;

/// The lists of one node.
#[derive(Default)]
pub(crate) struct Queues {
    urgent: Mutex<VecDeque<Weak<NodeAllowance>>>,
    changed: Mutex<VecDeque<Weak<NodeAllowance>>>,
    later: Mutex<BTreeMap<Timestamp, Vec<Weak<NodeAllowance>>>>,
    /// Dry counters of which this node holds a reserve it never touched.
    untouched: Mutex<VecDeque<CounterKey>>,
    /// Told when a request waits.
    pub(crate) hurry: Notify,
    /// Told when reports are to be made more often.
    pub(crate) tense: Notify,
}

/// What a report is to be made of next.
pub(crate) enum Next {
    /// An allowance that changed.
    Changed(Weak<NodeAllowance>),
    /// An allowance that somebody waits for.
    Urgent(Weak<NodeAllowance>),
    /// An allowance that may hold what it does not need.
    Look(Weak<NodeAllowance>),
    /// A dry counter that this node never touched.
    Untouched(CounterKey),
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queues {
    pub(crate) fn push(&self, allowance: Weak<NodeAllowance>, is_urgent: bool) {
        lock(if is_urgent { &self.urgent } else { &self.changed }).push_back(allowance);
    }

    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    pub(crate) fn look_again(&self, allowance: Weak<NodeAllowance>, at: Timestamp) {
        lock(&self.later).entry(at).or_default().push(allowance);
    }

    pub(crate) fn push_untouched(&self, key: CounterKey) {
        lock(&self.untouched).push_back(key);
        self.hurry();
    }

    /// Returns what is most pressing, `None` where nothing is.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Next> {
        if let Some(allowance) = lock(&self.urgent).pop_front() {
            return Some(Next::Urgent(allowance));
        }
        if let Some(key) = lock(&self.untouched).pop_front() {
            return Some(Next::Untouched(key));
        }
        let mut later = lock(&self.later);
        if let Some(mut due) = later.first_entry().filter(|entry| *entry.key() <= now) {
            let allowance = due.get_mut().pop();
            if due.get().is_empty() {
                due.remove();
            }
            if let Some(allowance) = allowance {
                return Some(Next::Look(allowance));
            }
        }
        drop(later);
        lock(&self.changed).pop_front().map(Next::Changed)
    }
}
