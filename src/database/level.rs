//! Feature levels: what every node of the cluster understands, as a number in the state.
//!
//! A level is the set of commands and tables that a released version knows. It is raised in the state only when all
//! nodes know it (`portcullis cluster upgrade finalise`); until then no node proposes a newer command, and snapshots
//! are written as the older nodes read them, so that nodes of two adjacent versions run together. The highest level is
//! open: what is added belongs to it. On release it is closed: its lists go here and its sample to
//! `tests/compatibility/`, and the next one is opened by the first addition.

use crate::command::{COMMANDS, Numbered as _, RaiseFeatureLevel};
use crate::entry::Entry;
use crate::proposer::ProposeError;

/// The highest level that this version knows.
pub const HIGHEST: u32 = 2;
/// The level from which entries may name the address they came from, and their request.
pub const ORIGINS_SINCE: u32 = 2;
/// The level of a cluster that never raised it.
pub const FIRST: u32 = 1;

/// What a released level consists of, besides what the levels before had.
struct Closed {
    level: u32,
    commands: &'static [u16],
    tables: &'static [u16],
}

const CLOSED: &[Closed] = &[Closed {
    level: 1,
    commands: &[
        1, 2, 3, 4, 5, 6, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 60, 61,
        62, 63, 64, 65, 80, 81, 90, 100,
    ],
    tables: &[
        100, 101, 102, 103, 104, 105, 106, 110, 111, 120, 121, 122, 130, 131, 132, 133, 140, 141, 142, 143, 144, 145,
        146, 147, 148, 150, 200, 201, 202, 300, 500, 501, 502, 503, 504, 505, 600, 601, 602, 700, 701, 702, 703, 704,
        705,
    ],
}];

/// Returns the level from which a command may be proposed.
#[must_use]
pub fn of_command(number: u16) -> u32 {
    CLOSED.iter().find(|closed| closed.commands.contains(&number)).map_or(HIGHEST, |closed| closed.level)
}

/// Returns why an entry may not be proposed to a cluster at `level`: a node of an earlier version would stop at it.
/// The command that raises the level is proposed before the level is there; whoever does sees to it that every node
/// knows it.
///
/// # Errors
/// [`ProposeError::LevelTooLow`].
pub fn check_entry(entry: &Entry, level: u32) -> Result<(), ProposeError> {
    if (entry.has_origin() || entry.has_request()) && level < ORIGINS_SINCE {
        return Err(ProposeError::LevelTooLow { command: "the address of a request", needed: ORIGINS_SINCE, level });
    }
    check_command(entry.number(), level)
}

/// As [`check_entry`], of a command's number alone.
///
/// # Errors
/// [`ProposeError::LevelTooLow`].
pub fn check_command(number: u16, level: u32) -> Result<(), ProposeError> {
    let needed = of_command(number);
    if needed <= level || number == RaiseFeatureLevel::NUMBER {
        return Ok(());
    }
    let command = COMMANDS.iter().find(|(known, _)| *known == number).map_or("the change", |(_, name)| *name);
    Err(ProposeError::LevelTooLow { command, needed, level })
}

/// Returns the level from which a table may have rows.
#[must_use]
pub fn of_table(number: u16) -> u32 {
    CLOSED.iter().find(|closed| closed.tables.contains(&number)).map_or(HIGHEST, |closed| closed.level)
}

/// Says whether a table is part of a state at `level` as it is stored and compared: one of a later level is left out
/// while it is empty, for nodes that do not know it.
pub(crate) fn has_table(level: u32, number: u16, is_empty: bool) -> bool {
    of_table(number) <= level || !is_empty
}

/// Says whether every snapshot taken at `level` holds the table. Those of the open level may have come later.
pub(crate) fn always_has_table(level: u32, number: u16) -> bool {
    CLOSED.iter().any(|closed| closed.level <= level && closed.tables.contains(&number))
}
