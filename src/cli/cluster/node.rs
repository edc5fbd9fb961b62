//! `portcullis cluster node`: shows and changes the nodes of the cluster.

use std::io::{BufRead, IsTerminal};

use clap::Subcommand;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{node_change, node_list};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::remote::ReadArguments;

/// The path of the nodes.
pub(super) const NODES_PATH: &str = "/api/portcullis/v1/cluster/nodes";

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the nodes: role, health, traffic, lag, and what is about to happen to them.
    List(ReadArguments),
    /// Show one node.
    Show(node_list::ShowArguments),
    /// Have a node get no traffic, for maintenance.
    Drain(node_change::DrainArguments),
    /// Have a drained node get traffic again.
    Undrain(node_change::DrainArguments),
    /// Make a node a voter or a learner.
    SetRole(node_change::RoleArguments),
    /// Have a node that has joined take the place of another, which is removed.
    Replace(node_change::ReplaceArguments),
    /// Take a node out of the cluster, for good.
    Remove(node_change::RemoveArguments),
}

/// Runs the command.
///
/// # Errors
/// As the command says.
pub async fn run(command: &NodeCommand) -> Result<(), Failure> {
    match command {
        NodeCommand::List(arguments) => node_list::list(arguments).await,
        NodeCommand::Show(arguments) => node_list::show(arguments).await,
        NodeCommand::Drain(arguments) => node_change::drain(arguments).await,
        NodeCommand::Undrain(arguments) => node_change::undrain(arguments).await,
        NodeCommand::SetRole(arguments) => node_change::set_role(arguments).await,
        NodeCommand::Replace(arguments) => node_change::replace(arguments).await,
        NodeCommand::Remove(arguments) => node_change::remove(arguments).await,
    }
}

/// Reads what the server answered.
///
/// # Errors
/// Where it is of another version.
pub(super) fn understood<T: DeserializeOwned>(body: Value) -> Result<T, Failure> {
    serde_json::from_value(body).map_err(|fault| {
        let next = "run the same version here as there (portcullis version)";
        Failure::new(Exit::Failed, "the server's answer is not understood", fault.to_string(), next)
    })
}

/// Asks on a terminal; where there is none, nobody can be asked and the command goes on: the server protects the
/// majority in any case.
///
/// # Errors
/// Where something else is typed than the node's id.
pub(super) fn confirm(id: u64) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(());
    }
    output::tell(&format!("Type the node's id to remove node {id} for good:"));
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    if read.is_ok() && typed.trim() == id.to_string() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("node {id} was not removed"), "another id was typed", "--yes does not ask"))
}
