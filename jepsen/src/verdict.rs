//! What is said of a run: valid, invalid, or not known.

use std::fmt;

/// The verdict on a run or on one property of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was promised held, and enough was tried to say so.
    Valid,
    /// A promise was broken; the smallest witness that was found.
    Invalid(String),
    /// It cannot be said: a fault never took effect, too little was done, or the judge ran out of time.
    Unknown(String),
}

impl Verdict {
    /// Returns the worse of two: invalid, then unknown, then valid. The first of two of a kind stays.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.rank(), other.rank()) {
            (mine, others) if others > mine => other,
            _ => self,
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Unknown(_) => 1,
            Self::Invalid(_) => 2,
        }
    }

    /// Returns the exit code of the program: 0 valid, 1 invalid, 2 unknown.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid(_) => 1,
            Self::Unknown(_) => 2,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Invalid(why) => write!(f, "invalid: {}", why.replace('\n', " ")),
            Self::Unknown(why) => write!(f, "unknown: {}", why.replace('\n', " ")),
        }
    }
}
