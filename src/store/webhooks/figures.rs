//! Counts what becomes of events and of requests to subscribe, for the metrics of the node.

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_model::port::WebhookFigures;

/// What became of an event for one callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The callback took it.
    Taken,
    /// It did not, however often it was tried.
    GivenUp,
    /// It said that it is not there any more.
    Gone,
    /// It was not to get the event any more, or was left alone because of others.
    Unwanted,
    /// The plan had no room.
    OverPlan,
    /// Too much was under way to the application.
    Crowded,
    /// It could not be signed.
    Unsigned,
}

/// What became of a request to subscribe a callback, or to end that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The callback confirmed it, and it is kept.
    Confirmed,
    /// The callback did not confirm it.
    Unconfirmed,
    /// The callback could not be asked.
    Unreachable,
    /// The callback confirmed it, and it was refused after all.
    Denied,
}

const FATES: [(Fate, &str); 7] = [
    (Fate::Taken, "taken"),
    (Fate::GivenUp, "given_up"),
    (Fate::Gone, "gone"),
    (Fate::Unwanted, "unwanted"),
    (Fate::OverPlan, "over_plan"),
    (Fate::Crowded, "crowded"),
    (Fate::Unsigned, "unsigned"),
];
const ANSWERS: [(Answer, &str); 4] = [
    (Answer::Confirmed, "confirmed"),
    (Answer::Unconfirmed, "unconfirmed"),
    (Answer::Unreachable, "unreachable"),
    (Answer::Denied, "denied"),
];

/// The counts of a hub.
#[derive(Debug, Default)]
pub(super) struct Counts {
    under_way: AtomicU64,
    fates: [AtomicU64; FATES.len()],
    answers: [AtomicU64; ANSWERS.len()],
}

impl Counts {
    /// Notes how many events are on their way.
    pub(super) fn are_under_way(&self, events: usize) {
        self.under_way.store(events as u64, Ordering::Relaxed);
    }

    /// Counts what became of events, each for one callback.
    pub(super) fn ended(&self, fate: Fate, events: usize) {
        self.fates[fate as usize].fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Counts what became of a request.
    pub(super) fn answered(&self, answer: Answer) {
        self.answers[answer as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts with their names.
    pub(super) fn figures(&self) -> WebhookFigures {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        WebhookFigures {
            under_way: read(&self.under_way),
            deliveries: FATES.iter().map(|(fate, name)| (*name, read(&self.fates[*fate as usize]))).collect(),
            requests: ANSWERS.iter().map(|(answer, name)| (*name, read(&self.answers[*answer as usize]))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_is_under_its_own_name() {
        let counts = Counts::default();
        for (index, (fate, _)) in FATES.iter().enumerate() {
            counts.ended(*fate, index + 1);
        }
        for (index, (answer, _)) in ANSWERS.iter().enumerate() {
            (0..=index).for_each(|_| counts.answered(*answer));
        }
        let figures = counts.figures();
        for (figures, names) in [(figures.deliveries, FATES.len()), (figures.requests, ANSWERS.len())] {
            let counted: Vec<u64> = figures.iter().map(|(_, count)| *count).collect();
            assert_eq!(counted, (1..=names as u64).collect::<Vec<_>>());
        }
    }
}
