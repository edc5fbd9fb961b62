//! The Publisher's REST bodies: how the model's nouns are read from and written to JSON. Nothing here asks the state.

pub mod api;
pub mod api_body;
pub(crate) mod api_endpoint;
pub mod certificate;
pub mod cors;
pub mod endpoints;
pub(crate) mod environment_properties;
pub mod fields;
pub mod identity;
pub mod lifecycle;
pub mod operations;
pub mod policies;
pub mod policy;
pub mod product;
pub mod revision;
pub mod scopes;
pub mod security;
pub mod subscription;
pub(crate) mod websub;
