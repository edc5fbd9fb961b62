use portcullis_model::Refused;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::TrafficManager;
use crate::counters::report::take_in;
use crate::counters::{Report, ReportReply};
use crate::state::State;

/// Takes in a node's report of what it has spent, wants and gives back. Each counts once, however often it is proposed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportUsage {
    /// The report.
    pub report: Report,
}

impl SubmittedBy<TrafficManager> for ReportUsage {}

impl Command for ReportUsage {
    type Reply = ReportReply;

    fn apply(self, state: &mut State, moment: &Moment) -> Result<ReportReply, Refused> {
        Ok(take_in(state, &self.report, moment.now))
    }
}
