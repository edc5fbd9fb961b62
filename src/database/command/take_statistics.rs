use portcullis_model::Refused;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Statdb, State};
use crate::statistics::{BatchReply, StatisticsBatch, take_in};

/// Takes in what a node's gateway gathered about calls. Each batch counts once, however often it is proposed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TakeStatistics {
    /// The batch.
    pub batch: StatisticsBatch,
}

impl<C: Component> SubmittedBy<C> for TakeStatistics where C: Writes<Statdb> {}

impl Command for TakeStatistics {
    type Reply = BatchReply;

    fn apply(self, state: &mut State, moment: &Moment) -> Result<BatchReply, Refused> {
        Ok(take_in(state, self.batch, moment.now))
    }
}
