//! What every HTTP face of the management port shares: server and client, TLS, error bodies, sign-in, bodies, paging, archives.
//!
//! It knows the model and nothing else: no component, no database, no path. The gateway's data path is not built on
//! it, because it streams and has limits of its own.

pub mod address;
pub mod auth;
pub mod body;
pub mod callback;
pub mod client;
pub mod client_error;
pub mod content_safety;
pub mod contract;
pub mod delivery;
pub mod download;
pub mod error;
pub mod etag;
pub mod fetch;
pub mod idempotency;
pub mod layers;
mod leftover;
pub mod multipart;
pub mod node_line;
pub mod outside;
pub mod page;
pub mod percent;
pub mod problem;
pub mod reach;
pub mod reply;
pub mod server;
#[cfg(test)]
mod server_tests;
pub mod time;
pub mod tls;
mod trailing_slash;
pub mod zip;

pub use auth::{MaybeSigned, Signed};
pub use body::Body;
pub use client::Client;
pub use client_error::ClientError;
pub use delivery::Delivery;
pub use error::ApiError;
pub use idempotency::{MaybeKey, RequestKey};
pub use multipart::{FormPart, MultipartForm};
pub use page::{List, PageQuery};
pub use problem::Problem;
pub use reply::Stamped;
