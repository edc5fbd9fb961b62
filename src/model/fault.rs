//! What every error that a user can see tells: a code, whose fault it is, whether to try again, and what to do.

use std::time::Duration;

/// Who caused an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtFault {
    /// The caller.
    Client,
    /// A backend behind the gateway.
    Upstream,
    /// Portcullis itself.
    Us,
}

/// Whether the same request may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not without a change.
    Never,
    /// After this time.
    After(Duration),
}

/// An error that a user can see.
pub trait Fault: std::error::Error {
    /// A stable code, listed in `docs/reference/errors.md`.
    fn code(&self) -> &'static str;
    /// The HTTP status.
    fn status(&self) -> u16;
    /// Who caused it.
    fn at_fault(&self) -> AtFault;
    /// Whether the same request may succeed later.
    fn retry(&self) -> Retry;
    /// What to do, as a sentence.
    fn next_step(&self) -> String;
    /// The name of the rule that stands against the request, where one protects the cluster from it.
    fn rule(&self) -> Option<&'static str> {
        None
    }
}
