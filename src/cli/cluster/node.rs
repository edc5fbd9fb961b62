//! `portcullis cluster node`: takes nodes out of the cluster.

use std::io::{BufRead, IsTerminal};

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::remote::{RemoteArguments, of_client};

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Take a node out of the cluster, for good.
    Remove(RemoveArguments),
}

/// Arguments of `cluster node remove`.
#[derive(Debug, Args)]
#[command(after_help = "\
A removed node's id is never used again: to bring the machine back, join it with a new data directory.")]
pub struct RemoveArguments {
    /// The node's id (see portcullis cluster status).
    #[arg(value_name = "ID")]
    id: u64,
    /// Remove it although the cluster would lose its majority, or entries that only this node holds.
    #[arg(long)]
    force: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached, or the user says no.
pub async fn run(command: &NodeCommand) -> Result<(), Failure> {
    let NodeCommand::Remove(arguments) = command;
    let id = arguments.id;
    if !arguments.yes {
        confirm(id)?;
    }
    let remote = arguments.remote.connect().await?;
    let query = if arguments.force { "?force=true" } else { "" };
    let path = format!("/api/portcullis/v1/cluster/nodes/{id}{query}");
    remote.client.delete(&path).await.map_err(|fault| of_client(&fault))?;
    output::say(&format!("node {id} is no longer in the cluster; stop it and delete its data directory"));
    output::say("next: portcullis cluster status");
    Ok(())
}

/// Asks on a terminal; where there is none, nobody can be asked and the command goes on: the server protects the
/// majority in any case.
fn confirm(id: u64) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(());
    }
    output::say(&format!("Type the node's id to remove node {id} for good:"));
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    if read.is_ok() && typed.trim() == id.to_string() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("node {id} was not removed"), "another id was typed", "--yes does not ask"))
}
