//! Changes of policies, as far as the reserve is concerned: a node that has not seen a change may still spend the
//! share of the old limit, and that must be kept out of the pool.

use portcullis_model::counter::LimitPart;
use portcullis_model::{
    ApiId, KeyType, LimitKey, PolicyLevel, PolicyRules, Quota, QuotaPolicy, QuotaUnit, TenantDomain, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::Counters;
use super::window::Terms;
use crate::level;
use crate::state::State;

/// What identifies a policy.
pub type PolicyKey = (TenantDomain, PolicyLevel, String);

/// The last change of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// The entry that changed it.
    pub index: u64,
    /// The reserve of all members by the largest limit that a node may still believe in.
    pub reserve_total_before: u64,
    /// Windows that begin at this time or later follow the new policy on every node; `None` while that is not known.
    pub settled_at: Option<Timestamp>,
}

/// Notes that a policy is about to change or go, with all its limits. Called by the commands that do that, before they
/// do.
pub fn note(state: &mut State, key: &PolicyKey, index: u64) {
    let (tenant, level, name) = key;
    if state.feature_level() <= level::FIRST {
        return note_as_one(state, key, index);
    }
    let Some(policy) = state.deployed.policies.get(key).cloned() else { return };
    let rules = state.deployed.policy_rules.get(key).cloned();
    for part in parts_of(&policy, rules.as_deref()) {
        let limit = LimitKey::Policy { tenant: tenant.clone(), level: *level, name: name.clone(), part };
        note_limit(state, limit, Terms::of_policy(&policy, rules.as_deref(), part), index);
    }
}

/// Notes it as nodes of the first level do, that know one limit of a policy.
fn note_as_one(state: &mut State, key: &PolicyKey, index: u64) {
    let quota = |policy: &QuotaPolicy| Terms::of_policy(policy, None, LimitPart::Quota);
    let before = state.deployed.policies.get(key).and_then(|policy| quota(policy));
    let unsettled = state.counters.policy_changes.get(key).filter(|change| change.settled_at.is_none());
    let reserve_total_before =
        before.map_or(0, |terms| terms.reserve_total()).max(unsettled.map_or(0, |change| change.reserve_total_before));
    let change = PolicyChange { index, reserve_total_before, settled_at: None };
    state.counters.policy_changes.insert(key.clone(), change);
}

/// Notes that what an API's backend may get is about to change. Called before it does.
pub fn note_maximum(state: &mut State, environment: &str, api: ApiId, index: u64) {
    if state.feature_level() <= level::FIRST {
        return;
    }
    for key_type in [KeyType::Production, KeyType::Sandbox] {
        let limit = LimitKey::ApiMaximum { environment: environment.to_owned(), api, key_type };
        let before = Terms::of(&state.deployed, &limit);
        note_limit(state, limit, before, index);
    }
}

fn note_limit(state: &mut State, limit: LimitKey, before: Option<Terms>, index: u64) {
    let unsettled = state.counters.limit_changes.get(&limit).filter(|change| change.settled_at.is_none());
    let largest_before = unsettled.map_or(0, |change| change.reserve_total_before);
    let reserve_total_before = before.map_or(0, |terms| terms.reserve_total()).max(largest_before);
    if before.is_none() && largest_before == 0 {
        return;
    }
    state.counters.limit_changes.insert(limit, PolicyChange { index, reserve_total_before, settled_at: None });
}

/// Returns the limits that a policy may have.
fn parts_of(policy: &QuotaPolicy, rules: Option<&PolicyRules>) -> Vec<LimitPart> {
    let mut parts = vec![LimitPart::Quota];
    if policy.burst.is_some() {
        parts.push(LimitPart::Burst);
    }
    if matches!(policy.quota, Quota::AiTokens { .. }) {
        parts.extend([QuotaUnit::Requests, QuotaUnit::PromptTokens, QuotaUnit::CompletionTokens].map(LimitPart::Unit));
    }
    let groups = rules.map_or(0, |rules| rules.groups.len());
    parts.extend((0..groups).filter_map(|number| u8::try_from(number).ok()).map(LimitPart::Group));
    parts
}

/// Returns the reserve of all members that must be kept out of the pool of a window that begins at `start`.
pub(super) fn reserve_total(counters: &mut Counters, limit: &LimitKey, terms: &Terms, start: Timestamp) -> u64 {
    let noted = counters.limit_changes.get(limit).copied();
    let change = settle(counters, noted, |counters, settled| {
        counters.limit_changes.insert(limit.clone(), settled);
    });
    let change_before = policy_of(limit).and_then(|policy| {
        let noted = counters.policy_changes.get(&policy).copied();
        settle(counters, noted, |counters, settled| {
            counters.policy_changes.insert(policy, settled);
        })
    });
    let unsettled = |change: Option<PolicyChange>| match change {
        Some(change) if change.settled_at.is_none_or(|at| at > start) => change.reserve_total_before,
        _ => 0,
    };
    terms.reserve_total().max(unsettled(change)).max(unsettled(change_before))
}

/// Sees whether a change is settled by now, and keeps that.
fn settle(
    counters: &mut Counters,
    noted: Option<PolicyChange>,
    keep: impl FnOnce(&mut Counters, PolicyChange),
) -> Option<PolicyChange> {
    let change = noted?;
    if change.settled_at.is_some() {
        return noted;
    }
    let settled = PolicyChange { settled_at: settled_at(counters, &change), ..change };
    if settled.settled_at.is_some() {
        keep(counters, settled);
    }
    Some(settled)
}

/// Returns the policy of which a limit was the only one at the first feature level.
fn policy_of(limit: &LimitKey) -> Option<PolicyKey> {
    match limit {
        LimitKey::Policy { tenant, level, name, part: LimitPart::Quota } => {
            Some((tenant.clone(), *level, name.clone()))
        }
        _ => None,
    }
}

/// Returns from when on every node's windows follow the policy as it is since `change`, if that is known now.
fn settled_at(counters: &Counters, change: &PolicyChange) -> Option<Timestamp> {
    let table = counters.reserve_table();
    let is_seen = table
        .holders
        .values()
        .all(|holder| holder.applied_index >= change.index || holder.leaves_at.is_some_and(|at| at <= table.horizon));
    is_seen.then_some(Timestamp(table.horizon.0 + 1))
}
