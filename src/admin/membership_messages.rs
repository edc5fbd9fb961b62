//! What Admin can be asked about the membership: part of [`crate::messages`].

use actix::Message;
use portcullis_database::{Caller, Committed};
use portcullis_model::{MembershipChange, MembershipPlan, NodeId};

use crate::admin_error::AdminError;

/// Changes the membership at once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), AdminError>")]
pub struct ChangeMembership {
    /// The change.
    pub change: MembershipChange,
    /// Whether to make it though a majority is lost with it.
    pub force: bool,
}

/// Adds a change to the plan, in the place of an earlier one about the same node.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<MembershipPlan>, AdminError>")]
pub struct StageChange {
    /// Who asks.
    pub caller: Caller,
    /// The change.
    pub change: MembershipChange,
}

/// Asks for the plan.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<MembershipPlan, AdminError>")]
pub struct ShowPlan;

/// Drops all changes of the plan.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<MembershipPlan>, AdminError>")]
pub struct RevertPlan {
    /// Who asks.
    pub caller: Caller,
}

/// Makes the changes of the plan.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), AdminError>")]
pub struct ApplyPlan {
    /// The version that was shown.
    pub version: u64,
    /// Whether to make them though a majority is lost with them.
    pub force: bool,
}

/// Has a node get no traffic, or get traffic again; answers whether the node was heard to know it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<bool, AdminError>")]
pub struct DrainNode {
    /// The node.
    pub node: NodeId,
    /// Who wants it drained; `None` where it is to get traffic again.
    pub drained_by: Option<String>,
    /// Whether to drain it though it is the last that gets traffic.
    pub force: bool,
}

/// Hands leadership over; answers who leads then.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<NodeId, AdminError>")]
pub struct TransferLeadership {
    /// To whom; to whichever voter has most of the log where `None`.
    pub to: Option<NodeId>,
}
