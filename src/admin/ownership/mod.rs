//! Whose applications and APIs are: an administrator sees those of everybody in the tenant, and gives them to others.

mod handlers;
mod rest;

pub(crate) use rest::routes;
