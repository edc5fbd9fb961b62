//! Behaviour of the key manager on a state that applies at once: what is tested is neither Raft nor a network.

mod api_keys;
mod applications;
mod browser;
mod directory;
mod fixture;
mod grants;
mod keys;
mod oauth;
mod saml;
pub(crate) mod world;
