//! The audit: who did what, when, from where, as it is asked for.

mod ask;
mod rest;

pub(crate) use ask::{FindRecords, Noted, Place, name_of};
pub(crate) use rest::routes;
