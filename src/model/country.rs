//! Countries, by their codes.

use std::fmt;

/// A country by its code of two letters (ISO 3166-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// What stands for a country that is not known: a code that ISO 3166-1 leaves to its users.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    /// Returns the one of a code; `None` where it is not two capital letters.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }
}

/// Writes the code; of one that is not known `(unknown)`.
impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNKNOWN {
            return f.write_str("(unknown)");
        }
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("(unknown)"))
    }
}

#[cfg(test)]
mod tests {
    use super::Country;

    #[test]
    fn a_code_has_two_capital_letters() {
        assert_eq!(Country::of_code("AT").unwrap().to_string(), "AT");
        assert_eq!(Country::UNKNOWN.to_string(), "(unknown)");
        for wrong in ["", "A", "AUT", "at", "1A", "é"] {
            assert_eq!(Country::of_code(wrong), None, "{wrong}");
        }
    }
}
