//! The replicated state: the databases, who may use them, the commands that change them, and how they are stored.
//!
//! Everything here is deterministic: the same entries give the same state on every node. There is no clock, no
//! randomness and no I/O in it but in [`handle`], which stamps entries before they are proposed. It does not know how
//! entries get to the other nodes: that is the [`proposer::Proposer`], which `raft` implements.

pub mod access;
pub mod adoption;
pub mod alert_subscriptions;
mod api_history;
mod api_rules;
pub mod assets;
mod audit;
pub mod belongings;
pub mod cell;
mod client_removal;
mod client_secrets;
pub mod cluster_key;
pub mod codec;
pub mod command;
mod completion;
pub mod counters;
pub mod default_policies;
pub mod digest;
pub mod endpoint_trust;
pub mod entry;
pub mod environments;
pub mod federation;
pub mod gateway_policies;
pub mod handle;
pub mod headings;
mod kept_api_keys;
mod kept_tokens;
pub mod key_managers;
pub mod layout;
pub mod level;
mod mapped_keys;
mod membership;
pub mod monetization;
pub mod ordered_apis;
pub mod organizations;
mod pending;
pub mod people;
mod projection;
pub mod proposer;
pub mod size;
pub mod snapshot;
pub mod state;
pub mod statistics;
pub mod subscriptions;
pub mod table;
pub mod tasks;
pub mod webhooks;

pub use access::{Component, Reads, ReadsInTenancy, Tenancy, Writes};
pub use cell::StateCell;
pub use cluster_key::ClusterKey;
pub use command::{Command, Moment, SubmittedBy};
pub use entry::{Entry, Idempotency, Outcome};
pub use handle::{Caller, Committed, Handle, SubmitError};
pub use proposer::{Applied, ProposeError, Proposer};
pub use state::{Apimgtdb, Counters, Deployed, Regdb, Statdb, State, System, Userdb};
