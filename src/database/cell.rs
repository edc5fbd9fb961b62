//! Where the current state is published: readers load it, the state machine replaces it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::access::{Component, Tenancy};
use crate::state::State;

/// What is called with the old and the new state before the new one counts as applied.
pub type Hook = Box<dyn Fn(&Arc<State>, &Arc<State>) + Send + Sync>;

/// The published state of this node.
///
/// A hook runs, in order, before `applied` moves: so whoever waits for an index ([`StateCell::wait_applied`], and with
/// it the fence) knows that the gateways' routes and allowances have moved too.
pub struct StateCell {
    current: ArcSwap<State>,
    applied: watch::Sender<u64>,
    hooks: OnceLock<Vec<Hook>>,
}

impl StateCell {
    /// Makes a cell that holds an empty state.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(State::default()),
            applied: watch::Sender::new(0),
            hooks: OnceLock::new(),
        })
    }

    /// Sets the hooks, once, and runs each with the present state as both old and new.
    ///
    /// # Panics
    /// Where they were set before: `node` wires each cell once.
    pub fn set_hooks(&self, hooks: Vec<Hook>) {
        let state = self.load();
        for hook in &hooks {
            hook(&state, &state);
        }
        assert!(self.hooks.set(hooks).is_ok(), "the hooks of a state cell are set once");
    }

    /// Returns the current state.
    #[must_use]
    pub fn load(&self) -> Arc<State> {
        self.current.load_full()
    }

    /// Replaces the state, runs the hooks, and then lets waiters know. Called by the state machine alone.
    pub fn publish(&self, state: State) {
        let new = Arc::new(state);
        let old = self.current.swap(Arc::clone(&new));
        for hook in self.hooks.get().into_iter().flatten() {
            hook(&old, &new);
        }
        self.applied.send_replace(new.applied_index);
    }

    /// Returns the index up to which everything is applied and every hook has run.
    #[must_use]
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Waits until `index` is applied and every hook has run for it.
    pub async fn wait_applied(&self, index: u64) {
        let mut applied = self.applied.subscribe();
        // The sender lives as long as this cell, so waiting ends only when the index is reached.
        let reached = applied.wait_for(|applied| *applied >= index).await;
        debug_assert!(reached.is_ok(), "the sender is held by the cell");
    }

    /// Returns the proof of multi-tenancy where there is more than one tenant.
    #[must_use]
    pub fn tenancy<C: Component>(&self) -> Option<Tenancy<C>> {
        (self.load().user.tenants.len() > 1).then_some(Tenancy(PhantomData))
    }
}

impl fmt::Debug for StateCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateCell(applied {})", self.applied())
    }
}
