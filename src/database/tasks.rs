//! Tasks that wait for a decision: which changes must, and which do.

use std::sync::Arc;

use portcullis_model::task::{TASKS_MAX, Task, TaskKind, TaskSubject};
use portcullis_model::{Api, ApiId, Principal, Refused, RevisionId, TaskId, TenantDomain};
use uuid::Uuid;

use crate::command::Moment;
use crate::state::{Apimgtdb, State};

/// Says whether a tenant wants changes of a kind decided about.
pub(crate) fn are_wanted(state: &State, tenant: &TenantDomain, kind: TaskKind) -> bool {
    state.user.tenant_configs.get(tenant).is_some_and(|config| config.approvals.contains(&kind))
}

/// Returns the tasks of a tenant.
pub fn of_tenant<'a>(database: &'a Apimgtdb, tenant: &TenantDomain) -> impl Iterator<Item = &'a Arc<Task>> + use<'a> {
    let key = |id| (tenant.clone(), TaskId(id));
    database.tasks.range(key(Uuid::nil())..=key(Uuid::max())).map(|(_, task)| task)
}

/// Returns the change of an API's state that waits.
#[must_use]
pub fn state_change<'a>(database: &'a Apimgtdb, api: &Api) -> Option<&'a Arc<Task>> {
    let is_meant = |task: &&Arc<Task>| matches!(task.subject, TaskSubject::ApiState { api: its, .. } if its == api.id);
    of_tenant(database, &api.tenant).find(is_meant)
}

/// Returns the deployments of an API's revision that wait.
pub fn deployments<'a>(
    database: &'a Apimgtdb,
    api: &Api,
    revision: RevisionId,
) -> impl Iterator<Item = &'a Arc<Task>> + use<'a> {
    let (api, all) = (api.id, of_tenant(database, &api.tenant));
    all.filter(move |task| {
        matches!(&task.subject, TaskSubject::Deployment { api: its, revision: of, .. } if *its == api && *of == revision)
    })
}

/// What is to be asked.
pub(crate) struct Question {
    pub(crate) tenant: TenantDomain,
    pub(crate) subject: TaskSubject,
    /// What tells it from others of the same entry.
    pub(crate) about: String,
    pub(crate) description: String,
    pub(crate) properties: Vec<(&'static str, String)>,
    pub(crate) asked_by: Principal,
}

/// Makes a task that is not in the state yet.
///
/// # Errors
/// Where too many of the tenant wait already.
pub(crate) fn draft(state: &State, moment: &Moment, question: Question) -> Result<Task, Refused> {
    let Question { tenant, subject, about, description, properties, asked_by } = question;
    if of_tenant(&state.apimgt, &tenant).count() >= TASKS_MAX {
        return Err(Refused::LimitReached { what: "tasks that wait for a decision".to_owned(), max: TASKS_MAX as u64 });
    }
    let id = TaskId::of_names(&["task", &moment.index.to_string(), &about]);
    let properties = properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Task { id, tenant, subject, description, properties, asked_by, created_at: moment.now })
}

/// Puts a task into the state.
pub(crate) fn open(state: &mut State, task: Task) {
    state.apimgt.tasks.insert((task.tenant.clone(), task.id), Arc::new(task));
}

/// Removes the tasks of a tenant about what is gone, or was decided otherwise.
pub(crate) fn forget(state: &mut State, tenant: &TenantDomain, is_meant: impl Fn(&TaskSubject) -> bool) {
    let meant: Vec<TaskId> =
        of_tenant(&state.apimgt, tenant).filter(|task| is_meant(&task.subject)).map(|task| task.id).collect();
    for id in meant {
        state.apimgt.tasks.remove(&(tenant.clone(), id));
    }
}

/// Removes the tasks about an API.
pub(crate) fn forget_api(state: &mut State, tenant: &TenantDomain, api: ApiId) {
    forget(state, tenant, |subject| subject.api() == Some(api));
}
