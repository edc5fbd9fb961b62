//! The fields of a head, read without copying.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::Malformed;

/// Fields that are looked for without memory of their own: the bound, where nothing else is said.
pub(crate) const FIELDS_MAX: usize = 100;
/// Fields whose places in the head need no memory of their own: more than most messages have.
const PLACES_INLINE: usize = 24;

/// Room for the fields that a parser finds.
pub(crate) type Room<'a> = [MaybeUninit<httparse::Header<'a>>];

/// Where a field is in the head.
#[derive(Clone, Copy, Default)]
struct Place {
    name: usize,
    name_end: usize,
    value: usize,
    value_end: usize,
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
        let start = head.as_ptr() as usize;
        let count = found.len();
        let mut places = Self { few: [Place::default(); PLACES_INLINE], many: Vec::new(), count };
        if count > PLACES_INLINE {
            places.many.resize(count, Place::default());
        }
        let all = if count > PLACES_INLINE { &mut places.many[..] } else { &mut places.few[..count] };
        for (place, field) in all.iter_mut().zip(found) {
            let name = field.name.as_ptr() as usize - start;
            let value = field.value.as_ptr() as usize - start;
            *place = Place { name, name_end: name + field.name.len(), value, value_end: value + field.value.len() };
        }
        places
    }

    fn all(&self) -> &[Place] {
        if self.count > PLACES_INLINE { &self.many } else { &self.few[..self.count] }
    }

    /// Says whether each line of `head` ends with CR LF: some servers take LF alone for a line's end, others do not.
    pub(crate) fn end_lines(&self, head: &[u8]) -> bool {
        let is_ended = |place: &Place| place.name >= 2 && head[place.name - 2] == b'\r';
        head.ends_with(b"\r\n\r\n") && self.all().iter().all(is_ended)
    }

    /// Returns how many fields there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the fields, as parts of `head`, which is shared and not copied. A sender has the same names in the same
    /// order in each message, as a rule: those of the last one, in `names`, are looked at first.
    pub(crate) fn read<'a>(
        &'a self,
        head: &'a Bytes,
        names: &'a mut Vec<HeaderName>,
    ) -> impl Iterator<Item = Result<(HeaderName, HeaderValue), Malformed>> + 'a {
        self.all().iter().enumerate().map(move |(number, place)| {
            let name = header_name(&head[place.name..place.name_end], number, names)?;
            let value = HeaderValue::from_maybe_shared(head.slice(place.value..place.value_end));
            Ok((name, value.map_err(|_| Malformed("a header is not valid"))?))
        })
    }
}

fn header_name(text: &[u8], number: usize, names: &mut Vec<HeaderName>) -> Result<HeaderName, Malformed> {
    if let Some(name) = names.get(number).filter(|name| name.as_str().as_bytes().eq_ignore_ascii_case(text)) {
        return Ok(name.clone());
    }
    let name = HeaderName::from_bytes(text).map_err(|_| Malformed("a name is not valid"))?;
    names.truncate(number);
    names.push(name.clone());
    Ok(name)
}

/// Returns a `Content-Length`, which is digits and nothing else.
///
/// # Errors
/// Where it is anything else, or has more digits than any body.
pub(crate) fn content_length(value: &HeaderValue) -> Result<u64, Malformed> {
    let digits = value.as_bytes();
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
