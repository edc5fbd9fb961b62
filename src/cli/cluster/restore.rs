//! `portcullis cluster restore`: makes this machine the first node of a new cluster with the state of a backup.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_node::safekeeping::{self, Restore};
use serde_json::json;

use super::backup_key::BackupKeyArguments;
use super::bootstrap::{check_components, remember};
use super::node_place::{NodePlace, prepare};
use crate::failure::Failure;
use crate::files;
use crate::output::{self, Format};
use crate::server::{self, ServerArguments};
use crate::work::{Measure, Work};

/// Arguments of `cluster restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
Only into a new cluster: the data directory must be new or empty. APIs, applications, subscriptions, keys, tokens, users
and counters come back as they were. The cluster gets an id and a certificate authority of its own, so that nodes of the
old one cannot speak to it; the other nodes join anew (portcullis cluster token create, cluster join). What the old nodes
had been granted of quotas counts as spent until its windows end.

Examples:
  portcullis cluster restore --data-dir n1 --bind 10.0.0.5 --passphrase-file FILE today.backup
  portcullis cluster restore --data-dir n1 --bind 10.0.0.5 --cluster-key-file cluster.key plain.backup")]
pub struct RestoreArguments {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: NodePlace,
    /// The new cluster's name; the old one's where it is not given.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The cluster.key of a node of the old cluster: needed where the backup is not encrypted.
    #[arg(long, value_name = "FILE")]
    cluster_key_file: Option<PathBuf>,
    #[command(flatten)]
    key: BackupKeyArguments,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    /// Run the node right after.
    #[arg(long)]
    start: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the directory is not empty, the backup is damaged, or a key is missing or another.
pub async fn run(arguments: RestoreArguments) -> Result<ExitCode, Failure> {
    let config = prepare(&arguments.place)?;
    check_components(&config)?;
    let data_dir = &arguments.place.data_dir;
    let wish = Restore {
        file: &arguments.file,
        key: arguments.key.read()?,
        cluster_key: arguments.cluster_key_file.as_deref().map(files::read_secret).transpose()?,
        name: arguments.name,
        config: &config,
    };
    let bytes = std::fs::metadata(&arguments.file).map(|about| about.len()).unwrap_or_default();
    let work = Work::begin(format!("restoring {}", arguments.file.display()), Measure::Read(bytes));
    let restored = safekeeping::restore(data_dir, wish);
    drop(work);
    let restored = restored
        .map_err(|fault| Failure::from_fault(format!("{} is not restored", arguments.file.display()), &fault))?;
    remember(&restored.ca_fingerprint, data_dir)?;
    let identity = &restored.identity;
    let sentence = format!(
        "cluster {} goes on from entry {} as a new cluster; this is node {}, {}",
        identity.cluster_name,
        restored.applied_index,
        identity.node,
        data_dir.display()
    );
    let whole = json!({
        "node": identity.node, "cluster": identity.cluster_name, "cluster_id": identity.cluster_id.to_string(),
        "applied_index": restored.applied_index, "data_dir": data_dir.display().to_string(),
    });
    output::done(arguments.output, identity.node, &sentence, &whole)?;
    if arguments.start {
        let server = ServerArguments {
            data_dir: data_dir.clone(),
            set: Vec::new(),
            components: None,
            until_stdin_ends: false,
            shows_joining: false,
        };
        return server::run(&server).await;
    }
    output::say(&format!("next: portcullis server --data-dir {}", data_dir.display()));
    Ok(ExitCode::SUCCESS)
}
