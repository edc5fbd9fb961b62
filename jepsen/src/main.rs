//! Fault injection: real nodes, real clients, real faults, and checkers that judge what the clients saw.
//!
//! `run` makes namespaces (`net`), starts itself inside them (`supervise`), and there (`run`) starts a cluster
//! (`cluster`, `node`), clients (`worker`, `workload`, `http`) and faults (`nemesis`). All that happens is written down
//! (`history`) and judged (`checker`).

#![allow(clippy::print_stdout, reason = "a program for the command line")]

mod all;
mod arguments;
mod backend;
mod checker;
mod cluster;
mod disk;
mod history;
mod http;
mod journey;
mod logs;
mod mutants;
mod nemesis;
mod net;
mod node;
mod part;
mod plot;
mod preload;
mod random;
mod report;
mod run;
mod shape;
mod stalls;
mod supervise;
mod verdict;
mod worker;
mod workload;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::arguments::{Arguments, Command, Run};
use crate::nemesis::mode::{self, ALL, FAMILIES, Needs};
use crate::verdict::Verdict;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match &arguments.command {
        Command::List => {
            list();
            return ExitCode::SUCCESS;
        }
        Command::Check { history, workload, nodes } => check(history, workload.as_deref(), *nodes).map(Err),
        Command::Run(run) => start(run),
        Command::All(all) => all::run(all).map(Ok),
        Command::Mutants(mutants) => mutants::run(mutants).map(Ok),
        Command::Damage { what, directory, seed } => {
            return match nemesis::damage(what, directory, *seed) {
                Ok(said) => {
                    println!("{said}");
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    println!("{error:#}");
                    ExitCode::FAILURE
                }
            };
        }
    };
    let ended = ended.unwrap_or_else(|error| Err(Verdict::Unknown(format!("{error:#}"))));
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(verdict) => {
            println!("{verdict}");
            ExitCode::from(verdict.exit_code())
        }
    }
}

/// Prints text for people.
fn say(text: &str) {
    println!("{text}");
}

fn list() {
    println!("workloads:");
    for (name, rate, what) in workload::LIST {
        println!("  {name:<13} {what} ({rate} operations a second)");
    }
    println!("  {:<13} all of these but membership, at once in one cluster", workload::TOGETHER);
    println!("nemeses:");
    let families = FAMILIES.iter().map(|(name, what, _)| (*name, *what));
    for (name, what) in families.chain([ALL]) {
        println!("  {name:<13} {what}");
    }
}

fn check(history: &Path, workload: Option<&str>, nodes: Option<usize>) -> Result<Verdict> {
    // Beside others, a workload has a folder of its own in that of the run.
    let places = history.ancestors().skip(1).take(2).map(|folder| folder.join("run.json"));
    let settings = places.filter_map(|path| std::fs::read_to_string(path).ok()).next().unwrap_or_default();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap_or_default();
    let folder = history.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let folder = folder.filter(|name| workload::LIST.iter().any(|(known, ..)| known == name));
    let workload = workload.or(folder.as_deref());
    let workload = workload.or_else(|| settings["workload"].as_str()).context("which workload? Say --workload")?;
    let beside = settings["nodes"].as_u64().and_then(|nodes| usize::try_from(nodes).ok());
    let nodes = nodes.or(beside).context("how many nodes? Say --nodes")?;
    let history = history::read(history)?;
    print!("{}", report::table(&history));
    workload::check(workload, &history, nodes)
}

/// Does a run; returns the exit code where the verdict was printed already, and the verdict where it was not.
fn start(run: &Run) -> Result<Result<u8, Verdict>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = match (&run.inside, &run.directory) {
        (Some(inside), Some(directory)) => Ok(Err(runtime.block_on(run::drive(run, inside, directory)))),
        _ => runtime.block_on(prepare(run)),
    };
    // Clients may still wait for answers; nobody waits for them.
    runtime.shutdown_background();
    ended
}

async fn prepare(run: &Run) -> Result<Result<u8, Verdict>> {
    run.workloads()?;
    let modes = mode::of_family(&run.nemesis, usize::from(run.nodes), run.old_binary.is_some())?;
    if !run.binary().exists() {
        anyhow::bail!("{}: there is no such program; build it, or name one with --binary", run.binary().display());
    }
    if let Some(old) = run.old_binary.as_ref().filter(|old| !old.exists()) {
        anyhow::bail!("{}: there is no such program (--old-binary)", old.display());
    }
    let missing = net::missing(Needs::of(&modes));
    if !missing.is_empty() {
        anyhow::bail!("this run cannot be made here; missing: {}", missing.join(", "));
    }
    let directory = run::make_directory(run)?;
    println!("{}", directory.display());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    supervise::run(usize::from(run.nodes), &arguments, &directory).await
}
