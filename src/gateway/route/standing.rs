//! How a backend does, as all workers of a gateway see it: suspended after failures, tried again, down by its health
//! checks. A backend that is not watched has none of this. Nothing here waits or locks.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_model::EndpointCare;
use portcullis_model::backend_care::{HealthCheck, Retry, Suspension};

use crate::alarm::millis;

/// How long the one call that tries a suspended backend keeps others from it, unless it ends before.
const TRIAL_MS: u64 = 5_000;

/// How one backend does.
#[derive(Debug)]
pub(crate) struct Standing {
    suspension: Option<Suspension>,
    retry: Option<Retry>,
    pub(crate) health: Option<HealthCheck>,
    /// What milliseconds are counted from.
    began: Instant,
    /// Until when no call goes there; 0 for one that does well.
    unfit_until_ms: AtomicU64,
    /// How long the next suspension is.
    next_suspension_ms: AtomicU64,
    /// It was suspended, and no call has succeeded since.
    is_on_trial: AtomicBool,
    failures: AtomicU32,
    is_down: AtomicBool,
    /// Checks of one kind in a row.
    checks_failed: AtomicU32,
    checks_passed: AtomicU32,
    next_check_ms: AtomicU64,
}

/// What became of a backend that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// Nothing.
    None,
    /// It may be tried again after a time.
    TriedAgain(Duration),
    /// It is left alone for a time.
    Suspended(Duration),
}

impl Standing {
    /// Watches a backend as its publisher says; `None` for not at all.
    pub(crate) fn new(care: &EndpointCare) -> Option<Self> {
        care.is_watched().then(|| Self {
            suspension: care.suspension.clone(),
            retry: care.retry.clone(),
            health: care.health.clone(),
            began: Instant::now(),
            unfit_until_ms: AtomicU64::new(0),
            next_suspension_ms: AtomicU64::new(care.suspension.as_ref().map_or(0, |suspension| suspension.first_ms)),
            is_on_trial: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            is_down: AtomicBool::new(false),
            checks_failed: AtomicU32::new(0),
            checks_passed: AtomicU32::new(0),
            next_check_ms: AtomicU64::new(0),
        })
    }

    fn ms(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.began))
    }

    /// Says whether a call could go there now.
    pub(crate) fn looks_fit(&self, now: Instant) -> bool {
        !self.is_down.load(Ordering::Relaxed) && self.unfit_until_ms.load(Ordering::Relaxed) <= self.ms(now)
    }

    /// Says whether a call may go there now. Of those that come when a suspension ends, the first one does and the others
    /// learn by it.
    pub(crate) fn may_be_tried(&self, now: Instant) -> bool {
        if self.is_down.load(Ordering::Relaxed) {
            return false;
        }
        let until_ms = self.unfit_until_ms.load(Ordering::Acquire);
        let now_ms = self.ms(now);
        if until_ms > now_ms {
            return false;
        }
        if !self.is_on_trial.load(Ordering::Acquire) {
            return true;
        }
        let trial_ends_ms = now_ms.saturating_add(TRIAL_MS);
        self.unfit_until_ms.compare_exchange(until_ms, trial_ends_ms, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Returns how long no call goes there; `None` where only a health check can tell.
    pub(crate) fn unfit_for(&self, now: Instant) -> Option<Duration> {
        let until_ms = self.unfit_until_ms.load(Ordering::Relaxed);
        let left_ms = until_ms.saturating_sub(self.ms(now));
        (!self.is_down.load(Ordering::Relaxed)).then(|| Duration::from_millis(left_ms))
    }

    /// Notes that a call was answered.
    pub(crate) fn succeeded(&self) {
        // Written only where that changes something: all workers read it with each call.
        if self.unfit_until_ms.load(Ordering::Relaxed) == 0 && self.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.failures.store(0, Ordering::Relaxed);
        if let Some(suspension) = &self.suspension {
            self.next_suspension_ms.store(suspension.first_ms, Ordering::Relaxed);
        }
        self.is_on_trial.store(false, Ordering::Release);
        self.unfit_until_ms.store(0, Ordering::Release);
    }

    /// Notes that nothing was learnt of it: whoever tried it gave up.
    pub(crate) fn was_not_tried(&self, now: Instant) {
        if self.is_on_trial.load(Ordering::Relaxed) {
            self.unfit_until_ms.store(self.ms(now), Ordering::Release);
        }
    }

    /// Says whether an answer's status counts as a failure.
    pub(crate) fn is_failure(&self, status: u32) -> bool {
        let lists = [self.suspension.as_ref().map(|one| &one.codes), self.retry.as_ref().map(|one| &one.codes)];
        lists.into_iter().flatten().any(|codes| codes.contains(&status))
    }

    /// Says whether a call that failed by one of these codes is to be sent there again, and how often at most.
    pub(crate) fn retries(&self, codes: &[u32]) -> u32 {
        let retry = self.retry.as_ref().filter(|retry| codes.iter().any(|code| retry.codes.contains(code)));
        retry.map_or(0, |retry| retry.times)
    }

    /// Notes that a call failed by one of these codes.
    pub(crate) fn failed(&self, codes: &[u32], now: Instant) -> Consequence {
        let holds = |of: &[u32]| codes.iter().any(|code| of.contains(code));
        let retry = self.retry.as_ref().filter(|retry| holds(&retry.codes));
        let suspends = self.suspension.as_ref().is_some_and(|one| holds(&one.codes) || one.codes.is_empty());
        match retry {
            Some(retry) if !self.is_on_trial.load(Ordering::Relaxed) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if failures <= retry.times {
                    return Consequence::TriedAgain(Duration::from_millis(retry.delay_ms));
                }
            }
            None if !suspends => return Consequence::None,
            _ => {}
        }
        self.suspend(now)
    }

    fn suspend(&self, now: Instant) -> Consequence {
        let Some(suspension) = &self.suspension else { return Consequence::None };
        let length_ms = self.next_suspension_ms.load(Ordering::Relaxed);
        // A factor below two hundred of a day's milliseconds is far below what the type holds.
        let next_ms = (length_ms as f64 * suspension.factor) as u64;
        self.next_suspension_ms.store(next_ms.min(suspension.max_ms), Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        self.is_on_trial.store(true, Ordering::Release);
        self.unfit_until_ms.store(self.ms(now).saturating_add(length_ms).max(1), Ordering::Release);
        Consequence::Suspended(Duration::from_millis(length_ms))
    }

    /// Says whether its health is to be looked at now; if so, nobody else is told so before the next time.
    pub(crate) fn is_check_due(&self, now: Instant) -> bool {
        let Some(health) = &self.health else { return false };
        let (due_ms, now_ms) = (self.next_check_ms.load(Ordering::Acquire), self.ms(now));
        let next_ms = now_ms.saturating_add(health.interval_ms);
        due_ms <= now_ms
            && self.next_check_ms.compare_exchange(due_ms, next_ms, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Notes what a look at its health showed; returns whether it is up, where that has changed.
    pub(crate) fn checked(&self, is_well: bool) -> Option<bool> {
        let health = self.health.as_ref()?;
        let (counted, other, enough) = if is_well {
            (&self.checks_passed, &self.checks_failed, health.successes)
        } else {
            (&self.checks_failed, &self.checks_passed, health.failures)
        };
        other.store(0, Ordering::Relaxed);
        let in_a_row = counted.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if in_a_row < enough || self.is_down.load(Ordering::Relaxed) != is_well {
            return None;
        }
        self.is_down.store(!is_well, Ordering::Relaxed);
        Some(is_well)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(suspension: Option<Suspension>, retry: Option<Retry>) -> Standing {
        Standing::new(&EndpointCare { suspension, retry, ..EndpointCare::default() }).unwrap()
    }

    fn suspension(codes: &[u32]) -> Suspension {
        Suspension { codes: codes.to_vec(), first_ms: 100, factor: 2.0, max_ms: 300 }
    }

    fn after(standing: &Standing, ms: u64) -> Instant {
        standing.began + Duration::from_millis(ms)
    }

    #[test]
    fn a_backend_that_fails_again_is_left_alone_for_longer_each_time_up_to_a_bound() {
        let one = standing(Some(suspension(&[])), None);
        let mut at_ms = 0;
        for length_ms in [100, 200, 300, 300] {
            assert!(one.may_be_tried(after(&one, at_ms)));
            let consequence = one.failed(&[101_503], after(&one, at_ms));
            assert_eq!(consequence, Consequence::Suspended(Duration::from_millis(length_ms)));
            assert!(!one.may_be_tried(after(&one, at_ms + length_ms - 1)));
            at_ms += length_ms;
        }
        assert!(one.may_be_tried(after(&one, at_ms)));
        one.succeeded();
        let consequence = one.failed(&[101_503], after(&one, at_ms));
        assert_eq!(consequence, Consequence::Suspended(Duration::from_millis(100)), "it begins anew");
    }

    #[test]
    fn after_a_suspension_one_call_tries_and_the_others_learn_by_it() {
        let one = standing(Some(suspension(&[])), None);
        one.failed(&[101_503], after(&one, 0));
        assert!(one.may_be_tried(after(&one, 100)));
        assert!(!one.may_be_tried(after(&one, 100)) && !one.looks_fit(after(&one, 100)));
        one.was_not_tried(after(&one, 101));
        assert!(one.may_be_tried(after(&one, 101)), "the one that gave up taught nothing");
        one.succeeded();
        assert!(one.may_be_tried(after(&one, 101)) && one.may_be_tried(after(&one, 101)));
    }

    #[test]
    fn only_the_codes_that_are_named_count() {
        let one = standing(Some(suspension(&[101_503, 503])), None);
        assert_eq!(one.failed(&[101_504], after(&one, 0)), Consequence::None);
        assert!(one.is_failure(503) && !one.is_failure(500));
        assert!(matches!(one.failed(&[503], after(&one, 0)), Consequence::Suspended(_)));
    }

    #[test]
    fn a_backend_is_tried_again_so_often_and_then_suspended() {
        let retry = Retry { codes: vec![101_504], times: 2, delay_ms: 10 };
        let one = standing(Some(suspension(&[101_503])), Some(retry));
        let again = Consequence::TriedAgain(Duration::from_millis(10));
        let failed = || one.failed(&[101_504], after(&one, 0));
        assert_eq!((failed(), failed()), (again, again));
        assert_eq!(failed(), Consequence::Suspended(Duration::from_millis(100)));
        assert!(one.may_be_tried(after(&one, 100)));
        assert!(matches!(failed(), Consequence::Suspended(_)), "on trial the first failure counts");
        assert_eq!((one.retries(&[101_504]), one.retries(&[101_503])), (2, 0));
    }

    #[test]
    fn checks_in_a_row_turn_it_off_and_on() {
        let health = HealthCheck { path: "/".to_owned(), interval_ms: 100, timeout_ms: 100, failures: 2, successes: 2 };
        let one = Standing::new(&EndpointCare { health: Some(health), ..EndpointCare::default() }).unwrap();
        assert!(one.is_check_due(after(&one, 0)) && !one.is_check_due(after(&one, 99)));
        assert!(one.is_check_due(after(&one, 100)));
        assert_eq!([false, true, false].map(|well| one.checked(well)), [None; 3]);
        assert_eq!(one.checked(false), Some(false));
        assert!(!one.may_be_tried(after(&one, 0)) && one.unfit_for(after(&one, 0)).is_none());
        assert_eq!([false, true].map(|well| one.checked(well)), [None; 2]);
        assert_eq!(one.checked(true), Some(true));
        assert!(one.may_be_tried(after(&one, 0)));
    }
}
