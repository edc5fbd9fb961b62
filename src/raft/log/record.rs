//! The bytes of the log: a header per segment and framed, checksummed records. Knows nothing of files or order.
//!
//! Header (22 bytes): `PCRLOG`, format (u16), schema (u16), segment number (u64), CRC-32 of the 18 bytes before.
//! Record: length of tag and payload (u32), CRC-32 of tag and payload (u32), tag (u8), payload. Little-endian.
//! The format is how records are framed; the schema is how their payloads are encoded.

use portcullis_database::codec;
use portcullis_model::limit::RECORD_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::types::{LogEntry, LogId, Vote};

const MAGIC: &[u8; 6] = b"PCRLOG";
/// How records are framed.
pub(super) const FORMAT: u16 = 1;
/// How payloads are encoded.
pub(super) const SCHEMA: u16 = 1;
/// Bytes of a segment's header.
pub(super) const HEADER_BYTES: usize = 22;
/// Bytes before a record's payload.
pub(super) const FRAME_BYTES: usize = 9;
const BATCH_PAYLOAD_BYTES: usize = 16;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    Entry = 1,
    Vote = 2,
    Committed = 3,
    TruncateAfter = 4,
    Purge = 5,
    Batch = 6,
    Facts = 7,
}

impl Tag {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Entry, Self::Vote, Self::Committed, Self::TruncateAfter, Self::Purge, Self::Batch, Self::Facts]
            .into_iter()
            .find(|tag| *tag as u8 == byte)
    }
}

/// Everything that is not an entry: repeated at the head of each segment, so that older segments can be dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
}

/// A record read back.
#[derive(Debug)]
pub(super) enum Record {
    Entry(Box<LogEntry>),
    Vote(Vote),
    Committed(Option<LogId>),
    TruncateAfter(Option<LogId>),
    Purge(LogId),
    Batch(BatchMark),
    Facts(Facts),
}

/// The head of a batch: where it stands, and up to where the segment was known to be on disk when it was written.
/// A damaged record before that point was acknowledged; one after it is the torn end of a write nobody was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchMark {
    pub(super) at: u64,
    pub(super) synced: u64,
}

/// Returns the header of segment `number`.
pub(super) fn header(number: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..6].copy_from_slice(MAGIC);
    bytes[6..8].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[8..10].copy_from_slice(&SCHEMA.to_le_bytes());
    bytes[10..18].copy_from_slice(&number.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..18]);
    bytes[18..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// What a segment's first bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    Good,
    TooNew { format: u16, schema: u16 },
    Damaged,
}

/// Checks the header of what should be segment `number`.
pub(super) fn check_header(bytes: &[u8; HEADER_BYTES], number: u64) -> Header {
    let checksum = crc32fast::hash(&bytes[..18]).to_le_bytes();
    if &bytes[..6] != MAGIC || bytes[18..] != checksum || bytes[10..18] != number.to_le_bytes() {
        return Header::Damaged;
    }
    let format = u16::from_le_bytes([bytes[6], bytes[7]]);
    let schema = u16::from_le_bytes([bytes[8], bytes[9]]);
    if format > FORMAT || schema > SCHEMA { Header::TooNew { format, schema } } else { Header::Good }
}

/// Appends a record to `buffer` and returns where in it the payload begins.
pub(super) fn put(buffer: &mut Vec<u8>, tag: Tag, payload: &[u8]) -> usize {
    let length = u32::try_from(payload.len() + 1).expect("a payload is at most a record, which is less than 4 GiB");
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&[tag as u8]);
    checksum.update(payload);
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&checksum.finalize().to_le_bytes());
    buffer.push(tag as u8);
    let start = buffer.len();
    buffer.extend_from_slice(payload);
    start
}

/// Appends the head of a batch.
pub(super) fn put_batch_mark(buffer: &mut Vec<u8>, mark: BatchMark) {
    let mut payload = [0; BATCH_PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&mark.at.to_le_bytes());
    payload[8..].copy_from_slice(&mark.synced.to_le_bytes());
    put(buffer, Tag::Batch, &payload);
}

/// Returns the length of tag and payload if it can be that of a record.
pub(super) fn plausible_length(frame: [u8; 4]) -> Option<usize> {
    let length = u32::from_le_bytes(frame) as usize;
    (1..=RECORD_BYTES_MAX + 1).contains(&length).then_some(length)
}

/// Says whether tag and payload are as they were written.
pub(super) fn is_intact(checksum: [u8; 4], body: &[u8]) -> bool {
    crc32fast::hash(body).to_le_bytes() == checksum
}

/// Decodes tag and payload; `None` where this version cannot.
pub(super) fn decode(body: &[u8]) -> Option<Record> {
    let (tag, payload) = body.split_first()?;
    Some(match Tag::from_byte(*tag)? {
        Tag::Entry => Record::Entry(Box::new(codec::decode(payload).ok()?)),
        Tag::Vote => Record::Vote(codec::decode(payload).ok()?),
        Tag::Committed => Record::Committed(codec::decode(payload).ok()?),
        Tag::TruncateAfter => Record::TruncateAfter(codec::decode(payload).ok()?),
        Tag::Purge => Record::Purge(codec::decode(payload).ok()?),
        Tag::Batch => Record::Batch(decode_batch_mark(payload)?),
        Tag::Facts => Record::Facts(codec::decode(payload).ok()?),
    })
}

/// Decodes a record with its frame; `None` where it is not as it was written.
pub(super) fn decode_whole(bytes: &[u8]) -> Option<Record> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, body) = rest.split_first_chunk::<4>()?;
    let is_whole = plausible_length(*length) == Some(body.len()) && is_intact(*checksum, body);
    is_whole.then(|| decode(body)).flatten()
}

fn decode_batch_mark(payload: &[u8]) -> Option<BatchMark> {
    let (at, synced) = payload.split_at_checked(8)?;
    Some(BatchMark { at: u64::from_le_bytes(at.try_into().ok()?), synced: u64::from_le_bytes(synced.try_into().ok()?) })
}

/// Looks through `bytes`, which stand at `offset` in their segment, for the head of a later batch that proves that
/// `offset` was on disk when that batch was written.
pub(super) fn proves_synced(bytes: &[u8], offset: u64) -> bool {
    let record_bytes = FRAME_BYTES + BATCH_PAYLOAD_BYTES;
    let length = u32::try_from(BATCH_PAYLOAD_BYTES + 1).unwrap_or_default().to_le_bytes();
    bytes.windows(record_bytes).enumerate().any(|(at, window)| {
        if window[..4] != length || window[8] != Tag::Batch as u8 {
            return false;
        }
        let checksum = [window[4], window[5], window[6], window[7]];
        let here = offset + at as u64;
        is_intact(checksum, &window[8..])
            && matches!(decode(&window[8..]), Some(Record::Batch(mark)) if mark.at == here && mark.synced > offset)
    })
}
