//! `portcullis doctor`: examines a cluster through one of its nodes, and a data directory on this machine.

mod local;

use std::process::ExitCode;

use clap::Args;
use portcullis_node::config::Config;
use serde::Serialize;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};
use crate::work::{Measure, Work};

/// The path of the examination.
const PATH: &str = "/api/portcullis/v1/cluster/doctor";

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
The node that is asked asks every other one: quorum, versions, clocks, digests of all nodes' states at one index,
components that nobody serves; and of each node whether it is ready, disk, sync time, open files, ports, certificate,
authority, lag, access matrix and actors. With --data-dir the directory on this machine is examined too, also where the
node does not run. Each finding that is not well says what to do.

Exits with 0 where all is well, 7 where something does not hold, 1 where something should be done before it does not.

Example:
  portcullis doctor --data-dir n1
  portcullis doctor --ping --data-dir n1     only: is this node ready?")]
pub struct DoctorArguments {
    /// Only ask the node of --data-dir whether it is ready, on its observability port. Needs no password.
    #[arg(long, requires = "data_dir")]
    ping: bool,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// One finding, as the server gives it and as the local checks make it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: String,
    node: Option<u64>,
    outcome: String,
    detail: String,
    next_step: String,
}

impl Finding {
    fn new(check: &str, outcome: &str, detail: impl Into<String>, next_step: impl Into<String>) -> Self {
        let (check, outcome) = (check.to_owned(), outcome.to_owned());
        Self { check, node: None, outcome, detail: detail.into(), next_step: next_step.into() }
    }

    fn read(value: &Value) -> Self {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            check: text("check"),
            node: value.get("node").and_then(Value::as_u64),
            outcome: text("outcome"),
            detail: text("detail"),
            next_step: text("next_step"),
        }
    }

    fn as_line(&self) -> String {
        let sign = match self.outcome.as_str() {
            "ok" => '✔',
            "warning" => '!',
            _ => '✖',
        };
        let next = if self.next_step.is_empty() { String::new() } else { format!("\n    try  {}", self.next_step) };
        format!("  {sign} {}: {}{next}", self.check, self.detail)
    }
}

/// Runs the command.
///
/// # Errors
/// Where nothing can be examined at all.
pub async fn run(arguments: &DoctorArguments) -> Result<ExitCode, Failure> {
    if arguments.ping {
        return ping(arguments).await;
    }
    let work = Work::begin("examining", Measure::Time);
    let mut local = Vec::new();
    if let Some(data_dir) = &arguments.remote.data_dir {
        local = local::examine(data_dir).await?;
    }
    let remote = match examine_cluster(&arguments.remote).await {
        Ok(body) => body,
        // Without a directory to look at there is nothing to say but why the server says nothing.
        Err(failure) if local.is_empty() => return Err(failure),
        Err(failure) => {
            let found = Finding::new("server", "failed", failure.summary(), failure.next_step());
            json!({"findings": [found]})
        }
    };
    drop(work);
    let findings: Vec<Finding> =
        remote.get("findings").and_then(Value::as_array).into_iter().flatten().map(Finding::read).collect();
    show(arguments.output, &local, &findings, remote)?;
    Ok(verdict(local.iter().chain(&findings)))
}

fn verdict<'a>(findings: impl Iterator<Item = &'a Finding>) -> ExitCode {
    let (mut failed, mut warned) = (0, 0);
    for finding in findings {
        match finding.outcome.as_str() {
            "ok" => {}
            "warning" => warned += 1,
            _ => failed += 1,
        }
    }
    let plural = |count: u32, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    match (failed, warned) {
        (0, 0) => {
            output::say("all is well");
            ExitCode::SUCCESS
        }
        (0, warned) => {
            output::say(&format!("{} to be looked at", plural(warned, "thing is", "things are")));
            Exit::Failed.into()
        }
        (failed, warned) => {
            let rest = if warned == 0 { String::new() } else { format!(", {warned} more to be looked at") };
            output::say(&format!("{}{rest}", plural(failed, "check failed", "checks failed")));
            Exit::Unhealthy.into()
        }
    }
}

fn show(format: Format, local: &[Finding], findings: &[Finding], remote: Value) -> Result<(), Failure> {
    match format {
        Format::Table => output::data(&as_text(local, findings)),
        Format::Name => {
            let ill = local.iter().chain(findings).filter(|finding| finding.outcome != "ok");
            let names: Vec<&str> = ill.map(|finding| finding.check.as_str()).collect();
            if names.is_empty() { Ok(()) } else { output::data(&names.join("\n")) }
        }
        format => {
            let mut body = remote;
            if !local.is_empty() {
                body["local"] = json!(local);
            }
            output::value(format, &body)
        }
    }
}

fn as_text(local: &[Finding], findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut head = None;
    let of_machine = local.iter().map(|finding| ("this machine".to_owned(), finding));
    let of_cluster = findings
        .iter()
        .map(|finding| (finding.node.map_or_else(|| "cluster".to_owned(), |node| format!("node {node}")), finding));
    for (about, finding) in of_machine.chain(of_cluster) {
        if head.as_ref() != Some(&about) {
            text.push_str(&format!("{about}\n"));
            head = Some(about);
        }
        text.push_str(&finding.as_line());
        text.push('\n');
    }
    text
}

async fn examine_cluster(remote: &RemoteArguments) -> Result<Value, Failure> {
    let remote = remote.connect().await?;
    remote.client.get(PATH).await.map_err(|fault| of_client(&fault))
}

/// Asks the node whether it is ready, as a container's health check does.
async fn ping(arguments: &DoctorArguments) -> Result<ExitCode, Failure> {
    let Some(data_dir) = &arguments.remote.data_dir else {
        return Err(Failure::new(Exit::Usage, "no data directory was given", "--ping needs one", "--data-dir DIR"));
    };
    let config = Config::load(data_dir, &[])
        .map_err(|fault| Failure::from_fault("the node's configuration is not acceptable", &fault))?
        .config;
    let url = format!("http://{}", config.observability_address());
    let client = portcullis_http::client::Client::new(&url, None).map_err(|fault| of_client(&fault))?;
    match client.send(http::Method::GET, "/readyz", &[], bytes::Bytes::new()).await {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(fault) => match fault.status() {
            Some(_) => {
                Err(Failure::new(Exit::Unhealthy, "the node is not ready", fault.to_string(), "portcullis doctor"))
            }
            None => Err(of_client(&fault)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_groups_findings_and_says_what_to_do_about_those_that_are_not_well() {
        let local = [Finding::new("disk", "ok", "50 MiB free", "")];
        let found =
            json!({"check": "sync time", "node": 2, "outcome": "failed", "detail": "200 ms", "next_step": "buy"});
        let cluster = json!({"check": "quorum", "node": null, "outcome": "warning", "detail": "2", "next_step": "add"});
        let findings = [Finding::read(&cluster), Finding::read(&found)];
        assert_eq!(
            as_text(&local, &findings),
            "this machine\n  ✔ disk: 50 MiB free\ncluster\n  ! quorum: 2\n    try  add\nnode 2\n  ✖ sync time: 200 ms\n    \
             try  buy\n"
        );
    }
}
