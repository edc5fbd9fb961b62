//! What each application has of the deliveries that are under way: slow callbacks of one do not hold up those of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_model::ApplicationId;
use tokio::sync::Semaphore;

use super::delivery::UNDER_WAY_MAX;

/// Deliveries of one application under way, those that wait for another try included, from which on it gets no further
/// event.
const UNDER_WAY_OF_ONE_MAX: usize = UNDER_WAY_MAX / 8;
/// Events posted at a time to the callbacks of one application.
const POSTED_OF_ONE_AT_ONCE: usize = 8;

/// The shares of the applications that have any delivery under way.
#[derive(Default)]
pub(super) struct Shares(BTreeMap<ApplicationId, Share>);

struct Share {
    turns: Arc<Semaphore>,
    under_way: usize,
}

impl Shares {
    /// Returns the applications that get no further event now.
    pub(super) fn full(&self) -> BTreeSet<ApplicationId> {
        let full = self.0.iter().filter(|(_, share)| share.under_way >= UNDER_WAY_OF_ONE_MAX);
        full.map(|(application, _)| *application).collect()
    }

    /// Counts a delivery of an application; returns the turns by which its events are posted.
    pub(super) fn begin(&mut self, application: ApplicationId) -> Arc<Semaphore> {
        let new = || Share { turns: Arc::new(Semaphore::new(POSTED_OF_ONE_AT_ONCE)), under_way: 0 };
        let share = self.0.entry(application).or_insert_with(new);
        share.under_way += 1;
        Arc::clone(&share.turns)
    }

    /// Counts a delivery no more.
    pub(super) fn end(&mut self, application: ApplicationId) {
        let Some(share) = self.0.get_mut(&application) else { return };
        share.under_way -= 1;
        if share.under_way == 0 {
            self.0.remove(&application);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_application_is_full_and_others_are_not() {
        let [one, other] = [1, 2].map(|byte| ApplicationId::from_random([byte; 16]));
        let mut shares = Shares::default();
        let turns = shares.begin(one);
        for _ in 1..UNDER_WAY_OF_ONE_MAX {
            assert!(shares.full().is_empty() && Arc::ptr_eq(&turns, &shares.begin(one)));
        }
        assert!(!Arc::ptr_eq(&turns, &shares.begin(other)), "others have turns of their own");
        assert_eq!(shares.full(), BTreeSet::from([one]));
        shares.end(one);
        assert!(shares.full().is_empty());
        for _ in 1..UNDER_WAY_OF_ONE_MAX {
            shares.end(one);
        }
        shares.end(other);
        assert!(shares.0.is_empty(), "what has ended is not kept");
    }
}
