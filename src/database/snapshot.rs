//! Snapshots of the state as a stream of bytes: written from a clone, read back record by record in bounded memory.
//!
//! Layout: `PCSNAP` and the format version (u16), then per table its number (u16), its rows as `length (u32), record`
//! and a zero length, then `0xffff`, the index applied (u64), and the CRC-32 of all before (u32). Numbers are
//! big-endian.

use std::io::{self, Read, Write};

use imbl::OrdMap;
use portcullis_model::limit::RECORD_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, CodecError};
use crate::state::State;
use crate::table::{TableFiller, TableVisitor};

const MAGIC: &[u8; 6] = b"PCSNAP";
/// The format this version writes. A change of any stored type raises it and adds a migration.
pub const FORMAT: u16 = 1;
const END: u16 = u16::MAX;

/// A snapshot that cannot be written or read. A node never goes on without one that it has.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The stream failed.
    #[error("the snapshot cannot be read or written")]
    Io(#[from] io::Error),
    /// It is not a snapshot.
    #[error("the file is not a snapshot")]
    NotASnapshot,
    /// A newer version wrote it.
    #[error("the snapshot has format {0}; this version reads up to {FORMAT}: run the version that wrote it")]
    TooNew(u16),
    /// A table is missing or not known.
    #[error("the snapshot holds table {found} where {expected} ({name}) belongs")]
    WrongTable {
        /// The number found.
        found: u16,
        /// The number expected.
        expected: u16,
        /// The expected table's name.
        name: &'static str,
    },
    /// A record is damaged.
    #[error("a record of table {table} is damaged")]
    Record {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        #[source]
        cause: CodecError,
    },
    /// A record's length is beyond the bound.
    #[error("a record of table {table} claims {length} bytes")]
    RecordTooLarge {
        /// The table.
        table: &'static str,
        /// The length claimed.
        length: u32,
    },
    /// The checksum does not match.
    #[error("the snapshot's checksum does not match its content")]
    Checksum,
}

struct Writer<W> {
    out: W,
    checksum: crc32fast::Hasher,
}

impl<W: Write> Writer<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.out.write_all(bytes)
    }
}

impl<W: Write> TableVisitor for Writer<W> {
    type Error = SnapshotError;

    fn table<K, V>(&mut self, number: u16, name: &'static str, rows: &OrdMap<K, V>) -> Result<(), SnapshotError>
    where
        K: Ord + Clone + Serialize,
        V: Clone + Serialize,
    {
        self.put(&number.to_be_bytes())?;
        for row in rows {
            let record = codec::encode(&row).map_err(|cause| SnapshotError::Record { table: name, cause })?;
            let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
            self.put(&length.to_be_bytes())?;
            self.put(&record)?;
        }
        self.put(&0_u32.to_be_bytes())?;
        Ok(())
    }
}

struct Reader<R> {
    input: R,
    checksum: crc32fast::Hasher,
    record: Vec<u8>,
}

impl<R: Read> Reader<R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.checksum.update(&bytes);
        Ok(bytes)
    }

    fn record(&mut self, table: &'static str) -> Result<Option<&[u8]>, SnapshotError> {
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
}

impl<R: Read> TableFiller for Reader<R> {
    type Error = SnapshotError;

    fn table<K, V>(&mut self, number: u16, name: &'static str, rows: &mut OrdMap<K, V>) -> Result<(), SnapshotError>
    where
        K: Ord + Clone + DeserializeOwned,
        V: Clone + DeserializeOwned,
    {
        let found = u16::from_be_bytes(self.take()?);
        if found != number {
            return Err(SnapshotError::WrongTable { found, expected: number, name });
        }
        while let Some(record) = self.record(name)? {
            let (key, value) = codec::decode(record).map_err(|cause| SnapshotError::Record { table: name, cause })?;
            rows.insert(key, value);
        }
        Ok(())
    }
}

/// Writes `state` to `out`. The caller buffers and syncs.
///
/// # Errors
/// Where `out` fails.
pub fn write(state: &State, out: impl Write) -> Result<(), SnapshotError> {
    let mut writer = Writer { out, checksum: crc32fast::Hasher::new() };
    writer.put(MAGIC)?;
    writer.put(&FORMAT.to_be_bytes())?;
    state.visit(&mut writer)?;
    writer.put(&END.to_be_bytes())?;
    writer.put(&state.applied_index.to_be_bytes())?;
    let checksum = writer.checksum.clone().finalize();
    writer.out.write_all(&checksum.to_be_bytes())?;
    writer.out.flush()?;
    Ok(())
}

/// Reads a state from `input`, refusing anything damaged or unknown.
///
/// # Errors
/// What is wrong with the snapshot.
pub fn read(input: impl Read) -> Result<State, SnapshotError> {
    let mut reader = Reader { input, checksum: crc32fast::Hasher::new(), record: Vec::new() };
    if &reader.take::<6>()? != MAGIC {
        return Err(SnapshotError::NotASnapshot);
    }
    let format = u16::from_be_bytes(reader.take()?);
    if format != FORMAT {
        return Err(SnapshotError::TooNew(format));
    }
    let mut state = State::default();
    state.fill(&mut reader)?;
    let end = u16::from_be_bytes(reader.take()?);
    if end != END {
        return Err(SnapshotError::WrongTable { found: end, expected: END, name: "end" });
    }
    state.applied_index = u64::from_be_bytes(reader.take()?);
    let expected = reader.checksum.clone().finalize();
    let mut found = [0; 4];
    reader.input.read_exact(&mut found)?;
    if u32::from_be_bytes(found) != expected {
        return Err(SnapshotError::Checksum);
    }
    Ok(state)
}
