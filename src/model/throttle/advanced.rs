//! An advanced policy, compiled: which of its limits a call meets.

use super::call::Call;
use super::condition::{BadCondition, CompiledCondition};
use crate::policy::{Quota, QuotaPolicy, QuotaUnit};
use crate::policy_rules::{GROUPS_MAX, PolicyRules};

/// An advanced policy ready for calls.
#[derive(Clone, Debug)]
pub struct AdvancedPlan {
    policy: Box<str>,
    is_per_user: bool,
    groups: Box<[Group]>,
    default: Option<QuotaUnit>,
}

#[derive(Clone, Debug)]
struct Group {
    conditions: Box<[CompiledCondition]>,
    unit: Option<QuotaUnit>,
}

impl AdvancedPlan {
    /// Compiles a policy; `None` where it limits nothing at all.
    ///
    /// # Errors
    /// Where a condition cannot be used.
    pub fn compile(policy: &QuotaPolicy, rules: Option<&PolicyRules>) -> Result<Option<Self>, BadCondition> {
        let groups = rules.map_or(&[][..], |rules| &rules.groups);
        let groups: Box<[Group]> = groups
            .iter()
            .take(GROUPS_MAX)
            .map(|group| {
                let conditions: Result<Box<[_]>, _> = group.conditions.iter().map(CompiledCondition::compile).collect();
                Ok(Group { conditions: conditions?, unit: unit(group.quota) })
            })
            .collect::<Result<_, BadCondition>>()?;
        let default = unit(policy.quota);
        if default.is_none() && groups.iter().all(|group| group.unit.is_none()) {
            return Ok(None);
        }
        let is_per_user = rules.is_some_and(|rules| rules.is_per_user);
        Ok(Some(Self { policy: policy.name.as_str().into(), is_per_user, groups, default }))
    }

    /// Returns the policy's name.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Says whether each user has a counter of his own.
    #[must_use]
    pub fn is_per_user(&self) -> bool {
        self.is_per_user
    }

    /// Returns the groups that the call meets: each has its own limit. Where it meets none, the policy's quota applies.
    #[must_use]
    pub fn select(&self, call: &Call<'_>) -> Groups {
        let mut met = 0;
        for (number, group) in self.groups.iter().enumerate() {
            if group.conditions.iter().all(|condition| condition.is_met_by(call)) {
                met |= 1 << number;
            }
        }
        Groups(met)
    }

    /// Returns what the limit of a group, or the default one (`None`), counts; `None` where it limits nothing.
    #[must_use]
    pub fn unit(&self, group: Option<u8>) -> Option<QuotaUnit> {
        match group {
            None => self.default,
            Some(number) => self.groups.get(usize::from(number)).and_then(|group| group.unit),
        }
    }

    /// Returns the number of groups.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }
}

fn unit(quota: Quota) -> Option<QuotaUnit> {
    let unit = quota.unit();
    quota.bound(unit).map(|_| unit)
}

/// The groups of conditions that a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups(u32);

impl Groups {
    /// No group.
    pub const NONE: Self = Self(0);

    /// Returns the limits that apply: the groups met in order, or `None` for the default where there are none.
    pub fn limits(self) -> impl Iterator<Item = Option<u8>> {
        let default = (self.0 == 0).then_some(None);
        let met = (0..32_u8).filter(move |number| self.0 & (1 << number) != 0).map(Some);
        default.into_iter().chain(met)
    }
}
