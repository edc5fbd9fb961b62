//! Snapshots of the state as a stream of bytes: written from a clone, read back record by record in bounded memory.
//!
//! Layout: `PCSNAP`, the format (u16) and the state's feature level (u32), then per table its number (u16), the version
//! of its row layout (u16), its rows as `length (u32), record` and a zero length, then `0xffff`, the index applied
//! (u64), and the CRC-32 of all before (u32). Numbers are big-endian. In format 1, which is still written while the
//! feature level is 1, feature level and layout versions are left out: both are 1.

mod inspect;
mod read;
mod write;

use std::io;

use crate::codec::CodecError;

pub use inspect::{Summary, TableSummary, inspect, inspect_from};
pub use read::{read, read_from};
pub use write::write;

const MAGIC: &[u8; 6] = b"PCSNAP";
/// The newest format.
pub const FORMAT: u16 = 2;
/// The format of feature level 1.
const FORMAT_OF_LEVEL_1: u16 = 1;
const END: u16 = u16::MAX;

/// A snapshot that cannot be written or read. A node never goes on without one that it has.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The stream failed.
    #[error("the snapshot cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It is not a snapshot.
    #[error("the file is not a snapshot")]
    NotASnapshot,
    /// A newer version wrote it.
    #[error("the snapshot has format {0}; this version reads up to {FORMAT}: run the version that wrote it")]
    TooNew(u16),
    /// The cluster has a feature level that this version does not know.
    #[error(
        "the snapshot has feature level {0}; this version knows up to {highest}: run the version that the other nodes \
         run",
        highest = crate::level::HIGHEST
    )]
    LevelTooNew(u32),
    /// It holds a table that this version does not have.
    #[error("the snapshot holds table {0}, which this version does not know there: run the version that wrote it")]
    UnknownTable(u16),
    /// A table has a layout that this version does not know.
    #[error(
        "table {table} of the snapshot has row version {version}; this version reads up to {highest}: run the version \
         that wrote it"
    )]
    RowsTooNew {
        /// The table.
        table: &'static str,
        /// The layout's number.
        version: u16,
        /// The highest that this version reads.
        highest: u16,
    },
    /// A table is missing.
    #[error("the snapshot lacks table {number} ({name}), which every snapshot of its feature level has: it is damaged")]
    MissingTable {
        /// The table's number.
        number: u16,
        /// The table's name.
        name: &'static str,
    },
    /// A record is damaged.
    #[error("a record of table {table} is damaged: {cause}")]
    Record {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        #[source]
        cause: CodecError,
    },
    /// A record's length is beyond the bound.
    #[error("a record of table {table} claims {length} bytes: the snapshot is damaged")]
    RecordTooLarge {
        /// The table's number.
        table: u16,
        /// The length claimed.
        length: u32,
    },
    /// The checksum does not match.
    #[error("the snapshot's checksum does not match its content: it is damaged")]
    Checksum,
}
