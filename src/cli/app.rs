//! `portcullis app`: the caller's applications in the Store.

use clap::{Args, Subcommand};
use http::Method;
use portcullis_http::client::Client;
use portcullis_http::percent::encoded;
use serde_json::{Value, json};

use crate::api::ListArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};
use crate::request::{confirm, say_unreached, send, show_dry_run};
use crate::{listing, published};

const APPLICATIONS: &str = "/api/am/devportal/v3/applications";
const COLUMNS: [&str; 6] = ["applicationId", "name", "throttlingPolicy", "status", "owner", "subscriptionCount"];

/// What to do with applications.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// List your applications.
    List(ListArguments),
    /// Show one as the DevPortal's contract has it.
    Show(ShowArguments),
    /// Create one.
    Create(CreateArguments),
    /// Delete one, with its subscriptions and keys.
    Delete(DeleteArguments),
}

/// Arguments of `app show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The application: its name or id.
    #[arg(value_name = "APPLICATION")]
    application: String,
    /// The form; a table has its main fields.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `app create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis app create phone --policy 10PerMin && portcullis subscription create pizza:1.0.0 phone --plan Gold")]
pub struct CreateArguments {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// The application policy that limits all its calls together.
    #[arg(long, value_name = "POLICY", default_value = "Unlimited")]
    policy: String,
    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `app delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// The application: its name or id.
    #[arg(value_name = "APPLICATION")]
    application: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Show what would be deleted, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::List(arguments) => list(arguments).await,
        AppCommand::Show(arguments) => show(arguments).await,
        AppCommand::Create(arguments) => create(arguments).await,
        AppCommand::Delete(arguments) => delete(arguments).await,
    }
}

async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let path = format!("{APPLICATIONS}?limit={}", arguments.limit);
    let body: Value = remote.client.get(&path).await.map_err(|fault| of_client(&fault))?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        output::say("there are no applications yet; portcullis app create makes one");
        return Ok(());
    }
    listing::show(arguments.output, &body, &COLUMNS, "applicationId")
}

fn show_one(format: Format, one: &Value) -> Result<(), Failure> {
    match format {
        Format::Json | Format::Yaml => output::value(format, one),
        Format::Table | Format::Name => listing::show(format, &json!({ "list": [one] }), &COLUMNS, "applicationId"),
    }
}

async fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let path = at(&find(&remote.client, &arguments.application).await?);
    show_one(arguments.output, &remote.client.get(&path).await.map_err(|fault| of_client(&fault))?)
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let body = json!({
        "name": arguments.name, "throttlingPolicy": arguments.policy, "description": arguments.description,
    });
    if arguments.dry_run {
        return show_dry_run(&Method::POST, APPLICATIONS, &body);
    }
    let remote = arguments.remote.connect().await?;
    let made = send(&remote.client, Method::POST, APPLICATIONS, &body).await?;
    show_one(arguments.output, &made)?;
    output::say(&if made["status"] == "CREATED" {
        "it waits for approval: portcullis task list".to_owned()
    } else {
        format!("next: portcullis subscription create API {} --plan PLAN", arguments.name)
    });
    Ok(())
}

async fn delete(arguments: &DeleteArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let found = find(&remote.client, &arguments.application).await?;
    let path = at(&found);
    if arguments.dry_run {
        return show_dry_run(&Method::DELETE, &path, &Value::Null);
    }
    let name = published::text(&found, "name");
    confirm("application", name, arguments.yes)?;
    let reply = remote.client.delete(&path).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    output::say(&format!("application {name} is deleted, with its subscriptions and keys"));
    Ok(())
}

fn at(application: &Value) -> String {
    format!("{APPLICATIONS}/{}", encoded(published::text(application, "applicationId")))
}

/// Finds an application of the caller's by its name or its id.
///
/// # Errors
/// Where there is none.
pub async fn find(client: &Client, named: &str) -> Result<Value, Failure> {
    let all = published::all(client, APPLICATIONS).await?;
    let is_named = |row: &&Value| {
        row["applicationId"].as_str() == Some(named)
            || row["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(named))
    };
    all.iter().find(is_named).cloned().ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("there is no application {named:?}"),
            "none of your applications has that name or id",
            "portcullis app list     shows them",
        )
    })
}
