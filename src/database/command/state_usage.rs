use portcullis_model::Refused;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::TrafficManager;
use crate::counters::statement::take_in;
use crate::counters::{ReportReply, Statement};
use crate::state::State;

/// Takes in a node's statement: what it has spent, owes, wants and gives back. Each counts once, however often it is
/// proposed. Takes the place of [`super::ReportUsage`], which knew no costs that come late.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateUsage {
    /// The statement.
    pub statement: Statement,
}

impl SubmittedBy<TrafficManager> for StateUsage {}

impl Command for StateUsage {
    type Reply = ReportReply;

    fn apply(self, state: &mut State, moment: &Moment) -> Result<ReportReply, Refused> {
        Ok(take_in(state, &self.statement, moment.now))
    }
}
