//! `portcullis cluster plan`: the changes of the membership that are planned, made together or dropped.

use clap::{Args, Subcommand};
use portcullis_http::client::Client;
use portcullis_model::cluster::ClusterStatus;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::node::understood;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, RemoteArguments, of_client};

const PATH: &str = "/api/portcullis/v1/cluster/plan";

/// What to do with the plan.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Show what is planned, what it makes of the voters, and how to make it.
    Show(ReadArguments),
    /// Make all planned changes, if the plan is still the one that was shown.
    Apply(ApplyArguments),
    /// Drop all planned changes.
    Revert(RevertArguments),
}

/// Arguments of `cluster plan apply`.
#[derive(Debug, Args)]
#[command(after_help = "\
All changes are decided together; they are then made one after the other, those that make the cluster stronger first.")]
pub struct ApplyArguments {
    /// The version that portcullis cluster plan show named.
    #[arg(long, value_name = "N")]
    version: u64,
    /// Make the changes although the cluster would be weaker than it must be. It never ends the cluster.
    #[arg(long)]
    force: bool,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `cluster plan revert`.
#[derive(Debug, Args)]
pub struct RevertArguments {
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// The plan as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Plan {
    version: u64,
    changes: Vec<Change>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Change {
    change: String,
    node: u64,
    role: Option<String>,
    by: Option<u64>,
    summary: String,
}

/// Runs the command.
///
/// # Errors
/// Where the plan is another by now, a rule stands against it, or the server cannot be reached.
pub async fn run(command: &PlanCommand) -> Result<(), Failure> {
    match command {
        PlanCommand::Show(arguments) => show(arguments).await,
        PlanCommand::Apply(arguments) => apply(arguments).await,
        PlanCommand::Revert(arguments) => {
            let remote = arguments.remote.connect().await?;
            remote.client.delete(PATH).await.map_err(|fault| of_client(&fault))?;
            let whole = json!({"reverted": true});
            output::done(arguments.output, "reverted", "nothing is planned any more", &whole)
        }
    }
}

async fn show(arguments: &ReadArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body: Value = remote.client.get(PATH).await.map_err(|fault| of_client(&fault))?;
    let plan: Plan = understood(body.clone())?;
    match arguments.output {
        Format::Table if plan.changes.is_empty() => {
            output::say("nothing is planned");
            output::say("next: portcullis cluster node remove 3 --plan     plans a change");
            Ok(())
        }
        Format::Table => {
            output::data(&as_table(&plan))?;
            say_outcome(&remote.client, &plan).await?;
            say_next(&plan);
            Ok(())
        }
        Format::Name => {
            output::data(&plan.changes.iter().map(|change| change.node.to_string()).collect::<Vec<_>>().join("\n"))
        }
        format => output::value(format, &body),
    }
}

fn as_table(plan: &Plan) -> String {
    output::table(&["node", "change"], plan.changes.iter().map(|one| vec![one.node.to_string(), one.summary.clone()]))
}

/// Says what the changes make of the voters.
async fn say_outcome(client: &Client, plan: &Plan) -> Result<(), Failure> {
    let status: ClusterStatus = client.get(super::STATUS_PATH).await.map_err(|fault| of_client(&fault))?;
    let is_voter = |role: &str| matches!(role, "voter" | "leader");
    let mut voters: Vec<u64> = status.nodes.iter().filter(|node| is_voter(&node.role)).map(|node| node.id.0).collect();
    let before = voters.len();
    for change in &plan.changes {
        let voted = voters.contains(&change.node);
        if change.role.as_deref() == Some("voter") {
            voters.push(change.node);
        } else {
            voters.retain(|node| *node != change.node);
        }
        voters.extend(change.by.filter(|_| voted));
    }
    voters.sort_unstable();
    voters.dedup();
    let names: Vec<String> = voters.iter().map(ToString::to_string).collect();
    output::say(&format!(
        "{before} voters now; then {}: {} (the loss of {} can be survived)",
        voters.len(),
        names.join(", "),
        voters.len().saturating_sub(1) / 2
    ));
    Ok(())
}

async fn apply(arguments: &ApplyArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body = json!({ "version": arguments.version, "force": arguments.force });
    let sent = remote.client.send_json(http::Method::POST, &format!("{PATH}/apply"), &body).await;
    sent.map_err(|fault| of_client(&fault))?;
    let whole = json!({"version": arguments.version, "decided": true});
    output::done(arguments.output, arguments.version, "the changes are decided and are being made", &whole)?;
    output::say("next: portcullis cluster node list     shows what is still to come");
    Ok(())
}

/// Shows the plan as data; to people everything is said already.
pub(super) fn show_as_data(format: Format, plan: &Plan) -> Result<(), Failure> {
    if format == Format::Table { Ok(()) } else { output::done(format, plan.version, "", plan) }
}

/// Says what is planned after a change was added.
pub(super) fn say_planned(plan: &Plan) {
    for change in &plan.changes {
        output::say(&format!("planned: {}", change.summary));
    }
    output::say("nothing is changed yet; portcullis cluster plan show     shows what comes of it");
    say_next(plan);
}

fn say_next(plan: &Plan) {
    output::say(&format!(
        "next: portcullis cluster plan apply --version {}     or portcullis cluster plan revert",
        plan.version
    ));
}
