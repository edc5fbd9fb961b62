//! `portcullis cluster backup`: backs the cluster up into a file, lists and checks backups.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use portcullis_http::time::rfc3339;
use portcullis_node::safekeeping::{self, Head, Verified};
use serde_json::{Value, json};

use super::backup_key::BackupKeyArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};
use crate::tables;
use crate::work::{Measure, Work};

const PATH: &str = "/api/portcullis/v1/cluster/backup";
/// How the file is called until all of it is there.
const UNFINISHED: &str = "unfinished";
/// Files looked at in a directory.
const FILES_MAX: usize = 10_000;

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Write everything the cluster holds into a file.
    Create(CreateArguments),
    /// List the backups in a directory. No node needs to run.
    List(ListArguments),
    /// Check every byte of a backup, and count what is in it. No node needs to run.
    Verify(VerifyArguments),
}

/// Arguments of `cluster backup create`.
#[derive(Debug, Args)]
#[command(after_help = "\
The backup holds everything that was acknowledged before the command was given, as of one moment, compressed. The cluster
goes on meanwhile. The file gets its name once all of it is there, checked and on disk.

Secrets in it (client secrets, signing keys, the authority's key) are sealed with the cluster key. An encrypted backup
carries that key; one that is not does not: keep the cluster.key of a node's data directory beside it, safe.

Examples:
  portcullis cluster backup create --output portcullis-2026-11-26.backup --passphrase-file FILE
  portcullis cluster backup create --server https://10.0.0.5:9443 --output /backup/today.backup --key-file backup.key")]
pub struct CreateArguments {
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    key: BackupKeyArguments,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `cluster backup list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// The directory.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Arguments of `cluster backup verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without the passphrase or key of an encrypted backup only its checksums are checked: that it is whole, not what is in it.")]
pub struct VerifyArguments {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    key: BackupKeyArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached, or a file is damaged or cannot be written.
pub async fn run(command: &BackupCommand) -> Result<(), Failure> {
    match command {
        BackupCommand::Create(arguments) => create(arguments).await,
        BackupCommand::List(arguments) => list(arguments),
        BackupCommand::Verify(arguments) => verify(arguments),
    }
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let path = &arguments.output;
    if path.exists() {
        let (what, why) = (format!("{} is not written", path.display()), "there is a file of that name");
        return Err(Failure::new(Exit::Conflict, what, why, "choose another name with --output"));
    }
    let key = arguments.key.read()?;
    let encryption = key.as_ref().map(safekeeping::encryption_for).transpose();
    let encryption = encryption.map_err(|fault| Failure::from_fault("the backup cannot be encrypted", &fault))?;
    let body = match &encryption {
        Some(wish) => json!({"encryption": {"key": hex::encode(wish.key), "derivation": wish.derivation}}),
        None => json!({}),
    };
    let remote = arguments.remote.connect().await?;
    let download = remote.client.download(PATH, &body).await.map_err(|fault| of_client(&fault))?;
    let unfinished = path.with_extension(format!("{UNFINISHED}-{}", std::process::id()));
    let done = receive(download, &unfinished, path).await;
    let verified = match done {
        Ok(verified) => verified,
        Err(failure) => {
            // Half a backup is of no use to anybody.
            drop(fs::remove_file(&unfinished));
            return Err(failure);
        }
    };
    output::say(&format!(
        "cluster {} as of entry {}, {} bytes{}",
        verified.head.cluster_name,
        verified.head.applied_index,
        verified.bytes,
        if encryption.is_some() { ", encrypted" } else { "" }
    ));
    if encryption.is_none() {
        output::say(
            "not encrypted: keep the cluster.key of a node's data directory beside it, safe; restoring needs it",
        );
    }
    output::data(&path.display().to_string())?;
    output::say(&format!("next: portcullis cluster backup verify {}", path.display()));
    Ok(())
}

/// Writes what comes, checks that all of it came, and gives the file its name.
async fn receive(
    mut download: portcullis_http::download::Download,
    unfinished: &Path,
    path: &Path,
) -> Result<Verified, Failure> {
    let failed = |cause: std::io::Error| {
        let what = format!("{} cannot be written", path.display());
        Failure::from_io(what, &cause, "make room there, or choose another place with --output")
    };
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished).map_err(failed)?;
    let work = Work::begin(format!("writing {}", path.display()), Measure::Added);
    while let Some(piece) = download.next().await.map_err(|fault| of_client(&fault))? {
        file.write_all(&piece).map_err(failed)?;
        work.add(piece.len() as u64);
    }
    file.sync_all().map_err(failed)?;
    drop(work);
    let verified = checking(unfinished, path, || safekeeping::verify_backup(unfinished, None))
        .map_err(|fault| Failure::from_fault("the backup did not come whole", &fault).next("make it again"))?;
    // Unlike a rename, a link does not take the place of a file that has come meanwhile.
    fs::hard_link(unfinished, path).map_err(failed)?;
    fs::remove_file(unfinished).map_err(failed)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok(verified)
}

/// Reads a file as `check` does, and shows under the name of `shown` how far that is.
fn checking<T>(file: &Path, shown: &Path, check: impl FnOnce() -> T) -> T {
    let bytes = fs::metadata(file).map(|about| about.len()).unwrap_or_default();
    let _work = Work::begin(format!("checking {}", shown.display()), Measure::Read(bytes));
    check()
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let directory = &arguments.directory;
    let failed = |cause: std::io::Error| {
        Failure::from_io(format!("{} cannot be read", directory.display()), &cause, "name a directory")
    };
    let mut paths = Vec::new();
    for item in fs::read_dir(directory).map_err(failed)?.take(FILES_MAX) {
        let path = item.map_err(failed)?.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        if path.is_file() && !extension.starts_with(UNFINISHED) {
            paths.push(path);
        }
    }
    paths.sort();
    let found = paths.iter().filter_map(|path| Some((path, safekeeping::backup_head(path).ok()?)));
    let rows: Vec<Value> = found.map(|(path, head)| row(path, &head)).collect();
    if rows.is_empty() {
        output::say("no backups here; portcullis cluster backup create --output FILE makes one");
    }
    let body = json!({ "count": rows.len(), "list": rows });
    let columns = ["file", "cluster_name", "applied_index", "created_at", "bytes", "encrypted", "whole", "version"];
    listing::show(arguments.output, &body, &columns, "file")
}

fn row(path: &Path, head: &Head) -> Value {
    let bytes = fs::metadata(path).map(|about| about.len()).unwrap_or_default();
    json!({
        "file": path.display().to_string(),
        "bytes": bytes,
        "whole": if checking(path, path, || safekeeping::verify_backup(path, None)).is_ok() { "yes" } else { "NO" },
        "cluster_id": head.cluster_id,
        "cluster_name": head.cluster_name,
        "applied_index": head.applied_index,
        "feature_level": head.feature_level,
        "created_at": rfc3339(head.created_at),
        "encrypted": if head.encryption.is_some() { "yes" } else { "no" },
        "version": head.version,
    })
}

fn verify(arguments: &VerifyArguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let key = arguments.key.read()?;
    let verified = checking(file, file, || safekeeping::verify_backup(file, key.as_ref()))
        .map_err(|fault| Failure::from_fault(format!("{} is not a whole backup", file.display()), &fault))?;
    let head = &verified.head;
    match arguments.output {
        Format::Json | Format::Yaml => {
            let mut value = row(file, head);
            if let (Some(summary), Some(fields)) = (&verified.summary, value.as_object_mut()) {
                fields.insert("state".to_owned(), tables::as_value(summary));
            }
            output::value(arguments.output, &value)?;
        }
        Format::Name => output::data(&file.display().to_string())?,
        Format::Table => {
            let about = format!(
                "whole: {} bytes{}\ncluster {} ({}), entry {}, made {} by node {} with version {}\n",
                verified.bytes,
                if head.encryption.is_some() { ", encrypted" } else { "" },
                head.cluster_name,
                head.cluster_id,
                head.applied_index,
                rfc3339(head.created_at),
                head.node,
                head.version
            );
            output::data(&(about + &verified.summary.as_ref().map(tables::as_table).unwrap_or_default()))?;
        }
    }
    if verified.summary.is_none() {
        output::say("the checksums are right; give --passphrase-file or --key-file to look at what is in it too");
    }
    output::say(&format!("next: portcullis cluster restore --data-dir NEW {}", file.display()));
    Ok(())
}
