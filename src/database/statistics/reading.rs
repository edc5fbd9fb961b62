//! Reads the statistics: which rows there are of a time and aspect, as far as somebody may see them. It adds nothing up.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_model::statistics::{Aspect, MINUTE_MS, Subject, Tally, no_api};
use portcullis_model::{ApiId, ApplicationId, TenantDomain, Timestamp, Username};

use super::{Span, SummaryKey};
use crate::state::Statdb;

/// What somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Everything.
    All,
    /// Calls to the APIs of a tenant.
    Tenant(TenantDomain),
    /// Calls to these APIs.
    Apis(Arc<BTreeSet<ApiId>>),
    /// Calls by the applications of a user.
    Owner(TenantDomain, Username),
}

/// Which rows are wanted. All that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// What may be seen.
    pub sight: Sight,
    /// Of which API.
    pub api: Option<ApiId>,
    /// Of which application.
    pub application: Option<ApplicationId>,
    /// How long the rows' times are.
    pub span: Span,
    /// From which minute on.
    pub from: u32,
    /// To which minute; it is not part of it.
    pub to: u32,
}

/// A row that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The first minute of its time.
    pub start: u32,
    /// What it is about.
    pub subject: &'a Subject,
    /// The calls.
    pub tally: &'a Tally,
}

impl Selection {
    /// Returns a selection of everything from one minute to another, with the times that fit such a length.
    #[must_use]
    pub fn new(sight: Sight, from: u32, to: u32) -> Self {
        Self { sight, api: None, application: None, span: Self::span_of(to.saturating_sub(from)), from, to }
    }

    /// Returns how long times are to be where so many minutes are looked at: some dozens to some hundreds of them.
    #[must_use]
    pub fn span_of(minutes: u32) -> Span {
        match minutes {
            0..=360 => Span::Minute,
            361..=20_160 => Span::Hour,
            _ => Span::Day,
        }
    }

    fn sees(&self, stat: &Statdb, subject: &Subject) -> bool {
        if self.application.is_some_and(|wanted| subject.application != Some(wanted)) {
            return false;
        }
        match &self.sight {
            Sight::All => true,
            Sight::Tenant(tenant) => match stat.apis.get(&subject.api) {
                Some(api) => api.tenant == *tenant,
                None => subject.api == no_api() && tenant.is_super(),
            },
            Sight::Apis(apis) => apis.contains(&subject.api),
            Sight::Owner(tenant, owner) => {
                let application = subject.application.and_then(|id| stat.applications.get(&id));
                application.is_some_and(|known| known.tenant == *tenant && known.owner == *owner)
            }
        }
    }
}

/// Returns the rows of an aspect, in order of time.
#[must_use]
pub fn find<'a>(stat: &'a Statdb, aspect: Aspect, selection: &Selection) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    let span = selection.span;
    let mut start = span.start_of(selection.from);
    while start < selection.to {
        let first =
            Subject { aspect, api: selection.api.unwrap_or_else(no_api), application: None, value: Arc::from("") };
        let mut after = None;
        for (key, tally) in stat.summaries.range(SummaryKey { span, start, subject: first }..) {
            let is_of_api = selection.api.is_none_or(|api| key.subject.api == api);
            if key.span != span || key.start != start || key.subject.aspect != aspect || !is_of_api {
                after = Some(key);
                break;
            }
            if selection.sees(stat, &key.subject) {
                found.push(Found { start, subject: &key.subject, tally });
            }
        }
        let next = start.saturating_add(span.minutes());
        match after {
            // Where nothing is between, nothing is looked at.
            Some(key) if key.span == span => start = next.max(key.start),
            _ => break,
        }
    }
    found
}

/// Returns how many calls an application has made to an API, as far as is kept: by days.
#[must_use]
pub fn calls_of(stat: &Statdb, api: ApiId, application: ApplicationId) -> Tally {
    let mut selection = Selection::new(Sight::All, 0, u32::MAX);
    selection.api = Some(api);
    selection.application = Some(application);
    let mut sum = Tally::default();
    find(stat, Aspect::Application, &selection).iter().for_each(|row| sum.merge(row.tally));
    sum
}

/// Returns how many calls there were from one time to another. Whole minutes are counted where they are kept, whole hours
/// and days where not.
#[must_use]
pub fn calls_between(stat: &Statdb, sight: &Sight, from: Timestamp, to: Timestamp) -> u64 {
    let minute = |time: Timestamp| u32::try_from(time.0 / MINUTE_MS).unwrap_or(u32::MAX);
    let (from, to) = (minute(from), minute(Timestamp(to.0.saturating_add(MINUTE_MS - 1))));
    let kept_from = |span: Span| {
        let subject = Subject { aspect: Aspect::Whole, api: no_api(), application: None, value: Arc::from("") };
        let first = stat.summaries.range(SummaryKey { span, start: 0, subject }..).next();
        first.filter(|(key, _)| key.span == span).map_or(u32::MAX, |(key, _)| key.start)
    };
    // Each shorter time is used from where it is kept whole.
    let minutes_from = Span::Hour.start_of(kept_from(Span::Minute).saturating_add(59)).max(from);
    // A day of which hours or minutes are counted is not counted as a whole too, nor is one in which what is kept begins.
    let whole_days_until = Span::Day.start_of(kept_from(Span::Hour).saturating_add(1_439));
    let hours_from = whole_days_until.min(Span::Day.start_of(minutes_from)).max(from).min(minutes_from);
    let count = |span: Span, from: u32, to: u32| -> u64 {
        if from >= to {
            return 0;
        }
        let selection = Selection { span, ..Selection::new(sight.clone(), from, to) };
        find(stat, Aspect::Whole, &selection).iter().map(|row| row.tally.calls).sum()
    };
    count(Span::Day, from, hours_from.min(to))
        + count(Span::Hour, hours_from, minutes_from.min(to))
        + count(Span::Minute, minutes_from, to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    fn api(number: u8) -> ApiId {
        ApiId::from_random([number; 16])
    }

    /// One call a minute to each of two APIs for three days, kept as if minutes stay a day.
    fn filled() -> State {
        let mut state = State::default();
        let first = 28_800_000;
        for minute in first..first + 3 * 1_440 {
            for number in [1, 2] {
                for span in Span::ALL {
                    if span == Span::Minute && minute < first + 2 * 1_440 {
                        continue;
                    }
                    let subject =
                        Subject { aspect: Aspect::Whole, api: api(number), application: None, value: Arc::from("") };
                    let key = SummaryKey { span, start: span.start_of(minute), subject };
                    let row = state.stat.summaries.entry(key).or_default();
                    let mut sum = Tally::clone(row);
                    sum.merge(&Tally { calls: 1, ..Tally::default() });
                    *row = Arc::new(sum);
                }
            }
        }
        state
    }

    #[test]
    fn rows_are_found_by_time_and_api() {
        let state = filled();
        let mut selection = Selection::new(Sight::All, 28_800_000 + 2 * 1_440, 28_800_000 + 2 * 1_440 + 10);
        assert_eq!(find(&state.stat, Aspect::Whole, &selection).len(), 20);
        selection.api = Some(api(2));
        assert_eq!(find(&state.stat, Aspect::Whole, &selection).len(), 10);
        assert!(find(&state.stat, Aspect::User, &selection).is_empty());
        let all = Selection::new(Sight::All, 0, u32::MAX);
        assert_eq!(find(&state.stat, Aspect::Whole, &all).len(), 6);
        selection.sight = Sight::Tenant(TenantDomain("other".to_owned()));
        assert!(find(&state.stat, Aspect::Whole, &selection).is_empty());
    }

    /// Two calls in each of some minutes from `begins` on, of which everything is kept.
    fn begun(begins: u32, minutes: u32) -> State {
        let mut state = State::default();
        for minute in begins..begins + minutes {
            for span in Span::ALL {
                let subject = Subject { aspect: Aspect::Whole, api: api(1), application: None, value: Arc::from("") };
                let key = SummaryKey { span, start: span.start_of(minute), subject };
                let row = state.stat.summaries.entry(key).or_default();
                let mut sum = Tally::clone(row);
                sum.merge(&Tally { calls: 2, ..Tally::default() });
                *row = Arc::new(sum);
            }
        }
        state
    }

    #[test]
    fn no_call_is_counted_twice_whenever_in_a_day_the_first_of_all_was() {
        let day = 28_800_000;
        for begins in [0, 1, 59, 60, 61, 1_199, 1_200, 1_379, 1_439] {
            for minutes in [1, 2, 60, 61, 121, 1_500, 3_000] {
                let state = begun(day + begins, minutes);
                let all = calls_between(&state.stat, &Sight::All, Timestamp(0), Timestamp(u64::MAX));
                assert_eq!(all, u64::from(2 * minutes), "{minutes} minutes from {begins} on");
            }
        }
    }

    #[test]
    fn calls_are_counted_by_the_shortest_times_that_are_kept() {
        let state = filled();
        let at = |minute: u64| Timestamp((28_800_000 + minute) * MINUTE_MS);
        let count = |from, to| calls_between(&state.stat, &Sight::All, at(from), at(to));
        assert_eq!(count(0, 3 * 1_440), 2 * 3 * 1_440);
        assert_eq!(count(2 * 1_440 + 7, 2 * 1_440 + 17), 20);
        assert_eq!(count(60, 120), 120);
    }
}
