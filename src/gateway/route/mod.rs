//! Routes: which API and operation a path means, compiled from the deployed projection when it changes.

pub(crate) mod api;
pub(crate) mod compile;
pub(crate) mod endpoint;
pub(crate) mod graphql;
pub(crate) mod operations;
pub(crate) mod path;
pub(crate) mod policies;
pub(crate) mod schemes;
pub(crate) mod session;
pub(crate) mod standing;
pub(crate) mod table;
pub(crate) mod templates;
pub(crate) mod trust;
pub(crate) mod websub;
