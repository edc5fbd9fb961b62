//! `portcullis cluster join`: makes this machine a further node of a cluster.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use portcullis_node::config::Config;
use portcullis_node::joining;

use super::bootstrap::remember;
use super::node_place::{NodePlace, prepare};
use crate::failure::Failure;
use crate::output;
use crate::server::{self, ServerArguments};

/// Arguments of `cluster join`.
#[derive(Debug, Args)]
#[command(after_help = "\
The token names the cluster's nodes and the fingerprint of its certificate authority: nobody else is believed.
The node becomes a learner when it first runs, catches up, and then votes.

Example:
  portcullis cluster join --data-dir n2 --bind 127.0.0.2 --token TOKEN
  portcullis server --data-dir n2")]
pub struct JoinArguments {
    #[command(flatten)]
    place: NodePlace,
    /// The token that portcullis cluster token create printed.
    #[arg(long, value_name = "TOKEN", env = "PORTCULLIS_JOIN_TOKEN", hide_env_values = true)]
    token: String,
    /// Run the node right after.
    #[arg(long)]
    start: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the cluster refuses the token, cannot be reached, or the directory cannot be used.
pub async fn run(arguments: JoinArguments) -> Result<ExitCode, Failure> {
    let config = prepare(&arguments.place)?;
    let data_dir = &arguments.place.data_dir;
    let joined = join(data_dir, &config, &arguments.token).await?;
    output::say(&format!("admitted as node {} to cluster {}", joined.node, joined.cluster_name));
    if arguments.start {
        let server = ServerArguments { data_dir: data_dir.clone(), set: Vec::new(), until_stdin_ends: false };
        return server::run(&server).await;
    }
    output::say(&format!("next: portcullis server --data-dir {}", data_dir.display()));
    Ok(ExitCode::SUCCESS)
}

/// Joins a data directory to a cluster.
///
/// # Errors
/// As [`run`].
pub async fn join_cluster(data_dir: &Path, config: &Config, token: &str) -> Result<(), Failure> {
    join(data_dir, config, token).await.map(|_| ())
}

async fn join(data_dir: &Path, config: &Config, token: &str) -> Result<joining::Joined, Failure> {
    let joined = joining::join(data_dir, config, token)
        .await
        .map_err(|fault| Failure::from_fault(format!("{} cannot join", data_dir.display()), &fault))?;
    remember(&joined.ca_fingerprint, data_dir)?;
    Ok(joined)
}
