//! Counts wrong device codes of each user, so that nobody tries them all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use crate::password::UserKey;

/// Wrong codes of a user before he must wait.
const GUESSES_MAX: u32 = 20;
/// How long.
const PAUSE: Duration = Duration::from_secs(600);
/// Users whose guesses are counted.
const USERS_MAX: usize = 10_000;

/// The wrong codes of users.
pub(crate) struct Guesses(Cache<UserKey, Arc<Mutex<(u32, Instant)>>>);

impl Guesses {
    pub fn new() -> Self {
        Self(Cache::new(USERS_MAX))
    }

    /// Says whether a user must wait.
    pub fn are_used_up(&self, user: &UserKey) -> bool {
        let Some(tally) = self.0.get(user) else { return false };
        let (count, last) = *tally.lock().unwrap_or_else(PoisonError::into_inner);
        count >= GUESSES_MAX && last.elapsed() < PAUSE
    }

    /// Counts a wrong code.
    pub fn count(&self, user: &UserKey) {
        let tally = self.0.get(user).unwrap_or_else(|| {
            let tally = Arc::new(Mutex::new((0, Instant::now())));
            self.0.insert(user.clone(), Arc::clone(&tally));
            tally
        });
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        if tally.1.elapsed() >= PAUSE {
            tally.0 = 0;
        }
        *tally = (tally.0.saturating_add(1), Instant::now());
    }
}
