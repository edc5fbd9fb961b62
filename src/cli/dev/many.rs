//! A cluster of child processes, each run as `portcullis server` and joined by a token, as real machines are.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use portcullis_http::client::Client;
use portcullis_model::cluster::ClusterStatus;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::place::Place;
use super::{ADMIN, DevArguments, journey, one, tour};
use crate::cluster::{STATUS_PATH, TOKENS_PATH, join_cluster, make_cluster, token_of};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::remote::of_client;
use crate::signals::StopSignals;

/// How long a node may take to start, or to become a voter.
const NODE_WITHIN: Duration = Duration::from_secs(30);
/// How long a child may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(8);
/// The pause between two looks at something that takes a moment.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// Lines of a dead child's log that are shown.
const LOG_LINES_SHOWN: usize = 12;

/// The children; a dropped one is killed.
struct Children<'a> {
    place: &'a Place,
    running: Vec<Child>,
}

/// Runs the cluster until a signal, or until a node ends by itself.
///
/// # Errors
/// Where a node or the sample fails.
pub async fn run(
    arguments: &DevArguments,
    place: &Place,
    backend: SocketAddr,
    began: Instant,
    signals: &mut StopSignals,
) -> Result<(), Failure> {
    let mut children = Children { place, running: Vec::new() };
    let outcome = tokio::select! {
        outcome = children.tour(arguments, backend, began) => outcome,
        name = signals.next() => {
            output::say(&format!("\n{name}: stopping {} nodes", arguments.nodes));
            Ok(())
        }
    };
    tokio::select! {
        () = children.stop() => {}
        name = signals.again() => output::say(&format!("{name} again: killed at once")),
    }
    outcome
}

impl Children<'_> {
    /// Starts everything, prints the tour, and then waits for a child that ends by itself.
    async fn tour(&mut self, arguments: &DevArguments, backend: SocketAddr, began: Instant) -> Result<(), Failure> {
        let configs = self.place.configs();
        make_cluster(&self.place.data_dir(0), &configs[0], "dev", ADMIN.1)?;
        self.start(0)?;
        let client = one::client(&configs[0], &self.place.data_dir(0))?;
        self.wait_for(&client, 0, "to be ready", |status| status.leader.is_some()).await?;
        for (at, config) in configs.iter().enumerate().skip(1) {
            output::say(&format!("node {} joins …", at + 1));
            let body: Value =
                client.post(TOKENS_PATH, &json!({"ttl_s": 600, "uses": 1})).await.map_err(|fault| of_client(&fault))?;
            join_cluster(&self.place.data_dir(at), config, &token_of(&body)?).await?;
            self.start(at)?;
            let address = config.addresses().management;
            self.wait_for(&client, at, "to become a voter", |status| {
                status.nodes.iter().any(|node| {
                    node.addresses.management == address && matches!(node.role.as_str(), "voter" | "leader")
                })
            })
            .await?;
        }
        let sample = journey::make(&client, backend).await?;
        tour::print(arguments, configs, backend, &sample, began.elapsed())?;
        Err(self.first_to_end().await)
    }

    /// Starts a node. Its standard input is a pipe that ends with this process, however that ends, and the node with it.
    fn start(&mut self, at: usize) -> Result<(), Failure> {
        let failed = |cause: &std::io::Error| {
            Failure::from_io(format!("node {} cannot be started", at + 1), cause, "report this")
        };
        let program = std::env::current_exe().map_err(|cause| failed(&cause))?;
        let log = std::fs::File::create(self.place.log_file(at)).map_err(|cause| failed(&cause))?;
        let mut command = Command::new(program);
        // The file that was written for it has what the environment says already.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PORTCULLIS_")) {
                command.env_remove(name);
            }
        }
        let child = command
            .args(["server", "--until-stdin-ends", "--data-dir"])
            .arg(self.place.data_dir(at))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C on the terminal is for the parent, which then stops the children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| failed(&cause))?;
        self.running.push(child);
        Ok(())
    }

    /// Waits until the cluster is as `is_so` says, or a child ends.
    async fn wait_for(
        &mut self,
        client: &Client,
        at: usize,
        what: &str,
        is_so: impl Fn(&ClusterStatus) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + NODE_WITHIN;
        loop {
            if let Some(failure) = self.ended() {
                return Err(failure);
            }
            // Not reachable yet, or not answering yet: both are looked at again until the time is over.
            if let Ok(status) = client.get::<ClusterStatus>(STATUS_PATH).await
                && is_so(&status)
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                let why = format!("it did not come {what} within {} s\n{}", NODE_WITHIN.as_secs(), self.log_of(at));
                return Err(Failure::new(Exit::TimedOut, format!("node {} is not there", at + 1), why, "try again"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Returns what became of a child that ended by itself.
    fn ended(&mut self) -> Option<Failure> {
        let found = self.running.iter_mut().enumerate().find_map(|(at, child)| match child.try_wait() {
            Ok(Some(status)) => Some((at, status.to_string())),
            _ => None,
        });
        let (at, status) = found?;
        let log = self.log_of(at);
        let next = if log.contains("is in use by another process") {
            "portcullis dev --port-offset 100     or stop what uses the port"
        } else {
            "see what the node wrote, above; --log-level info shows more"
        };
        Some(Failure::new(Exit::Failed, format!("node {} ended by itself", at + 1), format!("{status}\n{log}"), next))
    }

    async fn first_to_end(&mut self) -> Failure {
        loop {
            if let Some(failure) = self.ended() {
                return failure;
            }
            tokio::time::sleep(LOOK_AGAIN * 10).await;
        }
    }

    /// Returns the last lines of a child's log.
    fn log_of(&self, at: usize) -> String {
        let text = std::fs::read_to_string(self.place.log_file(at)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// Stops every child: asks first, by closing its standard input, then kills.
    async fn stop(&mut self) {
        for child in &mut self.running {
            drop(child.stdin.take());
        }
        let deadline = tokio::time::Instant::now() + STOP_WITHIN;
        for child in &mut self.running {
            if tokio::time::timeout_at(deadline, child.wait()).await.is_err() {
                // It may have ended just now, which is as good.
                let _ = child.kill().await;
            }
        }
    }
}
