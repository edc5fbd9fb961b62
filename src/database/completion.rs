//! Completes a state that was read from a snapshot of an earlier version: fills tables that the snapshot does not have
//! and that follow from others, as replaying the log with this version would have filled them.

use crate::state::State;
use crate::subscriptions::index_by_time;

/// Fills one table from others. Deterministic, like a command.
type Completion = fn(&mut State);

/// By table. Without one a table that the snapshot lacks is empty.
const COMPLETIONS: &[(u16, Completion)] = &[(123, index_by_time)];

/// Fills the tables that were missing.
pub(crate) fn complete(state: &mut State, missing: &[u16]) {
    for (_, completion) in COMPLETIONS.iter().filter(|(table, _)| missing.contains(table)) {
        completion(state);
    }
}
