//! Which limits a call meets: found once for each token, operation and set of conditions, and kept until policies or
//! routes change. What is left of them is not kept here.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use http::request::Parts;
use portcullis_model::counter::{CounterLevel, CounterSubject, network_of};
use portcullis_model::throttle::deny_list::{Suspect, SuspectApplication};
use portcullis_model::throttle::{ApiPlan, Call, Caller, CustomPlan, Groups, MetLimit, Subscriber};
use portcullis_model::{ApiId, KeyType, Timestamp, Username};
use quick_cache::Equivalent;
use quick_cache::unsync::Cache;

use crate::authenticate::Known;
use crate::call_id::CallId;
use crate::client::Client;
use crate::peer::PeerCertificate;
use crate::quota::{Limit, Limits};
use crate::refusal::Refusal;
use crate::route::api::{CompiledApi, Rule};
use crate::route::policies::Policies;
use crate::trace::Trace;
use crate::worker::{HeldRoutes, Worker};

/// Sets of limits that are kept for one token at one API.
const SETS_PER_TOKEN_MAX: usize = 64;
/// Sets of limits that are kept for callers without a token.
const SETS_OF_ANONYMOUS_MAX: usize = 10_000;
/// Counters of custom rules that are kept.
const CUSTOM_COUNTERS_MAX: usize = 10_000;

/// A call as policies see it.
pub(crate) struct Asked<'a> {
    pub(crate) routes: &'a HeldRoutes,
    pub(crate) api: &'a CompiledApi,
    pub(crate) rule: &'a Rule,
    pub(crate) request: &'a Parts,
    pub(crate) client: IpAddr,
    /// The connection, where what was learnt from earlier requests with the same fields is good for this one.
    pub(crate) connection: Option<&'a Client>,
    /// Whether a trusted proxy passed it on.
    pub(crate) is_from_proxy: bool,
    /// The type of endpoint that calls without a token go to.
    pub(crate) anonymous_key_type: KeyType,
    /// The certificate that the client showed, where the API looks at it.
    pub(crate) certificate: Option<Rc<PeerCertificate>>,
    /// The call's spans, where it is traced.
    pub(crate) trace: Option<&'a Trace>,
    /// The call's id; `None` where a call goes on that began before.
    pub(crate) request_id: Option<&'a CallId>,
}

impl<'a> Asked<'a> {
    /// Returns by what the asking of others is followed: the spans and the id of the call.
    pub(crate) fn watched(&self) -> (Option<&'a Trace>, Option<&'a CallId>) {
        (self.trace, self.request_id)
    }
}

/// Which set of limits it is: of which operation, and which groups of conditions are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SetKey {
    environment: usize,
    /// `None` where the operations have no policies of their own.
    operation: Option<usize>,
    groups: Groups,
}

/// The sets of limits of one caller at one API.
#[derive(Default)]
pub(crate) struct Sets {
    version: u64,
    all: Vec<(SetKey, Rc<Limits>)>,
    /// The one set of all calls in an environment, where nothing that a call says decides which limits it meets.
    only: Option<(usize, Rc<Limits>)>,
}

/// The sets of limits of callers without a token, by API and address.
type AnonymousSets = Cache<(ApiId, IpAddr), Rc<RefCell<Sets>>>;
/// The limits of custom rules by the rule's number and the key; `None` for one that limits nothing.
type CustomCounters = Cache<(usize, String), Option<Rc<Limit>>>;

/// A key of [`CustomCounters`] that is only looked up, so that a call allocates nothing for it.
#[derive(Hash)]
struct CustomKey<'a>(usize, &'a str);

impl Equivalent<(usize, String)> for CustomKey<'_> {
    fn equivalent(&self, (number, key): &(usize, String)) -> bool {
        self.0 == *number && self.1 == key
    }
}

/// The sets of limits of callers without a token, and the counters of custom rules that look at each call.
pub(crate) struct Limiter {
    anonymous: RefCell<AnonymousSets>,
    custom: RefCell<CustomCounters>,
    anonymous_name: Username,
    key: RefCell<String>,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self {
            anonymous: RefCell::new(Cache::new(SETS_OF_ANONYMOUS_MAX)),
            custom: RefCell::new(Cache::new(CUSTOM_COUNTERS_MAX)),
            anonymous_name: Username(Caller::ANONYMOUS.user_id.to_owned()),
            key: RefCell::default(),
        }
    }

    /// Forgets everything: policies or routes have changed.
    pub(crate) fn forget(&self) {
        self.anonymous.borrow_mut().clear();
        self.custom.borrow_mut().clear();
    }
}

/// Refuses a caller whom a deny policy turns away.
///
/// # Errors
/// The refusal.
pub(crate) fn check_denied(asked: &Asked<'_>, known: Option<&Known>, now: Timestamp) -> Result<(), Refusal> {
    let denials = &asked.routes.policies.denials;
    if denials.is_empty() {
        return Ok(());
    }
    let suspect = Suspect {
        client: asked.client,
        api_context: &asked.api.context,
        api_tenant: &asked.api.tenant,
        application: known.map(|known| SuspectApplication {
            owner: &known.key.application_owner,
            name: &known.key.application_name,
            tenant: &known.key.tenant,
        }),
        user: known.map(|known| (&known.key.end_user, &known.key.tenant)),
    };
    match denials.denial(&suspect, now) {
        Some(_) => Err(Refusal::denied()),
        None => Ok(()),
    }
}

/// Returns the limits that a call meets, in the order in which they are asked. `known` is `None` for one without a
/// token.
pub(crate) fn limits(worker: &Worker, asked: &Asked<'_>, known: Option<&Known>) -> Rc<Limits> {
    if let Some(limits) = known.and_then(|known| only(&known.sets.borrow(), asked)) {
        return limits;
    }
    let policies = &asked.routes.policies;
    let Some(plan) = policies.plans.get(&(asked.api.environment, asked.api.id)) else { return Rc::default() };
    let call = Call {
        client: asked.client,
        headers: &asked.request.headers,
        query: asked.request.uri.query().unwrap_or_default(),
        api_context: plan.context(),
        api_version: plan.version(),
        api_tenant: &plan.tenant().0,
        resource_key: plan.resource_key(asked.rule.operation),
        caller: known.map_or(Caller::ANONYMOUS, Known::caller),
    };
    let advanced = plan.advanced(asked.rule.operation);
    let groups = advanced.map_or(Groups::NONE, |advanced| advanced.select(&call));
    let has_own = advanced.is_some() && !plan.is_limited_as_a_whole();
    let environment = asked.api.environment;
    let key = SetKey { environment, operation: has_own.then_some(asked.rule.operation), groups };
    let limits = match known {
        Some(known) => {
            let limits = kept(worker, asked, &known.sets, key, plan, &call, Some(known));
            if !plan.has_advanced() && !policies.has_custom_by_call {
                known.sets.borrow_mut().only = Some((environment, Rc::clone(&limits)));
            }
            limits
        }
        None => {
            let place = (asked.api.id, network_of(asked.client));
            let found = worker.limiter.anonymous.borrow().get(&place).map(Rc::clone);
            let sets = found.unwrap_or_else(|| {
                let sets = Rc::<RefCell<Sets>>::default();
                worker.limiter.anonymous.borrow_mut().insert(place, Rc::clone(&sets));
                sets
            });
            kept(worker, asked, &sets, key, plan, &call, None)
        }
    };
    if policies.has_custom_by_call { with_custom_by_call(worker, policies, &call, &limits) } else { limits }
}

/// Returns the limits of a caller which do not depend on what is asked, where they are known.
fn only(sets: &Sets, asked: &Asked<'_>) -> Option<Rc<Limits>> {
    let (environment, limits) = sets.only.as_ref().filter(|_| sets.version == asked.routes.version)?;
    (*environment == asked.api.environment).then(|| Rc::clone(limits))
}

fn kept(
    worker: &Worker,
    asked: &Asked<'_>,
    sets: &RefCell<Sets>,
    key: SetKey,
    plan: &ApiPlan,
    call: &Call<'_>,
    known: Option<&Known>,
) -> Rc<Limits> {
    let mut sets = sets.borrow_mut();
    if sets.version != asked.routes.version {
        *sets = Sets { version: asked.routes.version, ..Sets::default() };
    }
    if let Some((_, limits)) = sets.all.iter().find(|(its, _)| *its == key) {
        return Rc::clone(limits);
    }
    let limits = Rc::new(find(worker, asked, key.groups, plan, call, known));
    if sets.all.len() >= SETS_PER_TOKEN_MAX {
        sets.all.clear();
    }
    sets.all.push((key, Rc::clone(&limits)));
    limits
}

/// Finds the limits of a caller: all but the custom rules that look at each call.
fn find(
    worker: &Worker,
    asked: &Asked<'_>,
    groups: Groups,
    plan: &ApiPlan,
    call: &Call<'_>,
    known: Option<&Known>,
) -> Limits {
    let policies = &asked.routes.policies;
    let user = known.map_or(&worker.limiter.anonymous_name, |known| &known.key.end_user);
    let operation = asked.rule.operation;
    let mut met = Vec::new();
    if plan.advanced(operation).is_some() {
        met.extend(groups.limits().filter_map(|group| plan.advanced_limit(operation, group, user)));
    }
    match known {
        Some(known) => met.extend(subscriber(known).limits(plan, &policies.source.0)),
        None => met.extend(plan.anonymous(asked.client)),
    }
    let mut key = String::new();
    for custom in policies.custom.iter().filter(|custom| !custom.depends_on_call()) {
        if custom.key(call, &mut key) {
            met.push(MetLimit { counter: custom.counter(&key), unit: custom.unit() });
        }
    }
    met.extend(plan.maximum(known.map_or(asked.anonymous_key_type, |known| known.key.key_type)));
    Limits::new(met.into_iter().filter_map(|limit| obtain(worker, &limit)))
}

fn subscriber(known: &Known) -> Subscriber<'_> {
    Subscriber {
        application: known.key.application,
        tenant: &known.key.tenant,
        application_policy: &known.key.application_policy,
        plan: &known.key.plan,
        user: &known.key.end_user,
        key_type: known.key.key_type,
    }
}

fn obtain(worker: &Worker, met: &MetLimit) -> Option<Rc<Limit>> {
    let allowance = worker.ports.quotas.allowance(&met.counter)?;
    let policy = name(met);
    let decisions = worker.told_apart.decisions(worker.number, &policy);
    Some(Rc::new(Limit::new(met.level(), &policy, met.unit, allowance, decisions)))
}

/// Returns what a limit is called in answers: its policy, and what tells it from others of the same.
fn name(met: &MetLimit) -> String {
    let policy = &met.counter.policy;
    match &met.counter.subject {
        CounterSubject::ApiMaximum { .. } => "max-tps".to_owned(),
        CounterSubject::SubscriptionBurst { .. } | CounterSubject::ApplicationBurst { .. } => format!("{policy}-burst"),
        CounterSubject::SubscriptionUnit { unit, .. } => format!("{policy}-{}", unit.as_str().replace(' ', "-")),
        CounterSubject::Api { group: Some(group), .. } | CounterSubject::Resource { group: Some(group), .. } => {
            format!("{policy}-{}", group + 1)
        }
        _ => policy.clone(),
    }
}

/// Adds the limits of custom rules that look at each call, before the maximum of the API's backend.
fn with_custom_by_call(worker: &Worker, policies: &Policies, call: &Call<'_>, limits: &Rc<Limits>) -> Rc<Limits> {
    let mut more = Vec::new();
    let mut key = worker.limiter.key.take();
    for (number, custom) in policies.custom.iter().enumerate().filter(|(_, custom)| custom.depends_on_call()) {
        if custom.key(call, &mut key) {
            more.extend(custom_counter(worker, number, custom, &key));
        }
    }
    worker.limiter.key.replace(key);
    if more.is_empty() { Rc::clone(limits) } else { Rc::new(limits.with(more, CounterLevel::ApiMaximum)) }
}

fn custom_counter(worker: &Worker, number: usize, custom: &CustomPlan, key: &str) -> Option<Rc<Limit>> {
    if let Some(found) = worker.limiter.custom.borrow().get(&CustomKey(number, key)) {
        return found.clone();
    }
    let limit = obtain(worker, &MetLimit { counter: custom.counter(key), unit: custom.unit() });
    worker.limiter.custom.borrow_mut().insert((number, key.to_owned()), limit.clone());
    limit
}
