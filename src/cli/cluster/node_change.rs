//! `portcullis cluster node drain`, `undrain`, `remove`, `replace` and `set-role`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use http::Method;
use portcullis_http::client::Client;
use portcullis_model::cluster::NodeStatus;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::node::{NODES_PATH, understood};
use super::plan::{self, Plan};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::progress::{Ended, follow, standing_of};
use crate::remote::{RemoteArguments, of_client};

/// The pause between two looks at a node.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What all changes of a node have in common.
#[derive(Debug, Args)]
pub struct ChangeArguments {
    /// The node's id (see portcullis cluster node list).
    #[arg(value_name = "ID")]
    pub id: u64,
    /// Make the change although the cluster would be weaker than it must be. It never ends the cluster.
    #[arg(long)]
    pub force: bool,
    /// The form of what was done: the node as it is then.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    #[command(flatten)]
    pub remote: RemoteArguments,
}

/// How a change is planned or waited for.
#[derive(Debug, Args)]
pub struct Pace {
    /// Only plan the change: see portcullis cluster plan show.
    #[arg(long)]
    plan: bool,
    /// Do not wait until the change is complete.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = crate::duration::parse)]
    wait_time: Duration,
}

/// Arguments of `cluster node remove`.
#[derive(Debug, Args)]
#[command(after_help = "\
A removed node's id is never used again: to bring the machine back, join it with a new data directory.")]
pub struct RemoveArguments {
    #[command(flatten)]
    pub change: ChangeArguments,
    /// Only plan the removal: see portcullis cluster plan show.
    #[arg(long)]
    plan: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// Arguments of `cluster node drain` and `undrain`.
#[derive(Debug, Args)]
#[command(after_help = "\
A drained node goes on running: it says to balancers that it is not ready, hands leadership over, gives back its share
of the quotas, and stays so until it is undrained, also over a restart. Calls that still reach it are answered.")]
pub struct DrainArguments {
    #[command(flatten)]
    pub change: ChangeArguments,
}

/// Arguments of `cluster node set-role`.
#[derive(Debug, Args)]
#[command(after_help = "\
A learner receives the log and does not vote: it serves all that a voter serves and slows no write. A node becomes a
voter as soon as it has caught up.")]
pub struct RoleArguments {
    #[command(flatten)]
    pub change: ChangeArguments,
    /// What the node is to be.
    #[arg(value_enum)]
    role: Role,
    #[command(flatten)]
    pace: Pace,
}

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// It votes.
    Voter,
    /// It does not.
    Learner,
}

/// Arguments of `cluster node replace`.
#[derive(Debug, Args)]
#[command(after_help = "\
NEW has joined already (portcullis cluster join). OLD goes as soon as NEW has caught up and votes, also where this
command is stopped or the leader is lost meanwhile. OLD may be dead.")]
pub struct ReplaceArguments {
    #[command(flatten)]
    pub change: ChangeArguments,
    /// The node that takes its place.
    #[arg(value_name = "NEW")]
    new: u64,
    #[command(flatten)]
    pace: Pace,
}

#[derive(Deserialize)]
struct Drained {
    has_heard: bool,
}

fn path(change: &ChangeArguments, below: &str, is_planned: bool) -> String {
    let mut path = format!("{NODES_PATH}/{}{below}", change.id);
    let wishes = [("force=true", change.force), ("plan=true", is_planned)];
    for (number, (wish, _)) in wishes.iter().filter(|(_, is_wished)| *is_wished).enumerate() {
        path.push(if number == 0 { '?' } else { '&' });
        path.push_str(wish);
    }
    path
}

/// Sends a change, and shows the plan where it was only planned. Says whether it was made.
async fn send(
    client: &Client,
    format: Format,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<bool, Failure> {
    let sent = match body {
        Some(body) => client.send_json(method, path, body).await,
        None => client.delete(path).await,
    };
    let reply = sent.map_err(|fault| of_client(&fault))?;
    if reply.status.as_u16() != 202 {
        return Ok(true);
    }
    let planned: Plan = reply.json().map_err(|fault| of_client(&fault))?;
    plan::say_planned(&planned);
    plan::show_as_data(format, &planned)?;
    Ok(false)
}

/// Removes a node.
///
/// # Errors
/// Where a rule stands against it, the server cannot be reached, or the user says no.
pub async fn remove(arguments: &RemoveArguments) -> Result<(), Failure> {
    let id = arguments.change.id;
    if !arguments.yes && !arguments.plan {
        super::node::confirm(id)?;
    }
    let remote = arguments.change.remote.connect().await?;
    let (format, path) = (arguments.change.output, path(&arguments.change, "", arguments.plan));
    if send(&remote.client, format, Method::DELETE, &path, None).await? {
        let sentence = format!("node {id} is no longer in the cluster; stop it and delete its data directory");
        output::done(format, id, &sentence, &json!({"id": id, "removed": true}))?;
        output::say("next: portcullis cluster status");
    }
    Ok(())
}

/// Drains a node: returns when it has heard of it and does not lead.
///
/// # Errors
/// Where it is the last that gets traffic, or the server cannot be reached.
pub async fn drain(arguments: &DrainArguments) -> Result<(), Failure> {
    let id = arguments.change.id;
    let remote = arguments.change.remote.connect().await?;
    let drained: Drained = remote
        .client
        .put(&path(&arguments.change, "/drain", false), &json!({}))
        .await
        .map_err(|fault| of_client(&fault))?;
    if !drained.has_heard {
        output::say(&format!("node {id} does not answer: it is drained as soon as it does"));
        return show_as_data(&remote.client, &arguments.change).await;
    }
    let deadline = Instant::now() + Duration::from_secs(arguments.change.remote.timeout);
    while show(&remote.client, id).await?.is_some_and(|node| node.role == "leader") {
        if Instant::now() >= deadline {
            output::say(&format!("node {id} is drained and still leads: no other voter that is not drained answers"));
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    output::say(&format!("node {id} is drained: it takes no new traffic from balancers and holds no quotas"));
    output::say(&format!("next: portcullis cluster node undrain {id}"));
    show_as_data(&remote.client, &arguments.change).await
}

/// Has a node take traffic again.
///
/// # Errors
/// Where there is no such node, or the server cannot be reached.
pub async fn undrain(arguments: &DrainArguments) -> Result<(), Failure> {
    let id = arguments.change.id;
    let remote = arguments.change.remote.connect().await?;
    remote.client.delete(&format!("{NODES_PATH}/{id}/drain")).await.map_err(|fault| of_client(&fault))?;
    output::say(&format!("node {id} takes traffic again"));
    show_as_data(&remote.client, &arguments.change).await
}

/// Gives a node a role, and shows how it gets it.
///
/// # Errors
/// Where a rule stands against it, or the server cannot be reached.
pub async fn set_role(arguments: &RoleArguments) -> Result<(), Failure> {
    let remote = arguments.change.remote.connect().await?;
    let role = if arguments.role == Role::Voter { "voter" } else { "learner" };
    let path = path(&arguments.change, "/role", arguments.pace.plan);
    let format = arguments.change.output;
    if !send(&remote.client, format, Method::PUT, &path, Some(&json!({ "role": role }))).await? {
        return Ok(());
    }
    if !arguments.pace.no_wait {
        wait(&remote.client, arguments.change.id, &arguments.pace).await?;
        output::say("next: portcullis cluster status");
    }
    show_as_data(&remote.client, &arguments.change).await
}

/// Has a node take another's place, and shows how.
///
/// # Errors
/// Where a rule stands against it, or the server cannot be reached.
pub async fn replace(arguments: &ReplaceArguments) -> Result<(), Failure> {
    let (old, new) = (arguments.change.id, arguments.new);
    let remote = arguments.change.remote.connect().await?;
    let path = path(&arguments.change, "/replacement", arguments.pace.plan);
    let format = arguments.change.output;
    if !send(&remote.client, format, Method::PUT, &path, Some(&json!({ "node": new }))).await? {
        return Ok(());
    }
    if arguments.pace.no_wait {
        return output::done(format, new, "", &json!({"id": new, "replaces": old, "is_complete": false}));
    }
    wait(&remote.client, new, &arguments.pace).await?;
    let deadline = Instant::now() + arguments.pace.wait_time;
    while show(&remote.client, old).await?.is_some() {
        if Instant::now() >= deadline {
            return Err(too_long(old, "is still there: it goes as soon as its successor has caught up"));
        }
        sleep(LOOK_EVERY).await;
    }
    let sentence = format!("node {new} has taken the place of node {old}; stop {old} and delete its data directory");
    output::done(format, new, &sentence, &json!({"id": new, "replaces": old, "is_complete": true}))?;
    output::say("next: portcullis cluster status");
    Ok(())
}

async fn show(client: &Client, id: u64) -> Result<Option<NodeStatus>, Failure> {
    let found: Result<Value, _> = client.get(&format!("{NODES_PATH}/{id}")).await;
    match found {
        Ok(body) => understood(body).map(Some),
        Err(fault) => {
            let failure = of_client(&fault);
            if failure.exit == Exit::NotFound { Ok(None) } else { Err(failure) }
        }
    }
}

/// Shows the changed node as data; to people everything is said already.
async fn show_as_data(client: &Client, change: &ChangeArguments) -> Result<(), Failure> {
    if change.output == Format::Table {
        return Ok(());
    }
    let node: Value = client.get(&format!("{NODES_PATH}/{}", change.id)).await.map_err(|fault| of_client(&fault))?;
    output::done(change.output, change.id, "", &node)
}

/// Waits until a node has the role that it is meant to have.
async fn wait(client: &Client, id: u64, pace: &Pace) -> Result<(), Failure> {
    let mut last = None;
    let look = async || {
        // A leader that is just handing over may leave a question without answer.
        match show(client, id).await {
            Ok(node) => last = node.as_ref().map(standing_of),
            Err(failure) => output::tell(&failure.to_string()),
        }
        last.clone()
    };
    match follow(pace.wait_time, look).await {
        Ended::Settled => Ok(()),
        Ended::Gone => Err(Failure::new(
            Exit::NotFound,
            format!("node {id} is not in the cluster"),
            "it was removed meanwhile",
            "portcullis cluster node list",
        )),
        Ended::TimedOut => Err(too_long(id, "does not have its role yet: it gets it as soon as it has caught up")),
    }
}

fn too_long(id: u64, why: &str) -> Failure {
    let next = "portcullis cluster node list     shows how far it is; --wait-time waits longer";
    Failure::new(Exit::TimedOut, format!("node {id} {why}"), "the time to wait is over; the change goes on", next)
}
