//! The thin layer over actix: actors on arbiters of their own, bounded mailboxes, restart after a panic, observation.
//!
//! A component is an `actix::Actor` with `Context<Self>`; [`spawn`] gives it a thread and an [`Address`], which is how
//! everybody else talks to it. There is no supervision tree here and no message to several actors at once.

mod address;
mod arbiter;
mod ask_error;
mod observe;
mod of_request;

pub use address::Address;
pub use arbiter::spawn;
pub use ask_error::AskError;
pub use observe::{Observation, observe_all};
pub use of_request::OfRequest;
