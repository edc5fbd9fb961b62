//! `portcullis task`: what waits for an administrator's decision.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};
use crate::request::send;
use crate::scim::encoded;

const TASKS: &str = "/api/am/admin/v4/workflows";
const COLUMNS: [&str; 4] = ["referenceId", "workflowType", "createdTime", "description"];

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// List what waits, those first that wait longest.
    List(ListArguments),
    /// Let it happen. In force on every node that answers when the command returns.
    Approve(DecisionArguments),
    /// Do not let it happen.
    Reject(DecisionArguments),
}

/// Arguments of `task list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis task list --kind SUBSCRIPTION_CREATION
  portcullis task list -o name | xargs -n 1 portcullis task approve")]
pub struct ListArguments {
    /// Only of this kind, such as APPLICATION_CREATION.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    limit: u64,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `task approve` and `task reject`.
#[derive(Debug, Args)]
pub struct DecisionArguments {
    /// The task, as `task list` shows it.
    #[arg(value_name = "ID")]
    id: String,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &TaskCommand) -> Result<(), Failure> {
    match command {
        TaskCommand::List(arguments) => list(arguments).await,
        TaskCommand::Approve(arguments) => decide(arguments, true).await,
        TaskCommand::Reject(arguments) => decide(arguments, false).await,
    }
}

async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let kind = arguments.kind.as_deref().map(|kind| format!("&workflowType={}", encoded(kind))).unwrap_or_default();
    let path = format!("{TASKS}?limit={}{kind}", arguments.limit);
    let body = remote.client.get(&path).await.map_err(|fault| of_client(&fault))?;
    listing::show(arguments.output, &body, &COLUMNS, "referenceId")?;
    if arguments.output == Format::Table && listing::is_empty(&body) {
        output::say("nothing waits");
    }
    Ok(())
}

async fn decide(arguments: &DecisionArguments, is_approved: bool) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let path = format!("{TASKS}/update-workflow-status?workflowReferenceId={}", encoded(&arguments.id));
    let status = if is_approved { "APPROVED" } else { "REJECTED" };
    let decided = send(&remote.client, Method::POST, &path, &json!({"status": status})).await?;
    let sentence = format!("{} is {}", arguments.id, status.to_lowercase());
    output::done(arguments.output, &arguments.id, &sentence, &decided)
}
