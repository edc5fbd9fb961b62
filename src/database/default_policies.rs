//! The original's default policies that newer feature levels brought, in numbered sets. The first set is part of
//! [`Bootstrap`](crate::command::Bootstrap), whose outcome never changes.

use portcullis_model::policy::{PolicyLevel, Quota, QuotaPolicy, TimeUnit, UNLIMITED, Window};
use portcullis_model::policy_rules::PolicyRules;
use portcullis_model::{PolicyId, TenantDomain};

use crate::command::DEFAULT_POLICIES as FIRST;
use crate::command::SeedPolicies;
use crate::handle::random_bytes;

/// Plans of asynchronous APIs, by events per day.
const ASYNC: [(&str, u64); 5] = [
    ("AsyncGold", 50_000),
    ("AsyncSilver", 25_000),
    ("AsyncBronze", 5_000),
    ("AsyncDefaultSubscriptionless", 10_000),
    ("AsyncUnlimited", UNLIMITED),
];
/// Plans of webhooks, by events per month and webhooks that may be registered (0: any number).
const WEBHOOK: [(&str, u64, u32); 4] = [
    ("AsyncWHGold", 10_000, 1_000),
    ("AsyncWHSilver", 5_000, 500),
    ("AsyncWHBronze", 1_000, 100),
    ("AsyncWHUnlimited", UNLIMITED, 0),
];
/// Plans of AI models, by tokens and requests per minute.
const AI: [(&str, u64, u64); 3] = [("AIGold", 50_000, 500), ("AISilver", 10_000, 100), ("AIBronze", 1_000, 10)];

/// Returns what a tenant begins with, for the command that creates it: the first set and the second.
#[must_use]
pub fn of_new_tenant(domain: &TenantDomain) -> Vec<(QuotaPolicy, PolicyRules)> {
    let first = FIRST.iter().map(|(level, name, count, about)| {
        let window = Window { length: 1, unit: TimeUnit::Minute };
        let (policy, rules) = plan(name, (*about).to_owned(), Quota::Requests(*count), window, PolicyRules::default());
        (QuotaPolicy { level: *level, ..policy }, rules)
    });
    let all = first.chain(second_set().policies);
    all.map(|(policy, rules)| (QuotaPolicy { tenant: domain.clone(), ..policy }, rules)).collect()
}

/// Returns the second set: the plans of asynchronous APIs, webhooks and AI models.
#[must_use]
pub fn second_set() -> SeedPolicies {
    let each = |unit| Window { length: 1, unit };
    let mut policies = Vec::new();
    for (name, events) in ASYNC {
        let about = if events == UNLIMITED {
            "Allows unlimited events".to_owned()
        } else {
            format!("Allows {events} events per day")
        };
        policies.push(plan(name, about, Quota::Events(events), each(TimeUnit::Day), PolicyRules::default()));
    }
    for (name, events, subscriber_count) in WEBHOOK {
        let about = match events {
            UNLIMITED => "Allows unlimited events and unlimited active subscriptions".to_owned(),
            _ => format!("Allows {events} events per month and {subscriber_count} active subscriptions"),
        };
        let rules = PolicyRules { subscriber_count, ..PolicyRules::default() };
        policies.push(plan(name, about, Quota::Events(events), each(TimeUnit::Month), rules));
    }
    for (name, total, requests) in AI {
        let about = format!("Allows {total} tokens and {requests} requests per minute");
        let quota = Quota::AiTokens { requests, total, prompt: 0, completion: 0 };
        policies.push(plan(name, about, quota, each(TimeUnit::Minute), PolicyRules::default()));
    }
    SeedPolicies { set: 2, policies }
}

fn plan(
    name: &str,
    description: String,
    quota: Quota,
    window: Window,
    rules: PolicyRules,
) -> (QuotaPolicy, PolicyRules) {
    let policy = QuotaPolicy {
        id: PolicyId::from_random(random_bytes()),
        tenant: TenantDomain::super_tenant(),
        level: PolicyLevel::Subscription,
        name: name.to_owned(),
        display_name: name.to_owned(),
        description,
        quota,
        window,
        burst: None,
        stops_on_quota_reach: true,
        billing_plan: "FREE".to_owned(),
        other_fields: "{}".to_owned(),
        version: 1,
    };
    (policy, rules)
}

#[cfg(test)]
mod tests {
    use portcullis_model::Principal;

    use super::*;
    use crate::command::{Command as _, DeletePolicy, Moment};
    use crate::state::State;

    #[test]
    fn a_set_is_seeded_once_and_what_was_deleted_or_there_before_is_left_alone() {
        let mut state = State::default();
        let moment = Moment { now: state.now(), index: 1, random: [0; 32], principal: Principal::system() };
        let own = plan(
            "AIGold",
            "ours".to_owned(),
            Quota::Requests(1),
            Window { length: 1, unit: TimeUnit::Hour },
            PolicyRules::default(),
        );
        let mine = SeedPolicies { set: 1, policies: vec![own] };
        assert_eq!(mine.apply(&mut state, &moment).unwrap(), 1);
        assert_eq!(second_set().apply(&mut state, &moment).unwrap(), 11);
        let key = |name: &str| (TenantDomain::super_tenant(), PolicyLevel::Subscription, name.to_owned());
        assert_eq!(state.apimgt.policies[&key("AIGold")].description, "ours");
        assert_eq!(state.deployed.policy_rules[&key("AsyncWHBronze")].subscriber_count, 100);
        let delete = DeletePolicy {
            tenant: TenantDomain::super_tenant(),
            level: PolicyLevel::Subscription,
            name: "AsyncGold".to_owned(),
        };
        delete.apply(&mut state, &moment).unwrap();
        assert_eq!(second_set().apply(&mut state, &moment).unwrap(), 0);
        assert!(!state.apimgt.policies.contains_key(&key("AsyncGold")), "a deleted default does not come back");
    }
}
