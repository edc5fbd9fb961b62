//! `portcullis api`: the APIs of the Publisher, as its REST contract lists them.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::archive::{self, ExportArguments, ImportArguments};
use crate::failure::Failure;
use crate::output::Format;
use crate::remote::RemoteArguments;
use crate::{listing, output};

/// What to do with APIs.
#[derive(Debug, Subcommand)]
pub enum ApiCommand {
    /// List APIs.
    List(ListArguments),
    /// Write an API into an archive, as apictl does: its definition, documents, picture and deployments.
    Export(ExportArguments),
    /// Bring an API in from an archive.
    Import(ImportArguments),
}

/// Arguments of a listing.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// How many to show.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    #[command(flatten)]
    pub remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &ApiCommand) -> Result<(), Failure> {
    let arguments = match command {
        ApiCommand::List(arguments) => arguments,
        ApiCommand::Export(arguments) => return archive::export(arguments).await,
        ApiCommand::Import(arguments) => return archive::import(arguments).await,
    };
    let remote = arguments.remote.connect().await?;
    let path = format!("/api/am/publisher/v4/apis?limit={}", arguments.limit);
    let body: Value = remote.client.get(&path).await.map_err(|fault| crate::remote::of_client(&fault))?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        output::say("there are no APIs yet; import one with POST /api/am/publisher/v4/apis/import-openapi");
        return Ok(());
    }
    let columns = ["id", "name", "version", "context", "lifeCycleStatus", "provider"];
    listing::show(arguments.output, &body, &columns, "id")
}
