//! How reports lie in the message store: keys in the order of proposal, values in chunks with a checksum.

use portcullis_database::codec;
use portcullis_database::counters::{Report, Statement};
use portcullis_model::{NodeId, Timestamp};

use super::{Found, StoreError};

/// Where the number of the present start is.
pub(super) const INCARNATION: &[u8] = b"m/incarnation";
/// Where the reserve's ceiling is.
pub(super) const CEILING: &[u8] = b"m/ceiling";
const REPORT: u8 = b'r';
/// Reports that other nodes have handed to this one.
const OF_OTHER: u8 = b'o';
/// The format of stored reports: part of every record. Up to 1 a report alone, from 2 on with what is owed.
const FORMAT: u16 = 2;
const FORMAT_WITHOUT_OWED: u16 = 1;
const HEADER_BYTES: usize = 10;
/// Bytes of one value: a page of sled holds up to 32, and must stay below a quarter of its segment.
const CHUNK_BYTES: usize = 3 << 10;

/// Keys and values.
pub(super) type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Returns the prefix of a report's keys.
pub(super) fn prefix(incarnation: u64, sequence: u64) -> Vec<u8> {
    let mut key = vec![REPORT];
    key.extend(incarnation.to_be_bytes());
    key.extend(sequence.to_be_bytes());
    key
}

/// Returns the prefix of the keys of another node's report.
pub(super) fn prefix_of_other(node: NodeId, incarnation: u64, sequence: u64) -> Vec<u8> {
    let mut key = vec![OF_OTHER];
    key.extend(node.0.to_be_bytes());
    key.extend(incarnation.to_be_bytes());
    key.extend(sequence.to_be_bytes());
    key
}

/// Returns a report as records below `prefix`: format, length and CRC-32, then the report, cut into chunks.
pub(super) fn below(prefix: &[u8], statement: &Statement) -> Result<Records, StoreError> {
    let payload = codec::encode(statement)?;
    let mut bytes = Vec::with_capacity(payload.len() + HEADER_BYTES);
    bytes.extend(FORMAT.to_be_bytes());
    bytes.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(crc32fast::hash(&payload).to_be_bytes());
    bytes.extend(payload);
    let chunk = |(number, chunk): (usize, &[u8])| {
        let mut key = prefix.to_vec();
        key.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
        (key, chunk.to_vec())
    };
    Ok(bytes.chunks(CHUNK_BYTES).enumerate().map(chunk).collect())
}

/// Returns the report that a record holds, `None` where it is damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Statement> {
    let (header, payload) = bytes.split_at_checked(HEADER_BYTES)?;
    let format = u16::from_be_bytes(header[..2].try_into().ok()?);
    let is_whole = header[2..6] == u32::try_from(payload.len()).ok()?.to_be_bytes()
        && header[6..] == crc32fast::hash(payload).to_be_bytes();
    match format {
        FORMAT if is_whole => codec::decode(payload).ok(),
        FORMAT_WITHOUT_OWED if is_whole => codec::decode::<Report>(payload).ok().map(Statement::from),
        _ => None,
    }
}

fn number(db: &sled::Db, key: &[u8]) -> Result<Option<u64>, StoreError> {
    let value = db.get(key)?;
    Ok(value.and_then(|value| <[u8; 8]>::try_from(value.as_ref()).ok()).map(u64::from_be_bytes))
}

/// Reads everything.
pub(super) fn read_all(db: &sled::Db) -> Result<Found, StoreError> {
    let incarnation = number(db, INCARNATION)?;
    let ceiling = Timestamp(number(db, CEILING)?.unwrap_or(0));
    let (statements, damaged, live_bytes) = read_reports(db, REPORT)?;
    let (of_others, damaged_of_others, live_bytes_of_others) = read_reports(db, OF_OTHER)?;
    Ok(Found {
        incarnation: incarnation.unwrap_or(0),
        ceiling,
        is_new: incarnation.is_none(),
        statements,
        of_others,
        damaged: damaged + damaged_of_others,
        live_bytes: live_bytes + live_bytes_of_others,
        set_aside: None,
    })
}

/// Reads the reports of one kind, in the order of their keys, and counts the damaged ones and the bytes of all.
fn read_reports(db: &sled::Db, kind: u8) -> Result<(Vec<Statement>, u64, u64), StoreError> {
    let mut whole: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for row in db.scan_prefix([kind]) {
        let (key, value) = row?;
        let prefix = key.get(..key.len().saturating_sub(4)).unwrap_or_default();
        match whole.last_mut().filter(|(last, _)| last == prefix) {
            Some((_, bytes)) => bytes.extend_from_slice(&value),
            None => whole.push((prefix.to_vec(), value.to_vec())),
        }
    }
    let count = whole.len();
    let live_bytes = whole.iter().map(|(_, bytes)| u64::try_from(bytes.len()).unwrap_or(u64::MAX)).sum();
    let statements: Vec<Statement> = whole.iter().filter_map(|(_, bytes)| read(bytes)).collect();
    let damaged = u64::try_from(count - statements.len()).unwrap_or(u64::MAX);
    Ok((statements, damaged, live_bytes))
}
