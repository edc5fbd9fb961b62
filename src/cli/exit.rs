//! Exit codes: what a script can tell apart without reading a message.

use std::process::ExitCode;

/// How a command ended. The numbers are part of the interface and are listed in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was refused, or failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// There is no such object.
    NotFound = 3,
    /// The caller may not do this, or is not who they say.
    NotAllowed = 4,
    /// It exists already, or changed meanwhile.
    Conflict = 5,
    /// The server cannot be reached or is not the one expected.
    CannotConnect = 6,
    /// The cluster has no leader, or is not healthy.
    Unhealthy = 7,
    /// No answer came in time.
    TimedOut = 8,
}

impl Exit {
    /// Returns the exit code that an HTTP status means.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::NotAllowed,
            404 => Self::NotFound,
            409 | 412 | 422 | 428 => Self::Conflict,
            502 => Self::CannotConnect,
            503 => Self::Unhealthy,
            408 | 504 => Self::TimedOut,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
