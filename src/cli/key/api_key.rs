//! `portcullis key api-key`: issued, listed and revoked for your applications.

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{Remote, RemoteArguments, of_client};
use crate::request::{confirm, say_unreached, send, show_dry_run};
use crate::{duration, listing};

pub(super) const APPLICATIONS: &str = "/api/am/devportal/v3/applications";
const OWN: &str = "/api/portcullis/v1/applications";
const COLUMNS: [&str; 7] = ["keyId", "name", "keyType", "form", "permittedIp", "permittedReferer", "expiresAt"];

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Issue a key. It is shown once, on standard output.
    Issue(IssueArguments),
    /// List the keys of an application, without the keys themselves.
    List(ListArguments),
    /// Revoke a key. No gateway that answers accepts it when the command returns.
    Revoke(RevokeArguments),
}

/// For production or sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Calls go to the production endpoint.
    Production,
    /// Calls go to the sandbox endpoint.
    Sandbox,
}

impl Kind {
    /// Returns how the contracts call it.
    pub(super) fn as_contract(self) -> &'static str {
        match self {
            Self::Production => "PRODUCTION",
            Self::Sandbox => "SANDBOX",
        }
    }
}

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A signed JSON Web Token that says whose it is.
    Jwt,
    /// A random text.
    Opaque,
}

/// Arguments of `api-key issue`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key api-key issue Phone                                     a key that never ends
  portcullis key api-key issue Phone --valid-for 30d --permit-ip 10.0.0.0/8 --permit-ip 2001:db8::/32
  portcullis key api-key issue Phone --permit-referer 'https://shop.example/*' --form opaque
  curl -H \"ApiKey: $(portcullis key api-key issue Phone)\" http://127.0.0.1:8280/pizza/1.0.0/menu")]
pub struct IssueArguments {
    /// The application: its name or id.
    #[arg(value_name = "APPLICATION")]
    application: String,
    /// For production or sandbox.
    #[arg(long, value_enum, default_value = "production", value_name = "KIND")]
    kind: Kind,
    /// What it is made of.
    #[arg(long, value_enum, default_value = "jwt", value_name = "FORM")]
    form: Form,
    /// What people call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long it lives, as 24h or 30d; for ever where it is not given.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    valid_for: Option<std::time::Duration>,
    /// An address or network (10.0.0.0/8, 2001:db8::/32) from which alone it may be used. Can be given again.
    #[arg(long, value_name = "NETWORK")]
    permit_ip: Vec<String>,
    /// A page (with * for any text) from which alone it may be used. Can be given again.
    #[arg(long, value_name = "PATTERN")]
    permit_referer: Vec<String>,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of the answer: table and name show the key alone.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `api-key list`, and of `oauth list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// The application: its name or id.
    #[arg(value_name = "APPLICATION")]
    pub(super) application: String,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub(super) output: Format,
    #[command(flatten)]
    pub(super) remote: RemoteArguments,
}

/// Arguments of `api-key revoke`.
#[derive(Debug, Args)]
pub struct RevokeArguments {
    /// The application: its name or id.
    #[arg(value_name = "APPLICATION")]
    application: String,
    /// The key's id, as api-key list shows it.
    #[arg(value_name = "ID")]
    id: String,
    /// Revoke without asking.
    #[arg(long)]
    yes: bool,
    /// Show what would be sent, and change nothing.
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
pub async fn run(command: &ApiKeyCommand) -> Result<(), Failure> {
    match command {
        ApiKeyCommand::Issue(arguments) => issue(arguments).await,
        ApiKeyCommand::List(arguments) => list(arguments).await,
        ApiKeyCommand::Revoke(arguments) => revoke(arguments).await,
    }
}

async fn issue(arguments: &IssueArguments) -> Result<(), Failure> {
    let form = match arguments.form {
        Form::Jwt => "jwt",
        Form::Opaque => "opaque",
    };
    let body = json!({
        "validityPeriod": arguments.valid_for.map_or(json!(-1), |time| json!(time.as_secs())),
        "additionalProperties": {
            "permittedIP": arguments.permit_ip,
            "permittedReferer": arguments.permit_referer,
            "keyName": arguments.name,
            "keyForm": form,
        },
    });
    let remote = arguments.remote.connect().await?;
    let application = application(&remote, &arguments.application).await?;
    let kind = arguments.kind.as_contract();
    let path = format!("{APPLICATIONS}/{application}/api-keys/{kind}/generate");
    if arguments.dry_run {
        return show_dry_run(&Method::POST, &path, &body);
    }
    let issued = send(&remote.client, Method::POST, &path, &body).await?;
    let id = issued["keyId"].as_str().unwrap_or_default();
    output::say(&format!(
        "this is the only time that the key is shown; to revoke it: portcullis key api-key revoke {application} {id}"
    ));
    match arguments.output {
        Format::Json | Format::Yaml => output::value(arguments.output, &issued),
        Format::Table | Format::Name => output::data(issued["apikey"].as_str().unwrap_or_default()),
    }
}

async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let application = application(&remote, &arguments.application).await?;
    let path = format!("{OWN}/{application}/api-keys");
    let body: Value = remote.client.get(&path).await.map_err(|fault| of_client(&fault))?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        let next = format!("portcullis key api-key issue {}", arguments.application);
        output::say(&format!("the application has no API keys; {next} makes one"));
        return Ok(());
    }
    listing::show(arguments.output, &body, &COLUMNS, "keyId")
}

async fn revoke(arguments: &RevokeArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let application = application(&remote, &arguments.application).await?;
    let path = format!("{OWN}/{application}/api-keys/{}", arguments.id);
    if arguments.dry_run {
        return show_dry_run(&Method::DELETE, &path, &Value::Null);
    }
    confirm("API key", &arguments.id, arguments.yes)?;
    let reply = remote.client.delete(&path).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    let sentence = format!("revoked: no gateway accepts API key {} any more", arguments.id);
    output::done(arguments.output, &arguments.id, &sentence, &json!({"keyId": arguments.id, "revoked": true}))
}

/// Returns the id of an application that is named by its name or its id.
pub(super) async fn application(remote: &Remote, named: &str) -> Result<String, Failure> {
    let found = crate::app::find(&remote.client, named).await?;
    Ok(found["applicationId"].as_str().unwrap_or_default().to_owned())
}
