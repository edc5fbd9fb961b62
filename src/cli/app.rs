//! `portcullis app`: the applications of the Store, as its REST contract lists them.

use clap::Subcommand;
use serde_json::Value;

use crate::api::ListArguments;
use crate::failure::Failure;
use crate::output::Format;
use crate::{listing, output};

/// What to do with applications.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// List your applications.
    List(ListArguments),
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &AppCommand) -> Result<(), Failure> {
    let AppCommand::List(arguments) = command;
    let remote = arguments.remote.connect().await?;
    let path = format!("/api/am/devportal/v3/applications?limit={}", arguments.limit);
    let body: Value = remote.client.get(&path).await.map_err(|fault| crate::remote::of_client(&fault))?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        output::say("there are no applications yet; create one with POST /api/am/devportal/v3/applications");
        return Ok(());
    }
    let columns = ["applicationId", "name", "throttlingPolicy", "status", "owner", "subscriptionCount"];
    listing::show(arguments.output, &body, &columns, "applicationId")
}
