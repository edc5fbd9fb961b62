//! What `portcullis api` and `portcullis product` do alike: show one, deploy it, lead it through its life, delete it.

use clap::{Args, Subcommand};
use http::Method;
use portcullis_http::client::Client;
use portcullis_http::percent::encoded;
use portcullis_model::Lifecycle;
use portcullis_model::api::versioned_context;
use portcullis_model::lifecycle::LifecycleAction;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};
use crate::request::{confirm, say_unreached, send, show_dry_run};

/// Objects of one page of a list.
const PAGE: usize = 1_000;
/// Pages of one list.
const PAGES_MAX: usize = 100;

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An API.
    Api,
    /// A product.
    Product,
}

impl Kind {
    /// Returns where the Publisher has them.
    pub fn path(self) -> &'static str {
        match self {
            Self::Api => "/api/am/publisher/v4/apis",
            Self::Product => "/api/am/publisher/v4/api-products",
        }
    }

    /// Returns the word by which people call it.
    fn word(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Product => "product",
        }
    }

    /// Returns the word by which the command line calls it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Product => "product",
        }
    }

    /// Returns the field with its state of life.
    fn state(self) -> &'static str {
        match self {
            Self::Api => "lifeCycleStatus",
            Self::Product => "state",
        }
    }

    fn columns(self) -> [&'static str; 6] {
        ["id", "name", "version", "context", self.state(), "provider"]
    }

    fn id_parameter(self) -> &'static str {
        match self {
            Self::Api => "apiId",
            Self::Product => "apiProductId",
        }
    }
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Its name, its name and version (pizza:1.0.0), its context with the version (/pizza/1.0.0), or its id.
    #[arg(value_name = "NAME")]
    published: String,
    /// The form; a table has its main fields.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `publish`, `deprecate`, `block` and `retire`.
#[derive(Debug, Args)]
pub struct LifeArguments {
    /// Its name, its name and version (pizza:1.0.0), its context with the version (/pizza/1.0.0), or its id.
    #[arg(value_name = "NAME")]
    published: String,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `deploy`.
#[derive(Debug, Args)]
pub struct DeployArguments {
    /// Its name, its name and version (pizza:1.0.0), its context with the version (/pizza/1.0.0), or its id.
    #[arg(value_name = "NAME")]
    published: String,
    /// The environment. Can be given again.
    #[arg(long, value_name = "ENVIRONMENT", default_value = "Default")]
    environment: Vec<String>,
    /// The virtual host; the environment's first where nothing is said.
    #[arg(long, value_name = "HOST")]
    vhost: Option<String>,
    /// What the revision is for.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// Its name, its name and version (pizza:1.0.0), its context with the version (/pizza/1.0.0), or its id.
    #[arg(value_name = "NAME")]
    published: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Show what would be deleted, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// The steps of the life of what is published, from its first deployment on.
#[derive(Debug, Subcommand)]
pub enum LifeCommand {
    /// Make a revision of one and deploy it. In force on every node that answers when the command returns.
    Deploy(DeployArguments),
    /// Put one into the Store; also one that was blocked.
    Publish(LifeArguments),
    /// Announce the end of one: those that subscribe to it go on, and nobody else begins.
    Deprecate(LifeArguments),
    /// Turn all calls of one away for a time; publish ends that.
    Block(LifeArguments),
    /// End one for good.
    Retire(LifeArguments),
    /// Delete one to which nobody subscribes.
    Delete(DeleteArguments),
}

/// Leads what is published through its life.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(kind: Kind, command: &LifeCommand) -> Result<(), Failure> {
    match command {
        LifeCommand::Deploy(arguments) => deploy(kind, arguments).await,
        LifeCommand::Publish(arguments) => lead(kind, LifecycleAction::Publish, arguments).await,
        LifeCommand::Deprecate(arguments) => lead(kind, LifecycleAction::Deprecate, arguments).await,
        LifeCommand::Block(arguments) => lead(kind, LifecycleAction::Block, arguments).await,
        LifeCommand::Retire(arguments) => lead(kind, LifecycleAction::Retire, arguments).await,
        LifeCommand::Delete(arguments) => delete(kind, arguments).await,
    }
}

/// Shows a list of them.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn list(kind: Kind, limit: u32, format: Format, remote: &RemoteArguments) -> Result<(), Failure> {
    let remote = remote.connect().await?;
    let body: Value = get(&remote.client, &format!("{}?limit={limit}", kind.path())).await?;
    if listing::is_empty(&body) && format == Format::Table {
        let noun = if kind == Kind::Api { "APIs" } else { "products" };
        output::say(&format!("there are no {noun} yet; portcullis {} create makes one", kind.noun()));
        return Ok(());
    }
    listing::show(format, &body, &kind.columns(), "id")
}

/// Shows one.
///
/// # Errors
/// Where there is none, or the server cannot be reached.
pub async fn show(kind: Kind, arguments: &ShowArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let found = find(&remote.client, kind, &arguments.published).await?;
    let body = get(&remote.client, &format!("{}/{}", kind.path(), text(&found, "id"))).await?;
    show_one(kind, arguments.output, &body)
}

/// Shows what the server says of one.
///
/// # Errors
/// Where standard output cannot be written.
pub fn show_one(kind: Kind, format: Format, body: &Value) -> Result<(), Failure> {
    match format {
        Format::Json | Format::Yaml => output::value(format, body),
        Format::Table | Format::Name => listing::show(format, &json!({ "list": [body] }), &kind.columns(), "id"),
    }
}

/// Leads one through its life. What is blocked is published again by `publish`.
///
/// # Errors
/// Where nothing leads there from its state, or the server refuses or cannot be reached.
async fn lead(kind: Kind, action: LifecycleAction, arguments: &LifeArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let found = find(&remote.client, kind, &arguments.published).await?;
    let is_blocked = text(&found, kind.state()).parse() == Ok(Lifecycle::Blocked);
    let action = match action {
        LifecycleAction::Publish if is_blocked => LifecycleAction::RePublish,
        other => other,
    };
    let action = encoded(action.as_contract());
    let path =
        format!("{}/change-lifecycle?action={action}&{}={}", kind.path(), kind.id_parameter(), text(&found, "id"));
    if arguments.dry_run {
        return show_dry_run(&Method::POST, &path, &Value::Null);
    }
    let changed = send(&remote.client, Method::POST, &path, &json!({})).await?;
    if changed["workflowStatus"] == "CREATED" {
        output::say(&format!("{} waits for approval: portcullis task list", title(&found)));
        return Ok(());
    }
    let state = changed["lifecycleState"]["state"].as_str().unwrap_or("in its new state").to_lowercase();
    output::say(&format!("{} is {state}", title(&found)));
    Ok(())
}

/// Makes a revision of one and deploys it.
///
/// # Errors
/// Where there are as many revisions as there may be, or the server refuses or cannot be reached.
async fn deploy(kind: Kind, arguments: &DeployArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let found = find(&remote.client, kind, &arguments.published).await?;
    let at = format!("{}/{}", kind.path(), text(&found, "id"));
    let place = |name: &String| match &arguments.vhost {
        Some(host) => json!({"name": name, "vhost": host, "displayOnDevportal": true}),
        None => json!({"name": name, "displayOnDevportal": true}),
    };
    let places: Value = arguments.environment.iter().map(place).collect();
    if arguments.dry_run {
        show_dry_run(&Method::POST, &format!("{at}/revisions"), &json!({"description": arguments.description}))?;
        return show_dry_run(&Method::POST, &format!("{at}/deploy-revision?revisionId=…"), &places);
    }
    let body = json!({"description": arguments.description});
    let revision = send(&remote.client, Method::POST, &format!("{at}/revisions"), &body).await?;
    let to = format!("{at}/deploy-revision?revisionId={}", encoded(text(&revision, "id")));
    send(&remote.client, Method::POST, &to, &places).await?;
    let where_to = arguments.environment.join(", ");
    output::say(&format!("{} is deployed to {where_to} as {}", title(&found), text(&revision, "displayName")));
    Ok(())
}

/// Deletes one.
///
/// # Errors
/// Where it is in use, or the server refuses or cannot be reached.
async fn delete(kind: Kind, arguments: &DeleteArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let found = find(&remote.client, kind, &arguments.published).await?;
    let path = format!("{}/{}", kind.path(), text(&found, "id"));
    if arguments.dry_run {
        return show_dry_run(&Method::DELETE, &path, &Value::Null);
    }
    let name = title(&found);
    confirm(kind.word(), &name, arguments.yes)?;
    let reply = remote.client.delete(&path).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    output::say(&format!("{name} is deleted"));
    Ok(())
}

/// Finds one by its name, its name and version, its context with the version, or its id.
///
/// # Errors
/// Where there is none, or several have the name.
pub async fn find(client: &Client, kind: Kind, named: &str) -> Result<Value, Failure> {
    let found = find_at(client, kind.path(), named).await?;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::new(
            Exit::NotFound,
            format!("there is no {} {named}", kind.word()),
            "none has that name, name and version, context with version, or id",
            format!("portcullis {} list", kind.noun()),
        )),
        several => Err(self::several(named, several, &format!("portcullis {} show", kind.noun()))),
    }
}

/// Finds those of a list that have a name.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn find_at(client: &Client, path: &str, named: &str) -> Result<Vec<Value>, Failure> {
    for query in queries(named) {
        let mut found = all(client, &format!("{path}?{query}")).await?;
        found.retain(|one| is_named(one, named));
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Says that a name is not enough; `command` is one that takes a name.
pub fn several(named: &str, several: &[Value], command: &str) -> Failure {
    let names: Vec<String> = several.iter().map(title).collect();
    let next = format!("{command} {}", names.first().map_or("", String::as_str));
    Failure::new(
        Exit::Failed,
        format!("several have the name {named}"),
        format!("there are {}", names.join(", ")),
        next,
    )
}

/// Returns the queries that may find it, the quickest first.
fn queries(named: &str) -> Vec<String> {
    if named.starts_with('/') || named.len() == 36 {
        return vec!["query=".to_owned()];
    }
    let of_name = |name: &str| format!("query={}", encoded(&format!("name:\"{name}\"")));
    let before_version = named.rsplit_once(':').map(|(name, _)| of_name(name));
    std::iter::once(of_name(named)).chain(before_version).collect()
}

fn is_named(one: &Value, named: &str) -> bool {
    let (name, version) = (text(one, "name"), text(one, "version"));
    name == named
        || text(one, "id") == named
        || named.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')) == Some(version)
        || versioned_context(text(one, "context"), version) == named
}

/// Reads all of a list.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn all(client: &Client, path: &str) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    let joint = if path.contains('?') { '&' } else { '?' };
    for page in 0..PAGES_MAX {
        let body = get(client, &format!("{path}{joint}limit={PAGE}&offset={}", page * PAGE)).await?;
        let items = body["list"].as_array().cloned().unwrap_or_default();
        let is_last = items.len() < PAGE;
        all.extend(items);
        if is_last {
            break;
        }
    }
    Ok(all)
}

async fn get(client: &Client, path: &str) -> Result<Value, Failure> {
    client.get(path).await.map_err(|fault| of_client(&fault))
}

/// Returns a text of an object; empty where there is none.
pub fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_default()
}

/// Returns how one is called so that nothing else is: name and version.
pub fn title(one: &Value) -> String {
    format!("{}:{}", text(one, "name"), text(one, "version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_found_by_every_name_that_it_has() {
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let pizza = json!({"id": id, "name": "pizza", "version": "1.0.0", "context": "/pizza"});
        for named in ["pizza", "pizza:1.0.0", "/pizza/1.0.0", id] {
            assert!(is_named(&pizza, named), "{named}");
        }
        for other in ["piz", "pizza:1.0", "pizza:", "/pizza", "pizza1.0.0"] {
            assert!(!is_named(&pizza, other), "{other}");
        }
        assert_eq!(queries("/pizza/1.0.0"), ["query="]);
        assert_eq!(queries("a:1"), ["query=name%3A%22a%3A1%22", "query=name%3A%22a%22"]);
    }
}
