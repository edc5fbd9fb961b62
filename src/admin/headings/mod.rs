//! Categories and labels: what APIs are filed under.

mod handlers;
mod rest;

pub(crate) use rest::routes;
