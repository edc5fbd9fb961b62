//! What is worth an alert: the calls of the last minutes against thresholds, and against the day before.

use std::collections::BTreeMap;

use portcullis_database::Statdb;
use portcullis_database::statistics::Span;
use portcullis_database::statistics::reading::{Selection, Sight, find};
use portcullis_model::alert::AlertKind as Kind;
use portcullis_model::statistics::{Aspect, Tally, no_api};
use portcullis_model::{ApiId, ApplicationId, CallerNetwork};

use super::About;

/// Minutes that are looked at: the present one and those before.
const MINUTES: u32 = 5;
/// Hours with calls that are needed to know what is usual.
const HOURS_MIN: u64 = 3;
/// The code of calls beyond a business plan, and of those beyond an application's policy.
const BEYOND_PLAN: [&str; 2] = ["900804", "900803"];

/// From when on something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Calls below which nothing is said of an API, so that a few calls are no alarm.
    pub calls_min: u64,
    /// How many times as many, as few or as slow as usual; 0 for never.
    pub factor: u64,
    /// Percent of calls that fail with 5xx; 0 for never.
    pub errors_percent: u64,
    /// Calls turned away by a plan or an application's policy; 0 for never.
    pub throttled_min: u64,
    /// For how many days an address is known after a call from it; 0 where addresses are not looked at.
    pub unseen_days: u64,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) kind: Kind,
    pub(super) api: ApiId,
    pub(super) api_name: String,
    pub(super) api_version: String,
    pub(super) application: Option<ApplicationId>,
    pub(super) application_name: Option<String>,
    /// From where it calls, where the alert is about that.
    pub(super) network: Option<CallerNetwork>,
    /// What it is now.
    pub(super) value: u64,
    /// What it is as a rule, or may be at most.
    pub(super) usual: u64,
    pub(super) text: String,
}

impl Alert {
    pub(super) fn about(&self) -> About {
        (self.kind, self.api, self.application, self.network)
    }
}

/// Returns what is to be told, the largest first.
pub(super) fn look(stat: &Statdb, minute: u32, thresholds: &Thresholds) -> Vec<Alert> {
    let now = by_api(stat, Span::Minute, minute.saturating_sub(MINUTES - 1), minute.saturating_add(1));
    let hour = Span::Hour.start_of(minute);
    let before = hours_before(stat, hour.saturating_sub(24 * 60), hour);
    let mut alerts = Vec::new();
    let apis: Vec<ApiId> = now.keys().chain(before.keys()).copied().collect();
    for api in apis.into_iter().collect::<std::collections::BTreeSet<_>>() {
        if api == no_api() {
            continue;
        }
        let nothing = Tally::default();
        let of_now = now.get(&api).unwrap_or(&nothing);
        of_api(stat, api, of_now, before.get(&api), thresholds, &mut alerts);
    }
    beyond_plan(stat, minute, thresholds, &mut alerts);
    alerts.sort_by(|one, other| other.value.cmp(&one.value).then_with(|| one.about().cmp(&other.about())));
    alerts
}

/// What was usual: the calls of the day before, and in how many of its hours there were any.
struct Before {
    calls: Tally,
    hours: u64,
}

impl Before {
    /// Returns how many calls there are in as many minutes as are looked at.
    fn usual(&self) -> u64 {
        (self.calls.calls.saturating_mul(u64::from(MINUTES))).checked_div(self.hours * 60).unwrap_or(0)
    }
}

fn by_api(stat: &Statdb, span: Span, from: u32, to: u32) -> BTreeMap<ApiId, Tally> {
    let selection = Selection { span, ..Selection::new(Sight::All, from, to) };
    let mut sums: BTreeMap<ApiId, Tally> = BTreeMap::new();
    let rows = find(stat, Aspect::Whole, &selection);
    rows.iter().for_each(|row| sums.entry(row.subject.api).or_default().merge(row.tally));
    sums
}

fn hours_before(stat: &Statdb, from: u32, to: u32) -> BTreeMap<ApiId, Before> {
    let selection = Selection { span: Span::Hour, ..Selection::new(Sight::All, from, to) };
    let mut sums: BTreeMap<ApiId, Before> = BTreeMap::new();
    for row in find(stat, Aspect::Whole, &selection) {
        let before = sums.entry(row.subject.api).or_insert_with(|| Before { calls: Tally::default(), hours: 0 });
        before.calls.merge(row.tally);
        before.hours += 1;
    }
    sums.retain(|_, before| before.hours >= HOURS_MIN);
    sums
}

fn of_api(
    stat: &Statdb,
    api: ApiId,
    now: &Tally,
    before: Option<&Before>,
    thresholds: &Thresholds,
    alerts: &mut Vec<Alert>,
) {
    let named = stat.apis.get(&api);
    let (name, version) = named.map(|api| (api.name.clone(), api.version.clone())).unwrap_or_default();
    let mut tell = |kind, value: u64, usual: u64, text: String| {
        let text = format!("{name} {version}: {text}");
        let (api_name, api_version) = (name.clone(), version.clone());
        alerts.push(Alert {
            kind,
            api,
            api_name,
            api_version,
            application: None,
            application_name: None,
            network: None,
            value,
            usual,
            text,
        });
    };
    let Thresholds { calls_min, factor, errors_percent, .. } = *thresholds;
    let failed = now.classes[5].saturating_mul(100).checked_div(now.calls).unwrap_or(0);
    if errors_percent > 0 && now.calls >= calls_min && failed >= errors_percent {
        tell(Kind::Errors, failed, errors_percent, format!("{failed} % of {} calls failed with 5xx", now.calls));
    }
    let Some(before) = before.filter(|_| factor > 0) else { return };
    let usual = before.usual();
    if now.calls >= calls_min && now.calls > usual.saturating_mul(factor) {
        tell(Kind::MoreTraffic, now.calls, usual, format!("{} calls in five minutes; {usual} are usual", now.calls));
    }
    if usual >= calls_min && now.calls.saturating_mul(factor) < usual {
        tell(Kind::LessTraffic, now.calls, usual, format!("{} calls in five minutes; {usual} are usual", now.calls));
    }
    let p95 = |tally: &Tally| tally.times.as_ref().and_then(|times| times.total.open().quantile(9_500));
    if let (Some(now_us), Some(usual_us)) = (p95(now), p95(&before.calls))
        && now.calls >= calls_min
        && now_us > usual_us.saturating_mul(factor)
    {
        let text = format!("95 % of calls took up to {} ms; {} ms is usual", now_us / 1_000, usual_us / 1_000);
        tell(Kind::Slow, now_us, usual_us, text);
    }
}

fn beyond_plan(stat: &Statdb, minute: u32, thresholds: &Thresholds, alerts: &mut Vec<Alert>) {
    if thresholds.throttled_min == 0 {
        return;
    }
    let (from, to) = (minute.saturating_sub(MINUTES - 1), minute.saturating_add(1));
    let selection = Selection { span: Span::Minute, ..Selection::new(Sight::All, from, to) };
    let mut sums: BTreeMap<(ApiId, ApplicationId), u64> = BTreeMap::new();
    for row in find(stat, Aspect::Throttled, &selection) {
        if let Some(application) = row.subject.application.filter(|_| BEYOND_PLAN.contains(&&*row.subject.value)) {
            *sums.entry((row.subject.api, application)).or_default() += row.tally.calls;
        }
    }
    for ((api, application), value) in sums.into_iter().filter(|(_, calls)| *calls >= thresholds.throttled_min) {
        let named = stat.apis.get(&api);
        let (api_name, api_version) = named.map(|api| (api.name.clone(), api.version.clone())).unwrap_or_default();
        let application_name = stat.applications.get(&application).map(|known| known.name.clone());
        let who = application_name.clone().unwrap_or_else(|| application.to_string());
        let text =
            format!("{api_name} {api_version}: {value} calls of {who} were turned away, beyond its plan or policy");
        let usual = thresholds.throttled_min;
        let kind = Kind::BeyondPlan;
        let application = Some(application);
        alerts.push(Alert {
            kind,
            api,
            api_name,
            api_version,
            application,
            application_name,
            network: None,
            value,
            usual,
            text,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_database::statistics::SummaryKey;
    use portcullis_model::statistics::{Subject, Times};

    use super::*;

    const NOW: u32 = 28_800_000 + 30;
    const USUAL: Thresholds =
        Thresholds { calls_min: 100, factor: 4, errors_percent: 10, throttled_min: 10, unseen_days: 0 };

    fn api() -> ApiId {
        ApiId::from_random([1; 16])
    }

    fn put(stat: &mut Statdb, span: Span, start: u32, aspect: Aspect, value: &str, tally: Tally) {
        let application = (aspect == Aspect::Throttled).then(|| ApplicationId::from_random([2; 16]));
        let subject = Subject { aspect, api: api(), application, value: value.into() };
        stat.summaries.insert(SummaryKey { span, start, subject }, Arc::new(tally));
    }

    fn calls(calls: u64, failed: u64, took_us: u64) -> Tally {
        let mut times = Times::default();
        (0..calls.min(200)).for_each(|_| times.total.add(took_us));
        let classes = [0, 0, calls - failed, 0, 0, failed];
        Tally { calls, classes, times: Some(Box::new(times.pack())), ..Tally::default() }
    }

    /// A day of 1 200 calls an hour, a hundred in five minutes, that took 10 ms; and the present minute.
    fn day(now: Tally) -> Statdb {
        let mut stat = Statdb::default();
        for hour in 1..=24 {
            put(&mut stat, Span::Hour, 28_800_000 - hour * 60, Aspect::Whole, "", calls(1_200, 0, 10_000));
        }
        put(&mut stat, Span::Minute, NOW, Aspect::Whole, "", now);
        stat
    }

    fn kinds(stat: &Statdb) -> Vec<&'static str> {
        look(stat, NOW, &USUAL).iter().map(|alert| alert.kind.name()).collect()
    }

    #[test]
    fn what_is_usual_is_no_alert_and_what_is_not_is_named() {
        for (now, expected) in [
            (calls(100, 0, 10_000), &[][..]),
            (calls(399, 39, 39_000), &[]),
            (calls(500, 0, 10_000), &["more-traffic"]),
            (calls(10, 0, 10_000), &["less-traffic"]),
            (calls(120, 0, 50_000), &["slow"]),
            (calls(120, 12, 10_000), &["errors"]),
        ] {
            assert_eq!(kinds(&day(now.clone())), expected, "{now:?}");
        }
        // Where nothing is usual yet, only what fails is told.
        let mut new = Statdb::default();
        put(&mut new, Span::Minute, NOW, Aspect::Whole, "", calls(100_000, 50_000, 1_000_000));
        assert_eq!(kinds(&new), ["errors"]);
    }

    #[test]
    fn an_application_beyond_its_plan_is_named_and_one_that_is_denied_is_not() {
        let mut stat = day(calls(100, 0, 10_000));
        put(&mut stat, Span::Minute, NOW - 1, Aspect::Throttled, "900804", calls(9, 0, 1));
        put(&mut stat, Span::Minute, NOW, Aspect::Throttled, "900805", calls(90, 0, 1));
        assert_eq!(kinds(&stat), [""; 0]);
        put(&mut stat, Span::Minute, NOW, Aspect::Throttled, "900804", calls(1, 0, 1));
        let alerts = look(&stat, NOW, &USUAL);
        assert_eq!((alerts.len(), alerts[0].kind, alerts[0].value), (1, Kind::BeyondPlan, 10));
        let off = Thresholds { factor: 0, errors_percent: 0, throttled_min: 0, ..USUAL };
        assert!(look(&stat, NOW, &off).is_empty());
    }
}
