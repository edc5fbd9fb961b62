//! Archives of APIs, as the original's command-line client makes them: `portcullis api export` and `import`. Those of products
//! and applications too: `portcullis import wso2`.

mod content;
mod parameters;
mod project;
mod wso2;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use portcullis_http::client::Reply;
use portcullis_http::percent;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::moving::{self, FileArguments, Origin};
use crate::output::{self, Format};
use crate::remote::{Remote, RemoteArguments, of_client};
use crate::request::say_unreached;
use wso2::Wso2Arguments;

const PUBLISHER: &str = "/api/am/publisher/v4";
/// Bytes of an archive: what the server takes of one form.
const ARCHIVE_BYTES_MAX: u64 = 11 << 20;

/// What to take over from elsewhere.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Import what the WSO2 API Manager's apictl made: archives and projects of APIs, API products and applications.
    Wso2(Wso2Arguments),
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
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    #[command(flatten)]
    pub remote: RemoteArguments,
}

/// How something is brought in.
#[derive(Debug, Args)]
pub struct How {
    /// Change what is there already.
    #[arg(long)]
    update: bool,
    /// Where the API has as many revisions as it may have, let the oldest go.
    #[arg(long)]
    rotate_revision: bool,
    /// Keep the provider or owner that the archive names, where there is such a user; otherwise it is whoever imports.
    #[arg(long)]
    preserve_provider: bool,
    /// Read and check the archive, and import nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of an import of an API.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The archive, or the directory of a project.
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    pub archive: PathBuf,
    #[command(flatten)]
    pub how: How,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    #[command(flatten)]
    pub remote: RemoteArguments,
}

impl How {
    /// Returns it as the query of an import of an API.
    fn query(&self) -> String {
        let flags = [
            ("overwrite", self.update),
            ("rotateRevision", self.rotate_revision),
            ("preserveProvider", self.preserve_provider),
            ("dryRun", self.dry_run),
        ];
        flags.map(|(name, is_set)| format!("{name}={is_set}")).join("&")
    }
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
    let shown = file.display().to_string();
    let whole = json!({"name": name, "version": version, "file": shown, "bytes": reply.bytes.len()});
    output::done(arguments.output, &shown, &format!("{name} {version} is in {shown}"), &whole)
}

/// Brings an API in from a file.
///
/// # Errors
/// Where the file cannot be read, or the server refuses or cannot be reached.
pub async fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let file = &arguments.archive;
    let archive = read_file(file)?;
    let remote = arguments.remote.connect().await?;
    let path = format!("{PUBLISHER}/apis/import?{}", arguments.how.query());
    let reply = post(&remote, &path, &archive).await?;
    // Servers of before answer a dry run with a sentence.
    let told: Value = reply.json().unwrap_or_else(|_| json!({}));
    match arguments.output {
        Format::Table => {
            let done = if arguments.how.dry_run { "can be imported; nothing was" } else { "is imported" };
            let left = wso2::left_out(&told).map(|left| format!(" ({left})")).unwrap_or_default();
            output::say(&format!("{} {done}{left}", file.display()));
            Ok(())
        }
        Format::Name => told["id"].as_str().map_or(Ok(()), output::data),
        format => output::value(format, &told),
    }
}

/// Reads an archive, or makes one of a project's directory.
fn read_file(file: &Path) -> Result<Vec<u8>, Failure> {
    let about = std::fs::metadata(file).map_err(|error| unusable(file, "read", &error))?;
    if about.is_dir() {
        let archive = project::archive_of(file)?;
        check_size(file, archive.len() as u64)?;
        return Ok(archive);
    }
    check_size(file, about.len())?;
    std::fs::read(file).map_err(|error| unusable(file, "read", &error))
}

fn check_size(file: &Path, size: u64) -> Result<(), Failure> {
    if size <= ARCHIVE_BYTES_MAX {
        return Ok(());
    }
    let why = format!("it has {size} bytes; at most {ARCHIVE_BYTES_MAX} are sent");
    let what = format!("{} is too large", file.display());
    Err(Failure::new(Exit::Failed, what, why, "take files out of it"))
}

/// Sends an archive.
async fn post(remote: &Remote, path: &str, archive: &[u8]) -> Result<Reply, Failure> {
    let (content_type, body) = form(archive);
    let headers = [(CONTENT_TYPE, content_type)];
    let reply = remote.client.send(Method::POST, path, &headers, body).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    Ok(reply)
}

/// Runs `portcullis import`.
///
/// # Errors
/// As [`wso2::run`] and [`moving::run`].
pub async fn run(command: &ImportCommand) -> Result<(), Failure> {
    match command {
        ImportCommand::Wso2(arguments) => wso2::run(arguments).await,
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
