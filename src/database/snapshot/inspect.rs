//! What a snapshot holds, table by table, without making a state of it: it may be of a newer version.

use std::io::Read;

use super::SnapshotError;
use super::read::Source;
use crate::state::State;
use crate::table::TableVisitor;

/// What a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its format.
    pub format: u16,
    /// The feature level of the state.
    pub feature_level: u32,
    /// The index of the last entry applied.
    pub applied_index: u64,
    /// Its tables, in their order.
    pub tables: Vec<TableSummary>,
}

/// What a table of a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSummary {
    /// The table's number.
    pub number: u16,
    /// Its name; `None` where this version does not know the table.
    pub name: Option<&'static str>,
    /// The version of its row layout.
    pub row_version: u16,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes they take.
    pub bytes: u64,
}

/// Reads all of a snapshot, checks its checksum, and counts what is in it.
///
/// # Errors
/// What is wrong with it.
pub fn inspect(mut input: impl Read) -> Result<Summary, SnapshotError> {
    inspect_from(&mut input)
}

/// As [`inspect`].
///
/// # Errors
/// What is wrong with it.
pub fn inspect_from(input: &mut dyn Read) -> Result<Summary, SnapshotError> {
    let mut source = Source::open(input)?;
    let names = names();
    let mut tables = Vec::new();
    while let Some((number, row_version)) = source.table()? {
        let name = names.0.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
        let mut table = TableSummary { number, name, row_version, rows: 0, bytes: 0 };
        while let Some(record) = source.record(number)? {
            table.rows += 1;
            table.bytes += record.len() as u64;
        }
        tables.push(table);
    }
    let applied_index = source.end()?;
    Ok(Summary { format: source.format, feature_level: source.level, applied_index, tables })
}

struct Names(Vec<(u16, &'static str)>);

impl TableVisitor for Names {
    type Error = std::convert::Infallible;

    fn table<L, K, V>(&mut self, number: u16, name: &'static str, _rows: &imbl::OrdMap<K, V>) -> Result<(), Self::Error>
    where
        L: crate::layout::Layout<Row = (K, V)>,
        K: Ord + Clone + serde::Serialize,
        V: Clone + serde::Serialize,
    {
        self.0.push((number, name));
        Ok(())
    }
}

fn names() -> Names {
    let mut names = Names(Vec::new());
    match State::default().visit(&mut names) {
        Ok(()) => names,
        Err(never) => match never {},
    }
}
