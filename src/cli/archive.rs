//! Archives of APIs, as the original's command-line client makes them: `portcullis api export` and `import`, and
//! `portcullis import wso2`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use portcullis_http::percent;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::moving::{self, FileArguments, Origin};
use crate::output;
use crate::remote::{RemoteArguments, of_client};

const PUBLISHER: &str = "/api/am/publisher/v4";
/// Bytes of an archive: what the server takes of one form.
const ARCHIVE_BYTES_MAX: u64 = 11 << 20;

/// What to take over from elsewhere.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Import an archive of an API that the WSO2 API Manager's apictl exported.
    Wso2(ImportArguments),
    /// Import what a declarative file of Kong describes: services, routes, plugins, consumers.
    Kong(FileArguments),
    /// Import what a declarative file of APISIX describes: routes, services, upstreams, plugins, consumers.
    Apisix(FileArguments),
}

/// Arguments of an export.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The API's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The file to write; NAME-VERSION.zip where nothing is said.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Write the files within as JSON instead of YAML.
    #[arg(long)]
    pub json: bool,
    /// Export the API as it was in its latest revision.
    #[arg(long)]
    pub latest_revision: bool,
    #[command(flatten)]
    pub remote: RemoteArguments,
}

/// Arguments of an import.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The archive.
    pub archive: PathBuf,
    /// Change the API where its name and version are there already.
    #[arg(long)]
    pub update: bool,
    /// Where the API has as many revisions as it may have, let the oldest go.
    #[arg(long)]
    pub rotate_revision: bool,
    /// Keep the provider that the archive names, where there is such a user; otherwise it is whoever imports.
    #[arg(long)]
    pub preserve_provider: bool,
    /// Read and check the archive, and import nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub remote: RemoteArguments,
}

/// Writes an API into a file.
///
/// # Errors
/// Where the server refuses or cannot be reached, or the file cannot be written.
pub async fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let (name, version) = (&arguments.name, &arguments.version);
    let mut path =
        format!("{PUBLISHER}/apis/export?name={}&version={}", percent::encoded(name), percent::encoded(version));
    path.push_str(if arguments.json { "&format=JSON" } else { "&format=YAML" });
    if arguments.latest_revision {
        path.push_str("&latestRevision=true");
    }
    let reply = remote.client.send(Method::GET, &path, &[], Bytes::new()).await.map_err(|fault| of_client(&fault))?;
    let plain = |text: &str| text.replace(['/', '\\'], "_");
    let usual = || PathBuf::from(format!("{}-{}.zip", plain(name), plain(version)));
    let file = arguments.file.clone().unwrap_or_else(usual);
    std::fs::write(&file, &reply.bytes).map_err(|error| unusable(&file, "written", &error))?;
    output::say(&format!("{name} {version} is in {}", file.display()));
    Ok(())
}

/// Brings an API in from a file.
///
/// # Errors
/// Where the file cannot be read, or the server refuses or cannot be reached.
pub async fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let file = &arguments.archive;
    let size = std::fs::metadata(file).map_err(|error| unusable(file, "read", &error))?.len();
    if size > ARCHIVE_BYTES_MAX {
        let why = format!("it has {size} bytes; at most {ARCHIVE_BYTES_MAX} are sent");
        return Err(Failure::new(
            Exit::Failed,
            format!("{} is too large", file.display()),
            why,
            "take files out of it",
        ));
    }
    let archive = std::fs::read(file).map_err(|error| unusable(file, "read", &error))?;
    let remote = arguments.remote.connect().await?;
    let flags = [
        ("overwrite", arguments.update),
        ("rotateRevision", arguments.rotate_revision),
        ("preserveProvider", arguments.preserve_provider),
        ("dryRun", arguments.dry_run),
    ];
    let query: Vec<String> = flags.iter().map(|(name, is_set)| format!("{name}={is_set}")).collect();
    let path = format!("{PUBLISHER}/apis/import?{}", query.join("&"));
    let (content_type, body) = form(&archive);
    let sent = remote.client.send(Method::POST, &path, &[(CONTENT_TYPE, content_type)], body).await;
    sent.map_err(|fault| of_client(&fault))?;
    let done = if arguments.dry_run { "can be imported; nothing was" } else { "is imported" };
    output::say(&format!("{} {done}", file.display()));
    Ok(())
}

/// Runs `portcullis import`.
///
/// # Errors
/// As [`import`], and as [`moving::run`].
pub async fn run(command: &ImportCommand) -> Result<(), Failure> {
    match command {
        ImportCommand::Wso2(arguments) => import(arguments).await,
        ImportCommand::Kong(arguments) => moving::run(Origin::Kong, arguments).await,
        ImportCommand::Apisix(arguments) => moving::run(Origin::Apisix, arguments).await,
    }
}

/// Makes a form with the archive as its one file.
fn form(archive: &[u8]) -> (HeaderValue, Bytes) {
    // A boundary that is not in it.
    let mut boundary = "portcullis-archive".to_owned();
    while archive.windows(boundary.len()).any(|window| window == boundary.as_bytes()) {
        boundary.push('-');
    }
    let mut body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"api.zip\"\r\n\
         content-type: application/zip\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(archive);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    (content_type.unwrap_or_else(|_| HeaderValue::from_static("multipart/form-data")), Bytes::from(body))
}

fn unusable(file: &Path, what: &str, error: &std::io::Error) -> Failure {
    let next = "check that the path is right and that you may use it";
    Failure::new(Exit::Failed, format!("{} cannot be {what}", file.display()), error.to_string(), next)
}
