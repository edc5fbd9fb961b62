//! `portcullis export`: a tenant's objects as documents, without secrets.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use portcullis_http::percent::encoded;
use serde_json::{Value, json};

use super::kind::{self, KINDS, Kind};
use super::selector::Selector;
use super::server::Server;
use super::{file, placeholder};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::RemoteArguments;

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Secrets are never written: where one is needed, a ${env:NAME} stands for it. Applications are those of who
signs in.

Examples:
  portcullis export > all.yaml
  portcullis export --kind Api --kind ApiProduct --into shop/")]
pub struct ExportArguments {
    /// Only objects of this kind. May be given several times.
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only objects of this name=PATTERN or tag=TAG. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    selector: Vec<Selector>,
    /// Write a file per object into this directory, instead of all to standard output.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The form: table and yaml are documents of YAML, name is their kinds and names.
    #[arg(short, long, value_enum, default_value = "yaml", value_name = "FORM", conflicts_with = "into")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs `portcullis export`.
///
/// # Errors
/// Where the server cannot be reached, or the files cannot be written.
pub async fn export(arguments: &ExportArguments) -> Result<ExitCode, Failure> {
    let kinds: Vec<&'static Kind> = if arguments.kind.is_empty() {
        KINDS.iter().collect()
    } else {
        arguments.kind.iter().map(|word| kind::of_word(word)).collect::<Result<_, _>>()?
    };
    let mut server = Server::new(arguments.remote.connect().await?.client);
    let mut documents = Vec::new();
    for kind in kinds {
        let there = match server.find(kind, &|_| true).await {
            Ok(there) => there,
            Err(failure) if failure.exit == Exit::NotAllowed && arguments.kind.is_empty() => {
                output::tell(&format!("left: {}: {}", kind.word, failure.summary()));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let exported = there.into_iter().filter(|found| {
            !found.is_of_program && arguments.selector.iter().all(|one| one.selects(&found.key, &found.spec))
        });
        for mut found in exported {
            placeholder::hide(kind, &found.key, &mut found.spec);
            let mut metadata = json!({"name": found.key.name});
            if let Some(version) = &found.key.version {
                metadata["version"] = json!(version);
            }
            let document =
                json!({"apiVersion": file::API_VERSION, "kind": kind.word, "metadata": metadata, "spec": found.spec});
            if let Some(directory) = &arguments.into {
                write_into(directory, kind, &found.key, &document)?;
            }
            documents.push((format!("{} {}", kind.word, found.key), document));
        }
    }
    match &arguments.into {
        Some(directory) => output::say(&format!("{} objects are in {}", documents.len(), directory.display())),
        None => show_documents(arguments.output, documents)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show_documents(format: Format, documents: Vec<(String, Value)>) -> Result<(), Failure> {
    let (titles, documents): (Vec<String>, Vec<Value>) = documents.into_iter().unzip();
    match format {
        Format::Name => output::data(&titles.join("\n")),
        Format::Json => output::value(format, &documents),
        Format::Table | Format::Yaml => {
            let texts = documents.iter().map(yaml).collect::<Result<Vec<_>, _>>()?;
            output::data(&texts.join("---\n"))
        }
    }
}

fn yaml(document: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(document).map_err(|fault| {
        Failure::new(Exit::Failed, "an object cannot be written as YAML", fault.to_string(), "report this")
    })
}

fn write_into(directory: &Path, kind: &Kind, key: &kind::Key, document: &Value) -> Result<(), Failure> {
    // Encoded, so that no two objects have one file, and none is outside.
    let version = key.version.as_deref().map(|version| format!("@{}", encoded(version))).unwrap_or_default();
    let path = directory.join(kind.word).join(format!("{}{version}.yaml", encoded(&key.name)));
    let failed = |cause: &std::io::Error| {
        Failure::from_io(format!("{} cannot be written", path.display()), cause, "check the directory's permissions")
    };
    let parent = path.parent().unwrap_or(directory);
    std::fs::create_dir_all(parent).map_err(|cause| failed(&cause))?;
    std::fs::write(&path, yaml(document)?).map_err(|cause| failed(&cause))
}
