//! The counters of quotas as the pages show them: who holds what of which limit. Counting is the Traffic Manager's.

mod handlers;

pub(crate) use handlers::{ListCounters, ShownCounter};
