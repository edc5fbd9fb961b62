//! What waits for an administrator's decision.

mod handlers;
mod rest;

pub(crate) use rest::routes;
