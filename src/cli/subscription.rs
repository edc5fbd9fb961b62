//! `portcullis subscription`: who subscribes to what. Publishers see those of their APIs, block and unblock them; developers
//! make and end those of their own applications.

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use portcullis_http::client::Client;
use portcullis_http::percent::encoded;
use serde_json::{Value, json};

use crate::app;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::published::{self, Kind, text};
use crate::remote::{RemoteArguments, of_client};
use crate::request::{confirm, say_unreached, send, show_dry_run};

const OF_PUBLISHERS: &str = "/api/am/publisher/v4/subscriptions";
const OF_DEVELOPERS: &str = "/api/am/devportal/v3/subscriptions";
const COLUMNS: [&str; 5] = ["subscriptionId", "application", "subscriber", "plan", "status"];
const COLUMNS_OF_DEVELOPERS: [&str; 5] = ["subscriptionId", "api", "application", "plan", "status"];

/// What to do with subscriptions.
#[derive(Debug, Subcommand)]
pub enum SubscriptionCommand {
    /// List those of all APIs or of one, as publishers see them; with --app those of an application of one's own.
    List(ListArguments),
    /// Show one.
    Show(ShowArguments),
    /// Subscribe an application of one's own to an API or a product.
    Create(CreateArguments),
    /// Turn the calls of one away. In force on every node that answers when the command returns.
    Block(BlockArguments),
    /// Let the calls of one pass again.
    Unblock(ChangeArguments),
    /// End one of an application of one's own.
    Delete(DeleteArguments),
}

/// Arguments of `subscription list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis subscription list --api pizza:1.0.0
  portcullis subscription list --app phone -o name")]
pub struct ListArguments {
    /// Only those of this API: its name, name and version, context with the version, or id.
    #[arg(long, value_name = "API", conflicts_with = "application")]
    api: Option<String>,
    /// Those of this application of one's own: its name or id.
    #[arg(long = "app", value_name = "APPLICATION")]
    application: Option<String>,
    /// Only where application, subscriber, plan or status has this text in it.
    #[arg(long, value_name = "TEXT", conflicts_with = "application")]
    query: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    limit: u64,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `subscription show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The subscription, as `subscription list` shows it.
    #[arg(value_name = "ID")]
    id: String,
    /// The form; a table has its main fields.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `subscription create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis subscription create pizza:1.0.0 phone --plan Gold")]
pub struct CreateArguments {
    /// The API or product: its name, name and version, context with the version, or id.
    #[arg(value_name = "API")]
    api: String,
    /// The application: its name or id.
    #[arg(value_name = "APPLICATION")]
    application: String,
    /// The plan; one of those by which the API can be subscribed to.
    #[arg(long, value_name = "PLAN", default_value = "Unlimited")]
    plan: String,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Of which keys calls are turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// Of all.
    All,
    /// Of those for production alone.
    Production,
}

/// Arguments of `subscription block`.
#[derive(Debug, Args)]
pub struct BlockArguments {
    /// Which keys are turned away.
    #[arg(long, value_enum, default_value = "all", value_name = "WHICH")]
    keys: Which,
    #[command(flatten)]
    change: ChangeArguments,
}

/// Arguments of `subscription unblock`.
#[derive(Debug, Args)]
pub struct ChangeArguments {
    /// The subscription, as `subscription list` shows it.
    #[arg(value_name = "ID")]
    id: String,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `subscription delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    change: ChangeArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &SubscriptionCommand) -> Result<(), Failure> {
    match command {
        SubscriptionCommand::List(arguments) => list(arguments).await,
        SubscriptionCommand::Show(arguments) => show(arguments).await,
        SubscriptionCommand::Create(arguments) => create(arguments).await,
        SubscriptionCommand::Block(arguments) => {
            let state = match arguments.keys {
                Which::All => "BLOCKED",
                Which::Production => "PROD_ONLY_BLOCKED",
            };
            set_state(&arguments.change, &format!("block-subscription?blockState={state}&")).await
        }
        SubscriptionCommand::Unblock(arguments) => set_state(arguments, "unblock-subscription?").await,
        SubscriptionCommand::Delete(arguments) => delete(arguments).await,
    }
}

async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let client = &remote.client;
    let limit = arguments.limit;
    let (path, columns) = match &arguments.application {
        Some(named) => {
            let application = app::find(client, named).await?;
            let id = encoded(text(&application, "applicationId"));
            (format!("{OF_DEVELOPERS}?applicationId={id}&limit={limit}"), COLUMNS_OF_DEVELOPERS)
        }
        None => {
            let api = match &arguments.api {
                Some(named) => format!("&apiId={}", id_of_publisher(client, named).await?),
                None => String::new(),
            };
            let query = arguments.query.as_deref().map(|query| format!("&query={}", encoded(query)));
            (format!("{OF_PUBLISHERS}?limit={limit}{api}{}", query.unwrap_or_default()), COLUMNS)
        }
    };
    let mut body: Value = client.get(&path).await.map_err(|fault| of_client(&fault))?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        output::say("there are none; portcullis subscription create makes one");
        return Ok(());
    }
    if arguments.output == Format::Table {
        body["list"].as_array_mut().into_iter().flatten().for_each(add_columns);
    }
    listing::show(arguments.output, &body, &columns, "subscriptionId")
}

/// Adds what is within other objects, for tables.
fn add_columns(one: &mut Value) {
    let (api, application) = (one["apiInfo"].clone(), one["applicationInfo"].clone());
    if api.is_object() {
        one["api"] = json!(published::title(&api));
    }
    one["application"] = application["name"].clone();
    one["subscriber"] = application["subscriber"].clone();
    one["plan"] = one["throttlingPolicy"].clone();
    let status = one.get("status").or_else(|| one.get("subscriptionStatus")).cloned();
    one["status"] = status.unwrap_or_default();
}

fn show_one(format: Format, one: &Value) -> Result<(), Failure> {
    if matches!(format, Format::Json | Format::Yaml) {
        return output::value(format, one);
    }
    let mut row = one.clone();
    add_columns(&mut row);
    let columns = if one.get("apiInfo").is_some() { COLUMNS_OF_DEVELOPERS } else { COLUMNS };
    listing::show(format, &json!({ "list": [row] }), &columns, "subscriptionId")
}

/// Shows one of the caller's own, or else one of the APIs that the caller publishes.
async fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let id = &arguments.id;
    let own: Result<Value, _> = remote.client.get(&format!("{OF_DEVELOPERS}/{}", encoded(id))).await;
    let failure = match own {
        Ok(one) => return show_one(arguments.output, &one),
        Err(fault) => of_client(&fault),
    };
    if !matches!(failure.exit, Exit::NotFound | Exit::NotAllowed) {
        return Err(failure);
    }
    let all = published::all(&remote.client, OF_PUBLISHERS).await?;
    match all.iter().find(|one| text(one, "subscriptionId") == id) {
        Some(one) => show_one(arguments.output, one),
        None => Err(Failure::new(
            Exit::NotFound,
            format!("there is no subscription {id}"),
            "neither your applications nor the APIs that you publish have it",
            "portcullis subscription list",
        )),
    }
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let application = app::find(&remote.client, &arguments.application).await?;
    let api = id_of_developer(&remote.client, &arguments.api).await?;
    let application = &application["applicationId"];
    let body = json!({"apiId": api, "applicationId": application, "throttlingPolicy": arguments.plan});
    if arguments.dry_run {
        return show_dry_run(&Method::POST, OF_DEVELOPERS, &body);
    }
    let made = send(&remote.client, Method::POST, OF_DEVELOPERS, &body).await?;
    show_one(arguments.output, &made)?;
    if text(&made, "status") == "ON_HOLD" {
        output::say("it waits for approval: portcullis task list");
    }
    Ok(())
}

async fn set_state(arguments: &ChangeArguments, verb: &str) -> Result<(), Failure> {
    let path = format!("{OF_PUBLISHERS}/{verb}subscriptionId={}", encoded(&arguments.id));
    if arguments.dry_run {
        return show_dry_run(&Method::POST, &path, &Value::Null);
    }
    let remote = arguments.remote.connect().await?;
    let changed = send(&remote.client, Method::POST, &path, &json!({})).await?;
    let status = text(&changed, "subscriptionStatus").to_lowercase();
    output::say(&format!("subscription {} is {status}", arguments.id));
    Ok(())
}

async fn delete(arguments: &DeleteArguments) -> Result<(), Failure> {
    let id = &arguments.change.id;
    let path = format!("{OF_DEVELOPERS}/{}", encoded(id));
    if arguments.change.dry_run {
        return show_dry_run(&Method::DELETE, &path, &Value::Null);
    }
    let remote = arguments.change.remote.connect().await?;
    confirm("subscription", id, arguments.yes)?;
    let reply = remote.client.delete(&path).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    output::say(&format!("subscription {id} is deleted"));
    Ok(())
}

/// Returns the id of an API or product as publishers name it.
async fn id_of_publisher(client: &Client, named: &str) -> Result<String, Failure> {
    let found = match published::find(client, Kind::Api, named).await {
        Err(failure) if failure.exit == Exit::NotFound => {
            published::find(client, Kind::Product, named).await.map_err(|_| failure)?
        }
        other => other?,
    };
    Ok(encoded(text(&found, "id")))
}

/// Returns the id of an API or product as the Store has it.
async fn id_of_developer(client: &Client, named: &str) -> Result<String, Failure> {
    let found = published::find_at(client, "/api/am/devportal/v3/apis", named).await?;
    match found.as_slice() {
        [one] => Ok(text(one, "id").to_owned()),
        [] => Err(Failure::new(
            Exit::NotFound,
            format!("there is no API {named} in the Store"),
            "none that is published has that name, name and version, context with version, or id",
            "portcullis api list     shows those of publishers; portcullis api publish puts one into the Store",
        )),
        several => Err(published::several(named, several, "portcullis subscription create")),
    }
}
