//! `portcullis policy deny`: who is turned away.

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, RemoteArguments, of_client};
use crate::request::{confirm, say_unreached, send, show_dry_run};

const LIST: &str = "/api/am/admin/v4/throttling/deny-policies";
const ONE: &str = "/api/am/admin/v4/throttling/deny-policy";
const COLUMNS: [&str; 5] = ["conditionId", "conditionType", "conditionValue", "conditionStatus", "expiresAt"];

/// What to do with deny policies.
#[derive(Debug, Subcommand)]
pub enum DenyCommand {
    /// List them.
    List(ReadArguments),
    /// Show one.
    Show(ShowArguments),
    /// Turn somebody away. In force on every node that answers when the command returns.
    Create(CreateArguments),
    /// Switch one on or off, or set when it ends.
    Update(UpdateArguments),
    /// Delete one: its callers are served again.
    Delete(DeleteArguments),
}

/// Whom a deny policy turns away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Whom {
    /// Every call of an API: its context with the version, /pizza/1.0.0.
    Api,
    /// An application: OWNER:NAME.
    Application,
    /// A user.
    User,
    /// An address, or a network as 10.0.0.0/8.
    Ip,
    /// Addresses from one to another: 10.0.0.1-10.0.0.9.
    IpRange,
    /// A tenant: its APIs, and its applications wherever they call.
    Tenant,
}

/// Arguments of `deny show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The deny policy's id.
    #[arg(value_name = "ID")]
    id: String,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `deny create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis policy deny create user mia --expires-at 2027-01-01T00:00:00Z
  portcullis policy deny create ip 192.0.2.0/24
  portcullis policy deny create ip-range 10.0.0.1-10.0.0.9 --invert    turns away everybody else")]
pub struct CreateArguments {
    /// Whom to turn away.
    #[arg(value_enum, value_name = "WHOM")]
    whom: Whom,
    /// Which one.
    #[arg(value_name = "VALUE")]
    value: String,
    /// Turn away every other address instead.
    #[arg(long)]
    invert: bool,
    /// Make it without switching it on.
    #[arg(long)]
    off: bool,
    /// When it ends (RFC 3339); never where it is not given.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `deny update`.
#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["on", "off", "expires_at", "never_expires"])]
pub struct UpdateArguments {
    /// The deny policy's id.
    #[arg(value_name = "ID")]
    id: String,
    /// Switch it on.
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Switch it off.
    #[arg(long)]
    off: bool,
    /// When it ends (RFC 3339).
    #[arg(long, value_name = "TIME", conflicts_with = "never_expires")]
    expires_at: Option<String>,
    /// Let it never end.
    #[arg(long)]
    never_expires: bool,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `deny delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// The deny policy's id.
    #[arg(value_name = "ID")]
    id: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Show what would be deleted, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &DenyCommand) -> Result<(), Failure> {
    match command {
        DenyCommand::List(arguments) => list(arguments).await,
        DenyCommand::Show(arguments) => {
            let remote = arguments.remote.connect().await?;
            let found: Value =
                remote.client.get(&format!("{ONE}/{}", arguments.id)).await.map_err(|fault| of_client(&fault))?;
            show(arguments.output, &found)
        }
        DenyCommand::Create(arguments) => create(arguments).await,
        DenyCommand::Update(arguments) => update(arguments).await,
        DenyCommand::Delete(arguments) => delete(arguments).await,
    }
}

async fn list(arguments: &ReadArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body: Value = remote.client.get(LIST).await.map_err(|fault| of_client(&fault))?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        output::say("nobody is turned away; turn somebody away with portcullis policy deny create");
        return Ok(());
    }
    listing::show(arguments.output, &body, &COLUMNS, "conditionId")
}

fn show(format: Format, policy: &Value) -> Result<(), Failure> {
    match format {
        Format::Json | Format::Yaml => output::value(format, policy),
        Format::Table | Format::Name => listing::show(format, &json!({ "list": [policy] }), &COLUMNS, "conditionId"),
    }
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let value = arguments.value.as_str();
    let (kind, value) = match arguments.whom {
        Whom::Api => ("API", json!(value)),
        Whom::Application => ("APPLICATION", json!(value)),
        Whom::User => ("USER", json!(value)),
        Whom::Tenant => ("TENANT", json!(value)),
        Whom::Ip => ("IP", json!({"fixedIp": value, "invert": arguments.invert})),
        Whom::IpRange => {
            let (from, to) = value.split_once('-').unwrap_or((value, ""));
            ("IPRANGE", json!({"startingIp": from.trim(), "endingIp": to.trim(), "invert": arguments.invert}))
        }
    };
    let mut body = json!({"conditionType": kind, "conditionValue": value, "conditionStatus": !arguments.off});
    if let Some(time) = &arguments.expires_at {
        body["expiresAt"] = json!(time);
    }
    if arguments.dry_run {
        return show_dry_run(&Method::POST, LIST, &body);
    }
    let remote = arguments.remote.connect().await?;
    let made = send(&remote.client, Method::POST, LIST, &body).await?;
    show(arguments.output, &made)?;
    let id = made["conditionId"].as_str().unwrap_or_default();
    output::say(&format!("in force; to end it: portcullis policy deny delete {id}"));
    Ok(())
}

async fn update(arguments: &UpdateArguments) -> Result<(), Failure> {
    let mut body = json!({});
    if arguments.on || arguments.off {
        body["conditionStatus"] = json!(arguments.on);
    }
    if arguments.never_expires {
        body["expiresAt"] = Value::Null;
    }
    if let Some(time) = &arguments.expires_at {
        body["expiresAt"] = json!(time);
    }
    let path = format!("{ONE}/{}", arguments.id);
    if arguments.dry_run {
        return show_dry_run(&Method::PATCH, &path, &body);
    }
    let remote = arguments.remote.connect().await?;
    let made = send(&remote.client, Method::PATCH, &path, &body).await?;
    show(arguments.output, &made)
}

async fn delete(arguments: &DeleteArguments) -> Result<(), Failure> {
    let path = format!("{ONE}/{}", arguments.id);
    if arguments.dry_run {
        return show_dry_run(&Method::DELETE, &path, &Value::Null);
    }
    confirm("deny policy", &arguments.id, arguments.yes)?;
    let remote = arguments.remote.connect().await?;
    let reply = remote.client.delete(&path).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    let sentence = format!("deny policy {} is deleted", arguments.id);
    output::done(arguments.output, &arguments.id, &sentence, &json!({"conditionId": arguments.id, "deleted": true}))
}
