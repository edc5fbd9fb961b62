//! OpenAPI documents: parsed, checked, read for what the gateways need, and kept in step with the API. Accepted are
//! OpenAPI 3.0 and 3.1 as JSON or YAML, and Swagger 2.0, which becomes OpenAPI 3.0. References to other files are not fetched.

mod aside;
pub mod check;
pub mod document;
pub mod extensions;
pub mod extract;
pub(crate) mod fetch;
mod part;
mod place;
pub mod product;
mod swagger2;
#[cfg(test)]
mod tests;
pub mod write;

pub(crate) use aside::{aside, read};
pub use document::{Document, OpenapiVersion};
pub use extract::Extracted;
