//! Changes of policies, as far as the reserve is concerned: a node that has not seen a change may still spend the
//! share of the old limit, and that must be kept out of the pool.

use portcullis_model::{PolicyLevel, TenantDomain, Timestamp};
use serde::{Deserialize, Serialize};

use super::Counters;
use super::window::Terms;
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

/// Notes that a policy is about to change or go. Called by the commands that do that, before they do.
pub fn note(state: &mut State, key: &PolicyKey, index: u64) {
    let before = state.deployed.policies.get(key).and_then(|policy| Terms::of(policy));
    let unsettled = state.counters.policy_changes.get(key).filter(|change| change.settled_at.is_none());
    let reserve_total_before =
        before.map_or(0, |terms| terms.reserve_total()).max(unsettled.map_or(0, |change| change.reserve_total_before));
    let change = PolicyChange { index, reserve_total_before, settled_at: None };
    state.counters.policy_changes.insert(key.clone(), change);
}

/// Returns the reserve of all members that must be kept out of the pool of a window that begins at `start`.
pub(super) fn reserve_total(counters: &mut Counters, key: &PolicyKey, terms: &Terms, start: Timestamp) -> u64 {
    let Some(change) = counters.policy_changes.get(key).copied() else { return terms.reserve_total() };
    let settled_at = change.settled_at.or_else(|| {
        let table = counters.reserve_table();
        let is_seen = table.holders.values().all(|holder| {
            holder.applied_index >= change.index || holder.leaves_at.is_some_and(|at| at <= table.horizon)
        });
        let settled_at = is_seen.then_some(Timestamp(table.horizon.0 + 1));
        if settled_at.is_some() {
            counters.policy_changes.insert(key.clone(), PolicyChange { settled_at, ..change });
        }
        settled_at
    });
    let is_settled = settled_at.is_some_and(|at| at <= start);
    if is_settled { terms.reserve_total() } else { terms.reserve_total().max(change.reserve_total_before) }
}
