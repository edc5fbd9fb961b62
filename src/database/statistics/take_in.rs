//! Takes a batch into the rows: exactly once, in order; and drops what is not kept any longer.

use std::sync::Arc;

use portcullis_model::statistics::{Aspect, MINUTE_MS, Subject, Tally};
use portcullis_model::{ApiId, Timestamp};

use super::{
    BATCH_ROWS_MAX, BatchReply, LastAccess, NAMES_MAX, Span, StatisticsBatch, StatisticsBounds, StatisticsSource,
    SummaryKey,
};
use crate::state::{Statdb, State};

/// Takes a batch in.
pub(crate) fn take_in(state: &mut State, batch: StatisticsBatch, now: Timestamp) -> BatchReply {
    let stat = &mut state.stat;
    let source = StatisticsSource { boot: batch.boot, sequence: batch.sequence };
    if let Some(known) = stat.sources.get(&batch.node) {
        if source.boot < known.boot {
            return BatchReply::Stale { boot: known.boot };
        }
        if source.boot == known.boot && source.sequence <= known.sequence {
            return BatchReply::AlreadyApplied;
        }
    }
    stat.sources.insert(batch.node, source);
    for api in batch.apis {
        if stat.apis.get(&api.id).map_or(stat.apis.len() < NAMES_MAX, |known| **known != api) {
            stat.apis.insert(api.id, Arc::new(api));
        }
    }
    for application in batch.applications {
        let known = stat.applications.get(&application.id);
        if known.map_or(stat.applications.len() < NAMES_MAX, |known| **known != application) {
            stat.applications.insert(application.id, Arc::new(application));
        }
    }
    // No row is later than the entry, so that a node whose clock is ahead makes none that would never end.
    let now = u32::try_from(now.0 / MINUTE_MS).unwrap_or(u32::MAX);
    let minute = batch.minute.min(now);
    let mut taken = 0;
    for (subject, tally) in batch.rows.into_iter().take(BATCH_ROWS_MAX) {
        if subject.aspect == Aspect::Whole {
            let by_node = Subject { aspect: Aspect::Node, value: batch.node.to_string().into(), ..subject.clone() };
            let untimed = Tally { times: None, ..tally.clone() };
            enter(stat, &batch.bounds, (minute, now), &by_node, &untimed);
            taken += 1;
        }
        note_access(stat, &subject, &tally);
        enter(stat, &batch.bounds, (minute, now), &subject, &tally);
        taken += 1;
    }
    drop_old(stat, &batch.bounds, now, taken);
    BatchReply::Applied
}

/// Adds calls to the rows of their minute, hour and day, as far as these are kept.
fn enter(stat: &mut Statdb, bounds: &StatisticsBounds, (minute, now): (u32, u32), subject: &Subject, tally: &Tally) {
    for (span, kept) in Span::ALL.into_iter().zip(bounds.kept) {
        let start = span.start_of(minute);
        if is_over(span, start, kept, now) {
            continue;
        }
        let key = SummaryKey { span, start, subject: subject.clone() };
        let key = if stat.summaries.contains_key(&key) { key } else { opened(stat, bounds.values_max, key) };
        let row = stat.summaries.entry(key).or_default();
        let mut sum = Tally::clone(row);
        sum.merge(tally);
        *row = Arc::new(sum);
    }
}

/// Returns under which key something new is entered: its own while there is room, else that of all others.
fn opened(stat: &mut Statdb, values_max: u32, key: SummaryKey) -> SummaryKey {
    let bucket = (key.span, key.start, key.subject.aspect);
    let count = stat.bucket_rows.get(&bucket).copied().unwrap_or(0);
    let other = key.subject.other();
    let key = if count < values_max {
        key
    } else if count < values_max.saturating_mul(2) || stat.summaries.contains_key(&under(&key, other.clone())) {
        under(&key, other)
    } else {
        let other_api = key.subject.other_api();
        under(&key, other_api)
    };
    if !stat.summaries.contains_key(&key) {
        stat.bucket_rows.insert(bucket, count.saturating_add(1));
    }
    key
}

fn under(key: &SummaryKey, subject: Subject) -> SummaryKey {
    SummaryKey { span: key.span, start: key.start, subject }
}

fn note_access(stat: &mut Statdb, subject: &Subject, tally: &Tally) {
    let (application, user) = match subject.aspect {
        Aspect::Whole => (None, Arc::from("")),
        Aspect::User => (subject.application, Arc::clone(&subject.value)),
        _ => return,
    };
    let is_later = |known: &LastAccess| {
        known.at < tally.last || (known.at == tally.last && known.user.is_empty() && !user.is_empty())
    };
    let api: ApiId = subject.api;
    let known = stat.last_access.get(&api);
    if known.map_or(stat.last_access.len() < NAMES_MAX, |known| is_later(known)) {
        stat.last_access.insert(api, Arc::new(LastAccess { at: tally.last, application, user }));
    }
}

/// Says whether a row is older than it is kept.
fn is_over(span: Span, start: u32, kept: u32, now: u32) -> bool {
    start.saturating_add(span.minutes()).saturating_add(kept) <= now
}

/// Drops rows that are older than they are kept, and the oldest beyond the bound; more at a time than a batch can add, so
/// that they cannot pile up.
fn drop_old(stat: &mut Statdb, bounds: &StatisticsBounds, now: u32, taken: usize) {
    let mut left = taken * Span::ALL.len() * 2 + 64;
    for (span, kept) in Span::ALL.into_iter().zip(bounds.kept) {
        while left > 0 && first_of(stat, span).is_some_and(|key| is_over(span, key.start, kept, now)) {
            drop_first(stat, span);
            left -= 1;
        }
    }
    let rows_max = usize::try_from(bounds.rows_max).unwrap_or(usize::MAX);
    while left > 0 && stat.summaries.len() > rows_max {
        let Some(span) = Span::ALL.into_iter().find(|span| first_of(stat, *span).is_some()) else { return };
        drop_first(stat, span);
        left -= 1;
    }
}

fn first_of(stat: &Statdb, span: Span) -> Option<&SummaryKey> {
    let least = Subject { aspect: Aspect::Whole, api: least_api(), application: None, value: Arc::from("") };
    let from = SummaryKey { span, start: 0, subject: least };
    stat.summaries.range(from..).next().map(|(key, _)| key).filter(|key| key.span == span)
}

fn least_api() -> ApiId {
    portcullis_model::statistics::no_api()
}

fn drop_first(stat: &mut Statdb, span: Span) {
    let Some(key) = first_of(stat, span).cloned() else { return };
    stat.summaries.remove(&key);
    let bucket = (key.span, key.start, key.subject.aspect);
    let left = stat.bucket_rows.get(&bucket).copied().unwrap_or(0).saturating_sub(1);
    if left == 0 {
        stat.bucket_rows.remove(&bucket);
    } else {
        stat.bucket_rows.insert(bucket, left);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::NodeId;
    use portcullis_model::statistics::{OTHER, Times};

    use super::*;

    const BOUNDS: StatisticsBounds = StatisticsBounds { values_max: 3, rows_max: 10_000, kept: [60, 600, 6_000] };
    const START: u32 = 28_800_000;

    fn api(number: u8) -> ApiId {
        ApiId::from_random([number; 16])
    }

    fn row(aspect: Aspect, api: ApiId, value: &str, calls: u64) -> (Subject, Tally) {
        let mut times = Times::default();
        (0..calls).for_each(|_| times.total.add(1_000));
        let times = aspect.has_times().then(|| Box::new(times.pack()));
        let tally = Tally { calls, classes: [0, 0, calls, 0, 0, 0], times, ..Tally::default() };
        (Subject { aspect, api, application: None, value: value.into() }, tally)
    }

    fn batch(node: u64, boot: u64, sequence: u64, minute: u32, rows: Vec<(Subject, Tally)>) -> StatisticsBatch {
        let (apis, applications) = (Vec::new(), Vec::new());
        StatisticsBatch { node: NodeId(node), boot, sequence, minute, bounds: BOUNDS, rows, apis, applications }
    }

    fn at(minute: u32) -> Timestamp {
        Timestamp(u64::from(minute) * MINUTE_MS)
    }

    fn calls(state: &State, span: Span, aspect: Aspect) -> u64 {
        let rows = state.stat.summaries.iter();
        rows.filter(|(key, _)| key.span == span && key.subject.aspect == aspect).map(|(_, tally)| tally.calls).sum()
    }

    #[test]
    fn a_batch_counts_once_in_minute_hour_and_day_and_by_node() {
        let mut state = State::default();
        let rows = || vec![row(Aspect::Whole, api(1), "", 5), row(Aspect::Resource, api(1), "GET /menu", 5)];
        for reply in [BatchReply::Applied, BatchReply::AlreadyApplied] {
            assert_eq!(take_in(&mut state, batch(1, 7, 1, START, rows()), at(START)), reply);
        }
        assert_eq!(take_in(&mut state, batch(1, 7, 2, START + 1, rows()), at(START + 1)), BatchReply::Applied);
        assert_eq!(take_in(&mut state, batch(1, 6, 3, START, rows()), at(START)), BatchReply::Stale { boot: 7 });
        assert_eq!(take_in(&mut state, batch(1, 8, 1, START, rows()), at(START)), BatchReply::Applied);
        assert_eq!(take_in(&mut state, batch(2, 1, 1, START, rows()), at(START)), BatchReply::Applied);
        for span in Span::ALL {
            for aspect in [Aspect::Whole, Aspect::Resource, Aspect::Node] {
                assert_eq!(calls(&state, span, aspect), 20, "{span:?} {aspect:?}");
            }
        }
        let timed = state.stat.summaries.iter().find(|(key, _)| key.span == Span::Day).unwrap().1;
        assert_eq!(timed.times.as_ref().unwrap().total.open().count(), 20);
    }

    #[test]
    fn values_beyond_the_bound_are_counted_as_other_and_apis_beyond_it_too() {
        let mut state = State::default();
        let rows = (0..20).map(|number| row(Aspect::User, api(number), &format!("user-{number}"), 1)).collect();
        take_in(&mut state, batch(1, 1, 1, START, rows), at(START));
        assert_eq!(calls(&state, Span::Minute, Aspect::User), 20);
        let minutes = state.stat.summaries.keys().filter(|key| key.span == Span::Minute).count();
        // As many as may have their own, as many APIs of which the others are, and all the rest.
        assert_eq!(minutes, 7);
        let others = state.stat.summaries.keys().filter(|key| &*key.subject.value == OTHER).count();
        assert_eq!(others, 4 * 3);
    }

    #[test]
    fn what_is_old_goes_and_what_comes_late_counts_where_it_is_still_kept() {
        let mut state = State::default();
        let whole = || vec![row(Aspect::Whole, api(1), "", 1)];
        take_in(&mut state, batch(1, 1, 1, START, whole()), at(START));
        take_in(&mut state, batch(1, 1, 2, START + 120, whole()), at(START + 120));
        let count = |state: &State, span| calls(state, span, Aspect::Whole);
        assert_eq!([count(&state, Span::Minute), count(&state, Span::Hour), count(&state, Span::Day)], [1, 2, 2]);
        take_in(&mut state, batch(1, 1, 3, START, whole()), at(START + 121));
        assert_eq!([count(&state, Span::Minute), count(&state, Span::Hour), count(&state, Span::Day)], [1, 3, 3]);
        take_in(&mut state, batch(1, 1, 4, START + 9_999, whole()), at(START + 9_000));
        assert_eq!([count(&state, Span::Minute), count(&state, Span::Hour), count(&state, Span::Day)], [1, 1, 1]);
        let minutes: u32 = state.stat.bucket_rows.values().sum();
        assert_eq!(usize::try_from(minutes).unwrap(), state.stat.summaries.len());
    }

    #[test]
    fn there_are_never_many_more_rows_than_the_bound_and_days_stay_longest() {
        let mut state = State::default();
        for sequence in 1..=400 {
            let minute = START + u32::try_from(sequence).unwrap();
            let mut batch = batch(1, 1, sequence, minute, vec![row(Aspect::Whole, api(1), "", 1)]);
            batch.bounds = StatisticsBounds { values_max: 100, rows_max: 50, kept: [u32::MAX; 3] };
            take_in(&mut state, batch, at(minute));
        }
        assert!(state.stat.summaries.len() <= 50, "{}", state.stat.summaries.len());
        assert_eq!(calls(&state, Span::Day, Aspect::Whole), 400);
        assert_eq!(state.stat.last_access.len(), 1);
    }
}
