//! What is said of a run: valid, invalid, or not known.

use std::fmt;

/// A promise that was seen to be broken while faults were made or healed. Any other error is the suite's own, and says
/// nothing of the product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Returns an error that says which promise is broken.
macro_rules! broken {
    ($($what:tt)*) => {
        return Err($crate::verdict::Broken(format!($($what)*)).into())
    };
}

pub(crate) use broken;

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
    /// Returns what an error says that came up while `what` was done.
    pub fn of_error(what: &str, error: &anyhow::Error) -> Self {
        if error.downcast_ref::<Broken>().is_some() {
            Self::Invalid(format!("{what}: {error:#}"))
        } else {
            Self::Unknown(format!("{what}: the suite itself failed: {error:#}"))
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn breaks() -> anyhow::Result<()> {
        broken!("node {} does not come back", 3)
    }

    #[test]
    fn only_a_broken_promise_makes_a_run_invalid() {
        let broken = breaks().map_err(|error| error.context("restart")).unwrap_err();
        assert!(matches!(Verdict::of_error("a fault", &broken), Verdict::Invalid(why) if why.contains("node 3")));
        let own = anyhow::anyhow!("nft: not found");
        assert!(matches!(Verdict::of_error("a fault", &own), Verdict::Unknown(_)));
    }
}
