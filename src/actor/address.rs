//! How others talk to an actor: a bounded `ask`. It does not know where the actor runs or how it is restarted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, ArbiterHandle, Handler, Message};
use tokio::sync::{Semaphore, oneshot};

use crate::ask_error::AskError;
use crate::observe::{Observation, Observe};

/// What the addresses of one actor and its arbiter share.
pub(crate) struct Shared<A: Actor> {
    pub(crate) name: &'static str,
    pub(crate) capacity: usize,
    pub(crate) permits: Arc<Semaphore>,
    /// The running actor and the arbiter it runs on; `None` before the first start, between a failure and the
    /// restart, and after the actor stopped itself.
    pub(crate) running: RwLock<Option<(Addr<A>, ArbiterHandle)>>,
    pub(crate) restarts: AtomicU64,
    pub(crate) refused: AtomicU64,
}

impl<A: Actor> Shared<A> {
    pub(crate) fn new(name: &'static str, capacity: usize) -> Self {
        Self {
            name,
            capacity,
            permits: Arc::new(Semaphore::new(capacity)),
            running: RwLock::new(None),
            restarts: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    pub(crate) fn set_running(&self, running: Option<(Addr<A>, ArbiterHandle)>) {
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = running;
    }

    fn running(&self) -> Option<(Addr<A>, ArbiterHandle)> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<A: Actor> Observe for Shared<A> {
    fn observe(&self) -> Observation {
        Observation {
            actor: self.name,
            capacity: self.capacity,
            in_work: self.capacity.saturating_sub(self.permits.available_permits()),
            refused: self.refused.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            is_running: self.running().is_some_and(|(address, _)| address.connected()),
        }
    }
}

/// The address of an actor, which stays good when the actor is restarted. The actor stops when its last address is
/// dropped.
pub struct Address<A: Actor> {
    pub(crate) shared: Arc<Shared<A>>,
}

impl<A: Actor> Clone for Address<A> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<A: Actor> fmt::Debug for Address<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shared.name)
    }
}

impl<A: Actor> Address<A> {
    /// Sends a message and waits for its answer. A message counts against the capacity until the actor is done with
    /// it, also where the caller has stopped waiting.
    ///
    /// # Errors
    /// [`AskError::Busy`] at once where the actor has as many messages as it takes; [`AskError::Restarted`] where it
    /// failed before it answered; [`AskError::Stopped`] where it does not run.
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, AskError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let actor = self.shared.name;
        let Ok(permit) = Arc::clone(&self.shared.permits).try_acquire_owned() else {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            return Err(AskError::Busy { actor, capacity: self.shared.capacity });
        };
        let (address, arbiter) = self.shared.running().ok_or(AskError::Stopped { actor })?;
        if !address.connected() {
            return Err(AskError::Stopped { actor });
        }
        let (answer, answered) = oneshot::channel();
        let is_spawned = arbiter.spawn(async move {
            let outcome = address.send(message).await;
            drop(permit);
            // A caller that stopped waiting is no fault: its deadline was shorter than the work.
            drop(answer.send(outcome));
        });
        if !is_spawned {
            return Err(AskError::Stopped { actor });
        }
        match answered.await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) | Err(_) => Err(AskError::Restarted { actor }),
        }
    }

    /// Returns how the actor stands.
    #[must_use]
    pub fn observe(&self) -> Observation {
        self.shared.observe()
    }
}
