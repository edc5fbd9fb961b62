//! The DevOps v0 contract: how much gateways log of the calls of APIs.

mod handlers;
mod rest;

pub(crate) use rest::routes;
