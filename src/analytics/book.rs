//! What was gathered and is not in the log yet: by minute, and by what it is about. It is bounded in both: what is beyond
//! counts as other, and where the cluster takes nothing for long, older minutes are told with later ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_database::command::STRAY_BATCH_MAX;
use portcullis_database::statistics::{BATCH_ROWS_MAX, NETWORK_BATCH_MAX, NotedNetwork, StatisticsBatch};
use portcullis_model::statistics::{
    Aspect, CalledApi, CallingApplication, Fact, Gathered, OTHER, Subject, Tally, Times, is_throttling_code, no_api,
};
use portcullis_model::stray_call::StrayCall;
use portcullis_model::{ApiId, ApplicationId, CallerNetwork, SeenNetwork};

use crate::Settings;

/// Minutes that are told apart while the cluster takes nothing.
const MINUTES_MAX: usize = 30;
/// Bytes of a batch, about.
const BATCH_BYTES: usize = 256 << 10;
/// Bytes of a row without its times and its text, about.
const ROW_BYTES: usize = 200;
/// Applications and networks that wait; further ones are dropped, to be told when their day ends.
const NETWORKS_MAX: usize = 20_000;
/// Calls to no API that wait; further ones are dropped. The statistics count them all.
const STRAYS_WAITING_MAX: usize = 1_024;
/// What stands for callers that are not known.
const ANONYMOUS: &str = "(anonymous)";
/// What stands for calls to no resource.
const NO_RESOURCE: &str = "(none)";

/// The book.
pub(crate) struct Book {
    values_max: usize,
    minutes: BTreeMap<u32, Minute>,
    apis: BTreeMap<ApiId, Arc<CalledApi>>,
    applications: BTreeMap<ApplicationId, CallingApplication>,
    /// From where applications called, and the call that told it first.
    networks: BTreeMap<(ApplicationId, CallerNetwork), (ApiId, Arc<str>)>,
    /// Calls that led to no API.
    strays: Vec<StrayCall>,
}

#[derive(Default)]
struct Minute {
    rows: BTreeMap<Subject, (Tally, Times)>,
    /// Rows of each aspect.
    counts: [usize; Aspect::ALL.len()],
}

impl Book {
    pub(crate) fn new(values_max: usize) -> Self {
        Self {
            values_max,
            minutes: BTreeMap::new(),
            apis: BTreeMap::new(),
            applications: BTreeMap::new(),
            networks: BTreeMap::new(),
            strays: Vec::new(),
        }
    }

    /// Says whether there is nothing left to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.minutes.is_empty() && self.networks.is_empty() && self.strays.is_empty()
    }

    /// Returns how many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.minutes.values().map(|minute| minute.rows.len()).sum()
    }

    /// Enters what a worker gathered.
    pub(crate) fn enter(&mut self, gathered: &Gathered) {
        for fact in &gathered.facts {
            if let Some(api) = &fact.api {
                self.apis.insert(api.id, Arc::clone(api));
            }
            if let Some(caller) = &fact.caller
                && !self.applications.contains_key(&caller.application.id)
            {
                self.applications.insert(caller.application.id, caller.application.clone());
            }
            let minute = self.minutes.entry(gathered.minute).or_default();
            for subject in subjects(fact) {
                let times = subject.aspect.has_times().then_some(&fact.times);
                minute.add(subject, &fact.tally, times, self.values_max);
            }
        }
        gathered.networks.iter().for_each(|seen| self.enter_network(seen));
        let room = STRAYS_WAITING_MAX.saturating_sub(self.strays.len());
        self.strays.extend(gathered.strays.iter().take(room).cloned());
        while self.minutes.len() > MINUTES_MAX {
            let Some((_, oldest)) = self.minutes.pop_first() else { break };
            let Some((_, next)) = self.minutes.iter_mut().next() else { break };
            for (subject, (tally, times)) in oldest.rows {
                let times = subject.aspect.has_times().then_some(times);
                next.add(subject, &tally, times.as_ref(), self.values_max);
            }
        }
    }

    fn enter_network(&mut self, seen: &SeenNetwork) {
        let key = (seen.caller.application.id, seen.network);
        if self.networks.len() < NETWORKS_MAX {
            self.networks.entry(key).or_insert_with(|| (seen.api.id, seen.caller.user.as_str().into()));
        }
    }

    /// Takes out some of the calls that led to no API.
    pub(crate) fn next_strays(&mut self) -> Option<Vec<StrayCall>> {
        let count = self.strays.len().min(STRAY_BATCH_MAX);
        (count > 0).then(|| self.strays.drain(..count).collect())
    }

    /// Takes out some of the networks from where applications called, without those that are noted already.
    pub(crate) fn next_networks(
        &mut self,
        is_noted: impl Fn(ApplicationId, CallerNetwork) -> bool,
    ) -> Option<Vec<NotedNetwork>> {
        let mut next = Vec::new();
        while next.len() < NETWORK_BATCH_MAX {
            let Some(((application, network), (api, user))) = self.networks.pop_first() else { break };
            if !is_noted(application, network) {
                next.push(NotedNetwork { application, network, api, user });
            }
        }
        (!next.is_empty()).then_some(next)
    }

    /// Takes the next batch out, of the oldest minute; `None` where there is nothing. Names that `is_known` are left out.
    pub(crate) fn next(&mut self, settings: &Settings, is_known: &impl Known) -> Option<StatisticsBatch> {
        let (&number, minute) = self.minutes.iter_mut().next()?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < BATCH_ROWS_MAX && bytes < BATCH_BYTES {
            let Some((subject, (mut tally, times))) = minute.rows.pop_first() else { break };
            minute.counts[subject.aspect as usize] -= 1;
            if subject.aspect.has_times() {
                tally.times = Some(Box::new(times.pack()));
            }
            bytes += ROW_BYTES + subject.value.len() + tally.times.as_ref().map_or(0, |times| times.len());
            rows.push((subject, tally));
        }
        if minute.rows.is_empty() {
            self.minutes.remove(&number);
        }
        let (apis, applications) = self.names(&rows, is_known);
        if self.minutes.is_empty() {
            self.apis.clear();
            self.applications.clear();
        }
        let (node, bounds) = (settings.node, settings.bounds);
        Some(StatisticsBatch { node, boot: 0, sequence: 0, minute: number, bounds, rows, apis, applications })
    }

    fn names(&self, rows: &[(Subject, Tally)], is_known: &impl Known) -> (Vec<CalledApi>, Vec<CallingApplication>) {
        let mut apis: Vec<ApiId> = rows.iter().map(|(subject, _)| subject.api).collect();
        apis.sort_unstable();
        apis.dedup();
        let apis = apis.iter().filter_map(|id| self.apis.get(id)).filter(|api| !is_known.api(api));
        let mut applications: Vec<ApplicationId> = rows.iter().filter_map(|(subject, _)| subject.application).collect();
        applications.sort_unstable();
        applications.dedup();
        let applications = applications.iter().filter_map(|id| self.applications.get(id));
        let applications = applications.filter(|application| !is_known.application(application));
        (apis.map(|api| CalledApi::clone(api)).collect(), applications.cloned().collect())
    }
}

/// Says which names the cluster has.
pub(crate) trait Known {
    fn api(&self, api: &CalledApi) -> bool;
    fn application(&self, application: &CallingApplication) -> bool;
}

impl Minute {
    fn add(&mut self, subject: Subject, tally: &Tally, times: Option<&Times>, values_max: usize) {
        let count = self.counts[subject.aspect as usize];
        let subject = if self.rows.contains_key(&subject) || count < values_max {
            subject
        } else {
            let other = subject.other();
            if self.rows.contains_key(&other) || count < values_max * 2 { other } else { subject.other_api() }
        };
        let aspect = subject.aspect;
        let row = self.rows.entry(subject).or_insert_with(|| {
            self.counts[aspect as usize] += 1;
            Default::default()
        });
        row.0.merge(tally);
        if let Some(times) = times {
            row.1.merge(times);
        }
    }
}

/// Returns what calls count for.
fn subjects(fact: &Fact) -> impl Iterator<Item = Subject> {
    let api = fact.api.as_ref().map_or_else(no_api, |api| api.id);
    let caller = fact.caller.as_deref();
    let application = caller.map(|caller| caller.application.id);
    let of_caller =
        |known: Option<&str>| -> Arc<str> { known.unwrap_or(if fact.is_other { OTHER } else { ANONYMOUS }).into() };
    let other = || Arc::from(OTHER);
    let resource = match (&fact.resource, fact.is_other) {
        (Some(resource), _) => Arc::clone(resource),
        (None, true) => other(),
        (None, false) => NO_RESOURCE.into(),
    };
    let agent = if fact.is_other { other() } else { fact.agent.name().into() };
    let country = fact.country.map(|country| if fact.is_other { other() } else { country.to_string().into() });
    let destination = fact.destination.clone().or_else(|| fact.is_other.then(other));
    let fault = (fact.code != 0).then(|| {
        let aspect = if is_throttling_code(fact.code) { Aspect::Throttled } else { Aspect::Fault };
        (aspect, application, Arc::from(fact.code.to_string()))
    });
    let all = [
        Some((Aspect::Whole, None, Arc::from(""))),
        Some((Aspect::Resource, None, resource)),
        Some((Aspect::Application, application, of_caller(caller.map(|caller| caller.plan.as_str())))),
        Some((Aspect::User, application, of_caller(caller.map(|caller| caller.user.as_str())))),
        destination.map(|destination| (Aspect::Destination, None, destination)),
        Some((Aspect::Agent, None, agent)),
        country.map(|country| (Aspect::Country, None, country)),
        fault,
    ];
    all.into_iter().flatten().map(move |(aspect, application, value)| Subject { aspect, api, application, value })
}

#[cfg(test)]
mod tests {
    use portcullis_database::statistics::StatisticsBounds;
    use portcullis_model::agent::AgentFamily;
    use portcullis_model::{NodeId, TenantDomain, Username};

    use super::*;

    struct Nothing;

    impl Known for Nothing {
        fn api(&self, _api: &CalledApi) -> bool {
            false
        }
        fn application(&self, _application: &CallingApplication) -> bool {
            false
        }
    }

    fn settings() -> Settings {
        let bounds = StatisticsBounds { values_max: 4, rows_max: 1_000, kept: [60, 600, 6_000] };
        Settings { node: NodeId(1), bounds, networks: None, strays_max: 0 }
    }

    fn fact(number: u8, calls: u64, code: u32) -> Fact {
        let api = CalledApi {
            id: ApiId::from_random([number; 16]),
            tenant: TenantDomain::super_tenant(),
            provider: Username("ann".to_owned()),
            name: format!("api-{number}"),
            version: "1".to_owned(),
            context: "/a/1".to_owned(),
        };
        let mut times = Times::default();
        (0..calls).for_each(|_| times.total.add(100));
        Fact {
            api: Some(Arc::new(api)),
            resource: Some("GET /menu".into()),
            caller: None,
            destination: None,
            agent: AgentFamily::Curl,
            country: None,
            code,
            is_other: false,
            tally: Tally { calls, ..Tally::default() },
            times,
        }
    }

    fn drain(book: &mut Book) -> Vec<StatisticsBatch> {
        std::iter::from_fn(|| book.next(&settings(), &Nothing)).collect()
    }

    fn calls(batches: &[StatisticsBatch], aspect: Aspect) -> u64 {
        let rows = batches.iter().flat_map(|batch| &batch.rows);
        rows.filter(|(subject, _)| subject.aspect == aspect).map(|(_, tally)| tally.calls).sum()
    }

    #[test]
    fn each_call_counts_once_in_each_aspect_and_names_come_along() {
        let mut book = Book::new(4);
        let facts = vec![fact(1, 3, 0), fact(1, 2, 900_804), fact(2, 1, 101_503)];
        book.enter(&Gathered { minute: 7, facts, ..Gathered::default() });
        let batches = drain(&mut book);
        for aspect in [Aspect::Whole, Aspect::Resource, Aspect::Application, Aspect::User, Aspect::Agent] {
            assert_eq!(calls(&batches, aspect), 6, "{aspect:?}");
        }
        assert_eq!((calls(&batches, Aspect::Throttled), calls(&batches, Aspect::Fault)), (2, 1));
        assert_eq!(batches[0].apis.len(), 2);
        assert_eq!((book.len(), batches[0].minute), (0, 7));
    }

    #[test]
    fn nothing_is_lost_beyond_the_bounds_of_values_and_minutes() {
        let mut book = Book::new(4);
        for minute in 0..100 {
            let facts = (1..=20).map(|number| fact(number, 1, 0)).collect();
            book.enter(&Gathered { minute, facts, ..Gathered::default() });
        }
        let minutes = book.minutes.len();
        assert!(minutes <= MINUTES_MAX, "{minutes}");
        assert!(book.len() <= minutes * Aspect::ALL.len() * 9, "{}", book.len());
        let batches = drain(&mut book);
        assert_eq!(calls(&batches, Aspect::Whole), 2_000);
        assert!(batches.iter().all(|batch| batch.rows.len() <= BATCH_ROWS_MAX));
    }
}
