//! Reads the log back at start: rebuilds what it says, cuts off a torn end, and refuses anything else that is damaged.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{self, FRAME_BYTES, Facts, HEADER_BYTES, Header, Record};
use super::segment::{self, Segment};
use super::tail::{Place, Slot};
use crate::types::LogEntry;

/// Why the log cannot be opened. The node does not start then.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file of the log cannot be read or written.
    #[error("the Raft log in {path} cannot be read or written: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// A record that was acknowledged is damaged.
    #[error(
        "the Raft log is damaged at byte {offset} of {path}, in a part that was acknowledged: this node could lose or \
         invent changes and does not start. Remove it from the cluster with `portcullis cluster node remove ID` on \
         another node and join again with a new data directory; if it is the only node, restore a backup"
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
    },
    /// A newer version wrote it.
    #[error("{path} was written by a newer version (format {format}, schema {schema}): run that version")]
    TooNew {
        /// The segment.
        path: PathBuf,
        /// Its format.
        format: u16,
        /// Its schema.
        schema: u16,
    },
    /// The segment that was written to last is missing.
    #[error(
        "{path} is missing, or nothing is left of it: what this node voted and acknowledged last is lost, and it does not \
         start. Put it back, or remove this node from the cluster with `portcullis cluster node remove ID` on another node \
         and join again with a new data directory; if it is the only node, restore a backup"
    )]
    Missing {
        /// The segment.
        path: PathBuf,
    },
    /// All of the log is missing though there was one.
    #[error(
        "there is nothing in {path}, though this node had a log: what it voted and acknowledged is lost, and it does not \
         start. Put the directory back, or remove this node from the cluster with `portcullis cluster node remove ID` on \
         another node and join again with a new data directory; if it is the only node, restore a backup"
    )]
    Gone {
        /// The directory.
        path: PathBuf,
    },
    /// Entries or segments are missing.
    #[error(
        "the Raft log in {path} has a gap before entry {index}: a file is missing. Put it back, or remove this node \
         from the cluster and join again with a new data directory"
    )]
    Gap {
        /// The segment or directory.
        path: PathBuf,
        /// The first entry after the gap.
        index: u64,
    },
}

impl LogError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// What the log holds.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) facts: Facts,
    pub(super) slots: VecDeque<Slot>,
    /// The segments with the highest index ever written to each, oldest first.
    pub(super) segments: VecDeque<(Arc<Segment>, u64)>,
    /// Where the last segment ends.
    pub(super) end: u64,
}

impl Recovered {
    fn apply(&mut self, record: Record, place: Place) -> Result<(), LogError> {
        match record {
            Record::Entry(entry) => return self.push(&entry, place),
            Record::Vote(vote) => self.facts.vote = Some(vote),
            Record::Committed(committed) => self.facts.committed = committed,
            Record::TruncateAfter(last) => {
                let keep_to = last.map(|id| id.index);
                while self.slots.back().is_some_and(|slot| Some(slot.log_id.index) > keep_to) {
                    self.slots.pop_back();
                }
            }
            Record::Purge(log_id) => {
                self.facts.purged = Some(log_id);
                while self.slots.front().is_some_and(|slot| slot.log_id.index <= log_id.index) {
                    self.slots.pop_front();
                }
            }
            Record::Facts(facts) => self.facts = facts,
            Record::Batch(_) => {}
        }
        Ok(())
    }

    fn push(&mut self, entry: &LogEntry, place: Place) -> Result<(), LogError> {
        let index = entry.log_id.index;
        if self.slots.back().is_some_and(|last| last.log_id.index + 1 != index) {
            return Err(LogError::Gap { path: place.segment.path.clone(), index });
        }
        if let Some((_, highest)) = self.segments.back_mut() {
            *highest = index.max(*highest);
        }
        self.slots.push_back(Slot { log_id: entry.log_id, place: Some(place), entry: None });
        Ok(())
    }

    fn check_whole(&self, directory: &Path) -> Result<(), LogError> {
        let Some(first) = self.slots.front() else { return Ok(()) };
        let expected = self.facts.purged.map_or(0, |purged| purged.index + 1);
        if first.log_id.index == expected {
            return Ok(());
        }
        Err(LogError::Gap { path: directory.to_owned(), index: first.log_id.index })
    }
}

/// Reads every segment in `directory`.
pub(super) fn recover(directory: &Path) -> Result<Recovered, LogError> {
    let noted = segment::newest(directory).map_err(LogError::io(directory))?;
    let numbers = segment::list(directory).map_err(LogError::io(directory))?;
    if let Some(gap) = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        return Err(LogError::Gap { path: directory.join(format!("{:016}.log", gap[0] + 1)), index: 0 });
    }
    if noted > numbers.last().copied().unwrap_or(0) {
        return Err(LogError::Missing { path: segment::path_of(directory, noted) });
    }
    let mut recovered = Recovered::default();
    for (position, number) in numbers.iter().enumerate() {
        let is_last = position + 1 == numbers.len();
        read_segment(directory, *number, is_last, noted, &mut recovered)?;
    }
    if let Some((newest, _)) = recovered.segments.back().filter(|(newest, _)| newest.number > noted) {
        note(directory, newest).map_err(LogError::io(directory))?;
    }
    recovered.check_whole(directory)?;
    Ok(recovered)
}

/// Notes the newest segment, where a crash came between its creation and the note. On disk first: from the note on it
/// is missed where it is lost.
fn note(directory: &Path, newest: &Segment) -> io::Result<()> {
    newest.file.sync_all()?;
    segment::sync_directory(directory)?;
    segment::note_newest(directory, newest.number)
}

fn read_segment(
    directory: &Path,
    number: u64,
    is_last: bool,
    noted: u64,
    recovered: &mut Recovered,
) -> Result<(), LogError> {
    let segment = Arc::new(Segment::open(directory, number).map_err(LogError::io(directory))?);
    let failed = |source| LogError::Io { path: segment.path.clone(), source };
    let mut input = BufReader::with_capacity(1 << 20, &segment.file);
    let mut header = [0; HEADER_BYTES];
    let good = match read_full(&mut input, &mut header).map_err(failed)? {
        true => record::check_header(&header, number),
        false => Header::Damaged,
    };
    match good {
        Header::Good => {}
        Header::TooNew { format, schema } => {
            return Err(LogError::TooNew { path: segment.path.clone(), format, schema });
        }
        Header::Damaged => return drop_unborn(&segment, is_last, noted),
    }
    let mut next = read_record(&mut input).map_err(failed)?;
    if !matches!(next, Next::Record(Record::Facts(_), _) | Next::Unreadable) {
        // Written on, it would outlive the segment that has the vote, and the vote would be lost.
        return drop_unborn(&segment, is_last, noted);
    }
    recovered.segments.push_back((Arc::clone(&segment), 0));
    let mut offset = HEADER_BYTES as u64;
    loop {
        match next {
            Next::End => break,
            Next::Record(record, payload_bytes) => {
                let start = offset + FRAME_BYTES as u64;
                let place = Place::new(&segment, start, payload_bytes);
                recovered.apply(record, place)?;
                offset = start + payload_bytes as u64;
            }
            Next::Unreadable => return Err(LogError::Damaged { path: segment.path.clone(), offset }),
            Next::Damaged => {
                cut_off(&segment, offset, is_last)?;
                break;
            }
        }
        next = read_record(&mut input).map_err(failed)?;
    }
    recovered.end = offset;
    Ok(())
}

/// A crash while the last segment was created leaves less than header and facts, and nothing that was acknowledged. Up
/// to the `noted` one segments were whole and on disk: such a one is damaged, and stays as it is.
fn drop_unborn(segment: &Segment, is_last: bool, noted: u64) -> Result<(), LogError> {
    let failed = |source| LogError::Io { path: segment.path.clone(), source };
    let bytes = rest_of(segment, 0).map_err(failed)?;
    if segment.number == noted && bytes.iter().all(|byte| *byte == 0) {
        return Err(LogError::Missing { path: segment.path.clone() });
    }
    if !is_last || segment.number <= noted || record::proves_synced(&bytes, 0) {
        return Err(LogError::Damaged { path: segment.path.clone(), offset: 0 });
    }
    tracing::warn!(path = %segment.path.display(), "a segment of the Raft log was never finished; it is removed");
    fs::remove_file(&segment.path).map_err(failed)
}

/// Cuts off the end of the last segment where it was torn by a crash; refuses where what is damaged was acknowledged.
fn cut_off(segment: &Segment, offset: u64, is_last: bool) -> Result<(), LogError> {
    let failed = |source| LogError::Io { path: segment.path.clone(), source };
    let bytes = rest_of(segment, offset).map_err(failed)?;
    if !is_last || record::proves_synced(&bytes, offset) {
        return Err(LogError::Damaged { path: segment.path.clone(), offset });
    }
    tracing::warn!(
        path = %segment.path.display(), offset, bytes = bytes.len(),
        "the end of the Raft log was torn by a crash while it was written; the unfinished bytes are cut off"
    );
    segment.file.set_len(offset).and_then(|()| segment.file.sync_all()).map_err(failed)
}

fn rest_of(segment: &Segment, offset: u64) -> io::Result<Vec<u8>> {
    let bytes = segment.file.metadata()?.len().saturating_sub(offset);
    let mut rest = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    segment.file.read_exact_at(&mut rest, offset)?;
    Ok(rest)
}

enum Next {
    Record(Record, usize),
    End,
    /// Not as it was written.
    Damaged,
    /// As it was written, but not to be understood.
    Unreadable,
}

fn read_record(input: &mut BufReader<&fs::File>) -> io::Result<Next> {
    let mut frame = [0; 8];
    match input.read(&mut frame[..1])? {
        0 => return Ok(Next::End),
        _ if !read_full(input, &mut frame[1..])? => return Ok(Next::Damaged),
        _ => {}
    }
    let Some(length) = record::plausible_length([frame[0], frame[1], frame[2], frame[3]]) else {
        return Ok(Next::Damaged);
    };
    let mut body = vec![0; length];
    if !read_full(input, &mut body)? {
        return Ok(Next::Damaged);
    }
    if !record::is_intact([frame[4], frame[5], frame[6], frame[7]], &body) {
        return Ok(Next::Damaged);
    }
    Ok(record::decode(&body).map_or(Next::Unreadable, |record| Next::Record(record, length - 1)))
}

/// Fills `bytes`; says `false` where the file ends before.
fn read_full(input: &mut impl io::Read, bytes: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}
