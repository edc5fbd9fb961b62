use std::sync::Arc;

use portcullis_model::membership::PLANNED_CHANGES_MAX;
use portcullis_model::{MembershipChange, MembershipPlan, NodeRole, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Admin, Cluster};
use crate::membership;
use crate::state::State;

/// Changes the plan of the membership, or makes what it holds. Each change of the plan gives it a new version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangePlan {
    /// What is to happen to it.
    pub step: PlanStep,
}

/// What happens to the plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PlanStep {
    /// A change is added. It replaces an earlier one about the same node.
    Stage(MembershipChange),
    /// All changes are dropped.
    Revert,
    /// All changes are made, if the plan has that version.
    Apply(u64),
}

impl SubmittedBy<Cluster> for ChangePlan {}
impl SubmittedBy<Admin> for ChangePlan {}

impl Command for ChangePlan {
    /// The plan as it is then.
    type Reply = MembershipPlan;

    fn subject(&self) -> String {
        format!("{:?}", self.step)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<MembershipPlan, Refused> {
        let mut plan = state.system.membership_plan.get(&()).map(|plan| plan.as_ref().clone()).unwrap_or_default();
        match self.step {
            PlanStep::Stage(change) => {
                plan.changes.retain(|earlier| earlier.subject() != change.subject());
                if plan.changes.len() >= PLANNED_CHANGES_MAX {
                    let max = PLANNED_CHANGES_MAX as u64;
                    return Err(Refused::LimitReached { what: "changes in a plan".to_owned(), max });
                }
                plan.changes.push(change);
                // Made on a copy that is thrown away: what cannot be made together is not planned.
                after(&plan, state, moment)?;
            }
            PlanStep::Revert if plan.changes.is_empty() => return Ok(plan),
            PlanStep::Revert => plan.changes.clear(),
            PlanStep::Apply(version) if version != plan.version => {
                return Err(Refused::Stale { noun: "plan".to_owned(), key: plan.version.to_string() });
            }
            PlanStep::Apply(_) if plan.changes.is_empty() => {
                return Err(Refused::wrong_state("nothing is planned"));
            }
            PlanStep::Apply(_) => {
                state.system = after(&plan, state, moment)?.system;
                plan.changes.clear();
            }
        }
        plan.version += 1;
        state.system.membership_plan.insert((), Arc::new(plan.clone()));
        Ok(plan)
    }
}

/// Returns the state as it is when the plan's changes are made.
fn after(plan: &MembershipPlan, state: &State, moment: &Moment) -> Result<State, Refused> {
    let mut changed = state.clone();
    // Who comes before who goes: a plan may exchange all voters.
    let goes = |change: &&MembershipChange| match change {
        MembershipChange::Remove { .. } => true,
        MembershipChange::SetRole { role, .. } => *role == NodeRole::Learner,
        MembershipChange::Replace { .. } => false,
    };
    let (going, coming): (Vec<&MembershipChange>, Vec<_>) = plan.changes.iter().partition(goes);
    for change in coming.into_iter().chain(going) {
        membership::change(&mut changed, *change, moment.now)?;
    }
    Ok(changed)
}
