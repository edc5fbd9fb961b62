//! Users, groups and roles by SCIM 2.0 (RFC 7643, RFC 7644), as the original serves them at `/scim2`.
//!
//! A group and a role are the same thing: what a user may do follows from the roles held. `/Groups` shows them with
//! `members`, `/v2/Roles` with `users`.

mod bulk;
mod discovery;
mod document;
mod filter;
mod groups;
mod listing;
mod patch;
mod people;
mod rest;
mod schema;
mod scim_call;
mod scim_error;
mod users;

pub use people::Passwords;
pub(crate) use people::check_username;
pub(crate) use rest::routes;
