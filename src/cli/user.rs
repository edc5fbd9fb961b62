//! `portcullis user`: the users of the tenant that one signs in to.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use portcullis_node::founding;
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};
use crate::request::{send, show_dry_run};
use crate::scim::{self, Deletion, USERS};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const HEADS: [&str; 5] = ["user", "name", "email", "active", "roles"];

/// What to do with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List them.
    List(ListArguments),
    /// Show one.
    Show(ShowArguments),
    /// Create one. Without --new-password-file a password is made and printed once.
    Create(CreateArguments),
    /// Change one.
    Update(UpdateArguments),
    /// Let one sign in again.
    Enable(NameArguments),
    /// Lock one out: neither password nor tokens are accepted any more, on any node.
    Disable(NameArguments),
    /// Make a code with which a user who lost the password sets a new one, once.
    ResetPassword(NameArguments),
    /// Delete one. Their applications stay.
    Delete(DeleteArguments),
}

/// Arguments of `user list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis user list
  portcullis user list --filter 'emails co \"@example.com\" and active eq true' -o name")]
pub struct ListArguments {
    /// Only those that fulfil a filter of SCIM (RFC 7644).
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `user show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The user's name.
    #[arg(value_name = "USER")]
    name: String,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// What can be said of a user.
#[derive(Debug, Args)]
pub struct Facts {
    /// A file whose first line is the user's new password.
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
    /// The address for e-mail.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The given name.
    #[arg(long, value_name = "NAME")]
    given_name: Option<String>,
    /// The family name.
    #[arg(long, value_name = "NAME")]
    family_name: Option<String>,
    /// The name to show.
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// The number of the mobile.
    #[arg(long, value_name = "NUMBER")]
    mobile: Option<String>,
    /// The organisation.
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
}

/// Arguments of `user create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis user create ann --role Internal/publisher --email ann@example.com
  portcullis user create bob@example.com --new-password-file bob.txt")]
pub struct CreateArguments {
    /// The name to sign in with.
    #[arg(value_name = "USER")]
    name: String,
    /// A role to hold; may be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    #[command(flatten)]
    facts: Facts,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `user update`.
#[derive(Debug, Args)]
pub struct UpdateArguments {
    /// The user's name.
    #[arg(value_name = "USER")]
    name: String,
    #[command(flatten)]
    facts: Facts,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of commands that need no more than a name.
#[derive(Debug, Args)]
pub struct NameArguments {
    /// The user's name.
    #[arg(value_name = "USER")]
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

/// Arguments of `user delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// The user's name.
    #[arg(value_name = "USER")]
    name: String,
    #[command(flatten)]
    how: Deletion,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::List(arguments) => list(arguments).await,
        UserCommand::Show(arguments) => {
            let remote = arguments.remote.connect().await?;
            show(arguments.output, &scim::find(&remote.client, USERS, &arguments.name).await?)
        }
        UserCommand::Create(arguments) => create(arguments).await,
        UserCommand::Update(arguments) => update(arguments).await,
        UserCommand::Enable(arguments) => set_active(arguments, true).await,
        UserCommand::Disable(arguments) => set_active(arguments, false).await,
        UserCommand::ResetPassword(arguments) => reset_password(arguments).await,
        UserCommand::Delete(arguments) => scim::delete(USERS, &arguments.name, &arguments.how).await,
    }
}

fn show(format: Format, body: &Value) -> Result<(), Failure> {
    scim::show(format, body, &HEADS, |user| {
        let name = match &user["displayName"] {
            Value::String(name) => name.clone(),
            _ => {
                let parts = ["givenName", "familyName"].map(|part| user["name"][part].as_str().unwrap_or_default());
                let whole = parts.join(" ").trim().to_owned();
                if whole.is_empty() { "-".to_owned() } else { whole }
            }
        };
        let is_active = if user["active"] == true { "yes" } else { "no" };
        let (email, roles) = (scim::joined(&user["emails"], "value"), scim::joined(&user["roles"], "display"));
        vec![scim::text(&user["userName"]), name, email, is_active.to_owned(), roles]
    })
}

async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let filter = arguments.filter.as_ref().map(|filter| format!("&filter={}", scim::encoded(filter)));
    let path = format!("{USERS}?count={}{}", arguments.limit, filter.unwrap_or_default());
    let body: Value = remote.client.get(&path).await.map_err(|fault| of_client(&fault))?;
    let (total, shown) = (body["totalResults"].as_u64().unwrap_or(0), body["itemsPerPage"].as_u64().unwrap_or(0));
    if total == 0 && arguments.output == Format::Table {
        output::say("no user fulfils the filter; portcullis user list shows all");
        return Ok(());
    }
    show(arguments.output, &body)?;
    if shown < total {
        output::say(&format!("{shown} of {total} users; --limit and --filter show others"));
    }
    Ok(())
}

impl Facts {
    fn is_empty(&self) -> bool {
        let texts =
            [&self.email, &self.given_name, &self.family_name, &self.display_name, &self.mobile, &self.organization];
        self.new_password_file.is_none() && texts.iter().all(|text| text.is_none())
    }

    /// Returns the facts as attributes of SCIM.
    fn document(&self) -> Result<Map<String, Value>, Failure> {
        let mut document = Map::new();
        if let Some(file) = &self.new_password_file {
            document.insert("password".to_owned(), json!(files::read_secret(file)?));
        }
        let mut name = Map::new();
        scim::put(&mut name, "givenName", self.given_name.as_ref());
        scim::put(&mut name, "familyName", self.family_name.as_ref());
        if !name.is_empty() {
            document.insert("name".to_owned(), name.into());
        }
        scim::put(&mut document, "displayName", self.display_name.as_ref());
        if let Some(email) = &self.email {
            document.insert("emails".to_owned(), json!([{"value": email, "primary": true}]));
        }
        if let Some(mobile) = &self.mobile {
            document.insert("phoneNumbers".to_owned(), json!([{"type": "mobile", "value": mobile}]));
        }
        if let Some(organization) = &self.organization {
            document.insert(ENTERPRISE.to_owned(), json!({"organization": organization}));
        }
        Ok(document)
    }
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let mut document = arguments.facts.document()?;
    document.insert("userName".to_owned(), json!(arguments.name));
    let made_password = (!document.contains_key("password")).then(founding::new_password);
    if let Some(password) = &made_password {
        document.insert("password".to_owned(), json!(password));
    }
    if arguments.dry_run {
        document.insert("password".to_owned(), json!("…"));
        return show_dry_run(&Method::POST, USERS, &Value::Object(document));
    }
    let remote = arguments.remote.connect().await?;
    // A role that does not exist is told before there is half a user.
    for role in &arguments.roles {
        scim::find(&remote.client, scim::ROLES, role).await?;
    }
    send(&remote.client, Method::POST, USERS, &Value::Object(document)).await?;
    for role in &arguments.roles {
        scim::change_holders(&remote.client, role, std::slice::from_ref(&arguments.name), true).await?;
    }
    show(arguments.output, &scim::find(&remote.client, USERS, &arguments.name).await?)?;
    if let Some(password) = made_password {
        output::tell(&format!("the password of {} is {password} and is not shown again", arguments.name));
    }
    Ok(())
}

async fn update(arguments: &UpdateArguments) -> Result<(), Failure> {
    if arguments.facts.is_empty() {
        let next = format!("portcullis user update {} --email ann@example.com", arguments.name);
        return Err(Failure::new(Exit::Usage, "nothing is to be changed", "no option says what", next));
    }
    let document = arguments.facts.document()?;
    let operations: Vec<Value> =
        document.iter().map(|(name, value)| json!({"op": "replace", "value": {name: value}})).collect();
    let body = scim::patch(&operations);
    let remote = arguments.remote.connect().await?;
    let user = scim::find(&remote.client, USERS, &arguments.name).await?;
    let path = scim::path_of(USERS, &user);
    if arguments.dry_run {
        let mut shown = document;
        if shown.contains_key("password") {
            shown.insert("password".to_owned(), json!("…"));
        }
        return show_dry_run(&Method::PATCH, &path, &Value::Object(shown));
    }
    show(arguments.output, &send(&remote.client, Method::PATCH, &path, &body).await?)
}

async fn set_active(arguments: &NameArguments, is_active: bool) -> Result<(), Failure> {
    let body = scim::patch(&[json!({"op": "replace", "path": "active", "value": is_active})]);
    let remote = arguments.remote.connect().await?;
    let user = scim::find(&remote.client, USERS, &arguments.name).await?;
    let path = scim::path_of(USERS, &user);
    if arguments.dry_run {
        return show_dry_run(&Method::PATCH, &path, &body);
    }
    let changed = send(&remote.client, Method::PATCH, &path, &body).await?;
    let sentence = if is_active {
        format!("{} may sign in", arguments.name)
    } else {
        format!("{} is locked out; to undo it: portcullis user enable {}", arguments.name, arguments.name)
    };
    output::done(arguments.output, &arguments.name, &sentence, &changed)
}

async fn reset_password(arguments: &NameArguments) -> Result<(), Failure> {
    let path = format!("/api/portcullis/v1/users/{}/reset-code", scim::encoded(&arguments.name));
    if arguments.dry_run {
        return show_dry_run(&Method::POST, &path, &Value::Null);
    }
    let remote = arguments.remote.connect().await?;
    let made = send(&remote.client, Method::POST, &path, &json!({})).await?;
    let format = if arguments.output == Format::Table { Format::Name } else { arguments.output };
    output::done(format, made["code"].as_str().unwrap_or_default(), "", &made)?;
    output::say(&format!(
        "hand it to {}; it serves once within {} h:\n  curl {}/api/identity/recovery/v0.9/set-password --json '{{\"key\":\"CODE\",\"password\":\"…\"}}'",
        arguments.name,
        made["lives_s"].as_u64().unwrap_or(0) / 3_600,
        remote.server,
    ));
    Ok(())
}
