//! Fields of a backend's answer that go to the client as they came: their lines in a few runs, written in one piece, where a
//! call needs none of them for anything else. Most calls do not; a map of fields would be made to be written out again.

use std::cell::Cell;
use std::ops::Range;

use bytes::Bytes;

use super::head::Lengths;
use crate::http1::fields::{FIELDS_MAX, digits};
use crate::http1::scan::{self, Field};

/// Runs of lines: two for an answer in which one field in the middle is not passed on.
const RUNS_MAX: usize = 6;

/// Lines that a connection keeps from one answer to the next, and the bytes of each.
const LINES_KEPT: usize = 24;
const LINE_BYTES_KEPT: usize = 128;

/// Bytes of lines whose room is kept for the next answer.
const ROOM_BYTES_KEPT: usize = 4 << 10;

/// How often in a row what is kept may be another until it is kept seldom.
const CHANGES_MAX: u8 = 8;

/// How often in a row something that is kept was another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes(u8);

impl Changes {
    /// Notes that it is another; says whether that is to be kept: what is another each time is kept seldom.
    pub(super) fn is_another(&mut self) -> bool {
        self.0 = self.0.wrapping_add(1);
        self.0 < CHANGES_MAX || self.0 == u8::MAX
    }
}

/// Lines of a head.
#[derive(Debug)]
pub(crate) struct Lines {
    head: Bytes,
    runs: Runs,
    pub(crate) has_date: bool,
    /// Lines that the gateway adds.
    pub(crate) added: Vec<u8>,
}

/// Room for lines that the gateway adds to an answer, from one answer to the next.
#[derive(Default)]
pub(crate) struct LinesRoom(Cell<Vec<u8>>);

impl LinesRoom {
    /// Takes the room.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.take()
    }

    /// Keeps the room of lines that were written.
    pub(crate) fn keep(&self, mut lines: Vec<u8>) {
        if lines.capacity() <= ROOM_BYTES_KEPT {
            lines.clear();
            self.0.set(lines);
        }
    }
}

/// Where they are.
#[derive(Clone, Copy, Debug, Default)]
struct Runs {
    all: [(u16, u16); RUNS_MAX],
    count: u8,
}

/// The lines of the last head on a connection that was read without making a map of it: a sender writes the same lines again,
/// as a rule, and what is the same need not be read again.
#[derive(Debug, Default)]
pub(crate) struct KeptLines(Vec<KeptLine>);

#[derive(Debug)]
struct KeptLine {
    text: Box<[u8]>,
    kind: Kind,
    /// Where in it the value is.
    value: Range<usize>,
    changes: Changes,
}

impl KeptLines {
    /// Keeps a line, where that is of use.
    fn note(&mut self, number: usize, text: &[u8], kind: Kind, value: Range<usize>) {
        if text.len() > LINE_BYTES_KEPT {
            return;
        }
        let count = self.0.len();
        if let Some(line) = self.0.get_mut(number) {
            if line.changes.is_another() {
                *line = KeptLine { text: text.into(), kind, value, changes: line.changes };
            }
        } else if number == count && number < LINES_KEPT {
            self.0.push(KeptLine { text: text.into(), kind, value, changes: Changes::default() });
        }
    }
}

/// What was found in a head without making a map of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sifted {
    runs: Runs,
    has_date: bool,
    /// Whether the connection can be used again, where the answer says so.
    pub(crate) connection: Option<bool>,
    pub(crate) lengths: Lengths,
}

/// What is to be done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PassedOn,
    Date,
    /// About this connection alone.
    OfThisHop,
    Connection,
    ContentLength,
    TransferEncoding,
    /// The gateway may put one of its own in its place.
    Replaced,
}

impl Lines {
    /// Writes them.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for run in self.runs.ranges() {
            out.extend_from_slice(&self.head[run]);
        }
        out.extend_from_slice(&self.added);
    }
}

impl Runs {
    fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.all[..usize::from(self.count)].iter().map(|(start, end)| usize::from(*start)..usize::from(*end))
    }

    /// Adds a line; `None` where there are too many runs, or it is too far behind.
    fn add(&mut self, line: Range<usize>) -> Option<()> {
        let (start, end) = (u16::try_from(line.start).ok()?, u16::try_from(line.end).ok()?);
        let count = usize::from(self.count);
        match self.all[..count].last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => {
                *self.all.get_mut(count)? = (start, end);
                self.count += 1;
            }
        }
        Some(())
    }
}

impl Sifted {
    /// Looks through the lines of a head behind its first, which ends at `at`, and returns also where the head ends. `None`
    /// where that is not enough or not all is there: a map of the fields is made then.
    pub(crate) fn of(head: &[u8], mut at: usize, kept: &mut KeptLines) -> Option<(Self, usize)> {
        let mut sifted = Self { runs: Runs::default(), has_date: false, connection: None, lengths: Lengths::default() };
        for number in 0..=FIELDS_MAX {
            if let Some(line) = kept.0.get_mut(number).filter(|line| head[at..].starts_with(&line.text)) {
                line.changes = Changes::default();
                let end = at + line.text.len();
                sifted.sift(line.kind, &line.text[line.value.clone()], at..end)?;
                at = end;
                continue;
            }
            match scan::line(head, at)? {
                scan::Line::Field(Field { name, value, end }) => {
                    let kind = Kind::of(&head[name]);
                    sifted.sift(kind, &head[value.clone()], at..end)?;
                    kept.note(number, &head[at..end], kind, value.start - at..value.end - at);
                    at = end;
                }
                scan::Line::End(end) => return Some((sifted, end)),
            }
        }
        None
    }

    fn sift(&mut self, kind: Kind, value: &[u8], line: Range<usize>) -> Option<()> {
        match kind {
            Kind::PassedOn => self.runs.add(line)?,
            Kind::Date => {
                self.has_date = true;
                self.runs.add(line)?;
            }
            Kind::OfThisHop => {}
            Kind::Connection => {
                let closes = value.eq_ignore_ascii_case(b"close");
                // Another value may name fields that are about this connection.
                if !closes && !value.eq_ignore_ascii_case(b"keep-alive") {
                    return None;
                }
                self.connection = Some(self.connection.unwrap_or(true) && !closes);
            }
            Kind::ContentLength => {
                let length = digits(value).ok().filter(|_| self.lengths.content_length.is_none())?;
                self.lengths.content_length = Some(length);
            }
            Kind::TransferEncoding => {
                if self.lengths.has_transfer_encoding || !value.eq_ignore_ascii_case(b"chunked") {
                    return None;
                }
                (self.lengths.has_transfer_encoding, self.lengths.is_chunked) = (true, true);
            }
            Kind::Replaced => return None,
        }
        Some(())
    }

    /// Returns the lines, of the same head.
    pub(crate) fn lines(&self, head: Bytes) -> Lines {
        Lines { head, runs: self.runs, has_date: self.has_date, added: Vec::new() }
    }
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is(b"te") => Self::OfThisHop,
            4 if is(b"date") => Self::Date,
            7 if is(b"upgrade") => Self::OfThisHop,
            9 if is(b"ratelimit") => Self::Replaced,
            10 if is(b"connection") => Self::Connection,
            10 if is(b"keep-alive") => Self::OfThisHop,
            12 if is(b"x-request-id") => Self::Replaced,
            14 if is(b"content-length") => Self::ContentLength,
            16 if is(b"proxy-connection") => Self::OfThisHop,
            16 if is(b"ratelimit-policy") => Self::Replaced,
            17 if is(b"transfer-encoding") => Self::TransferEncoding,
            17 if is(b"x-ratelimit-limit") || is(b"x-ratelimit-reset") => Self::Replaced,
            21 if is(b"x-ratelimit-remaining") => Self::Replaced,
            _ => Self::PassedOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::header::{CONNECTION, TRANSFER_ENCODING};

    use super::Kind;
    use crate::http1::hop::is_of_this_hop;

    #[test]
    fn what_is_about_the_connection_is_the_same_as_where_a_map_is_made() {
        for name in [
            "te",
            "Date",
            "Upgrade",
            "Keep-Alive",
            "proxy-connection",
            "Connection",
            "Transfer-Encoding",
            "Trailer",
            "Content-Type",
            "X-Request-Id",
            "RateLimit",
        ] {
            let known = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let kind = Kind::of(name.as_bytes());
            let is_about_it = matches!(kind, Kind::OfThisHop | Kind::Connection | Kind::TransferEncoding);
            assert_eq!(is_about_it, is_of_this_hop(&known), "{name}");
            assert_eq!(kind == Kind::Connection, known == CONNECTION);
            assert_eq!(kind == Kind::TransferEncoding, known == TRANSFER_ENCODING);
        }
    }
}
