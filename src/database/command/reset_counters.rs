use portcullis_model::counter::CounterSelector;
use portcullis_model::{CounterKey, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Store, TrafficManager};
use crate::counters::reset::{ResetReply, reset};
use crate::state::State;

/// Gives callers their limits anew. Looks at a bounded number of counters: the reply says where to go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResetCounters {
    /// Which counters.
    pub selector: CounterSelector,
    /// Those after this one.
    pub after: Option<CounterKey>,
}

impl SubmittedBy<TrafficManager> for ResetCounters {}
// The Store asks for it by this command alone; what it does to the counters is the Traffic Manager's own rule.
impl SubmittedBy<Store> for ResetCounters {}

impl Command for ResetCounters {
    type Reply = ResetReply;

    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        let CounterSelector { level, policy, application, user, .. } = &self.selector;
        let parts = [
            level.map(|level| format!("{level:?}")),
            policy.clone(),
            application.map(|application| format!("application {application}")),
            user.as_ref().map(|user| format!("user {user}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<ResetReply, Refused> {
        Ok(reset(state, &self.selector, self.after.as_ref(), moment.now))
    }
}
