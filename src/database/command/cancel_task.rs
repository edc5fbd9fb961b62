use portcullis_model::{Refused, TaskId, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Takes back what waits for a decision about an API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CancelTask {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The task.
    pub id: TaskId,
}

impl<C: Component> SubmittedBy<C> for CancelTask where C: Writes<Apimgtdb> {}

impl Command for CancelTask {
    type Reply = ();

    fn subject(&self) -> String {
        self.id.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let key = (self.tenant, self.id);
        let task = state.apimgt.tasks.get(&key).ok_or_else(|| Refused::not_found("workflow", self.id))?;
        if task.subject.api().is_none() {
            return Err(Refused::wrong_state(format!("{} is no change of an API", task.description)));
        }
        state.apimgt.tasks.remove(&key);
        Ok(())
    }
}
