//! `portcullis product`: the API products of the Publisher.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use portcullis_http::client::Client;
use serde_json::{Value, json};

use crate::api::ListArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::published::{self, Kind, LifeCommand, ShowArguments, text};
use crate::remote::{RemoteArguments, of_client};
use crate::request::{read_object, send, show_dry_run};

/// What to do with products.
#[derive(Debug, Subcommand)]
pub enum ProductCommand {
    /// List products.
    List(ListArguments),
    /// Show one as the Publisher's contract has it.
    Show(ShowArguments),
    /// Create one of operations of APIs, from a file or from flags.
    Create(CreateArguments),
    #[command(flatten)]
    Life(LifeCommand),
}

/// Arguments of `product create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis product create meal --context-path /meal --api pizza --api 'pasta:1.0.0=POST /order,GET /menu'
  portcullis product deploy meal && portcullis product publish meal")]
pub struct CreateArguments {
    /// Its name, where the file does not say it.
    #[arg(value_name = "NAME", required_unless_present = "file")]
    name: Option<String>,
    /// A file (JSON or YAML) with the product as `product show -o yaml` writes it; - for standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Its version; 1.0.0 where neither this nor the file says it.
    #[arg(long = "version", value_name = "VERSION")]
    new_version: Option<String>,
    /// Its context, without the version.
    #[arg(long, value_name = "PATH", required_unless_present = "file")]
    context_path: Option<String>,
    /// An API as `api show` takes it, with all its operations or with those behind =, such as GET /menu,POST /order.
    /// Can be given again.
    #[arg(long, value_name = "API", required_unless_present = "file")]
    api: Vec<String>,
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
pub async fn run(command: &ProductCommand) -> Result<(), Failure> {
    const KIND: Kind = Kind::Product;
    match command {
        ProductCommand::List(arguments) => {
            published::list(KIND, arguments.limit, arguments.output, &arguments.remote).await
        }
        ProductCommand::Show(arguments) => published::show(KIND, arguments).await,
        ProductCommand::Create(arguments) => create(arguments).await,
        ProductCommand::Life(command) => published::run(KIND, command).await,
    }
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let mut body = match &arguments.file {
        Some(file) => read_object(file, "portcullis product show meal -o yaml")?,
        None => json!({"version": "1.0.0"}),
    };
    let texts = [("name", &arguments.name), ("version", &arguments.new_version), ("context", &arguments.context_path)];
    for (field, value) in texts {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    if !arguments.plan.is_empty() {
        body["policies"] = json!(arguments.plan);
    }
    // What the server says of another one is not of this one.
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "id" | "provider" | "state" | "createdTime" | "scopes"));
    }
    let remote = arguments.remote.connect().await?;
    fill(&remote.client, &mut body).await?;
    for given in &arguments.api {
        let part = part(&remote.client, given).await?;
        match body["apis"].as_array_mut() {
            Some(parts) => parts.push(part),
            None => body["apis"] = json!([part]),
        }
    }
    let path = Kind::Product.path();
    if arguments.dry_run {
        return show_dry_run(&Method::POST, path, &body);
    }
    let made = send(&remote.client, Method::POST, path, &body).await?;
    published::show_one(Kind::Product, arguments.output, &made)?;
    output::say(&format!("next: portcullis product deploy {}", published::title(&made)));
    Ok(())
}

/// Finds the APIs that a file names by name and version: their ids are others on each cluster.
async fn fill(client: &Client, body: &mut Value) -> Result<(), Failure> {
    for part in body["apis"].as_array_mut().into_iter().flatten() {
        let (name, version) = (text(part, "name"), text(part, "version"));
        if !name.is_empty() && !version.is_empty() {
            let found = published::find(client, Kind::Api, &format!("{name}:{version}")).await?;
            part["apiId"] = found["id"].clone();
        }
    }
    Ok(())
}

/// Reads what `--api` says: which API, and which of its operations.
async fn part(client: &Client, given: &str) -> Result<Value, Failure> {
    let (named, operations) = match given.split_once('=') {
        Some((named, operations)) => (named, Some(read_operations(operations)?)),
        None => (given, None),
    };
    let found = published::find(client, Kind::Api, named).await?;
    let id = text(&found, "id");
    let operations = match operations {
        Some(operations) => operations,
        None => {
            let path = format!("{}/{id}", Kind::Api.path());
            let api: Value = client.get(&path).await.map_err(|fault| of_client(&fault))?;
            let least = |one: &Value| json!({"verb": one["verb"], "target": one["target"]});
            api["operations"].as_array().into_iter().flatten().map(least).collect()
        }
    };
    Ok(json!({"apiId": id, "operations": operations}))
}

/// Reads `GET /menu,POST /order`.
fn read_operations(given: &str) -> Result<Value, Failure> {
    let one = |text: &str| match text.trim().split_once(' ') {
        Some((verb, target)) if target.trim().starts_with('/') => {
            Ok(json!({"verb": verb.to_ascii_uppercase(), "target": target.trim()}))
        }
        _ => Err(Failure::new(
            Exit::Usage,
            format!("{text:?} is no operation"),
            "an operation is a verb and a target, with a space between them",
            "--api 'pizza:1.0.0=GET /menu,POST /order'",
        )),
    };
    given.split(',').map(one).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_verbs_and_targets() {
        let read = read_operations("get /menu, POST /order/{id}").unwrap();
        assert_eq!(read, json!([{"verb": "GET", "target": "/menu"}, {"verb": "POST", "target": "/order/{id}"}]));
        for wrong in ["", "GET", "/menu", "GET menu", "GET /menu,"] {
            assert_eq!(read_operations(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }
}
