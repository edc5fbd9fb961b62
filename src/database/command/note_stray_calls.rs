use std::time::Duration;

use portcullis_model::stray_call::{STRAYS_MAX, StrayCall};
use portcullis_model::{NodeId, Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Statdb, State};

/// Calls of one command.
pub const STRAY_BATCH_MAX: usize = 64;

/// Notes calls that led to no API. To note the same twice is to note it once. The oldest go: those beyond the bound, and those
/// of more than 30 days ago.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoteStrayCalls {
    /// The node whose gateway it was.
    pub node: NodeId,
    /// The calls, each with a number that the node gives to no other.
    pub calls: Vec<(u64, StrayCall)>,
    /// How many are kept.
    pub kept_max: u32,
}

impl NoteStrayCalls {
    /// For how long calls are kept.
    pub const KEPT: Duration = Duration::from_secs(30 * 86_400);

    /// Returns the oldest call where it has to go: there are more than are kept, or it is too old.
    #[must_use]
    pub fn oldest_to_go(stat: &Statdb, kept_max: u32, now: Timestamp) -> Option<(Timestamp, NodeId, u64)> {
        let (key, _) = stat.stray_calls.get_min()?;
        let is_one_too_many = stat.stray_calls.len() > kept_max.min(STRAYS_MAX) as usize;
        (is_one_too_many || key.0.after(Self::KEPT) <= now).then_some(*key)
    }
}

impl<C: Component> SubmittedBy<C> for NoteStrayCalls where C: Writes<Statdb> {}

impl Command for NoteStrayCalls {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let stat = &mut state.stat;
        for (number, call) in self.calls.into_iter().take(STRAY_BATCH_MAX) {
            // A clock that is ahead does not keep a row for ever.
            let at = call.at.min(moment.now);
            stat.stray_calls.insert((at, self.node, number), call.into());
        }
        while let Some(key) = Self::oldest_to_go(stat, self.kept_max, moment.now) {
            stat.stray_calls.remove(&key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::store_fixture::Fixture;
    use super::*;

    fn note(numbers: std::ops::Range<u64>, at: u64, kept_max: u32) -> NoteStrayCalls {
        let call = StrayCall {
            at: Timestamp(at),
            from: "192.0.2.1".parse().unwrap(),
            request_id: "a".to_owned(),
            verb: "GET".to_owned(),
            path: "/wp-login.php".to_owned(),
            headers: "[]".to_owned(),
        };
        NoteStrayCalls { node: NodeId(1), calls: numbers.map(|number| (number, call.clone())).collect(), kept_max }
    }

    #[test]
    fn the_latest_are_kept_and_the_same_twice_is_once() {
        let mut fixture = Fixture::new();
        fixture.apply(note(0..5, 10, 100)).unwrap();
        fixture.apply(note(0..5, 10, 100)).unwrap();
        assert_eq!(fixture.state.stat.stray_calls.len(), 5);
        fixture.apply(note(5..9, 20, 6)).unwrap();
        let numbers: Vec<u64> = fixture.state.stat.stray_calls.keys().map(|(_, _, number)| *number).collect();
        assert_eq!(numbers, [3, 4, 5, 6, 7, 8]);
        let oldest = |stat: &Statdb, kept_max, now| NoteStrayCalls::oldest_to_go(stat, kept_max, Timestamp(now));
        let stat = &fixture.state.stat;
        assert_eq!((oldest(stat, 6, 20), oldest(stat, 5, 20)), (None, Some((Timestamp(10), NodeId(1), 3))));
        let days = |count: u64| count * 86_400_000;
        assert!(oldest(stat, 6, 9 + days(30)).is_none() && oldest(stat, 6, 10 + days(30)).is_some());
        fixture.apply(note(9..9, 20, 0)).unwrap();
        assert!(fixture.state.stat.stray_calls.is_empty());
    }
}
