//! Where workers of the gateway put what they gathered, between calls. It waits for nobody.

use std::sync::{Mutex, PoisonError};

use portcullis_model::port::CallStatistics;
use portcullis_model::statistics::Gathered;
use tokio::sync::Notify;

/// What may lie here: several times what the workers of a large machine hand on at once.
const WAITING_MAX: usize = 1_024;

/// The inbox.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Vec<Gathered>>,
    came: Notify,
}

impl Inbox {
    /// Takes everything out.
    pub(crate) fn empty(&self) -> Vec<Gathered> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Waits until something came since the last wait.
    pub(crate) async fn came(&self) {
        self.came.notified().await;
    }
}

impl CallStatistics for Inbox {
    fn take(&self, gathered: Gathered) -> Result<(), Gathered> {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= WAITING_MAX {
                return Err(gathered);
            }
            waiting.push(gathered);
        }
        self.came.notify_one();
        Ok(())
    }
}
