use std::sync::Arc;

use portcullis_model::task::{Task, TaskSubject};
use portcullis_model::{
    Application, ApplicationId, ApplicationState, Refused, Subscription, SubscriptionId, SubscriptionState, TaskId,
    TenantDomain, User, Username,
};
use serde::{Deserialize, Serialize};

use super::{ChangeLifecycle, Command, DeleteUser, DeployRevision, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State, Userdb};

/// Decides about what waits: it happens then as if it had not waited, or it does not. In force on every live gateway when the
/// answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecideTask {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The task.
    pub id: TaskId,
    /// Whether it is to happen.
    pub is_approved: bool,
}

impl<C: Component> SubmittedBy<C> for DecideTask where C: Writes<Apimgtdb> + Writes<Userdb> {}

impl Command for DecideTask {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{} {}", self.id, if self.is_approved { "approved" } else { "rejected" })
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let key = (self.tenant, self.id);
        let task = state.apimgt.tasks.get(&key).cloned().ok_or_else(|| Refused::not_found("workflow", self.id))?;
        // What cannot happen any more stays, to be rejected.
        let mut draft = state.clone();
        draft.apimgt.tasks.remove(&key);
        decide(&mut draft, moment, &task, self.is_approved)?;
        *state = draft;
        Ok(())
    }
}

fn decide(state: &mut State, moment: &Moment, task: &Task, is_approved: bool) -> Result<(), Refused> {
    // It happens on behalf of whoever asked.
    let asked = Moment { principal: task.asked_by.clone(), ..moment.clone() };
    match task.subject.clone() {
        TaskSubject::Application(id) => {
            decide_application(state, moment, id, is_approved);
            Ok(())
        }
        TaskSubject::Subscription(id) => {
            decide_subscription(state, id, is_approved);
            Ok(())
        }
        TaskSubject::User(username) => decide_user(state, moment, &task.tenant, &username, is_approved),
        TaskSubject::ApiState { api, action, deprecates_old_versions, requires_resubscription } if is_approved => {
            let change = ChangeLifecycle { api, action, deprecates_old_versions, requires_resubscription };
            change.change(state, &asked).map(drop)
        }
        TaskSubject::Deployment { api, revision, deployment } if is_approved => {
            DeployRevision { api, revision, deployments: vec![deployment] }.deploy(state, &asked)
        }
        TaskSubject::ApiState { .. } | TaskSubject::Deployment { .. } => Ok(()),
    }
}

/// One that was deleted meanwhile is not missed.
fn decide_application(state: &mut State, moment: &Moment, id: ApplicationId, is_approved: bool) {
    let Some(application) = state.apimgt.applications.get(&id) else { return };
    let decided = if is_approved { ApplicationState::Approved } else { ApplicationState::Rejected };
    let application = Application { state: decided, updated_at: moment.now, ..Application::clone(application) };
    state.apimgt.applications.insert(id, Arc::new(application));
    state.deployed.advance(Generation::Keys);
}

fn decide_subscription(state: &mut State, id: SubscriptionId, is_approved: bool) {
    let waits = |one: &&Arc<Subscription>| one.state == SubscriptionState::OnHold;
    let Some(subscription) = state.apimgt.subscriptions.get(&id).filter(waits) else { return };
    let decided = if is_approved { SubscriptionState::Unblocked } else { SubscriptionState::Rejected };
    let subscription = Subscription { state: decided, ..Subscription::clone(subscription) };
    state.apimgt.subscriptions.insert(id, Arc::new(subscription));
    state.deployed.advance(Generation::Keys);
}

fn decide_user(
    state: &mut State,
    moment: &Moment,
    tenant: &TenantDomain,
    username: &Username,
    is_approved: bool,
) -> Result<(), Refused> {
    let key = (tenant.clone(), username.clone());
    let Some(user) = state.user.users.get(&key).cloned() else { return Ok(()) };
    if is_approved {
        state.user.users.insert(key, Arc::new(User { is_locked: false, ..User::clone(&user) }));
        return Ok(());
    }
    DeleteUser { tenant: key.0, username: key.1, expected_version: None }.apply(state, moment)
}
