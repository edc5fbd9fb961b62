//! `portcullis tenant`: the tenants of the cluster, for administrators of the first one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use portcullis_node::founding;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, RemoteArguments, of_client};
use crate::request::{say_unreached, send, show_dry_run};

const TENANTS: &str = "/api/server/v1/tenants";
const HEADS: [&str; 5] = ["domain", "active", "owner", "created", "id"];

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// List them.
    List(ReadArguments),
    /// Show one.
    Show(ShowArguments),
    /// Create one, with its first administrator. Without --new-password-file a password is made and printed once.
    Create(CreateArguments),
    /// Activate one that was deactivated.
    Enable(DomainArguments),
    /// Deactivate one: no sign-in, no token and no call of its APIs passes any more, on any node. Nothing is lost.
    Disable(DomainArguments),
}

/// Arguments of `tenant show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The domain.
    #[arg(value_name = "DOMAIN")]
    domain: String,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `tenant create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis tenant create example.com --admin ann --email ann@example.com
  PORTCULLIS_USER=ann@example.com portcullis user list")]
pub struct CreateArguments {
    /// The domain.
    #[arg(value_name = "DOMAIN")]
    domain: String,
    /// The first administrator's name.
    #[arg(long, value_name = "USER", default_value = "admin")]
    admin: String,
    /// The first administrator's address for e-mail.
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    email: String,
    /// A file whose first line is the first administrator's password.
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `tenant enable` and `tenant disable`.
#[derive(Debug, Args)]
pub struct DomainArguments {
    /// The domain.
    #[arg(value_name = "DOMAIN")]
    domain: String,
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
pub async fn run(command: &TenantCommand) -> Result<(), Failure> {
    match command {
        TenantCommand::List(arguments) => {
            let remote = arguments.remote.connect().await?;
            let path = format!("{TENANTS}?limit=1000");
            let body: Value = remote.client.get(&path).await.map_err(|fault| of_client(&fault))?;
            show(arguments.output, &body)
        }
        TenantCommand::Show(arguments) => {
            let remote = arguments.remote.connect().await?;
            let path = format!("{TENANTS}/domain/{}", checked(&arguments.domain)?);
            show(arguments.output, &remote.client.get(&path).await.map_err(|fault| of_client(&fault))?)
        }
        TenantCommand::Create(arguments) => create(arguments).await,
        TenantCommand::Enable(arguments) => set_active(arguments, true).await,
        TenantCommand::Disable(arguments) => set_active(arguments, false).await,
    }
}

/// Refuses what cannot be a domain, before it becomes part of a path.
fn checked(domain: &str) -> Result<&str, Failure> {
    if !domain.is_empty() && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) {
        return Ok(domain);
    }
    let next = "portcullis tenant list";
    Err(Failure::new(Exit::Usage, format!("{domain:?} is no domain"), "a domain is written as example.com", next))
}

fn show(format: Format, body: &Value) -> Result<(), Failure> {
    let one = std::slice::from_ref(body);
    let tenants = body.get("tenants").and_then(Value::as_array).map_or(one, Vec::as_slice);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    match format {
        Format::Json | Format::Yaml => output::value(format, body),
        Format::Name => {
            let names: Vec<String> = tenants.iter().map(|tenant| text(&tenant["domain"])).collect();
            output::data(&names.join("\n"))
        }
        Format::Table => {
            let row = |tenant: &Value| {
                let is_active = if tenant["lifecycleStatus"]["activated"] == true { "yes" } else { "no" };
                let (owner, created) = (text(&tenant["owners"][0]["username"]), text(&tenant["createdDate"]));
                vec![text(&tenant["domain"]), is_active.to_owned(), owner, created, text(&tenant["id"])]
            };
            output::data(&output::table(&HEADS, tenants.iter().map(row)))
        }
    }
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let given = arguments.new_password_file.as_ref().map(|file| files::read_secret(file)).transpose()?;
    let password = given.clone().unwrap_or_else(founding::new_password);
    let owner = |password: &str| json!({"username": arguments.admin, "password": password, "email": arguments.email, "provisioningMethod": "inline-password"});
    let body = |password: &str| json!({"domain": arguments.domain, "owners": [owner(password)]});
    if arguments.dry_run {
        return show_dry_run(&Method::POST, TENANTS, &body("…"));
    }
    let remote = arguments.remote.connect().await?;
    show(arguments.output, &send(&remote.client, Method::POST, TENANTS, &body(&password)).await?)?;
    let name = format!("{}@{}", arguments.admin, arguments.domain);
    if given.is_none() {
        output::tell(&format!("the password of {name} is {password} and is not shown again"));
    }
    output::say(&format!("its users sign in as USER@{}, such as {name}", arguments.domain));
    Ok(())
}

async fn set_active(arguments: &DomainArguments, is_active: bool) -> Result<(), Failure> {
    let path = format!("{TENANTS}/{}/lifecycle-status", checked(&arguments.domain)?);
    let body = json!({"activated": is_active});
    if arguments.dry_run {
        return show_dry_run(&Method::PUT, &path, &body);
    }
    let remote = arguments.remote.connect().await?;
    let reply = remote.client.send_json(Method::PUT, &path, &body).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    let sentence = if is_active {
        format!("{} is active", arguments.domain)
    } else {
        format!(
            "{} is not active any more; to undo it: portcullis tenant enable {}",
            arguments.domain, arguments.domain
        )
    };
    let whole = json!({"domain": arguments.domain, "activated": is_active});
    output::done(arguments.output, &arguments.domain, &sentence, &whole)
}
