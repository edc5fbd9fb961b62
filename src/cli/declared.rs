//! `portcullis apply`, `diff` and `export`: a tenant's whole set-up as YAML documents. Files say what is wanted; what they do
//! not say stays as it is. Nothing is kept beside the files: what is there is what the server says.

mod api;
mod application;
mod compare;
mod definition;
mod documents;
mod endpoints;
mod export;
mod file;
mod kind;
mod organizations;
mod placeholder;
mod plain;
mod plan;
mod revisions;
mod selector;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::RemoteArguments;
pub use export::{ExportArguments, export};
use file::Object;
use kind::{KINDS, Kind};
use plan::{Action, Step};
use selector::Selector;
use server::Server;

/// Which files, and what of the server's they speak for.
#[derive(Debug, Args)]
pub struct FileArguments {
    /// A file, a directory with all that is below it, or - for standard input. May be given several times.
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,
    /// Delete what is not in the files, of the kinds that are in them, where every --selector holds.
    #[arg(long, requires = "selector")]
    prune: bool,
    /// What --prune may delete: name=PATTERN (with *), or tag=TAG of APIs and products. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    selector: Vec<Selector>,
    /// The form: json and yaml have every change.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each object is made where it is not there, changed where it is other than its file says, and left alone
otherwise, in the order in which objects need each other. The command may be given again, also after it
broke off. ${env:NAME} and ${file:PATH} in a text stand for a variable and for a file's content, for what
must not be in a repository.

Examples:
  portcullis apply -f shop/ --dry-run
  portcullis apply -f shop/ --prune --selector 'name=shop-*'
  portcullis export | portcullis apply -f - --server https://n1.example:9443")]
pub struct ApplyArguments {
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Send objects with ${env:…} and ${file:…} also where nothing else changed: a server does not tell its secrets.
    #[arg(long)]
    send_secrets: bool,
    #[command(flatten)]
    files: FileArguments,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 nothing differs, 1 something does, 2 it could not be found out.

Example:
  portcullis diff -f shop/ || echo \"the server is other than the files\"")]
pub struct DiffArguments {
    #[command(flatten)]
    files: FileArguments,
}

/// Runs `portcullis apply`.
///
/// # Errors
/// Where files cannot be read, or the server refuses something or cannot be reached. What was done until then stays.
pub async fn apply(arguments: &ApplyArguments) -> Result<ExitCode, Failure> {
    let mut run = Run::begin(&arguments.files, arguments.send_secrets).await?;
    let mut done = Vec::new();
    for kind in KINDS {
        for step in run.steps(kind).await? {
            if !arguments.dry_run {
                run.server.carry_out(&step).await.map_err(|failure| step.blame(&failure))?;
            }
            run.show(&step, arguments.dry_run)?;
            done.push(step);
        }
    }
    for step in run.prunings().await? {
        if !arguments.dry_run {
            run.server.carry_out(&step).await.map_err(|failure| step.blame(&failure))?;
        }
        run.show(&step, arguments.dry_run)?;
        done.push(step);
    }
    run.finish(&done)?;
    let changed = done.iter().filter(|step| !matches!(step.action, Action::Same)).count();
    let word = if arguments.dry_run { "would change; nothing was done" } else { "changed" };
    output::say(&match changed {
        0 => format!("nothing changed: all {} objects are as the files say", done.len()),
        count => format!("{count} of {} objects {word}", done.len()),
    });
    Ok(ExitCode::SUCCESS)
}

/// Runs `portcullis diff`; what fails has the exit code 2.
///
/// # Errors
/// Never: what goes wrong is told here.
pub async fn diff(arguments: &DiffArguments) -> Result<ExitCode, Failure> {
    match find_differences(arguments).await {
        Ok(false) => Ok(ExitCode::SUCCESS),
        Ok(true) => Ok(ExitCode::from(1)),
        Err(failure) => {
            output::tell(&failure.to_string());
            Ok(ExitCode::from(2))
        }
    }
}

async fn find_differences(arguments: &DiffArguments) -> Result<bool, Failure> {
    let mut run = Run::begin(&arguments.files, false).await?;
    let mut done = Vec::new();
    for kind in KINDS {
        done.extend(run.steps(kind).await?);
    }
    done.extend(run.prunings().await?);
    done.retain(|step| !matches!(step.action, Action::Same));
    for step in &done {
        run.show(step, true)?;
    }
    run.finish(&done)?;
    Ok(!done.is_empty())
}

/// One comparison of files with a server.
struct Run<'a> {
    arguments: &'a FileArguments,
    sends_secrets: bool,
    objects: Vec<Object>,
    server: Server,
}

impl<'a> Run<'a> {
    async fn begin(arguments: &'a FileArguments, sends_secrets: bool) -> Result<Self, Failure> {
        let objects = file::read_all(&arguments.files)?;
        if objects.is_empty() {
            let why = "there is no document with a kind in it";
            return Err(Failure::new(
                Exit::Failed,
                "the files say nothing",
                why,
                "portcullis export     writes such files",
            ));
        }
        let server = Server::new(arguments.remote.connect().await?.client);
        Ok(Self { arguments, sends_secrets, objects, server })
    }

    /// Returns what is to be done about the objects of a kind that are in the files.
    async fn steps(&mut self, kind: &'static Kind) -> Result<Vec<Step>, Failure> {
        let wanted: Vec<&Object> = self.objects.iter().filter(|object| object.kind == kind).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let is_named = |key: &kind::Key| wanted.iter().any(|object| object.key == *key);
        let there = self.server.find(kind, &is_named).await?;
        wanted.into_iter().map(|object| plan::step(object, &there, self.sends_secrets)).collect()
    }

    /// Returns what is there of the kinds in the files, is not in the files, and is selected; in the order of deletion.
    async fn prunings(&mut self) -> Result<Vec<Step>, Failure> {
        let mut steps = Vec::new();
        if !self.arguments.prune {
            return Ok(steps);
        }
        for kind in KINDS.iter().rev().filter(|kind| kind.may_be_deleted()) {
            let named: Vec<&Object> = self.objects.iter().filter(|object| object.kind == kind).collect();
            if named.is_empty() {
                continue;
            }
            let is_beside = |key: &kind::Key| !named.iter().any(|object| object.key == *key);
            let there = self.server.find(kind, &is_beside).await?;
            let selected = there.into_iter().filter(|found| {
                !found.is_of_program && self.arguments.selector.iter().all(|one| one.selects(&found.key, &found.spec))
            });
            steps.extend(selected.map(|found| Step::delete(kind, found)));
        }
        Ok(steps)
    }

    fn show(&self, step: &Step, is_only_planned: bool) -> Result<(), Failure> {
        match self.arguments.output {
            Format::Table => output::data(&step.as_text(is_only_planned)),
            Format::Name if !matches!(step.action, Action::Same) => output::data(&step.title()),
            _ => Ok(()),
        }
    }

    fn finish(&self, done: &[Step]) -> Result<(), Failure> {
        match self.arguments.output {
            Format::Table | Format::Name => Ok(()),
            format => output::value(format, &done.iter().map(Step::as_json).collect::<Vec<_>>()),
        }
    }
}
