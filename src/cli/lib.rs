//! The command line: parses it, runs one command, and turns the outcome into messages and an exit code.
//!
//! Data goes to standard output, everything else to standard error. Each command has a file of its own; none knows how
//! another works.

mod api;
mod app;
mod archive;
mod arguments;
mod audit;
mod authority;
mod bench;
mod cluster;
mod completions;
mod config;
mod config_files;
mod context;
mod context_command;
mod debug;
mod declared;
mod dev;
mod docs;
mod doctor;
mod duration;
mod exit;
mod failure;
mod files;
mod form;
mod gateway;
mod key;
mod listing;
mod live_names;
mod login;
mod man;
mod moving;
mod output;
mod policy;
mod product;
mod progress;
mod published;
mod redact;
#[cfg(test)]
mod reference_tests;
mod remote;
mod request;
mod role;
mod scim;
mod server;
mod signals;
mod stats;
mod subscription;
mod supervisor;
mod tables;
mod task;
mod tenant;
mod trust;
mod user;
mod version;
mod work;

use std::process::ExitCode;

use arguments::{Arguments, Chosen};
use config::ConfigCommand;
use exit::Exit;
use failure::Failure;

/// Runs the command that this process was started with, and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    // Where a shell asks how a line may go on, the answer ends the process here.
    completions::answer();
    let arguments = Arguments::of_process();
    if arguments.quiet {
        output::be_quiet();
    }
    arguments.color.apply();
    match run_command(arguments.command) {
        Ok(code) => code,
        Err(failure) => {
            output::tell(&failure.to_string());
            failure.exit.into()
        }
    }
}

fn run_command(command: Chosen) -> Result<ExitCode, Failure> {
    match command {
        Chosen::Config { command } if !matches!(command, ConfigCommand::Reload(_)) => {
            config::run(&command).map(|()| ExitCode::SUCCESS)
        }
        Chosen::Completions(arguments) => completions::run(&arguments).map(|()| ExitCode::SUCCESS),
        Chosen::Context { command } => context_command::run(&command).map(|()| ExitCode::SUCCESS),
        Chosen::Docs(arguments) => docs::run(&arguments).map(|()| ExitCode::SUCCESS),
        Chosen::Man(arguments) => man::run(&arguments).map(|()| ExitCode::SUCCESS),
        Chosen::Version(arguments) => version::run(&arguments).map(|()| ExitCode::SUCCESS),
        other => {
            let runtime = runtime()?;
            let outcome = runtime.block_on(run_with_network(other));
            // What still runs in the background serves nobody any more.
            runtime.shutdown_background();
            outcome
        }
    }
}

/// Commands that only talk to a server, and those that run nodes, which need all cores.
async fn run_with_network(command: Chosen) -> Result<ExitCode, Failure> {
    match command {
        Chosen::Dev(arguments) => Box::pin(dev::run(&arguments)).await,
        Chosen::Server(arguments) => Box::pin(server::run(&arguments)).await,
        Chosen::Cluster { command } => Box::pin(cluster::run(command)).await,
        Chosen::Doctor(arguments) => Box::pin(doctor::run(&arguments)).await,
        Chosen::Api { command } => api::run(&command).await.map(|()| ExitCode::SUCCESS),
        Chosen::Product { command } => Box::pin(product::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::Apply(arguments) => Box::pin(declared::apply(&arguments)).await,
        Chosen::Diff(arguments) => Box::pin(declared::diff(&arguments)).await,
        Chosen::Export(arguments) => Box::pin(declared::export(&arguments)).await,
        Chosen::Import { command } => Box::pin(archive::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::App { command } => app::run(&command).await.map(|()| ExitCode::SUCCESS),
        Chosen::Subscription { command } => Box::pin(subscription::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::Key { command } => key::run(&command).await.map(|()| ExitCode::SUCCESS),
        Chosen::Stats { command } => stats::run(&command).await.map(|()| ExitCode::SUCCESS),
        Chosen::Bench { command } => Box::pin(bench::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::Gateway { command } => gateway::run(&command).await.map(|()| ExitCode::SUCCESS),
        Chosen::Debug { command } => Box::pin(debug::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::Policy { command } => Box::pin(policy::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::User { command } => Box::pin(user::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::Role { command } => Box::pin(role::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::Task { command } => task::run(&command).await.map(|()| ExitCode::SUCCESS),
        Chosen::Tenant { command } => Box::pin(tenant::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::Audit { command } => Box::pin(audit::run(&command)).await.map(|()| ExitCode::SUCCESS),
        Chosen::Login(arguments) => login::run(&arguments).await.map(|()| ExitCode::SUCCESS),
        Chosen::Config { command: ConfigCommand::Reload(arguments) } => {
            config::reload(&arguments).await.map(|()| ExitCode::SUCCESS)
        }
        Chosen::Config { .. }
        | Chosen::Completions(_)
        | Chosen::Context { .. }
        | Chosen::Docs(_)
        | Chosen::Man(_)
        | Chosen::Version(_) => Ok(ExitCode::SUCCESS),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("portcullis").build().map_err(|cause| {
        Failure::new(
            Exit::Failed,
            "threads cannot be started",
            cause.to_string(),
            "check the limits of this process (ulimit -u)",
        )
    })
}
