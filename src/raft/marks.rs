//! The state at a few recent indices, the same indices on every node: so that the nodes' states can be compared while
//! writes go on. Costs what changed since then, because a state shares its rows with the one after it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_database::State;

/// Indices are kept that this number divides.
const EVERY: u64 = 128;
/// How many are kept: nodes that are a few hundred entries apart still have one in common.
const KEPT: usize = 8;

/// The marks of one node.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<VecDeque<State>>);

impl Marks {
    fn kept(&self) -> MutexGuard<'_, VecDeque<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the state where its index is one of those kept. Called after each entry.
    pub(crate) fn see(&self, state: &State) {
        if !state.applied_index.is_multiple_of(EVERY) {
            return;
        }
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(state.clone());
    }

    /// Forgets what came before another state took its place.
    pub(crate) fn clear(&self) {
        self.kept().clear();
    }

    /// Returns the indices at which the state is at hand.
    pub(crate) fn indices(&self, current: &State) -> Vec<u64> {
        let mut indices: Vec<u64> = self.kept().iter().map(|state| state.applied_index).collect();
        indices.push(current.applied_index);
        indices
    }

    /// Returns the state at `index`, if it is at hand.
    pub(crate) fn state_at(&self, index: u64, current: &State) -> Option<State> {
        if current.applied_index == index {
            return Some(current.clone());
        }
        self.kept().iter().find(|state| state.applied_index == index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_keeps_the_same_indices_and_only_the_last_few() {
        let (marks, mut state) = (Marks::default(), State::default());
        for index in 1..=EVERY * 20 + 5 {
            state.applied_index = index;
            marks.see(&state);
        }
        let indices = marks.indices(&state);
        assert_eq!(indices.len(), KEPT + 1);
        assert_eq!(indices[KEPT - 1..], [EVERY * 20, EVERY * 20 + 5]);
        assert!(indices[..KEPT].iter().all(|index| index.is_multiple_of(EVERY)));
        assert_eq!(marks.state_at(EVERY * 19, &state).unwrap().applied_index, EVERY * 19);
        assert!(marks.state_at(EVERY, &state).is_none());
        marks.clear();
        assert_eq!(marks.indices(&state), [state.applied_index]);
    }
}
