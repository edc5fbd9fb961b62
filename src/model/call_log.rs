//! How much gateways say of single calls, beside what a node's settings say: the log levels of APIs in the original's
//! DevOps contract.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much is said of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CallLogLevel {
    /// Nothing.
    #[default]
    Off,
    /// Who called what, and what became of it.
    Basic,
    /// The header fields of call and answer too, without the values of those that prove something.
    Standard,
    /// The query of the call too, and how long its body is said to be. Bodies themselves are not logged: they stream.
    Full,
}

impl CallLogLevel {
    /// All levels.
    pub const ALL: [Self; 4] = [Self::Off, Self::Basic, Self::Standard, Self::Full];

    /// The name in the REST contract.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Basic => "BASIC",
            Self::Standard => "STANDARD",
            Self::Full => "FULL",
        }
    }

    /// Returns the level of a name, whatever the case of its letters; `None` where there is none.
    #[must_use]
    pub fn of_contract(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_contract().eq_ignore_ascii_case(name))
    }
}

/// How much is said of the calls of one API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLog {
    /// Of all its operations, where nothing else is said.
    pub all: CallLogLevel,
    /// Of single operations, by verb and URI template.
    pub operations: BTreeMap<(String, String), CallLogLevel>,
}

impl CallLog {
    /// Returns the level of an operation.
    #[must_use]
    pub fn of(&self, verb: &str, target: &str) -> CallLogLevel {
        let own = self.operations.iter().find(|((its_verb, its_target), _)| its_verb == verb && its_target == target);
        own.map_or(self.all, |(_, level)| *level)
    }

    /// Says whether nothing at all is said.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.all == CallLogLevel::Off && self.operations.is_empty()
    }
}
