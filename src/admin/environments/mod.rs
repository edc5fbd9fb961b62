//! Gateway environments and their virtual hosts.

mod body;
mod handlers;
mod rest;

pub(crate) use rest::routes;
