//! Gives callers their limits anew: counters that a selector picks begin again within their windows.

use std::ops::Bound;
use std::sync::Arc;

use portcullis_model::counter::CounterSelector;
use portcullis_model::{CounterKey, Timestamp};
use serde::{Deserialize, Serialize};

use super::report::keep_balance;
use crate::state::State;

/// Counters looked at in one entry, so that none holds up the log.
pub const LOOKED_AT_MAX: usize = 2048;

/// How far a reset has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetReply {
    /// Counters that were reset by this entry.
    pub count: u64,
    /// The last counter looked at, where there are more.
    pub looked_to: Option<CounterKey>,
}

/// Resets the counters that `selector` picks among the next [`LOOKED_AT_MAX`] after `after`.
pub fn reset(state: &mut State, selector: &CounterSelector, after: Option<&CounterKey>, now: Timestamp) -> ResetReply {
    let lower = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = state.counters.counters.range::<_, CounterKey>((lower, Bound::Unbounded));
    let looked: Vec<CounterKey> = rows.take(LOOKED_AT_MAX).map(|(key, _)| key.clone()).collect();
    let looked_to = if looked.len() == LOOKED_AT_MAX { looked.last().cloned() } else { None };
    let mut count = 0;
    for key in looked.iter().filter(|key| selector.picks(key)) {
        let Some(counter) = state.counters.counters.get(key).map(Arc::clone) else { continue };
        let mut balance = state.counters.balances.get(key).map_or_else(Default::default, |one| one.as_ref().clone());
        balance.forgive(&counter);
        keep_balance(&mut state.counters, key, &counter, balance);
        let mut counter = counter.as_ref().clone();
        counter.dry = None;
        state.counters.settle(key, &mut counter, now);
        state.counters.counters.insert(key.clone(), Arc::new(counter));
        count += 1;
    }
    ResetReply { count, looked_to }
}
