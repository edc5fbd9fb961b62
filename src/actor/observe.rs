//! What every actor shows of itself. It says how the mailbox stands, not what is in it.

use std::sync::{Mutex, PoisonError, Weak};

/// How an actor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The actor's name.
    pub actor: &'static str,
    /// How many messages it takes at a time, waiting and in work together.
    pub capacity: usize,
    /// How many are waiting or in work.
    pub in_work: usize,
    /// How often a message was refused because there were too many.
    pub refused: u64,
    /// How often it failed and was restarted.
    pub restarts: u64,
    /// Whether it is running.
    pub is_running: bool,
}

/// Something that shows how it stands.
pub(crate) trait Observe: Send + Sync {
    fn observe(&self) -> Observation;
}

/// Every actor of this process that still has an address. As many as there are components, so it needs no bound.
static ACTORS: Mutex<Vec<Weak<dyn Observe>>> = Mutex::new(Vec::new());

/// Adds an actor to those observed.
pub(crate) fn register(actor: Weak<dyn Observe>) {
    let mut actors = ACTORS.lock().unwrap_or_else(PoisonError::into_inner);
    actors.retain(|one| one.strong_count() > 0);
    actors.push(actor);
}

/// Returns how every actor of this process stands, in the order they were started.
#[must_use]
pub fn observe_all() -> Vec<Observation> {
    let actors = ACTORS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    actors.iter().filter_map(Weak::upgrade).map(|actor| actor.observe()).collect()
}
