use portcullis_model::{AuditRetention, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::Admin;
use crate::audit;
use crate::state::State;

/// Sets how long the audit keeps records. Those beyond are dropped a few with each act that is noted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAuditRetention {
    /// How long.
    pub retention: AuditRetention,
}

impl SubmittedBy<Admin> for SetAuditRetention {}

impl Command for SetAuditRetention {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} records, {} days", self.retention.records_max, self.retention.days_max)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let AuditRetention { records_max, days_max } = self.retention;
        if !(1_000..=AuditRetention::RECORDS_MAX).contains(&records_max) {
            return Err(Refused::invalid("records", format!("must be 1000 to {}", AuditRetention::RECORDS_MAX)));
        }
        if !(1..=AuditRetention::DAYS_MAX).contains(&days_max) {
            return Err(Refused::invalid("days", format!("must be 1 to {}", AuditRetention::DAYS_MAX)));
        }
        state.system.audit_retention.insert((), self.retention);
        audit::drop_old(state, moment.now);
        Ok(())
    }
}
