//! Who did what, when, from where: records of administrative acts and of sign-ins.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// The tenant of who did it.
    pub tenant: TenantDomain,
    /// Who did it; what was shown, for a sign-in that failed.
    pub user: Username,
    /// The address it came from, where that is known.
    pub origin: Option<IpAddr>,
    /// What was done.
    pub action: AuditAction,
    /// To what: names and ids, never a secret.
    pub subject: String,
    /// The code of the refusal; `None` where it was done.
    pub refused: Option<String>,
    /// How often, within the second in which it was noted.
    pub count: u32,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AuditAction {
    /// A change of the state, by the command's number.
    Command(u16),
    /// A sign-in with a password.
    SignIn,
}

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRetention {
    /// At most this many; the oldest go first.
    pub records_max: u64,
    /// At most this many days.
    pub days_max: u32,
}

impl AuditRetention {
    /// The most records that can be asked for.
    pub const RECORDS_MAX: u64 = 1_000_000;
    /// The most days that can be asked for.
    pub const DAYS_MAX: u32 = 3_650;
}

impl Default for AuditRetention {
    fn default() -> Self {
        Self { records_max: 100_000, days_max: 365 }
    }
}
