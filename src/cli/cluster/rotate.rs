//! `portcullis cluster certificate rotate-ca`: begins a rotation or goes on with one, shows its steps, and retires the
//! former authority when asked to.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::certificate::{PATH, listed};
use crate::duration;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{Remote, RemoteArguments, of_client};

/// How often the progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Arguments of `cluster certificate rotate-ca`.
#[derive(Debug, Args)]
#[command(after_help = "\
Steps: every node trusts the new authority beside the former one; then every node gets a certificate of the new one;
then, with --retire, the former one is no longer trusted. Nothing is restarted, and no step is taken that would shut a
node out. An interrupted rotation goes on by itself; the same command shows where it stands.

Between the second and the third step, give everybody who calls the cluster over HTTPS the new tls/ca.pem of a node:
those who believe only the former authority are turned away once it is retired.

Example:
  portcullis cluster certificate rotate-ca
  portcullis cluster certificate rotate-ca --retire")]
pub struct RotateArguments {
    /// Retire the former authority once every node has moved to the new one.
    #[arg(long)]
    retire: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// How long to wait for the nodes.
    #[arg(long, default_value = "5m", value_parser = duration::parse, value_name = "TIME")]
    wait: Duration,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached, a node does not move in time, or the user says no.
pub(super) async fn run(arguments: &RotateArguments) -> Result<(), Failure> {
    if arguments.retire && !arguments.yes {
        confirm()?;
    }
    let remote = arguments.remote.connect().await?;
    if rotation_of(&listed(&remote).await?).is_none() {
        let begun: Value =
            remote.client.post(&format!("{PATH}/rotation"), &json!({})).await.map_err(|fault| of_client(&fault))?;
        drop(begun);
        output::say("a new certificate authority was made");
    }
    wait_until_moved(&remote, arguments.wait).await?;
    if !arguments.retire {
        output::say(
            "next: give clients the new tls/ca.pem of a node, then: portcullis cluster certificate rotate-ca --retire",
        );
        return show(&remote, arguments.output).await;
    }
    let retired: Value =
        remote.client.post(&format!("{PATH}/rotation/retire"), &json!({})).await.map_err(|fault| of_client(&fault))?;
    drop(retired);
    output::say("the former certificate authority is retired: nobody believes it any more");
    output::say("next: portcullis cluster certificate list");
    show(&remote, arguments.output).await
}

/// Shows as data which authorities there are, and who uses which.
async fn show(remote: &Remote, format: Format) -> Result<(), Failure> {
    if format == Format::Table {
        return Ok(());
    }
    let body = listed(remote).await?;
    let signs = body["authorities"].as_array().into_iter().flatten().find(|one| one["signs"] == true);
    let signs = signs.and_then(|one| one["fingerprint"].as_str()).unwrap_or("-");
    output::done(format, signs, "", &body)
}

fn rotation_of(body: &Value) -> Option<&Value> {
    body.get("rotation").filter(|rotation| !rotation.is_null())
}

async fn wait_until_moved(remote: &Remote, wait: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + wait;
    let mut told = String::new();
    loop {
        let body = listed(remote).await?;
        let Some(rotation) = rotation_of(&body) else {
            let why = "somebody else retired the former authority";
            return Err(Failure::new(
                Exit::Conflict,
                "the rotation is over already",
                why,
                "portcullis cluster certificate list",
            ));
        };
        let progress = progress(rotation);
        if progress != told {
            output::say(&progress);
            told.clone_from(&progress);
        }
        if rotation.get("step").and_then(Value::as_str) == Some("moved") {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let next = "start the nodes that are named, or remove them; then run the same command again";
            return Err(Failure::new(Exit::TimedOut, "the rotation waits for nodes", progress, next));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Says how far a rotation is, in a sentence.
pub(super) fn progress(rotation: &Value) -> String {
    let nodes = |field: &str| {
        let ids: Vec<String> =
            rotation.get(field).and_then(Value::as_array).into_iter().flatten().map(ToString::to_string).collect();
        let noun = if ids.len() == 1 { "node" } else { "nodes" };
        (ids.len(), format!("{noun} {}", ids.join(", ")))
    };
    let ((not_trusting, waits), (not_moved, stays)) = (nodes("not_trusting"), nodes("not_moved"));
    match (not_trusting, not_moved) {
        (_, 0) => "every node uses a certificate of the new authority".to_owned(),
        (0, 1) => format!("every node trusts the new authority; {stays} still uses the former one"),
        (0, _) => format!("every node trusts the new authority; {stays} still use the former one"),
        (1, _) => format!("{waits} does not trust the new authority yet"),
        (_, _) => format!("{waits} do not trust the new authority yet"),
    }
}

/// Asks on a terminal; where there is none, the flag must say it.
fn confirm() -> Result<(), Failure> {
    let refused = |why: &str| {
        let next = "--yes does not ask";
        Failure::new(Exit::Failed, "the former certificate authority was not retired", why, next)
    };
    if !std::io::stdin().is_terminal() {
        return Err(refused("there is no terminal to ask on"));
    }
    output::tell("Clients that believe only the former authority will be turned away. Type `retire` to retire it:");
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    if read.is_ok() && typed.trim() == "retire" { Ok(()) } else { Err(refused("something else was typed")) }
}
