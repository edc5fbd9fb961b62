//! `portcullis api`: the APIs of the Publisher.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::archive::{self, ExportArguments, ImportArguments};
use crate::failure::Failure;
use crate::form::{self, Part};
use crate::output::{self, Format};
use crate::published::{self, Kind, LifeCommand, ShowArguments};
use crate::remote::{RemoteArguments, of_client};
use crate::request::{read_document, read_object, say_unreached, send, show_dry_run};

/// What to do with APIs.
#[derive(Debug, Subcommand)]
pub enum ApiCommand {
    /// List APIs.
    List(ListArguments),
    /// Show one as the Publisher's contract has it.
    Show(ShowArguments),
    /// Create one, from an OpenAPI document, from a file as the contract has it, or from flags.
    Create(CreateArguments),
    #[command(flatten)]
    Life(LifeCommand),
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

/// Arguments of `api create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis api create pizza --context-path /pizza --definition openapi.yaml --endpoint https://pizza.example
  portcullis api show pizza -o yaml > pizza.yaml     and, elsewhere: portcullis api create -f pizza.yaml
  portcullis api deploy pizza && portcullis api publish pizza")]
pub struct CreateArguments {
    /// Its name, where the file does not say it.
    #[arg(value_name = "NAME", required_unless_present = "file")]
    name: Option<String>,
    /// A file (JSON or YAML) with the API as `api show -o yaml` writes it; - for standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// An OpenAPI document (JSON or YAML) with its operations.
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    /// Its version; 1.0.0 where neither this nor the file says it.
    #[arg(long = "version", value_name = "VERSION")]
    new_version: Option<String>,
    /// Its context, without the version.
    #[arg(long, value_name = "PATH", required_unless_present = "file")]
    context_path: Option<String>,
    /// The backend's URL.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// A plan by which it can be subscribed to. Can be given again.
    #[arg(long, value_name = "PLAN")]
    plan: Vec<String>,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &ApiCommand) -> Result<(), Failure> {
    const KIND: Kind = Kind::Api;
    match command {
        ApiCommand::List(arguments) => {
            published::list(KIND, arguments.limit, arguments.output, &arguments.remote).await
        }
        ApiCommand::Show(arguments) => published::show(KIND, arguments).await,
        ApiCommand::Create(arguments) => create(arguments).await,
        ApiCommand::Life(command) => published::run(KIND, command).await,
        ApiCommand::Export(arguments) => archive::export(arguments).await,
        ApiCommand::Import(arguments) => archive::import(arguments).await,
    }
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let path = Kind::Api.path();
    let mut body = match &arguments.file {
        Some(file) => read_object(file, "portcullis api show pizza -o yaml")?,
        None => json!({"version": "1.0.0"}),
    };
    overlay(arguments, &mut body);
    let definition = arguments.definition.as_deref().map(read_document).transpose()?;
    let path = if definition.is_some() { format!("{path}/import-openapi") } else { path.to_owned() };
    if arguments.dry_run {
        return show_dry_run(&Method::POST, &path, &body);
    }
    let remote = arguments.remote.connect().await?;
    let made = match definition {
        None => send(&remote.client, Method::POST, &path, &body).await?,
        Some(definition) => {
            let (definition, fields) = (definition.to_string(), body.to_string());
            let parts = [
                Part::file("file", "definition.json", definition.as_bytes()),
                Part::text("additionalProperties", &fields),
            ];
            let (content_type, form) = form::write(&parts);
            let sent = remote.client.send(Method::POST, &path, &[(CONTENT_TYPE, content_type)], form).await;
            let reply = sent.map_err(|fault| of_client(&fault))?;
            say_unreached(&reply);
            reply.json().map_err(|fault| of_client(&fault))?
        }
    };
    published::show_one(Kind::Api, arguments.output, &made)?;
    output::say(&format!("next: portcullis api deploy {}", published::title(&made)));
    Ok(())
}

/// Puts what the flags say into an API.
fn overlay(arguments: &CreateArguments, body: &mut Value) {
    let texts = [("name", &arguments.name), ("version", &arguments.new_version), ("context", &arguments.context_path)];
    for (field, value) in texts {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    if let Some(url) = &arguments.endpoint {
        body["endpointConfig"] = json!({"endpoint_type": "http", "production_endpoints": {"url": url}});
    }
    if !arguments.plan.is_empty() {
        body["policies"] = json!(arguments.plan);
    }
    // What the server says of another one is not of this one.
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "id" | "provider" | "lifeCycleStatus" | "createdTime"));
    }
}
