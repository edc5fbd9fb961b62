//! `portcullis cluster snapshot`: takes a node's snapshot, lists snapshots, looks into one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use portcullis_node::safekeeping::{self, SnapshotReport};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};
use crate::tables;
use crate::work::{Measure, Work};

const PATH: &str = "/api/portcullis/v1/cluster/snapshots";
const COLUMNS: [&str; 7] = ["node", "file", "index", "term", "bytes", "format", "created_at"];

/// What to do with snapshots.
#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Have a node write all that it has applied into a snapshot, now.
    Create(RemoteSnapshotArguments),
    /// List a node's snapshots.
    List(RemoteSnapshotArguments),
    /// Count what is in a snapshot file, and check every byte of it. No node needs to run.
    Inspect(InspectArguments),
}

/// Arguments of `cluster snapshot create` and `list`.
#[derive(Debug, Args)]
#[command(after_help = "\
A node takes snapshots by itself as its log grows, and starts from the newest: there is no need to take one but before
maintenance. To keep the state safe elsewhere, make a backup (portcullis cluster backup create).")]
pub struct RemoteSnapshotArguments {
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `cluster snapshot inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis cluster snapshot inspect n1/raft/snapshots/00000000000000001042-00000000000000000003.snap")]
pub struct InspectArguments {
    /// The file; in raft/snapshots of a node's data directory.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached, or the file is damaged.
pub async fn run(command: &SnapshotCommand) -> Result<(), Failure> {
    match command {
        SnapshotCommand::Create(arguments) => create(arguments).await,
        SnapshotCommand::List(arguments) => list(arguments).await,
        SnapshotCommand::Inspect(arguments) => inspect(arguments),
    }
}

async fn create(arguments: &RemoteSnapshotArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let work = Work::begin("the node writes its snapshot", Measure::Time);
    let made: Value = remote.client.post(PATH, &json!({})).await.map_err(|fault| of_client(&fault))?;
    drop(work);
    match arguments.output {
        Format::Json | Format::Yaml => output::value(arguments.output, &made)?,
        form => listing::show(form, &json!({ "list": [made] }), &COLUMNS, "file")?,
    }
    output::say("next: portcullis cluster snapshot list");
    Ok(())
}

async fn list(arguments: &RemoteSnapshotArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body: Value = remote.client.get(PATH).await.map_err(|fault| of_client(&fault))?;
    if listing::is_empty(&body) {
        output::say(
            "the node has no snapshot yet: all it has is in its log. portcullis cluster snapshot create takes one",
        );
    }
    listing::show(arguments.output, &body, &COLUMNS, "file")
}

fn inspect(arguments: &InspectArguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let bytes = std::fs::metadata(file).map(|about| about.len()).unwrap_or_default();
    let work = Work::begin(format!("checking {}", file.display()), Measure::Read(bytes));
    let report = safekeeping::inspect_snapshot(file);
    drop(work);
    let report =
        report.map_err(|fault| Failure::from_fault(format!("{} is not a whole snapshot", file.display()), &fault))?;
    match arguments.output {
        Format::Json | Format::Yaml => output::value(arguments.output, &as_value(&report)),
        Format::Name => output::data(&file.display().to_string()),
        Format::Table => output::data(&as_table(&report)),
    }
}

fn as_value(report: &SnapshotReport) -> Value {
    let ids = |nodes: &[portcullis_model::NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    let mut value = json!({
        "file": report.path.display().to_string(),
        "bytes": report.bytes,
        "format": report.format,
        "index": report.index,
        "term": report.term,
        "voters": ids(&report.voters),
        "learners": ids(&report.learners),
    });
    if let (Some(summary), Some(fields)) = (&report.summary, value.as_object_mut()) {
        fields.insert("state".to_owned(), tables::as_value(summary));
    }
    value
}

fn as_table(report: &SnapshotReport) -> String {
    let ids = |nodes: &[portcullis_model::NodeId]| match nodes {
        [] => "none".to_owned(),
        nodes => nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let head = format!(
        "whole: {} bytes, format {}\nentry {} of term {}; voters {}, learners {}\n",
        report.bytes,
        report.format,
        report.index,
        report.term,
        ids(&report.voters),
        ids(&report.learners)
    );
    head + &report.summary.as_ref().map(tables::as_table).unwrap_or_default()
}
