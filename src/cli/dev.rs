//! `portcullis dev`: a throw-away node, or a cluster of child processes, with a sample API, application and token.
//! Everything is in a temporary directory that goes away with it. It is not for production: its
//! administrator is admin/admin.

mod backend;
mod journey;
mod many;
mod one;
mod place;
mod tour;

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use tokio::sync::watch;

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::signals::StopSignals;

/// The first user and its password.
const ADMIN: (&str, &str) = ("admin", "admin");

/// Arguments of `dev`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis dev                     one node on 127.0.0.1
  portcullis dev --nodes 3           three nodes on 127.0.0.1, 127.0.0.2 and 127.0.0.3
  portcullis dev --port-offset 100   beside something else: 9543 instead of 9443, and so on

PORTCULLIS_SECTION__KEY sets every key of node.toml here too, but the address, the name and the data.

Ctrl-C stops it and leaves nothing behind.")]
pub struct DevArguments {
    /// How many nodes; from two on each is a process of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9), value_name = "COUNT")]
    nodes: u8,
    /// The address of the first node; the others have the addresses after it.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST, value_name = "ADDRESS")]
    bind: Ipv4Addr,
    /// Added to every port.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=50_000), value_name = "NUMBER")]
    port_offset: u16,
    /// What the nodes log; PORTCULLIS_LOG__LEVEL, or warn, where it is not given.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// The form of what is printed when everything is ready: table for people, json or yaml for scripts.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Runs the tour until Ctrl-C.
///
/// # Errors
/// Where a node cannot start, a step of the sample fails, or a node stops by itself.
pub async fn run(arguments: &DevArguments) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let mut signals = StopSignals::listen()?;
    let place = place::Place::make(arguments)?;
    let (stop_backend, stop) = watch::channel(false);
    let backend = backend::start(arguments.bind.into(), stop).await.map_err(|cause| {
        Failure::from_io(format!("the sample backend cannot listen on {}", arguments.bind), &cause, "--bind 127.0.0.1")
    })?;
    let outcome = if arguments.nodes == 1 {
        one::run(arguments, &place, backend, began, &mut signals).await
    } else {
        many::run(arguments, &place, backend, began, &mut signals).await
    };
    stop_backend.send_replace(true);
    place.remove()?;
    outcome?;
    output::say("stopped; nothing is left behind");
    Ok(ExitCode::SUCCESS)
}
