//! Reads a snapshot of this or an earlier version into a state, and brings its rows up to date.

use std::io::{self, Read};

use imbl::OrdMap;
use portcullis_model::limit::RECORD_BYTES_MAX;
use serde::de::DeserializeOwned;

use super::{END, FORMAT, FORMAT_OF_LEVEL_1, MAGIC, SnapshotError};
use crate::completion;
use crate::layout::Layout;
use crate::level;
use crate::state::State;
use crate::table::TableFiller;

/// The bytes of a snapshot, taken one piece after the other, with their checksum.
pub(super) struct Source<R> {
    input: R,
    checksum: crc32fast::Hasher,
    record: Vec<u8>,
    pub(super) format: u16,
    /// The feature level of the state.
    pub(super) level: u32,
}

impl<R: Read> Source<R> {
    /// Reads the head.
    pub(super) fn open(input: R) -> Result<Self, SnapshotError> {
        let checksum = crc32fast::Hasher::new();
        let mut source = Self { input, checksum, record: Vec::new(), format: FORMAT_OF_LEVEL_1, level: level::FIRST };
        if &source.take::<6>()? != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        source.format = u16::from_be_bytes(source.take()?);
        if source.format == 0 || source.format > FORMAT {
            return Err(SnapshotError::TooNew(source.format));
        }
        if source.format > FORMAT_OF_LEVEL_1 {
            source.level = u32::from_be_bytes(source.take()?);
        }
        Ok(source)
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.checksum.update(&bytes);
        Ok(bytes)
    }

    /// Reads the head of the next table: its number and the version of its layout. `None` at the end.
    pub(super) fn table(&mut self) -> Result<Option<(u16, u16)>, SnapshotError> {
        let number = u16::from_be_bytes(self.take()?);
        if number == END {
            return Ok(None);
        }
        let version = if self.format > FORMAT_OF_LEVEL_1 { u16::from_be_bytes(self.take()?) } else { 1 };
        Ok(Some((number, version)))
    }

    /// Reads the next row of table `table`; `None` after the last.
    pub(super) fn record(&mut self, table: u16) -> Result<Option<&[u8]>, SnapshotError> {
        let length = u32::from_be_bytes(self.take()?);
        if length == 0 {
            return Ok(None);
        }
        if length as usize > RECORD_BYTES_MAX {
            return Err(SnapshotError::RecordTooLarge { table, length });
        }
        self.record.resize(length as usize, 0);
        self.input.read_exact(&mut self.record)?;
        self.checksum.update(&self.record);
        Ok(Some(&self.record))
    }

    /// Reads what follows the last table: returns the index applied, once the checksum is as it was.
    pub(super) fn end(&mut self) -> Result<u64, SnapshotError> {
        let applied_index = u64::from_be_bytes(self.take()?);
        let expected = self.checksum.clone().finalize();
        let mut found = [0; 4];
        self.input.read_exact(&mut found)?;
        if u32::from_be_bytes(found) == expected { Ok(applied_index) } else { Err(SnapshotError::Checksum) }
    }
}

struct Reader<R> {
    source: Source<R>,
    /// The head of the table whose rows come next; `None` after the last.
    next: Option<(u16, u16)>,
    /// Tables that the snapshot does not have.
    missing: Vec<u16>,
}

impl<R: Read> TableFiller for Reader<R> {
    type Error = SnapshotError;

    fn table<L, K, V>(&mut self, number: u16, name: &'static str, rows: &mut OrdMap<K, V>) -> Result<(), SnapshotError>
    where
        L: Layout<Row = (K, V)>,
        K: Ord + Clone + DeserializeOwned,
        V: Clone + DeserializeOwned,
    {
        let Some((_, version)) = self.next.filter(|(next, _)| *next == number) else {
            if level::always_has_table(self.source.level, number) {
                return Err(SnapshotError::MissingTable { number, name });
            }
            self.missing.push(number);
            return Ok(());
        };
        if version == 0 || version > L::VERSION {
            return Err(SnapshotError::RowsTooNew { table: name, version, highest: L::VERSION });
        }
        while let Some(record) = self.source.record(number)? {
            let (key, value) =
                L::decode(version, record).map_err(|cause| SnapshotError::Record { table: name, cause })?;
            rows.insert(key, value);
        }
        self.next = self.source.table()?;
        Ok(())
    }
}

/// Reads a state from `input`, refusing anything damaged or unknown.
///
/// # Errors
/// What is wrong with the snapshot.
pub fn read(mut input: impl Read) -> Result<State, SnapshotError> {
    read_from(&mut input)
}

/// As [`read`].
///
/// # Errors
/// What is wrong with the snapshot.
pub fn read_from(input: &mut dyn Read) -> Result<State, SnapshotError> {
    let mut source = Source::open(input)?;
    if source.level == 0 || source.level > level::HIGHEST {
        return Err(SnapshotError::LevelTooNew(source.level));
    }
    let next = source.table()?;
    let mut reader = Reader { source, next, missing: Vec::new() };
    let mut state = State::default();
    state.fill(&mut reader)?;
    if let Some((number, _)) = reader.next {
        return Err(SnapshotError::UnknownTable(number));
    }
    state.applied_index = reader.source.end()?;
    completion::complete(&mut state, &reader.missing);
    Ok(state)
}
