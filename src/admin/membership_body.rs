//! Changes of the membership as JSON.

use portcullis_model::{MembershipChange, MembershipPlan, NodeId};
use serde::Serialize;

/// A plan.
#[derive(Debug, Serialize)]
pub(crate) struct PlanBody {
    version: u64,
    changes: Vec<ChangeBody>,
}

/// A change.
#[derive(Debug, Serialize)]
struct ChangeBody {
    change: &'static str,
    node: NodeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<NodeId>,
    /// The same for people.
    summary: String,
}

impl From<MembershipPlan> for PlanBody {
    fn from(plan: MembershipPlan) -> Self {
        Self { version: plan.version, changes: plan.changes.iter().map(ChangeBody::from).collect() }
    }
}

impl From<&MembershipChange> for ChangeBody {
    fn from(change: &MembershipChange) -> Self {
        let (name, role, by) = match *change {
            MembershipChange::Remove { .. } => ("remove", None, None),
            MembershipChange::SetRole { role, .. } => ("set-role", Some(role.name()), None),
            MembershipChange::Replace { new, .. } => ("replace", None, Some(new)),
        };
        Self { change: name, node: change.subject(), role, by, summary: change.to_string() }
    }
}
