//! Says whether the operations on one register could have happened one after the other, each between its beginning and
//! its end (linearizability), by the search of Wing and Gong with Lowe's memory of what was tried.

use std::collections::HashSet;
use std::time::Instant;

/// Configurations remembered at most; beyond that nothing is said. Some 100 bytes each.
const MEMORY_MAX: usize = 4_000_000;

/// What an operation does to the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It saw this value.
    Read(i64),
    /// It set this value.
    Write(i64),
    /// It found the first value and set the second.
    Cas(i64, i64),
}

impl Action {
    const fn apply(self, state: i64) -> Option<i64> {
        match self {
            Self::Read(seen) if seen == state => Some(state),
            Self::Write(new) => Some(new),
            Self::Cas(old, new) if old == state => Some(new),
            Self::Read(_) | Self::Cas(..) => None,
        }
    }
}

/// An operation: when it began, when it surely had ended (never, where its outcome is unknown), what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its place in the history, for people.
    pub index: usize,
    /// When it began.
    pub began: u64,
    /// When it ended; `u64::MAX` where nobody knows whether it happened.
    pub ended: u64,
    /// What it does.
    pub action: Action,
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is an order.
    Linearizable,
    /// There is none; the last of the shortest beginning of the history that has none.
    Not(Interval),
    /// Not found before the deadline or within the memory.
    OutOfReach,
}

/// Searches for an order of `intervals` on a register that is `first` at the beginning.
pub fn check(first: i64, intervals: &[Interval], deadline: Instant) -> Finding {
    match has_order(first, intervals, deadline) {
        Some(true) => Finding::Linearizable,
        None => Finding::OutOfReach,
        Some(false) => smallest(first, intervals, deadline),
    }
}

/// Halves its way to the shortest beginning that has no order: what is not linearizable stays so when more follows.
fn smallest(first: i64, intervals: &[Interval], deadline: Instant) -> Finding {
    let mut ends: Vec<&Interval> = intervals.iter().filter(|one| one.ended != u64::MAX).collect();
    ends.sort_by_key(|one| one.ended);
    let (mut low, mut high) = (0, ends.len().saturating_sub(1));
    while low < high {
        let middle = usize::midpoint(low, high);
        let cut = ends[middle].ended;
        let begun = intervals.iter().filter(|one| one.began <= cut);
        // What ends later may yet happen or not, but a read that has not ended says nothing.
        let open = |one: &Interval| Interval { ended: if one.ended > cut { u64::MAX } else { one.ended }, ..*one };
        let beginning: Vec<Interval> = begun.map(open).collect();
        if has_order(first, &beginning, deadline) == Some(false) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Finding::Not(*ends[high])
}

struct Event {
    op: usize,
    is_end: bool,
}

/// The events of a history as a list from which operations are lifted and to which they are put back.
struct Events {
    events: Vec<Event>,
    next: Vec<usize>,
    previous: Vec<usize>,
    end_of: Vec<Option<usize>>,
}

const HEAD: usize = 0;

impl Events {
    fn new(intervals: &[Interval]) -> Self {
        let mut sorted: Vec<(u64, bool, usize)> = Vec::new();
        for (op, interval) in intervals.iter().enumerate() {
            sorted.push((interval.began, false, op));
            if interval.ended != u64::MAX {
                sorted.push((interval.ended, true, op));
            }
        }
        // At one moment beginnings come first: then the two overlap, which allows more.
        sorted.sort_unstable();
        let mut events = vec![Event { op: usize::MAX, is_end: false }];
        let mut end_of = vec![None; intervals.len()];
        for (position, (_, is_end, op)) in sorted.into_iter().enumerate() {
            if is_end {
                end_of[op] = Some(position + 1);
            }
            events.push(Event { op, is_end });
        }
        let next = (1..=events.len()).collect();
        let previous = (0..events.len()).map(|position| position.saturating_sub(1)).chain([events.len() - 1]).collect();
        Self { events, next, previous, end_of }
    }

    const fn is_past_end(&self, position: usize) -> bool {
        position >= self.events.len()
    }

    fn unlink(&mut self, position: usize) {
        let (before, after) = (self.previous[position], self.next[position]);
        self.next[before] = after;
        self.previous[after] = before;
    }

    fn relink(&mut self, position: usize) {
        let (before, after) = (self.previous[position], self.next[position]);
        self.next[before] = position;
        self.previous[after] = position;
    }

    fn lift(&mut self, begin: usize) {
        self.unlink(begin);
        if let Some(end) = self.end_of[self.events[begin].op] {
            self.unlink(end);
        }
    }

    fn put_back(&mut self, begin: usize) {
        if let Some(end) = self.end_of[self.events[begin].op] {
            self.relink(end);
        }
        self.relink(begin);
    }
}

/// Says whether there is an order; nothing where the search was given up.
fn has_order(first: i64, intervals: &[Interval], deadline: Instant) -> Option<bool> {
    let is_worth = |one: &&Interval| one.ended != u64::MAX || !matches!(one.action, Action::Read(_));
    let intervals: Vec<Interval> = intervals.iter().filter(is_worth).copied().collect();
    let mut open = intervals.iter().filter(|one| one.ended != u64::MAX).count();
    let mut list = Events::new(&intervals);
    let mut done = vec![0_u64; intervals.len().div_ceil(64)];
    let mut tried: HashSet<(Vec<u64>, i64)> = HashSet::new();
    let mut lifted: Vec<(usize, i64)> = Vec::new();
    let mut state = first;
    let mut position = list.next[HEAD];
    let mut steps = 0_u32;
    while open > 0 {
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(4096) && (Instant::now() >= deadline || tried.len() > MEMORY_MAX) {
            return None;
        }
        if !list.is_past_end(position) && !list.events[position].is_end {
            let op = list.events[position].op;
            let after = intervals[op].action.apply(state).filter(|after| {
                done[op / 64] |= 1 << (op % 64);
                let is_new = tried.insert((done.clone(), *after));
                if !is_new {
                    done[op / 64] &= !(1 << (op % 64));
                }
                is_new
            });
            let Some(after) = after else {
                position = list.next[position];
                continue;
            };
            lifted.push((position, state));
            open -= usize::from(intervals[op].ended != u64::MAX);
            state = after;
            list.lift(position);
            position = list.next[HEAD];
            continue;
        }
        // An operation ended here that fits nowhere: the last choice was wrong.
        let Some((last, before)) = lifted.pop() else { return Some(false) };
        let op = list.events[last].op;
        done[op / 64] &= !(1 << (op % 64));
        open += usize::from(intervals[op].ended != u64::MAX);
        state = before;
        list.put_back(last);
        position = list.next[last];
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::random::Random;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn op(index: usize, began: u64, ended: u64, action: Action) -> Interval {
        Interval { index, began, ended, action }
    }

    /// Tries every order: the definition itself.
    fn by_definition(state: i64, left: &[Interval]) -> bool {
        if left.iter().all(|one| one.ended == u64::MAX) {
            return true;
        }
        let first_end = left.iter().map(|one| one.ended).min().unwrap();
        (0..left.len()).filter(|position| left[*position].began <= first_end).any(|position| {
            let mut rest = left.to_vec();
            let one = rest.remove(position);
            one.action.apply(state).is_some_and(|after| by_definition(after, &rest))
        })
    }

    #[test]
    fn good_histories_are_linearizable() {
        let overlap = [op(0, 0, 10, Action::Write(1)), op(1, 1, 3, Action::Read(1)), op(2, 2, 4, Action::Read(1))];
        assert_eq!(check(0, &overlap, soon()), Finding::Linearizable);
        let unknown =
            [op(0, 0, u64::MAX, Action::Write(1)), op(1, 5, 6, Action::Read(0)), op(2, 7, 8, Action::Read(1))];
        assert_eq!(check(0, &unknown, soon()), Finding::Linearizable);
    }

    #[test]
    fn a_stale_read_is_found_and_is_the_witness() {
        let stale = [
            op(0, 0, 1, Action::Write(1)),
            op(1, 2, 3, Action::Read(0)),
            op(2, 4, 5, Action::Read(1)),
            op(3, 6, 7, Action::Write(2)),
        ];
        assert_eq!(check(0, &stale, soon()), Finding::Not(stale[1]));
    }

    #[test]
    fn a_lost_update_is_found() {
        let lost = [op(0, 0, 5, Action::Cas(0, 1)), op(1, 1, 6, Action::Cas(0, 2))];
        assert!(matches!(check(0, &lost, soon()), Finding::Not(_)));
    }

    #[test]
    fn a_value_that_comes_back_is_found() {
        let back = [op(0, 0, u64::MAX, Action::Write(1)), op(1, 5, 6, Action::Read(1)), op(2, 7, 8, Action::Read(0))];
        assert_eq!(check(0, &back, soon()), Finding::Not(back[2]));
    }

    #[test]
    fn a_read_of_a_value_that_nobody_wrote_is_found() {
        assert!(matches!(check(0, &[op(0, 0, 1, Action::Read(9))], soon()), Finding::Not(_)));
    }

    #[test]
    fn the_search_agrees_with_the_definition_on_small_random_histories() {
        let mut random = Random::new(7);
        let mut bad = 0;
        for _ in 0..3000 {
            let count = 2 + random.below(6);
            let mut intervals = Vec::new();
            for index in 0..count {
                let began = random.below(20) as u64 * 2;
                let ended = if random.chance(15) { u64::MAX } else { began + 1 + 2 * random.below(6) as u64 };
                let value = i64::try_from(random.below(3)).unwrap();
                let other = i64::try_from(random.below(3)).unwrap();
                let action = *random.pick(&[Action::Read(value), Action::Write(value), Action::Cas(other, value)]);
                intervals.push(op(index, began, ended, action));
            }
            // A read that never ended says nothing; the definition need not know that.
            intervals.retain(|one| one.ended != u64::MAX || !matches!(one.action, Action::Read(_)));
            let expected = by_definition(0, &intervals);
            bad += usize::from(!expected);
            assert_eq!(check(0, &intervals, soon()) == Finding::Linearizable, expected, "{intervals:?}");
        }
        assert!((500..2800).contains(&bad), "{bad} of 3000 were bad");
    }

    #[test]
    fn a_search_that_takes_too_long_is_given_up_and_never_called_invalid() {
        let mut intervals: Vec<Interval> =
            (0..40).map(|index| op(index, 0, u64::MAX, Action::Write(i64::try_from(index).unwrap() + 1))).collect();
        for index in 40..60 {
            intervals.push(op(index, 100, 200, Action::Cas(i64::try_from(index).unwrap() - 39, 0)));
        }
        intervals.push(op(60, 300, 301, Action::Read(99)));
        assert_eq!(check(0, &intervals, Instant::now() + Duration::from_millis(50)), Finding::OutOfReach);
    }
}
