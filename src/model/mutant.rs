//! Deliberate faults, to show that the tests by fault injection find such faults. They are there only in builds with the
//! feature `mutants`, which nothing but `portcullis-jepsen mutants` makes; everywhere else [`is`] is `false` when the
//! program is compiled, and nothing of this is in it.

/// The environment variable that names the fault of this process.
pub const VARIABLE: &str = "PORTCULLIS_MUTANT";

/// A deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The leader answers a write before a majority has it.
    AckBeforeCommit,
    /// What a report says was used is entered twice, now and then.
    ApplyTwice,
    /// The log is not synced to disk.
    SkipSync,
    /// A linearizable read asks nobody.
    StaleRead,
    /// What a node held of quotas before its restart is forgotten.
    ForgetGrants,
    /// The log grants more than there is.
    OverGrant,
    /// The fence waits for nobody.
    IgnoreFence,
    /// A snapshot lacks a row.
    ShortSnapshot,
    /// Applying an entry depends on the node's own clock.
    ClockInApply,
    /// Replies are not kept for idempotency keys.
    ForgetReplies,
    /// A gateway keeps its verdict on a token whatever changes.
    KeepVerdicts,
    /// A report that does not reach the log at once is dropped.
    ForgetReports,
    /// A node that starts serves before it has caught up.
    ServeEarly,
    /// `If-Match` is not looked at.
    IgnoreIfMatch,
    /// Names of applications need not be unique.
    IgnoreNames,
    /// A node that was removed runs on.
    ServeRemoved,
}

impl Mutant {
    /// Every fault with its name.
    pub const ALL: [(Self, &str); 16] = [
        (Self::AckBeforeCommit, "ack-before-commit"),
        (Self::ApplyTwice, "apply-twice"),
        (Self::SkipSync, "skip-sync"),
        (Self::StaleRead, "stale-read"),
        (Self::ForgetGrants, "forget-grants"),
        (Self::OverGrant, "over-grant"),
        (Self::IgnoreFence, "ignore-fence"),
        (Self::ShortSnapshot, "short-snapshot"),
        (Self::ClockInApply, "clock-in-apply"),
        (Self::ForgetReplies, "forget-replies"),
        (Self::KeepVerdicts, "keep-verdicts"),
        (Self::ForgetReports, "forget-reports"),
        (Self::ServeEarly, "serve-early"),
        (Self::IgnoreIfMatch, "ignore-if-match"),
        (Self::IgnoreNames, "ignore-names"),
        (Self::ServeRemoved, "serve-removed"),
    ];
}

/// Whether deliberate faults are in this program.
pub const IS_COMPILED: bool = cfg!(feature = "mutants");

/// Says whether this process has the fault.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn is(_mutant: Mutant) -> bool {
    false
}

/// Says whether this process has the fault.
///
/// # Panics
/// Where the environment names a fault that there is not: a test that means to have one must not run without it.
#[cfg(feature = "mutants")]
#[must_use]
pub fn is(mutant: Mutant) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Mutant>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var(VARIABLE).ok()?;
        let known = Mutant::ALL.iter().find(|(_, known)| *known == name);
        assert!(known.is_some(), "{VARIABLE}: there is no deliberate fault {name}");
        known.map(|(mutant, _)| *mutant)
    });
    *chosen == Some(mutant)
}

/// Returns a number that differs between nodes and from call to call, for faults that make them differ.
#[cfg(feature = "mutants")]
#[must_use]
pub fn own_clock_ms() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or_default()
}

/// Returns a number that differs between nodes; here always 0.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn own_clock_ms() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_deliberate_fault_is_in_a_build_that_did_not_ask_for_them() {
        // In a build with the feature, which is for `portcullis-jepsen mutants` alone, this must fail.
        assert_eq!(IS_COMPILED, std::env::var_os("PORTCULLIS_TEST_MUTANTS").is_some());
        for (mutant, name) in Mutant::ALL {
            assert!(!is(mutant), "{name}");
        }
        assert_eq!(own_clock_ms(), 0);
    }
}
