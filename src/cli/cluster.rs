//! `portcullis cluster`: make, join, see and change a cluster.

mod backup;
mod backup_key;
mod bootstrap;
mod certificate;
mod join;
mod node;
mod node_change;
mod node_list;
mod node_place;
mod plan;
mod recover;
mod restore;
mod rotate;
mod snapshot;
mod status;
mod token;
mod transfer;
mod upgrade;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

pub use bootstrap::make_cluster;
pub use join::join_cluster;
pub use token::{PATH as TOKENS_PATH, token_of};

/// The path of the cluster's status.
pub const STATUS_PATH: &str = "/api/portcullis/v1/cluster/status";

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make this machine the first node of a new cluster.
    Bootstrap(bootstrap::BootstrapArguments),
    /// Make this machine a further node of a cluster.
    Join(join::JoinArguments),
    /// Make, list and revoke tokens with which nodes join.
    Token {
        /// What to do with tokens.
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// See, renew and replace certificates.
    Certificate {
        /// What to do with certificates.
        #[command(subcommand)]
        command: certificate::CertificateCommand,
    },
    /// Show the nodes, the leader, and how far each node is.
    Status(status::StatusArguments),
    /// Show and change the nodes of the cluster.
    Node {
        /// What to do with nodes.
        #[command(subcommand)]
        command: node::NodeCommand,
    },
    /// Show, make or drop the changes that were planned (cluster node … --plan).
    Plan {
        /// What to do with the plan.
        #[command(subcommand)]
        command: plan::PlanCommand,
    },
    /// Hand leadership to another voter.
    TransferLeader(transfer::TransferArguments),
    /// Take a node's snapshot, list snapshots, look into one.
    Snapshot {
        /// What to do with snapshots.
        #[command(subcommand)]
        command: snapshot::SnapshotCommand,
    },
    /// Back the cluster up into a file, list and check backups.
    Backup {
        /// What to do with backups.
        #[command(subcommand)]
        command: backup::BackupCommand,
    },
    /// Make this machine the first node of a new cluster with the state of a backup.
    Restore(restore::RestoreArguments),
    /// Have one surviving node go on alone, where the majority is lost for good.
    Recover(recover::RecoverArguments),
    /// See where an upgrade of the nodes stands, and finish it.
    Upgrade {
        /// What to do.
        #[command(subcommand)]
        command: upgrade::UpgradeCommand,
    },
}

/// Runs the command.
///
/// # Errors
/// As the command says.
pub async fn run(command: ClusterCommand) -> Result<ExitCode, Failure> {
    match command {
        ClusterCommand::Bootstrap(arguments) => bootstrap::run(arguments).await,
        ClusterCommand::Join(arguments) => join::run(arguments).await,
        ClusterCommand::Token { command } => token::run(&command).await.map(|()| ExitCode::SUCCESS),
        ClusterCommand::Certificate { command } => certificate::run(&command).await.map(|()| ExitCode::SUCCESS),
        ClusterCommand::Status(arguments) => status::run(&arguments).await.map(|()| ExitCode::SUCCESS),
        ClusterCommand::Node { command } => node::run(&command).await.map(|()| ExitCode::SUCCESS),
        ClusterCommand::Plan { command } => plan::run(&command).await.map(|()| ExitCode::SUCCESS),
        ClusterCommand::TransferLeader(arguments) => transfer::run(&arguments).await.map(|()| ExitCode::SUCCESS),
        ClusterCommand::Snapshot { command } => snapshot::run(&command).await.map(|()| ExitCode::SUCCESS),
        ClusterCommand::Backup { command } => backup::run(&command).await.map(|()| ExitCode::SUCCESS),
        ClusterCommand::Restore(arguments) => restore::run(arguments).await,
        ClusterCommand::Recover(arguments) => recover::run(&arguments).await.map(|()| ExitCode::SUCCESS),
        ClusterCommand::Upgrade { command } => upgrade::run(&command).await.map(|()| ExitCode::SUCCESS),
    }
}
