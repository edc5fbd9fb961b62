//! What of the log is known in memory: the id and place of every entry, and the newest entries themselves.

use std::collections::VecDeque;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::record::{self, FRAME_BYTES, Facts, Record};
use super::segment::Segment;
use crate::types::{LogEntry, LogId};

/// Bytes of entries kept in memory so that followers which keep up are served without reading files.
const CACHE_BYTES: usize = 8 << 20;
/// Bytes that an entry costs beside its payload, roughly.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// Where an entry's payload is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) segment: Arc<Segment>,
    offset: u32,
    bytes: u32,
}

impl Place {
    pub(super) fn new(segment: &Arc<Segment>, offset: u64, bytes: usize) -> Self {
        let offset = u32::try_from(offset).expect("a segment ends long before 4 GiB");
        let bytes = u32::try_from(bytes).expect("a record is less than 4 GiB");
        Self { segment: Arc::clone(segment), offset, bytes }
    }

    fn load(&self, log_id: LogId) -> io::Result<LogEntry> {
        let frame_bytes = u32::try_from(FRAME_BYTES).unwrap_or(0);
        let record = self.segment.read(self.offset.saturating_sub(frame_bytes), self.bytes + frame_bytes)?;
        let entry = record::decode_whole(&record).and_then(|record| match record {
            Record::Entry(entry) if entry.log_id == log_id => Some(*entry),
            _ => None,
        });
        entry.ok_or_else(|| {
            let (path, offset) = (self.segment.path.display(), self.offset);
            io::Error::other(format!(
                "the Raft log is damaged: {path} does not hold entry {log_id} at byte {offset} any more. It is not passed \
                 on. Check the disk; start the node again to see whether it can go on, or remove it from the cluster with \
                 `portcullis cluster node remove ID` on another node and join again with a new data directory"
            ))
        })
    }
}

/// An entry of the log.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) log_id: LogId,
    /// Where it is, once it is written.
    pub(super) place: Option<Place>,
    /// The entry, while it is new.
    pub(super) entry: Option<Arc<LogEntry>>,
}

/// The whole log, as far as memory knows it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) facts: Facts,
    slots: VecDeque<Slot>,
    cached_bytes: usize,
    /// Entries below this index are not in memory.
    cached_from: u64,
}

/// An entry to be returned: at hand, or to be read.
#[derive(Debug)]
pub(super) enum Source {
    Cached(Arc<LogEntry>),
    Stored(LogId, Place),
}

impl Source {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Cached(entry) => bytes_of(entry),
            Self::Stored(_, place) => place.bytes as usize,
        }
    }

    pub(super) fn load(self) -> io::Result<LogEntry> {
        match self {
            Self::Cached(entry) => Ok(Arc::unwrap_or_clone(entry)),
            Self::Stored(log_id, place) => place.load(log_id),
        }
    }
}

fn bytes_of(entry: &LogEntry) -> usize {
    let payload = match &entry.payload {
        openraft::EntryPayload::Normal(entry) => entry.payload.len(),
        _ => 0,
    };
    payload + ENTRY_OVERHEAD_BYTES
}

impl Tail {
    pub(super) fn new(facts: Facts, slots: VecDeque<Slot>) -> Self {
        let cached_from = slots.back().map_or(0, |slot| slot.log_id.index + 1);
        Self { facts, slots, cached_bytes: 0, cached_from }
    }

    pub(super) fn last_log_id(&self) -> Option<LogId> {
        self.slots.back().map(|slot| slot.log_id).or(self.facts.purged)
    }

    /// Adds an entry; an error where it leaves a gap.
    pub(super) fn push(&mut self, entry: Arc<LogEntry>) -> io::Result<()> {
        let index = entry.log_id.index;
        if let Some(last) = self.slots.back().map(|slot| slot.log_id.index)
            && last + 1 != index
        {
            return Err(io::Error::other(format!("entry {index} does not follow entry {last}")));
        }
        if self.slots.is_empty() {
            self.cached_from = index;
        }
        self.cached_bytes += bytes_of(&entry);
        self.slots.push_back(Slot { log_id: entry.log_id, place: None, entry: Some(entry) });
        Ok(())
    }

    pub(super) fn truncate_after(&mut self, last: Option<LogId>) {
        let keep_to = last.map(|id| id.index);
        while self.slots.back().is_some_and(|slot| Some(slot.log_id.index) > keep_to) {
            let slot = self.slots.pop_back();
            self.forget(slot);
        }
        let end = self.slots.back().map_or(0, |slot| slot.log_id.index + 1);
        self.cached_from = self.cached_from.min(end);
    }

    pub(super) fn purge(&mut self, log_id: LogId) {
        self.facts.purged = Some(log_id);
        while self.slots.front().is_some_and(|slot| slot.log_id.index <= log_id.index) {
            let slot = self.slots.pop_front();
            self.forget(slot);
        }
        self.cached_from = self.cached_from.max(log_id.index + 1);
    }

    fn forget(&mut self, slot: Option<Slot>) {
        if let Some(entry) = slot.and_then(|slot| slot.entry) {
            self.cached_bytes -= bytes_of(&entry);
        }
    }

    /// Notes where an entry was written, unless it has been cut off or replaced since.
    pub(super) fn written(&mut self, log_id: LogId, place: Place) {
        let Some(first) = self.slots.front().map(|slot| slot.log_id.index) else { return };
        let Some(position) = log_id.index.checked_sub(first) else { return };
        let slot = usize::try_from(position).ok().and_then(|position| self.slots.get_mut(position));
        if let Some(slot) = slot.filter(|slot| slot.log_id == log_id) {
            slot.place = Some(place);
        }
    }

    /// Drops the oldest entries that are on disk from memory while there are too many bytes of them.
    pub(super) fn shrink(&mut self) {
        let Some(first) = self.slots.front().map(|slot| slot.log_id.index) else { return };
        self.cached_from = self.cached_from.max(first);
        while self.cached_bytes > CACHE_BYTES {
            let position = usize::try_from(self.cached_from - first).unwrap_or(usize::MAX);
            let Some(slot) = self.slots.get_mut(position).filter(|slot| slot.place.is_some()) else { return };
            if let Some(entry) = slot.entry.take() {
                self.cached_bytes -= bytes_of(&entry);
            }
            self.cached_from += 1;
        }
    }

    /// Returns where the entries of `range` are, in order, as many as are there; after the first, no more than
    /// `bytes_max`.
    pub(super) fn sources(&self, range: &impl RangeBounds<u64>, bytes_max: usize) -> Vec<Source> {
        let Some(first) = self.slots.front().map(|slot| slot.log_id.index) else { return Vec::new() };
        let start = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let skipped = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        let mut sources = Vec::new();
        for slot in self.slots.iter().skip(skipped).take_while(|slot| range.contains(&slot.log_id.index)) {
            let source = match (&slot.entry, &slot.place) {
                (Some(entry), _) => Source::Cached(Arc::clone(entry)),
                (None, Some(place)) => Source::Stored(slot.log_id, place.clone()),
                (None, None) => unreachable!("an entry leaves memory only when its place is known"),
            };
            bytes = bytes.saturating_add(source.bytes());
            if bytes > bytes_max && !sources.is_empty() {
                break;
            }
            sources.push(source);
        }
        sources
    }
}
