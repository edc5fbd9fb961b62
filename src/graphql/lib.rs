//! GraphQL as far as an API is made of it: schemas, the operations they name, and what a query asks of them.
//!
//! Parsing and validation are those of a crate that follows the GraphQL specification; here is what gateways and
//! publishers need of it. It executes nothing, and fetches nothing.

mod analysis;
mod asked;
mod bounds;
mod schema;

pub use asked::{Asked, CannotRead, RootField};
pub use schema::{OperationKind, Schema, Wrong};
