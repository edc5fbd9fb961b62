//! `portcullis role`: the roles of the tenant that one signs in to, and who holds them.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, RemoteArguments, of_client};
use crate::request::{send, show_dry_run};
use crate::scim::{self, Deletion, ROLES};

const HEADS: [&str; 2] = ["role", "held by"];

/// What to do with roles.
#[derive(Debug, Subcommand)]
pub enum RoleCommand {
    /// List them.
    List(ReadArguments),
    /// Show one, and who holds it.
    Show(ShowArguments),
    /// Create one.
    Create(CreateArguments),
    /// Give users a role. In force on every node that answers when the command returns.
    Grant(HolderArguments),
    /// Take a role from users. In force on every node that answers when the command returns.
    Revoke(HolderArguments),
    /// Delete one: nobody holds it any more.
    Delete(DeleteArguments),
}

/// Arguments of `role show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The role.
    #[arg(value_name = "ROLE")]
    name: String,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `role create`.
#[derive(Debug, Args)]
pub struct CreateArguments {
    /// The role.
    #[arg(value_name = "ROLE")]
    name: String,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `role grant` and `role revoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis role grant Internal/publisher ann bob
  portcullis role revoke admin carl")]
pub struct HolderArguments {
    /// The role.
    #[arg(value_name = "ROLE")]
    name: String,
    /// The users.
    #[arg(value_name = "USER", required = true)]
    users: Vec<String>,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `role delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// The role.
    #[arg(value_name = "ROLE")]
    name: String,
    #[command(flatten)]
    how: Deletion,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &RoleCommand) -> Result<(), Failure> {
    match command {
        RoleCommand::List(arguments) => {
            let remote = arguments.remote.connect().await?;
            let path = format!("{ROLES}?count=1000");
            let body: Value = remote.client.get(&path).await.map_err(|fault| of_client(&fault))?;
            show(arguments.output, &body)
        }
        RoleCommand::Show(arguments) => {
            let remote = arguments.remote.connect().await?;
            show(arguments.output, &scim::find(&remote.client, ROLES, &arguments.name).await?)
        }
        RoleCommand::Create(arguments) => create(arguments).await,
        RoleCommand::Grant(arguments) => change(arguments, true).await,
        RoleCommand::Revoke(arguments) => change(arguments, false).await,
        RoleCommand::Delete(arguments) => scim::delete(ROLES, &arguments.name, &arguments.how).await,
    }
}

fn show(format: Format, body: &Value) -> Result<(), Failure> {
    const SHOWN: usize = 8;
    scim::show(format, body, &HEADS, |role| {
        let name = scim::text(&role["displayName"]);
        let members = role["members"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<String> = members.iter().take(SHOWN).map(|member| scim::text(&member["display"])).collect();
        let held = match (members.len(), name.as_str()) {
            (_, "Internal/everyone") => "every user".to_owned(),
            (0, _) => "-".to_owned(),
            (count, _) if count > SHOWN => format!("{} and {} more", names.join(", "), count - SHOWN),
            _ => names.join(", "),
        };
        vec![name, held]
    })
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let body = json!({"displayName": arguments.name});
    if arguments.dry_run {
        return show_dry_run(&Method::POST, ROLES, &body);
    }
    let remote = arguments.remote.connect().await?;
    show(arguments.output, &send(&remote.client, Method::POST, ROLES, &body).await?)?;
    output::say(&format!("to give it to somebody: portcullis role grant {} USER", arguments.name));
    Ok(())
}

async fn change(arguments: &HolderArguments, is_given: bool) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let role = scim::change_holders(&remote.client, &arguments.name, &arguments.users, is_given).await?;
    let (users, verb) = (arguments.users.join(", "), if is_given { "given to" } else { "taken from" });
    output::done(arguments.output, &arguments.name, &format!("{} is {verb} {users}", arguments.name), &role)
}
