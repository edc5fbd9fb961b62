//! Which counters a call is held to, in the order of [`CHECK_ORDER`](crate::counter::CHECK_ORDER).
//!
//! [`ApiPlan`] is compiled once for a deployed API, [`Subscriber::limits`] once for a token at an API, and
//! [`ApiPlan::advanced`] and [`CustomPlan`] are asked for every call. [`ApiPlan::meets`] joins them: slow, and the
//! measure of what the gateway does in parts.

use std::sync::Arc;

use super::advanced::AdvancedPlan;
use super::call::{Call, resource_key};
use super::condition::BadCondition;
use super::custom::CustomPlan;
use crate::api::versioned_context;
use crate::counter::{CounterKey, CounterLevel, CounterSubject, network_of};
use crate::deployed::DeployedApi;
use crate::id::{ApiId, ApplicationId};
use crate::oauth::KeyType;
use crate::policy::{PolicyLevel, QuotaPolicy, QuotaUnit};
use crate::policy_rules::PolicyRules;
use crate::tenant::TenantDomain;
use crate::user::Username;

/// The plan of calls without a token.
pub const UNAUTHENTICATED_PLAN: &str = "Unauthenticated";
/// The name of the policies that limit nothing, at every level.
pub const UNLIMITED_POLICY: &str = "Unlimited";

/// Where the policies in force are found.
pub trait PolicySource {
    /// Returns a policy.
    fn policy(&self, tenant: &TenantDomain, level: PolicyLevel, name: &str) -> Option<&QuotaPolicy>;
    /// Returns its rules, where it has any but the default ones.
    fn rules(&self, tenant: &TenantDomain, level: PolicyLevel, name: &str) -> Option<&PolicyRules>;
}

/// One limit that a call is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetLimit {
    /// The counter.
    pub counter: CounterKey,
    /// What it counts.
    pub unit: QuotaUnit,
}

/// What limits calls of one deployed API, whoever calls.
#[derive(Clone, Debug)]
pub struct ApiPlan {
    api: ApiId,
    tenant: TenantDomain,
    environment: String,
    context: String,
    version: String,
    advanced: Advanced,
    /// By key type: production, sandbox.
    maximum: [bool; 2],
    anonymous: Option<QuotaUnit>,
    resource_keys: Box<[Box<str>]>,
}

#[derive(Clone, Debug)]
enum Advanced {
    Api(Option<Arc<AdvancedPlan>>),
    Operations(Box<[(String, Option<Arc<AdvancedPlan>>)]>),
}

/// Who calls, as far as limits depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber<'a> {
    /// The application.
    pub application: ApplicationId,
    /// The tenant of the application and its policies.
    pub tenant: &'a TenantDomain,
    /// The name of the application policy.
    pub application_policy: &'a str,
    /// The name of the subscription's business plan.
    pub plan: &'a str,
    /// The end user.
    pub user: &'a Username,
    /// The type of key.
    pub key_type: KeyType,
}

impl ApiPlan {
    /// Compiles what limits an API. Policies that are gone limit nothing. A condition that cannot be used (it was
    /// checked when it was made) is told of, and the policy limits nothing rather than the API being cut off.
    #[must_use]
    pub fn compile(api: &DeployedApi, environment: &str, policies: &impl PolicySource) -> (Self, Vec<BadCondition>) {
        let mut bad = Vec::new();
        let mut compile = |name: &str| {
            if name == UNLIMITED_POLICY {
                return None;
            }
            let policy = policies.policy(&api.tenant, PolicyLevel::Advanced, name)?;
            let rules = policies.rules(&api.tenant, PolicyLevel::Advanced, name);
            match AdvancedPlan::compile(policy, rules) {
                Ok(plan) => plan.map(Arc::new),
                Err(condition) => {
                    bad.push(condition);
                    None
                }
            }
        };
        let advanced = match api.api_policy.as_deref().filter(|name| *name != UNLIMITED_POLICY) {
            Some(name) => Advanced::Api(compile(name)),
            None => {
                let mut known: Vec<(&str, Option<Arc<AdvancedPlan>>)> = Vec::new();
                let plans = api.operations.iter().map(|operation| {
                    let found = known.iter().find(|(name, _)| *name == operation.policy).map(|(_, plan)| plan.clone());
                    let plan = found.unwrap_or_else(|| {
                        let plan = compile(&operation.policy);
                        known.push((&operation.policy, plan.clone()));
                        plan
                    });
                    (format!("{}:{}", operation.target, operation.verb), plan)
                });
                Advanced::Operations(plans.collect())
            }
        };
        let context = versioned_context(&api.context, &api.version);
        let keys = api
            .operations
            .iter()
            .map(|operation| resource_key(&context, &api.version, &operation.target, &operation.verb).into());
        let anonymous = policies.policy(&api.tenant, PolicyLevel::Subscription, UNAUTHENTICATED_PLAN);
        let plan = Self {
            api: api.id,
            tenant: api.tenant.clone(),
            environment: environment.to_owned(),
            resource_keys: keys.collect(),
            context,
            version: api.version.clone(),
            advanced,
            maximum: [api.max_tps.production.is_some(), api.max_tps.sandbox.is_some()],
            anonymous: anonymous.and_then(|policy| {
                let unit = policy.quota.unit();
                policy.quota.bound(unit).map(|_| unit)
            }),
        };
        (plan, bad)
    }

    /// Returns the API's context with its version.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Returns the API's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the API's tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantDomain {
        &self.tenant
    }

    /// Returns the key of the API's operation of that number, as the original writes it.
    #[must_use]
    pub fn resource_key(&self, operation: usize) -> &str {
        self.resource_keys.get(operation).map_or("", |key| key)
    }

    /// Returns the advanced policy that limits calls of an operation: the API's where it has one, else its own.
    #[must_use]
    pub fn advanced(&self, operation: usize) -> Option<&AdvancedPlan> {
        match &self.advanced {
            Advanced::Api(plan) => plan.as_deref(),
            Advanced::Operations(plans) => plans.get(operation).and_then(|(_, plan)| plan.as_deref()),
        }
    }

    /// Says whether calls of any operation are limited by an advanced policy.
    #[must_use]
    pub fn has_advanced(&self) -> bool {
        match &self.advanced {
            Advanced::Api(plan) => plan.is_some(),
            Advanced::Operations(plans) => plans.iter().any(|(_, plan)| plan.is_some()),
        }
    }

    /// Says whether one advanced policy limits the whole API, so that all operations share its counters.
    #[must_use]
    pub fn is_limited_as_a_whole(&self) -> bool {
        matches!(self.advanced, Advanced::Api(_))
    }

    /// Returns the counter of one limit of [`ApiPlan::advanced`], `group` being one of
    /// [`Groups::limits`](super::Groups::limits); `None` where that limits nothing.
    #[must_use]
    pub fn advanced_limit(&self, operation: usize, group: Option<u8>, user: &Username) -> Option<MetLimit> {
        let plan = self.advanced(operation)?;
        let unit = plan.unit(group)?;
        let (api, user) = (self.api, plan.is_per_user().then(|| user.clone()));
        let subject = match &self.advanced {
            Advanced::Api(_) => CounterSubject::Api { api, user, group },
            Advanced::Operations(plans) => {
                let operation = plans.get(operation)?.0.clone();
                CounterSubject::Resource { api, operation, user, group }
            }
        };
        let counter = CounterKey { tenant: self.tenant.clone(), policy: plan.policy().to_owned(), subject };
        Some(MetLimit { counter, unit })
    }

    /// Returns the counter of the most that the API's backend may get with one type of key.
    #[must_use]
    pub fn maximum(&self, key_type: KeyType) -> Option<MetLimit> {
        let has_one = match key_type {
            KeyType::Production => self.maximum[0],
            KeyType::Sandbox => self.maximum[1],
        };
        let subject = CounterSubject::ApiMaximum { api: self.api, key_type };
        let counter = CounterKey { tenant: self.tenant.clone(), policy: self.environment.clone(), subject };
        has_one.then_some(MetLimit { counter, unit: QuotaUnit::Requests })
    }

    /// Returns the counter of calls without a token from one client.
    #[must_use]
    pub fn anonymous(&self, client: std::net::IpAddr) -> Option<MetLimit> {
        let subject = CounterSubject::Anonymous { api: self.api, client: network_of(client) };
        let policy = UNAUTHENTICATED_PLAN.to_owned();
        let counter = CounterKey { tenant: self.tenant.clone(), policy, subject };
        self.anonymous.map(|unit| MetLimit { counter, unit })
    }

    /// Returns every limit that a call is held to, in the order in which they are asked.
    #[must_use]
    pub fn meets(
        &self,
        operation: usize,
        call: &Call<'_>,
        subscriber: Option<&Subscriber<'_>>,
        custom: &[CustomPlan],
        policies: &impl PolicySource,
    ) -> Vec<MetLimit> {
        let anonymous = Username(call.caller.user_id.to_owned());
        let user = subscriber.map_or(&anonymous, |subscriber| subscriber.user);
        let mut met = Vec::new();
        if let Some(plan) = self.advanced(operation) {
            met.extend(plan.select(call).limits().filter_map(|group| self.advanced_limit(operation, group, user)));
        }
        match subscriber {
            Some(subscriber) => met.extend(subscriber.limits(self, policies)),
            None => met.extend(self.anonymous(call.client)),
        }
        let mut key = String::new();
        for plan in custom {
            if plan.key(call, &mut key) {
                met.push(MetLimit { counter: plan.counter(&key), unit: plan.unit() });
            }
        }
        let key_type = subscriber.map_or(KeyType::Production, |subscriber| subscriber.key_type);
        met.extend(self.maximum(key_type));
        met
    }
}

impl Subscriber<'_> {
    /// Returns the limits of business plan and application policy at one API, in the order in which they are asked:
    /// subscription, its burst, application, its burst. The business plan is the API's tenant's.
    #[must_use]
    pub fn limits(&self, at: &ApiPlan, policies: &impl PolicySource) -> Vec<MetLimit> {
        let (application, user, api) = (self.application, self.user, at.api);
        let mut limits = Vec::with_capacity(4);
        let mut add = |tenant: &TenantDomain, policy: &str, unit, subject| {
            let counter = CounterKey { tenant: tenant.clone(), policy: policy.to_owned(), subject };
            limits.push(MetLimit { counter, unit });
        };
        if let Some(plan) = policies.policy(&at.tenant, PolicyLevel::Subscription, self.plan) {
            for unit in UNITS.into_iter().filter(|unit| plan.quota.bound(*unit).is_some()) {
                let is_main = unit == plan.quota.unit();
                let subject = if is_main {
                    CounterSubject::Subscription { application, api }
                } else {
                    CounterSubject::SubscriptionUnit { application, api, unit }
                };
                add(&at.tenant, self.plan, unit, subject);
            }
            if plan.burst.is_some() {
                let subject = CounterSubject::SubscriptionBurst { application, api };
                add(&at.tenant, self.plan, QuotaUnit::Requests, subject);
            }
        }
        if let Some(policy) = policies.policy(self.tenant, PolicyLevel::Application, self.application_policy) {
            let unit = policy.quota.unit();
            let of_user = || user.clone();
            if policy.quota.bound(unit).is_some() {
                add(self.tenant, &policy.name, unit, CounterSubject::Application { application, user: of_user() });
            }
            if policy.burst.is_some() {
                let subject = CounterSubject::ApplicationBurst { application, user: of_user() };
                add(self.tenant, &policy.name, QuotaUnit::Requests, subject);
            }
        }
        limits
    }
}

/// What a quota may bound, what is known before the call first.
const UNITS: [QuotaUnit; 6] = [
    QuotaUnit::Requests,
    QuotaUnit::Events,
    QuotaUnit::Bytes,
    QuotaUnit::Tokens,
    QuotaUnit::PromptTokens,
    QuotaUnit::CompletionTokens,
];

impl MetLimit {
    /// Returns the level.
    #[must_use]
    pub fn level(&self) -> CounterLevel {
        self.counter.level()
    }
}
