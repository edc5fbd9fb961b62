//! Remembers signed statements that are good once, until they end: a second use on this node is noticed.

use std::fmt;
use std::time::Instant;

use quick_cache::sync::Cache;

/// Statements remembered; far more than a node can check in their life.
const REMEMBERED_MAX: usize = 200_000;

/// What was seen. Shared by threads; only one of two that note the same hears that it is new.
pub struct SeenOnce(Cache<[u8; 32], Instant>);

impl Default for SeenOnce {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SeenOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeenOnce")
    }
}

impl SeenOnce {
    /// Starts with nothing remembered.
    #[must_use]
    pub fn new() -> Self {
        Self(Cache::new(REMEMBERED_MAX))
    }

    /// Notes a statement; `false` where it was seen before and its time is not over.
    pub fn note(&self, id: [u8; 32], until: Instant) -> bool {
        let now = Instant::now();
        let mut is_new = false;
        // One of two that come at the same time makes the entry.
        let noted = self.0.get_or_insert_with(&id, || {
            is_new = true;
            Ok::<_, std::convert::Infallible>(until)
        });
        let Ok(known_until) = noted;
        if is_new {
            return true;
        }
        if known_until > now {
            return false;
        }
        self.0.insert(id, until);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_statement_is_new_once() {
        let seen = SeenOnce::new();
        let until = Instant::now() + Duration::from_secs(60);
        assert!(seen.note([1; 32], until));
        assert!(!seen.note([1; 32], until));
        assert!(seen.note([2; 32], until));
        assert!(seen.note([3; 32], Instant::now()));
        assert!(seen.note([3; 32], until), "its first time is over");
    }
}
