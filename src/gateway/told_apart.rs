//! Which calls and decisions the metrics tell apart, and how many at most: by API, version and verb, and by policy. A place
//! is found once for calls that are alike, so that a call itself adds to what it already holds. It counts nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_model::statistics::Fact;

use crate::metrics::{AnsweredCalls, CallCounts, CallLabels, Counters, DecisionCounts, Decisions, Metrics};

/// What all are called that are not told apart.
const OTHER: &str = "(other)";
/// What is said of calls to no API, and to no operation.
const NONE: &str = "(none)";
/// Policies that are told apart on a node.
const POLICIES_MAX: usize = 200;
/// The verbs that are told apart: operations may be designed with any.
const VERBS: [&str; 14] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "QUERY",
    "MUTATION",
    "SUBSCRIPTION",
    "PUBLISH",
    "SUBSCRIBE",
];

/// What is told apart on a node, each by every worker.
#[derive(Debug)]
pub(crate) struct ToldApart {
    apis_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Tenant, name and version of the APIs that are told apart.
    apis: BTreeSet<[String; 3]>,
    policies: BTreeSet<String>,
    /// What each worker counts, by its number.
    calls: BTreeMap<(usize, CallLabels), Arc<CallCounts>>,
    decisions: BTreeMap<(usize, String), Arc<Decisions>>,
}

impl ToldApart {
    pub(crate) fn new(apis_max: usize) -> Self {
        Self { apis_max, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where a worker counts calls that are alike.
    pub(crate) fn calls(&self, worker: usize, alike: &Fact) -> Arc<CallCounts> {
        // A resource is a verb and a template.
        let verb = alike.resource.as_deref().and_then(|resource| resource.split(' ').next());
        let method = verb.map_or(NONE, known_verb);
        let named = alike.api.as_ref().map(|api| [api.tenant.0.clone(), api.name.clone(), api.version.clone()]);
        let mut inner = self.inner();
        let labels = match named {
            Some(named) if inner.admit(&named, self.apis_max) => {
                let [tenant, api, version] = named;
                CallLabels { tenant, api, version, method }
            }
            None if !alike.is_other => CallLabels { api: NONE.to_owned(), ..other() },
            _ => other(),
        };
        Arc::clone(inner.calls.entry((worker, labels)).or_default())
    }

    /// Returns where a worker counts what a policy decides.
    pub(crate) fn decisions(&self, worker: usize, policy: &str) -> Arc<Decisions> {
        let mut inner = self.inner();
        let is_told = inner.policies.contains(policy)
            || (inner.policies.len() < POLICIES_MAX && inner.policies.insert(policy.to_owned()));
        let policy = if is_told { policy } else { OTHER };
        Arc::clone(inner.decisions.entry((worker, policy.to_owned())).or_default())
    }

    /// Returns the sum of what the workers counted.
    pub(crate) fn sum(&self, workers: &[Arc<Counters>]) -> Metrics {
        let mut sum = Metrics::default();
        let mut others = AnsweredCalls::default();
        workers.iter().for_each(|counters| others.join(&sum.add(counters)));
        let inner = self.inner();
        let mut calls: BTreeMap<&CallLabels, AnsweredCalls> = BTreeMap::new();
        for ((_, labels), counts) in &inner.calls {
            if labels.api == OTHER {
                others.add(counts);
            } else {
                calls.entry(labels).or_default().add(counts);
            }
        }
        // A metric that is there from the start can be asked for.
        let mut decisions = BTreeMap::from([(OTHER, DecisionCounts::default())]);
        for ((_, policy), counts) in &inner.decisions {
            decisions.entry(policy.as_str()).or_default().add(counts);
        }
        sum.calls = calls.into_iter().map(|(labels, counts)| (labels.clone(), counts)).collect();
        sum.calls.push((other(), others));
        sum.decisions = decisions.into_iter().map(|(policy, counts)| (policy.to_owned(), counts)).collect();
        sum
    }
}

impl Inner {
    /// Says whether an API is told apart, which it is from its first call on where there is room.
    fn admit(&mut self, api: &[String; 3], max: usize) -> bool {
        self.apis.contains(api) || (self.apis.len() < max && self.apis.insert(api.clone()))
    }
}

/// Returns how calls are labelled that are not told apart.
fn other() -> CallLabels {
    CallLabels { tenant: String::new(), api: OTHER.to_owned(), version: String::new(), method: NONE }
}

fn known_verb(verb: &str) -> &'static str {
    VERBS.into_iter().find(|known| known.eq_ignore_ascii_case(verb)).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_model::agent::AgentFamily;
    use portcullis_model::statistics::{CalledApi, Tally, Times};
    use portcullis_model::{ApiId, TenantDomain, Username};

    use super::*;

    fn alike(name: Option<&str>, resource: &str) -> Fact {
        let api = name.map(|name| CalledApi {
            id: ApiId::from_random([1; 16]),
            tenant: TenantDomain::super_tenant(),
            provider: Username("anna".to_owned()),
            name: name.to_owned(),
            version: "1".to_owned(),
            context: format!("/{name}/1"),
        });
        Fact {
            resource: api.as_ref().map(|_| resource.into()),
            api: api.map(Arc::new),
            caller: None,
            destination: None,
            agent: AgentFamily::default(),
            country: None,
            code: 0,
            is_other: false,
            tally: Tally::default(),
            times: Times::default(),
        }
    }

    fn told(apart: &ToldApart) -> Vec<(String, &'static str, u64)> {
        let calls = apart.sum(&[]).calls;
        calls.into_iter().map(|(labels, calls)| (labels.api, labels.method, calls.by_class.iter().sum())).collect()
    }

    #[test]
    fn workers_add_up_and_apis_beyond_the_bound_are_told_together() {
        let apart = ToldApart::new(2);
        for worker in [0, 1] {
            for name in ["a", "b", "c", "d"] {
                let counts = apart.calls(worker, &alike(Some(name), "GET /x"));
                counts.answered(200, Duration::from_millis(1));
            }
            apart.calls(worker, &alike(Some("a"), "BREW /x")).answered(500, Duration::from_millis(1));
            apart.calls(worker, &alike(None, "")).answered(404, Duration::from_millis(1));
            apart.calls(worker, &Fact { is_other: true, ..alike(None, "") }).answered(404, Duration::from_millis(1));
        }
        let expected = [(NONE, NONE, 2), ("a", OTHER, 2), ("a", "GET", 2), ("b", "GET", 2), (OTHER, NONE, 6)];
        let expected: Vec<_> = expected.into_iter().map(|(api, verb, count)| (api.to_owned(), verb, count)).collect();
        assert_eq!(told(&apart), expected);
    }

    #[test]
    fn policies_beyond_the_bound_are_told_together() {
        let apart = ToldApart::new(0);
        for number in 0..POLICIES_MAX + 5 {
            apart.decisions(0, &format!("policy {number}")).throttled.add(1);
            apart.decisions(1, &format!("policy {number}")).allowed.add(2);
        }
        let decisions = apart.sum(&[]).decisions;
        assert_eq!(decisions.len(), POLICIES_MAX + 1);
        assert_eq!(decisions[0], (OTHER.to_owned(), DecisionCounts { allowed: 10, throttled: 5 }));
    }
}
