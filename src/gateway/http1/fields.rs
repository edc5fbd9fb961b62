//! The fields of a head, read without copying.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::Malformed;
use super::scan::{self, Field};

/// Fields that are looked for without memory of their own: the bound, where nothing else is said.
pub(crate) const FIELDS_MAX: usize = 100;
/// Fields whose places in the head need no memory of their own: more than most messages have.
const PLACES_INLINE: usize = 24;

/// Names that a connection keeps from one message to the next, and the bytes of each.
const NAMES_KEPT: usize = 32;
const NAME_BYTES_KEPT: usize = 64;

/// Room for the fields that a parser finds.
pub(crate) type Room<'a> = [MaybeUninit<httparse::Header<'a>>];

/// Where a field is in the head.
#[derive(Clone, Copy, Default)]
struct Place {
    name: u32,
    name_end: u32,
    value: u32,
    value_end: u32,
}

impl Place {
    fn name(self) -> Range<usize> {
        self.name as usize..self.name_end as usize
    }

    fn value(self) -> Range<usize> {
        self.value as usize..self.value_end as usize
    }
}

/// The names of the fields of the last message on a connection, each as it was written and as it is meant.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<(Box<[u8]>, HeaderName)>);

impl Names {
    /// Returns the name of a field. A sender writes the same names in the same order in each message, as a rule: those of
    /// the last one are looked at first.
    fn name(&mut self, text: &[u8], number: usize) -> Result<HeaderName, Malformed> {
        if let Some((_, name)) = self.0.get(number).filter(|(written, _)| **written == *text) {
            return Ok(name.clone());
        }
        let name = HeaderName::from_bytes(text).map_err(|_| Malformed("a name is not valid"))?;
        if number < NAMES_KEPT && text.len() <= NAME_BYTES_KEPT {
            self.0.truncate(number);
            self.0.push((text.into(), name.clone()));
        }
        Ok(name)
    }
}

/// Where the fields are in a head: what a parser found, without what it borrows.
pub(crate) struct Places {
    few: [Place; PLACES_INLINE],
    many: Vec<Place>,
    count: usize,
}

impl Places {
    /// Notes where in `head` the fields are that a parser found in it.
    pub(crate) fn of(head: &[u8], found: &[httparse::Header<'_>]) -> Self {
        // A head has fewer bytes by far than such a number counts; a place that were none is not within it.
        let at = |part: &[u8]| u32::try_from(part.as_ptr() as usize - head.as_ptr() as usize).unwrap_or(u32::MAX);
        let end = |part: &[u8]| at(part).saturating_add(u32::try_from(part.len()).unwrap_or(u32::MAX));
        let count = found.len();
        let mut places = Self { few: [Place::default(); PLACES_INLINE], many: Vec::new(), count };
        if count > PLACES_INLINE {
            places.many.resize(count, Place::default());
        }
        let all = if count > PLACES_INLINE { &mut places.many[..] } else { &mut places.few[..count] };
        for (place, field) in all.iter_mut().zip(found) {
            let (name, value) = (field.name.as_bytes(), field.value);
            *place = Place { name: at(name), name_end: end(name), value: at(value), value_end: end(value) };
        }
        places
    }

    /// Notes where the fields of an ordinary head are, whose lines begin at `at`, and returns also where it ends. `None` where it
    /// is not an ordinary one, has more than `fields_max` fields, or is not all there.
    pub(crate) fn scan(head: &[u8], mut at: usize, fields_max: usize) -> Option<(Self, usize)> {
        let mut places = Self { few: [Place::default(); PLACES_INLINE], many: Vec::new(), count: 0 };
        let number = |at: usize| u32::try_from(at).ok();
        loop {
            let Field { name, value, end } = match scan::line(head, at)? {
                scan::Line::Field(field) => field,
                scan::Line::End(end) => return (places.count <= fields_max).then_some((places, end)),
            };
            // A head with more fields is not ordinary.
            *places.few.get_mut(places.count)? = Place {
                name: number(name.start)?,
                name_end: number(name.end)?,
                value: number(value.start)?,
                value_end: number(value.end)?,
            };
            places.count += 1;
            at = end;
        }
    }

    fn all(&self) -> &[Place] {
        if self.count > PLACES_INLINE { &self.many } else { &self.few[..self.count] }
    }

    /// Says whether each line of `head` ends with CR LF: some servers take LF alone for a line's end, others do not.
    pub(crate) fn end_lines(&self, head: &[u8]) -> bool {
        let is_ended = |place: &Place| place.name >= 2 && head[place.name as usize - 2] == b'\r';
        head.ends_with(b"\r\n\r\n") && self.all().iter().all(is_ended)
    }

    /// Returns how many fields there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the fields, as parts of `head`, which is shared and not copied.
    pub(crate) fn read<'a>(
        &'a self,
        head: &'a Bytes,
        names: &'a mut Names,
    ) -> impl Iterator<Item = Result<(HeaderName, HeaderValue), Malformed>> + 'a {
        self.all().iter().enumerate().map(move |(number, place)| {
            let name = names.name(&head[place.name()], number)?;
            let value = HeaderValue::from_maybe_shared(head.slice(place.value()));
            Ok((name, value.map_err(|_| Malformed("a header is not valid"))?))
        })
    }
}

/// Returns a `Content-Length`, which is digits and nothing else.
///
/// # Errors
/// Where it is anything else, or has more digits than any body.
pub(crate) fn content_length(value: &HeaderValue) -> Result<u64, Malformed> {
    digits(value.as_bytes())
}

/// The same, as it was read.
///
/// # Errors
/// As [`content_length`].
pub(crate) fn digits(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed("Content-Length is not valid"));
    }
    Ok(digits.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// Says whether a list, as in `Connection`, has a member.
pub(crate) fn lists(value: &HeaderValue, member: &[u8]) -> bool {
    let list = value.as_bytes();
    // The usual list has one member.
    list.eq_ignore_ascii_case(member)
        || (list.contains(&b',')
            && list.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(member)))
}
