//! What only the leader does: changes of the membership, the plan, draining, handing over. Asked of whatever node, and
//! passed on to whoever leads.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_database::codec;
use portcullis_database::command::{
    ChangeMembership, ChangePlan, Command, NodeCondition, PlanStep, RemoveNode, SetNodeCondition,
};
use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::{Entry, ProposeError, level};
use portcullis_model::cluster::ClusterRefusal;
use portcullis_model::limit::MANAGEMENT_DEADLINE;
use portcullis_model::{MembershipChange, NodeId, NodeRole, Principal, Refused};
use tokio::time::{Instant, timeout};

use crate::core::Core;
use crate::reads::ReadBy;
use crate::refusal::{refusal, unavailable};
use crate::transport::{CallError, LeaderTask, ProposeAnswer, Request, Response, TaskRefusal};

/// How long a node waits to see the leader that another node has become.
const NEW_LEADER_WITHIN: Duration = Duration::from_secs(5);
/// How long it is waited for that a node hears what was said of it.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// Makes an entry of a command, on the system's behalf.
pub(crate) fn entry<X: Command>(command: &X) -> Result<Entry, ClusterRefusal> {
    let payload = codec::encode(command).map_err(|e| ClusterRefusal::Invalid(e.to_string()))?;
    Ok(Entry {
        command: X::NUMBER,
        proposed_at: wall_clock(),
        random: random_bytes(),
        principal: Principal::system(),
        idempotency: None,
        payload,
    })
}

impl Core {
    /// Has whoever leads do it. A leader that is to go, or that was replaced, says so; then the next is asked.
    pub(crate) async fn have_leader_do(&self, task: LeaderTask) -> Result<(), ClusterRefusal> {
        let deadline = Instant::now() + MANAGEMENT_DEADLINE;
        loop {
            let leader = self.acting_leader(deadline).await?;
            let done = if leader == self.node() {
                self.do_as_leader(task.clone()).await
            } else {
                self.ask_leader(leader, task.clone()).await
            };
            match done {
                Err(TaskRefusal::NotLeader) if Instant::now() < deadline => self.pause(deadline).await,
                done => return done.map_err(Into::into),
            }
        }
    }

    async fn ask_leader(&self, leader: NodeId, task: LeaderTask) -> Result<(), TaskRefusal> {
        let at = self.address_of(leader).ok_or(TaskRefusal::NotLeader)?;
        match self.peers.call(leader, at, Request::Task(task), MANAGEMENT_DEADLINE).await {
            Ok(Response::Done(done)) => done,
            Ok(_) | Err(CallError::NotSent(_)) => Err(TaskRefusal::NotLeader),
            Err(e) => Err(TaskRefusal::Unavailable(format!(
                "the leader (node {leader}): {e}; see portcullis cluster status for what has happened"
            ))),
        }
    }

    /// Does it, if this node leads and no rule stands against it.
    pub(crate) async fn do_as_leader(&self, task: LeaderTask) -> Result<(), TaskRefusal> {
        if !self.leads() {
            return Err(TaskRefusal::NotLeader);
        }
        if let LeaderTask::TransferLeadership { to } = task {
            return self.hand_over_to(to).await;
        }
        // One change at a time: two that each leave a majority may leave none together.
        let guard = timeout(MANAGEMENT_DEADLINE, self.changes.lock()).await;
        let _guard = guard.map_err(|e| TaskRefusal::Unavailable(e.to_string()))?;
        match task {
            LeaderTask::Change { change, force } => self.make_change(change, force).await,
            LeaderTask::ApplyPlan { version, force } => self.make_planned(version, force).await,
            LeaderTask::Drain { node, drained_by, force } => self.set_drained(node, drained_by, force).await,
            LeaderTask::TransferLeadership { .. } => Ok(()),
        }
    }

    /// Makes one change. Called with the changes locked.
    async fn make_change(&self, change: MembershipChange, force: bool) -> Result<(), TaskRefusal> {
        self.check_changes(&[change], force).await?;
        self.leave_lead_if_needed(&[change]).await?;
        // In the log first: if this leader is lost now, the next one goes on with it.
        match change {
            // Also known to nodes of the version before.
            MembershipChange::Remove { node } => self.decide(&RemoveNode { node }).await?,
            other => self.decide(&ChangeMembership { change: other }).await?,
        }
        let (made, left_to_do) = match change {
            MembershipChange::Remove { node } => (self.take_out(node).await, format!("remove node {node}")),
            MembershipChange::SetRole { node, role: NodeRole::Learner } => {
                (self.demote(node).await, format!("make node {node} a learner"))
            }
            // They wait for a node to catch up: whoever leads then makes them.
            MembershipChange::SetRole { .. } | MembershipChange::Replace { .. } => return Ok(()),
        };
        made.map_err(|e| {
            TaskRefusal::Unavailable(format!("the decision to {left_to_do} stands and is carried out soon: {e}"))
        })
    }

    async fn make_planned(&self, version: u64, force: bool) -> Result<(), TaskRefusal> {
        let plan = self.cell.load().system.membership_plan.get(&()).cloned().unwrap_or_default();
        if plan.version != version {
            return Err(TaskRefusal::OtherPlan { given: version, now: plan.version });
        }
        self.check_changes(&plan.changes, force).await?;
        self.leave_lead_if_needed(&plan.changes).await?;
        // The steps are made one after the other by whoever leads: see `membership`.
        self.decide(&ChangePlan { step: PlanStep::Apply(version) }).await
    }

    async fn set_drained(&self, node: NodeId, drained_by: Option<String>, force: bool) -> Result<(), TaskRefusal> {
        if drained_by.is_some() {
            self.check_drain(node, force).await?;
        }
        self.decide(&SetNodeCondition { node, condition: NodeCondition::Drained(drained_by) }).await
    }

    /// A leader that goes or no longer votes hands over first; the next one is to be asked then.
    async fn leave_lead_if_needed(&self, changes: &[MembershipChange]) -> Result<(), TaskRefusal> {
        let own = self.node();
        let ends_lead = |change: &MembershipChange| match *change {
            MembershipChange::Remove { node } | MembershipChange::SetRole { node, role: NodeRole::Learner } => {
                node == own
            }
            MembershipChange::SetRole { .. } | MembershipChange::Replace { .. } => false,
        };
        if !changes.iter().any(ends_lead) {
            return Ok(());
        }
        let leaving: BTreeSet<NodeId> = changes.iter().map(MembershipChange::subject).collect();
        self.hand_over(None, &leaving).await.map_err(|e| TaskRefusal::Unavailable(e.to_string()))?;
        Err(TaskRefusal::NotLeader)
    }

    /// Brings a decision to the log.
    pub(crate) async fn decide<X: Command>(&self, command: &X) -> Result<(), TaskRefusal> {
        let undecided = |e: ProposeError| TaskRefusal::Unavailable(e.to_string());
        match self.propose_as_leader(entry(command)?, MANAGEMENT_DEADLINE).await {
            ProposeAnswer::Applied(outcome) => match outcome.result {
                Ok(_) => Ok(()),
                // The plan changed after it was looked at: whoever is asked next sees what it is now.
                Err(Refused::Stale { .. }) => Err(TaskRefusal::NotLeader),
                Err(refused) => Err(refusal(refused).into()),
            },
            ProposeAnswer::NotLeader => Err(TaskRefusal::NotLeader),
            ProposeAnswer::LevelTooLow => {
                let level = self.cell.load().feature_level();
                let needed = level::of_command(X::NUMBER);
                Err(undecided(ProposeError::LevelTooLow { command: X::NAME, needed, level }))
            }
            ProposeAnswer::Overloaded => Err(undecided(ProposeError::Overloaded)),
            ProposeAnswer::TimedOut => Err(undecided(ProposeError::TimedOut(MANAGEMENT_DEADLINE))),
            ProposeAnswer::Unknown => Err(undecided(ProposeError::Unknown)),
        }
    }

    async fn hand_over_to(&self, to: Option<NodeId>) -> Result<(), TaskRefusal> {
        if to == Some(self.node()) {
            return Ok(());
        }
        if let Some(to) = to {
            self.check_successor(to).await?;
        } else if self.voters().len() < 2 {
            return Err(TaskRefusal::Invalid(format!("node {} is the only voter: nobody can take over", self.node())));
        }
        self.hand_over(to, &BTreeSet::new()).await.map(drop).map_err(|e| TaskRefusal::Unavailable(e.to_string()))
    }

    /// Has a node be drained or not, and says whether it was heard to know it.
    pub(crate) async fn drain(
        &self,
        node: NodeId,
        drained_by: Option<String>,
        force: bool,
    ) -> Result<bool, ClusterRefusal> {
        self.have_leader_do(LeaderTask::Drain { node, drained_by, force }).await?;
        if self.catch_up(ReadBy::Index, HEARD_WITHIN).await.is_err() {
            return Ok(false);
        }
        Ok(self.acts_on(node, self.cell.applied(), Instant::now() + HEARD_WITHIN).await)
    }

    /// Hands leadership over, wherever it is, and returns who leads then.
    pub(crate) async fn transfer(&self, to: Option<NodeId>) -> Result<NodeId, ClusterRefusal> {
        let deadline = Instant::now() + MANAGEMENT_DEADLINE;
        let before = self.acting_leader(deadline).await?;
        self.have_leader_do(LeaderTask::TransferLeadership { to }).await?;
        let deadline = Instant::now() + NEW_LEADER_WITHIN;
        let is_meant = |leader: NodeId| to.map_or(leader != before, |to| leader == to);
        loop {
            match self.steady_leader() {
                Some(leader) if is_meant(leader) => return Ok(leader),
                _ if Instant::now() >= deadline => {
                    return Err(unavailable("leadership was handed over, but this node does not see who leads yet"));
                }
                _ => self.pause(deadline).await,
            }
        }
    }
}
