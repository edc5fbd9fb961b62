//! The Store as its clients see it: REST journeys over a state machine in memory.

mod api_keys;
mod applications;
mod catalog;
mod keys;
mod machine;
pub(crate) mod nouns;
mod subscriptions;
