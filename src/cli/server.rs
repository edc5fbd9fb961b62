//! `portcullis server`: runs a node in the foreground until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use portcullis_model::Component;
use portcullis_node::config::{Config, Loaded};
use portcullis_node::{Node, logging};
use tokio::sync::oneshot;

use crate::config::assignments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::progress::follow;
use crate::signals::{INTERRUPTED, ReloadSignals, StopSignals};
use crate::supervisor;

/// Arguments of `server`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
SIGTERM and SIGINT drain the node and stop it; a second signal stops it at once. SIGHUP has it read its configuration
again, as portcullis config reload does; what came of that is in the log. A service manager that asks for it
(systemd: Type=notify, WatchdogSec=) is told when the node is ready, that it lives, and that it stops.

Example:
  portcullis server --data-dir n1 --set log.format=json")]
pub struct ServerArguments {
    /// The node's data directory, made by cluster bootstrap or cluster join.
    #[arg(long, value_name = "DIR", env = "PORTCULLIS_DATA_DIR")]
    pub data_dir: PathBuf,
    /// The components to serve, with commas between them, instead of those in node.toml: publisher, store,
    /// key-manager, gateway, traffic-manager, admin.
    #[arg(long, value_name = "NAMES")]
    pub components: Option<String>,
    /// A value that overrides node.toml and environment (see portcullis config explain).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Stop when standard input ends: for programs that run the node as a child.
    #[arg(long)]
    pub until_stdin_ends: bool,
    /// Show how the node joins, for whoever started it by cluster join.
    #[arg(skip)]
    pub shows_joining: bool,
}

/// How long the progress of a node that joins is shown: it goes on joining after that.
const JOIN_SHOWN: Duration = Duration::from_secs(24 * 3600);

/// Why a running node is to stop.
enum Reason {
    Signal(&'static str),
    StdinEnded,
    Failed(String),
}

/// Runs the node.
///
/// # Errors
/// Where it cannot start, or has to stop because it can no longer do its work.
pub async fn run(arguments: &ServerArguments) -> Result<ExitCode, Failure> {
    let flags = flags(arguments)?;
    let loaded = load(arguments, &flags)?;
    logging::start(&loaded.config.log);
    let mut signals = StopSignals::listen_but_for_hang_up()?;
    let mut reloads = ReloadSignals::listen()?;
    let data_dir = &arguments.data_dir;
    let starting = async {
        let node = Node::start(data_dir, loaded.config.clone(), &flags)
            .await
            .map_err(|fault| Failure::from_fault(format!("the node in {} cannot start", data_dir.display()), &fault))?;
        Ok::<_, Failure>(node)
    };
    let node = tokio::select! {
        started = starting => started?,
        name = signals.next() => {
            output::say(&format!("{name}: stopped before the node was up"));
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    let reason = watch(&node, &mut signals, &mut reloads, arguments).await;
    stop(node, reason, &mut signals).await
}

/// Returns what the command line sets.
fn flags(arguments: &ServerArguments) -> Result<Vec<(String, String)>, Failure> {
    let mut flags = assignments(&arguments.set)?;
    flags.extend(arguments.components.clone().map(|names| ("node.components".to_owned(), names)));
    Ok(flags)
}

fn load(arguments: &ServerArguments, flags: &[(String, String)]) -> Result<Loaded, Failure> {
    let directory = &arguments.data_dir;
    if !directory.is_dir() {
        let next = format!("portcullis cluster bootstrap --data-dir {}     or cluster join", directory.display());
        let what = format!("there is no data directory {}", directory.display());
        return Err(Failure::new(Exit::NotFound, what, "a node needs one that was bootstrapped or joined", next));
    }
    Config::load(directory, flags).map_err(|fault| Failure::from_fault("the configuration is not acceptable", &fault))
}

/// Tells when the node is ready, and waits until it is to stop.
async fn watch(
    node: &Node,
    signals: &mut StopSignals,
    reloads: &mut ReloadSignals,
    arguments: &ServerArguments,
) -> Reason {
    let reloading = async {
        loop {
            reloads.next().await;
            if let Err(fault) = node.reload().await {
                tracing::error!(%fault, "the configuration is not read again: all stays as it was");
            }
        }
    };
    let ready = async {
        node.ready().await;
        let line = ready_line(node);
        output::say(&line);
        supervisor::tell_ready(&line);
        std::future::pending::<()>().await;
    };
    let joined = async {
        if arguments.shows_joining {
            follow(JOIN_SHOWN, async || Some(node.standing().await)).await;
        }
        std::future::pending::<()>().await;
    };
    let stdin_ended = async {
        if arguments.until_stdin_ends {
            wait_for_end_of_stdin().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        name = signals.next() => Reason::Signal(name),
        reason = node.failed() => Reason::Failed(reason),
        () = stdin_ended => Reason::StdinEnded,
        // These never end.
        () = supervisor::tell_alive() => Reason::StdinEnded,
        () = reloading => Reason::StdinEnded,
        () = ready => Reason::StdinEnded,
        () = joined => Reason::StdinEnded,
    }
}

/// Waits on a thread of its own, which a runtime that ends does not wait for.
async fn wait_for_end_of_stdin() {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        // What is sent is not for us. An error says as much as an end: nobody is there any more.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        // Where the node has stopped meanwhile, nobody waits.
        let _ = ended.send(());
    });
    // A lost sender says that the thread is gone, and with it the reason to go on.
    let _ = end.await;
}

fn ready_line(node: &Node) -> String {
    let (at, components) = (node.addresses(), node.components());
    let mut served = Vec::new();
    if node.has_management() {
        served.push(format!("management https://{}", at.management));
    }
    if components.has(Component::Gateway) {
        served.push(format!("gateway http://{} https://{}", at.gateway_http, at.gateway_https));
    }
    if !components.is_all() {
        served.push(format!("components {components}"));
    }
    format!("portcullis node {} is ready: {}", node.id(), served.join(", "))
}

async fn stop(node: Node, reason: Reason, signals: &mut StopSignals) -> Result<ExitCode, Failure> {
    supervisor::tell_stopping();
    let code = match &reason {
        Reason::Signal(name) => {
            output::say(&format!("{name}: node {} finishes what is under way and stops", node.id()));
            ExitCode::SUCCESS
        }
        Reason::StdinEnded => ExitCode::SUCCESS,
        Reason::Failed(why) => {
            let what = format!("node {} has to stop", node.id());
            let next = "see the lines above; the other nodes go on without this one";
            return Err(Failure::new(Exit::Failed, what, why, next));
        }
    };
    tokio::select! {
        () = node.stop() => Ok(code),
        name = signals.again() => {
            output::say(&format!("{name} again: stopped at once"));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}
