//! `portcullis import wso2`: brings in what the original's command-line client exported, APIs before the products that are made
//! of them, and both before the applications that are subscribed to them.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_http::percent;
use serde::Serialize;
use serde_json::Value;

use super::content::{self, Content, Kind};
use super::parameters::Parameters;
use super::{How, PUBLISHER, check_size, post, read_file};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{Remote, RemoteArguments};

const STORE: &str = "/api/am/devportal/v3";

/// Arguments of `import wso2`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each archive is one of an API, of an API product or of an application, as apictl 4.x exports them, or the directory
of a project, as apictl init makes it; which, its files say.
Several are brought in in the order in which they need each other. One that is refused does not keep back the others.

Examples:
  portcullis import wso2 pizza-1.0.0.zip --dry-run
  portcullis import wso2 ./pizza --update
  portcullis import wso2 ./pizza --params params.yaml --environment production
  portcullis import wso2 apis/*.zip products/*.zip applications/*.zip --preserve-provider
  portcullis import wso2 ann_app.zip --owner ann --update")]
pub struct Wso2Arguments {
    /// The archives, or directories of projects.
    #[arg(required = true, value_name = "ARCHIVE")]
    archives: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    parameters: Parameters,
    /// Of products: change their APIs too where they are there already. Those that are not there come in any case.
    #[arg(long)]
    update_apis: bool,
    /// Of applications: whose they are to be, instead of whoever imports.
    #[arg(long, value_name = "USER", conflicts_with = "preserve_provider")]
    owner: Option<String>,
    /// Of applications: where an API has not the plan that the archive names, subscribe with its first one.
    #[arg(long)]
    ignore_tier: bool,
    /// Of applications: leave their subscriptions out.
    #[arg(long)]
    skip_subscriptions: bool,
    /// Of applications: leave their keys out.
    #[arg(long)]
    skip_keys: bool,
    /// The form of what became of each archive.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// What became of an archive.
#[derive(Debug, Serialize)]
struct Outcome {
    archive: String,
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    outcome: &'static str,
    /// What was left out, or why it was refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    remark: String,
}

/// Brings the archives in.
///
/// # Errors
/// Where no server can be asked, or one of the archives was not brought in.
pub async fn run(arguments: &Wso2Arguments) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut outcomes = Vec::new();
    let mut first_fault = None;
    for file in &arguments.archives {
        match open(file, &arguments.parameters) {
            Ok((content, archive)) => found.push((file, content, archive)),
            Err(failure) => {
                outcomes.push(Outcome::of(file, None, "refused", failure.summary()));
                first_fault.get_or_insert(failure);
            }
        }
    }
    // A stable sort: of one kind, as they were given.
    found.sort_by_key(|(_, content, _)| content.kind);
    let asks = found.iter().any(|(_, content, _)| !arguments.how.dry_run || content.kind == Kind::Api);
    let remote = if asks { Some(arguments.remote.connect().await?) } else { None };
    for (file, content, archive) in &found {
        let done = match &remote {
            Some(remote) if !arguments.how.dry_run || content.kind == Kind::Api => {
                bring_in(remote, arguments, content, archive).await
            }
            _ => Ok(("readable", named(content))),
        };
        match done {
            Ok((outcome, remark)) => outcomes.push(Outcome::of(file, Some(content), outcome, remark)),
            Err(failure) => {
                outcomes.push(Outcome::of(file, Some(content), "refused", failure.summary()));
                first_fault.get_or_insert(failure);
            }
        }
    }
    show(arguments.output, &outcomes)?;
    let refused = outcomes.iter().filter(|outcome| outcome.outcome == "refused").count();
    match first_fault {
        None => Ok(()),
        Some(failure) if arguments.archives.len() == 1 => Err(failure),
        Some(failure) => {
            let what = format!("{refused} of {} archives were not imported", outcomes.len());
            Err(Failure::new(failure.exit, what, failure.summary(), failure.next_step()))
        }
    }
}

fn open(file: &Path, parameters: &Parameters) -> Result<(Content, Vec<u8>), Failure> {
    let archive = read_file(file)?;
    let content = content::read(&archive).map_err(|why| {
        let next =
            "give archives or directories as apictl 4.x writes them: export api, export api-product, export app, init";
        Failure::new(Exit::Failed, format!("{} is no archive that can be imported", file.display()), why, next)
    })?;
    // Applications have no parameters.
    let archive = if content.kind == Kind::Application { archive } else { parameters.beside(archive)? };
    check_size(file, archive.len() as u64)?;
    Ok((content, archive))
}

/// Sends an archive; returns what became of it.
async fn bring_in(
    remote: &Remote,
    arguments: &Wso2Arguments,
    content: &Content,
    archive: &[u8],
) -> Result<(&'static str, String), Failure> {
    let how = &arguments.how;
    let path = match content.kind {
        Kind::Api => format!("{PUBLISHER}/apis/import?{}", how.query()),
        Kind::Product => format!(
            "{PUBLISHER}/api-products/import?importAPIs=true&overwriteAPIProduct={}&overwriteAPIs={}&rotateRevision={}&preserveProvider={}",
            how.update, arguments.update_apis, how.rotate_revision, how.preserve_provider,
        ),
        Kind::Application => {
            let owner = arguments.owner.as_ref().map(|owner| format!("&appOwner={}", percent::encoded(owner)));
            format!(
                "{STORE}/applications/import?update={}&preserveOwner={}&ignoreTier={}&skipSubscriptions={}&skipApplicationKeys={}{}",
                how.update,
                how.preserve_provider,
                arguments.ignore_tier,
                arguments.skip_subscriptions,
                arguments.skip_keys,
                owner.unwrap_or_default(),
            )
        }
    };
    let reply = post(remote, &path, archive).await?;
    // Of APIs: the files that were not read.
    let left = left_out(&reply.json().unwrap_or_default()).unwrap_or_default();
    if how.dry_run {
        return Ok(("readable", left));
    }
    if content.kind == Kind::Api {
        return Ok(("imported", left));
    }
    // An application that could not be subscribed to all, or waits for approval.
    let told: Value = if content.kind == Kind::Application { reply.json().unwrap_or_default() } else { Value::Null };
    let left: Vec<String> = told["list"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|api| {
            format!("{} {}", api["name"].as_str().unwrap_or_default(), api["version"].as_str().unwrap_or_default())
        })
        .collect();
    if left.is_empty() {
        return Ok(("imported", String::new()));
    }
    let why = told["message"].as_str().map(|message| format!("; {message}")).unwrap_or_default();
    Ok(("imported in part", format!("not subscribed to {}{why}", left.join(", "))))
}

/// Says which files of an archive of an API the server did not read; `None` where it read all.
pub(super) fn left_out(told: &Value) -> Option<String> {
    let files: Vec<&str> = told["leftOut"].as_array()?.iter().filter_map(Value::as_str).collect();
    (!files.is_empty()).then(|| format!("not read: {}", files.join(", ")))
}

/// Says which APIs an archive names.
fn named(content: &Content) -> String {
    let apis: Vec<String> = content.apis.iter().map(|(name, version)| format!("{name} {version}")).collect();
    if apis.is_empty() { String::new() } else { format!("names {}; the server was not asked", apis.join(", ")) }
}

impl Outcome {
    fn of(file: &Path, content: Option<&Content>, outcome: &'static str, remark: String) -> Self {
        Self {
            archive: file.display().to_string(),
            kind: content.map_or("unknown", |content| content.kind.word()),
            name: content.map(|content| content.name.clone()).unwrap_or_default(),
            version: content.map(|content| content.version.clone()).unwrap_or_default(),
            outcome,
            remark,
        }
    }
}

fn show(format: Format, outcomes: &[Outcome]) -> Result<(), Failure> {
    match format {
        Format::Table => {
            let rows = outcomes.iter().map(|one| {
                let title = format!("{} {}", one.name, one.version);
                let cells = [&one.archive, one.kind, title.trim(), one.outcome, &one.remark];
                cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell.to_owned() }).to_vec()
            });
            output::data(&output::table(&["archive", "kind", "name", "outcome", "remark"], rows))
        }
        Format::Name => {
            let brought = outcomes.iter().filter(|one| one.outcome != "refused").map(|one| one.name.as_str());
            let names: Vec<&str> = brought.collect();
            if names.is_empty() { Ok(()) } else { output::data(&names.join("\n")) }
        }
        format => output::value(format, &outcomes),
    }
}
