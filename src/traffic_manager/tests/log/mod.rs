//! A log in memory that fails on demand, and what tests ask of the counters in it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use portcullis_database::command::apply;
use portcullis_database::{Applied, Entry, ProposeError, Proposer, State, StateCell, handle};
use portcullis_model::port::{Allowance, Taken};
use portcullis_model::{NodeId, TimeUnit, Window};

use crate::state::{key, state_of};

/// A log of one node.
pub struct Log {
    pub cell: Arc<StateCell>,
    pub state: Mutex<State>,
    pub is_down: AtomicBool,
    /// Every second answer is lost after the entry was applied.
    pub loses_answers: AtomicBool,
    count: AtomicU64,
}

impl Proposer for Log {
    fn propose(&self, entry: Entry, _within: Duration) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        Box::pin(async move {
            if self.is_down.load(Ordering::SeqCst) {
                return Err(ProposeError::NoLeader);
            }
            let outcome = {
                let mut state = self.state.lock().unwrap();
                let index = state.applied_index + 1;
                let outcome = apply(&mut state, index, &entry).unwrap();
                self.cell.publish(state.clone());
                outcome
            };
            let is_lost = self.loses_answers.load(Ordering::SeqCst)
                && self.count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
            if is_lost { Err(ProposeError::Unknown) } else { Ok(Applied { outcome }) }
        })
    }

    fn fence(&self, _index: u64, _within: Duration) -> BoxFuture<'_, Vec<NodeId>> {
        Box::pin(async { Vec::new() })
    }

    fn linearize(&self, _within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        Box::pin(async { Ok(()) })
    }
}

pub fn first_state(limit: u64) -> State {
    state_of(limit, Window { length: 1, unit: TimeUnit::Year })
}

pub fn log(state: State) -> Arc<Log> {
    let cell = StateCell::new();
    cell.publish(state.clone());
    Arc::new(Log {
        cell,
        state: Mutex::new(state),
        is_down: AtomicBool::new(false),
        loses_answers: AtomicBool::new(false),
        count: AtomicU64::new(0),
    })
}

pub async fn take(allowance: &Arc<dyn Allowance>) -> Taken {
    loop {
        match allowance.try_take(1, handle::wall_clock()) {
            Taken::Dry => allowance.changed().await,
            taken => return taken,
        }
    }
}

pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("in time: {what}"));
}

pub fn used(log: &Arc<Log>) -> u64 {
    log.cell.load().counters.usage.get(&key()).copied().unwrap_or(0)
}
