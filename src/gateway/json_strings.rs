//! Follows the strings of JSON byte by byte, so that what is in them is not taken for structure. Only the last one is kept, as
//! far as names are compared.

/// Where in the strings a reader is.
#[derive(Debug, Default)]
pub(crate) struct JsonStrings {
    is_inside: bool,
    is_escaped: bool,
    last: Name,
}

impl JsonStrings {
    /// Takes the next byte; says whether it belongs to a string, its quotes too.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        if !self.is_inside {
            self.is_inside = byte == b'"';
            if self.is_inside {
                self.last = Name::default();
            }
            return self.is_inside;
        }
        match byte {
            _ if std::mem::take(&mut self.is_escaped) => self.last.push(byte),
            b'\\' => self.is_escaped = true,
            b'"' => self.is_inside = false,
            _ => self.last.push(byte),
        }
        true
    }

    /// Returns the last string: where a colon follows, the name of a member. Escapes are not resolved.
    pub(crate) fn last(&self) -> Name {
        self.last
    }
}

/// A name, as far as it is compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Name {
    bytes: [u8; Self::BYTES_MAX],
    length: usize,
}

impl Name {
    /// Bytes of the names that are compared.
    pub(crate) const BYTES_MAX: usize = 32;

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        // One that is longer than what is kept is none of those looked for.
        self.length = self.length.saturating_add(1);
    }

    pub(crate) fn is_one_of(&self, names: &[&str]) -> bool {
        self.bytes.get(..self.length).is_some_and(|name| names.iter().any(|one| one.as_bytes() == name))
    }
}
