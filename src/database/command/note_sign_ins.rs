use std::net::IpAddr;

use portcullis_model::{AuditAction, AuditRecord, Refused, TenantDomain, Timestamp, Username};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::audit;
use crate::state::{State, Userdb};

/// Sign-ins of one entry.
pub const SIGN_INS_MAX: usize = 256;

/// Notes sign-ins, good and failed, in the audit: those of about a second at one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoteSignIns {
    /// The sign-ins.
    pub sign_ins: Vec<SignInNote>,
}

/// Sign-ins of one user from one address with one outcome.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SignInNote {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The name that was shown.
    pub username: Username,
    /// The address.
    pub origin: Option<IpAddr>,
    /// The code of the refusal; `None` for a good one.
    pub refused: Option<String>,
    /// When the first of them was.
    pub at: Timestamp,
    /// How many.
    pub count: u32,
}

impl<C: Component> SubmittedBy<C> for NoteSignIns where C: Writes<Userdb> {}

impl Command for NoteSignIns {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let notes = self.sign_ins.into_iter().take(SIGN_INS_MAX);
        for (number, note) in (0..).zip(notes) {
            let record = AuditRecord {
                // Never later than the entry, so that what is dropped first is the oldest.
                at: note.at.min(moment.now),
                tenant: note.tenant,
                user: note.username,
                origin: note.origin,
                action: AuditAction::SignIn,
                subject: String::new(),
                refused: note.refused,
                count: note.count,
            };
            audit::keep(state, (moment.index, number), record);
        }
        Ok(())
    }
}
