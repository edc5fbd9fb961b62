//! Handles what is asked about the membership. It is changed behind [`portcullis_model::cluster::ClusterControl`];
//! only the plan is kept here, in the state.

use std::sync::Arc;

use actix::{Context, Handler, ResponseFuture};
use portcullis_database::command::{ChangePlan, PlanStep};
use portcullis_database::{Caller, Committed};
use portcullis_model::{MembershipPlan, NodeId};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{ApplyPlan, ChangeMembership, DrainNode, RevertPlan, ShowPlan, StageChange, TransferLeadership};

impl Handler<ChangeMembership> for Admin {
    type Result = ResponseFuture<Result<(), AdminError>>;

    fn handle(&mut self, message: ChangeMembership, _context: &mut Context<Self>) -> Self::Result {
        let cluster = Arc::clone(&self.cluster);
        Box::pin(async move { Ok(cluster.change_membership(message.change, message.force).await?) })
    }
}

impl Handler<StageChange> for Admin {
    type Result = ResponseFuture<Result<Committed<MembershipPlan>, AdminError>>;

    fn handle(&mut self, message: StageChange, _context: &mut Context<Self>) -> Self::Result {
        self.step(PlanStep::Stage(message.change), message.caller)
    }
}

impl Handler<RevertPlan> for Admin {
    type Result = ResponseFuture<Result<Committed<MembershipPlan>, AdminError>>;

    fn handle(&mut self, message: RevertPlan, _context: &mut Context<Self>) -> Self::Result {
        self.step(PlanStep::Revert, message.caller)
    }
}

impl Admin {
    fn step(&self, step: PlanStep, caller: Caller) -> ResponseFuture<Result<Committed<MembershipPlan>, AdminError>> {
        let handle = self.handle.clone();
        Box::pin(async move { Ok(handle.submit(ChangePlan { step }, &caller).await?) })
    }
}

impl Handler<ShowPlan> for Admin {
    type Result = Result<MembershipPlan, AdminError>;

    fn handle(&mut self, _message: ShowPlan, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        Ok(view.system().membership_plan.get(&()).map(|plan| plan.as_ref().clone()).unwrap_or_default())
    }
}

impl Handler<ApplyPlan> for Admin {
    type Result = ResponseFuture<Result<(), AdminError>>;

    fn handle(&mut self, message: ApplyPlan, _context: &mut Context<Self>) -> Self::Result {
        let cluster = Arc::clone(&self.cluster);
        Box::pin(async move { Ok(cluster.apply_plan(message.version, message.force).await?) })
    }
}

impl Handler<DrainNode> for Admin {
    type Result = ResponseFuture<Result<bool, AdminError>>;

    fn handle(&mut self, message: DrainNode, _context: &mut Context<Self>) -> Self::Result {
        let cluster = Arc::clone(&self.cluster);
        Box::pin(async move { Ok(cluster.drain_node(message.node, message.drained_by, message.force).await?) })
    }
}

impl Handler<TransferLeadership> for Admin {
    type Result = ResponseFuture<Result<NodeId, AdminError>>;

    fn handle(&mut self, message: TransferLeadership, _context: &mut Context<Self>) -> Self::Result {
        let cluster = Arc::clone(&self.cluster);
        Box::pin(async move { Ok(cluster.transfer_leadership(message.to).await?) })
    }
}
