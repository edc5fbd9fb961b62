//! The id of a request, by which what is said of it is found in the logs of all nodes and in the audit. A task carries it
//! while it works for the request; it is not handed to tasks that are spawned, nor to actors.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of a request: 1 to 128 visible characters of ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The most characters.
    pub const CHARS_MAX: usize = 128;

    /// Takes a text as an id; `None` where it is none.
    #[must_use]
    pub fn of(text: &[u8]) -> Option<Self> {
        std::str::from_utf8(text).ok().filter(|text| Self::is_one(text.as_bytes())).map(|text| Self(text.into()))
    }

    /// Says whether a text can be an id.
    #[must_use]
    pub fn is_one(text: &[u8]) -> bool {
        (1..=Self::CHARS_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id of the request that the task works for, where it is known.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Has work done for the request: [`RequestId::current`] is this one while `work` runs.
    pub fn carry<Work: Future>(self, work: Work) -> impl Future<Output = Work::Output> {
        CURRENT.scope(self, work)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn what_is_no_id_is_not_taken() {
        assert_eq!(RequestId::of(b"a-1").unwrap().as_str(), "a-1");
        for wrong in [&b""[..], b"a b", b"a\n", "\u{e4}".as_bytes(), &[b'x'; 129]] {
            assert_eq!(RequestId::of(wrong), None);
        }
    }
}
