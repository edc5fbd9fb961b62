//! What waits for an administrator's decision.

mod handlers;
mod rest;

pub(crate) use handlers::{DecideTask, ListTasks};
pub(crate) use rest::{DECIDE, VIEW, routes};
