//! `portcullis debug`: looks into a node, running or not.

mod bundle;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use portcullis_traffic_manager::store::inspect::inspect;
use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, RemoteArguments, of_client};

const ACTORS_PATH: &str = "/api/portcullis/v1/debug/actors";
const MESSAGE_STORE_PATH: &str = "/api/portcullis/v1/throttling/message-store";

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum DebugCommand {
    /// List the reports of usage that wait in a node's message store.
    MessageStore(MessageStoreArguments),
    /// Show how the actors of every node stand: messages in work, refused, restarts.
    Actors(ReadArguments),
    /// Gather in one file what somebody needs who helps; without secrets.
    Bundle(bundle::BundleArguments),
}

/// Arguments of `debug message-store`.
#[derive(Debug, Args)]
#[command(after_help = "A node that runs is asked; of one that does not, the store itself is read with --offline DIR.")]
pub struct MessageStoreArguments {
    /// Read the store in this data directory of a node that does not run.
    #[arg(long, value_name = "DIR")]
    offline: Option<PathBuf>,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the node cannot be asked, or the store cannot be read.
pub async fn run(command: &DebugCommand) -> Result<(), Failure> {
    match command {
        DebugCommand::MessageStore(arguments) => message_store(arguments).await,
        DebugCommand::Actors(arguments) => actors(arguments).await,
        DebugCommand::Bundle(arguments) => bundle::run(arguments).await,
    }
}

async fn actors(arguments: &ReadArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body: Value = remote.client.get(ACTORS_PATH).await.map_err(|fault| of_client(&fault))?;
    let columns = ["node", "actor", "is_running", "in_work", "capacity", "refused", "restarts"];
    listing::show(arguments.output, &body, &columns, "actor")
}

async fn message_store(arguments: &MessageStoreArguments) -> Result<(), Failure> {
    let body: Value = match &arguments.offline {
        Some(data_dir) => read(data_dir)?,
        None => {
            let remote = arguments.remote.connect().await?;
            remote.client.get(MESSAGE_STORE_PATH).await.map_err(|fault| of_client(&fault))?
        }
    };
    let waiting = body["waiting"].as_array().map(Vec::as_slice).unwrap_or_default();
    match arguments.output {
        Format::Table => {
            output::say(&summary(&body, waiting.len()));
            let columns = ["start", "report", "time", "counters", "bytes"];
            if waiting.is_empty() { Ok(()) } else { output::data(&output::table(&columns, waiting.iter().map(row))) }
        }
        Format::Name => output::data(&waiting.iter().map(|one| row(one)[..2].join("/")).collect::<Vec<_>>().join("\n")),
        format => output::value(format, &body),
    }
}

fn read(data_dir: &Path) -> Result<Value, Failure> {
    let contents = inspect(data_dir).map_err(|fault| {
        let why =
            std::error::Error::source(&fault).map_or_else(|| fault.to_string(), |cause| format!("{fault}: {cause}"));
        let next = "stop the node first, or ask the running one: portcullis debug message-store --server URL";
        Failure::new(Exit::Failed, "the message store cannot be read", why, next)
    })?;
    serde_json::to_value(contents).map_err(|fault| {
        Failure::new(Exit::Failed, "the message store cannot be shown", fault.to_string(), "run the same version")
    })
}

fn summary(body: &Value, waiting: usize) -> String {
    let mut text = format!("start {} of the node; {waiting} reports wait to be counted", body["incarnation"]);
    if body["is_writable"] == false {
        text.push_str("; ALARM: the store cannot be written");
    }
    if body["is_full"] == true {
        text.push_str("; ALARM: the store is full");
    }
    if body["damaged"].as_u64().is_some_and(|damaged| damaged > 0) {
        text.push_str(&format!("; {} damaged reports", body["damaged"]));
    }
    let aside = &body["set_aside"];
    if aside.as_array().map_or(!aside.is_null(), |stores| !stores.is_empty()) {
        text.push_str(&format!("; a damaged store was set aside: {aside}"));
    }
    text
}

fn row(report: &Value) -> Vec<String> {
    ["incarnation", "sequence", "time", "items", "bytes"].map(|name| report[name].to_string()).to_vec()
}
