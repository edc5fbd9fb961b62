//! The cluster: replicates the state to every node by Raft, forwards proposals to the leader, and keeps the membership.
//!
//! This is the only crate that names openraft. It knows nodes, entries and files; it does not know what a command
//! does: the state machine hands entries to the database and publishes what comes out.
//!
//! Start: [`create_cluster`] or [`prepare_join`] and [`save_join`] make a data directory, [`DataDirectory::open`] locks
//! it, [`RaftNode::start`] runs it.

mod authority;
mod background;
pub mod backup;
mod begun;
mod boot;
mod certificates;
mod contacts;
mod control;
mod core;
mod create;
#[cfg(test)]
mod durability_tests;
mod examine;
mod fatal;
mod fence;
mod groups;
mod identity;
mod log;
mod majority;
mod marks;
mod membership;
#[cfg(test)]
mod membership_tests;
mod node;
mod observed;
mod peek;
mod propose;
mod protection;
mod questions;
mod reach;
mod reads;
mod recovery;
mod refusal;
mod restoration;
mod safekeeping;
mod service;
mod serving;
#[cfg(test)]
mod simulation;
mod snapshots;
mod state_machine;
mod tasks;
#[cfg(test)]
mod tests;
mod transport;
mod types;
mod upgrade;

pub use self::authority::CertificateError;
pub use self::certificates::{Held, Renewed, renew_offline};
pub use self::create::{CreateCluster, Created, JoinKey, create_cluster, prepare_join, save_join};
pub use self::identity::{DataDirectory, Identity, IdentityError, check_unused, fingerprint, parse_cluster_key};
pub use self::log::LogError;
pub use self::node::{Metrics, Observation, RaftNode, Start, StartError};
pub use self::observed::DurationFigures;
pub use self::peek::{Peeked, peek};
pub use self::recovery::{Recovery, RecoveryError, RecoveryReport};
pub use self::restoration::{Restoration, RestoreError, Restored, restore_cluster};
pub use self::snapshots::{SnapshotFileError, SnapshotReport, inspect_snapshot, list_snapshots};
pub use self::transport::{DialError, Guest, Reception, TlsError};
