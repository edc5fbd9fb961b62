//! Calls to backends: connections, their pools, and one exchange of request and answer over HTTP/1.1; over HTTP/2 by
//! hyper.
//!
//! An exchange is driven by whoever waits for it, in the same task as the client's connection: no task is spawned and
//! nothing is sent through a channel. It knows no API and no policy.

pub(crate) mod authorities;
pub(crate) mod coming;
#[cfg(test)]
mod differential;
pub(crate) mod exchange;
pub(crate) mod head;
pub(crate) mod line;
pub(crate) mod lines;
pub(crate) mod link;
pub(crate) mod outbound;
pub(crate) mod pool;
pub(crate) mod request;
pub(crate) mod sending;

use std::io;
use std::time::Duration;

use crate::http1::Malformed;

/// Why a call to a backend failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// The backend's name is not known.
    #[error("the name cannot be resolved: {0}")]
    Name(#[source] io::Error),
    /// The connection was refused, or TLS failed.
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    /// The connection did not come about in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// All connections are in use, and too many calls wait for one already.
    #[error("no connection is free")]
    NoConnectionFree,
    /// The head of the answer did not come in time.
    #[error("no answer in time")]
    HeadTimeout,
    /// No backend may be asked now: each is suspended or down.
    #[error("no backend may be asked now")]
    Suspended {
        /// There is only one.
        is_alone: bool,
        /// When one may be asked again; zero where nobody knows.
        ready_in: Duration,
    },
    /// The answer paused for too long.
    #[error("the answer stalled")]
    Stalled,
    /// The backend closed the connection before it answered.
    #[error("the connection was closed before an answer")]
    Closed,
    /// The backend closed the connection in the midst of the answer.
    #[error("the answer was cut off")]
    CutOff,
    /// The answer is not HTTP/1.1.
    #[error("the answer is not valid: {0}")]
    Protocol(&'static str),
    /// The request could not be sent.
    #[error("sending failed: {0}")]
    Send(#[source] io::Error),
    /// The answer could not be read.
    #[error("receiving failed: {0}")]
    Receive(#[source] io::Error),
    /// The client's body broke off or is not valid.
    #[error("the client's body is incomplete or not valid")]
    ClientBody,
    /// The client's body did not come in time.
    #[error("the client's body did not come in time")]
    ClientStalled,
    /// The client's body came more slowly than is accepted.
    #[error("the client's body came too slowly")]
    ClientTooSlow,
}

impl From<Malformed> for UpstreamError {
    fn from(malformed: Malformed) -> Self {
        Self::Protocol(malformed.0)
    }
}

impl UpstreamError {
    /// Returns the original's codes for a failure of the backend; `None` where it is not its fault.
    pub(crate) fn codes(&self) -> Option<[u32; 2]> {
        Some(match self {
            Self::Connect(_) | Self::Name(_) => [101_503, 101_503],
            // The original tells a connection that is slow to come about from a slow answer in some places only.
            Self::ConnectTimeout => [101_508, 101_504],
            Self::HeadTimeout | Self::Stalled => [101_504, 101_504],
            Self::Closed | Self::CutOff => [101_505, 101_505],
            Self::Protocol(_) => [101_506, 101_506],
            Self::Send(_) => [101_500, 101_500],
            Self::Receive(_) => [101_501, 101_501],
            Self::NoConnectionFree | Self::Suspended { .. } => return None,
            Self::ClientBody | Self::ClientStalled | Self::ClientTooSlow => return None,
        })
    }

    /// Says whether nothing was sent, so that another backend may be asked.
    pub(crate) fn is_before_sending(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Connect(_) | Self::ConnectTimeout | Self::NoConnectionFree)
    }
}
