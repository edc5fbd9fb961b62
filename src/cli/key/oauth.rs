//! `portcullis key oauth`: the consumer keys and secrets by which your applications get access tokens.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::api_key::{APPLICATIONS, Kind, ListArguments, application};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{Remote, RemoteArguments, of_client};
use crate::request::{confirm, say_unreached, send, show_dry_run};
use crate::{duration, listing, published};

const COLUMNS: [&str; 5] = ["keyType", "consumerKey", "supportedGrantTypes", "callbackUrl", "keyManager"];

/// What to do with consumer keys.
#[derive(Debug, Subcommand)]
pub enum OauthCommand {
    /// Make an application's key and secret, which are shown.
    Generate(GenerateArguments),
    /// List the keys of an application, without the secrets.
    List(ListArguments),
    /// Get an access token for the application itself, on standard output.
    Token(TokenArguments),
    /// Make a new secret: the old one gets no more tokens when the command returns.
    RegenerateSecret(ChangeArguments),
    /// Delete a key. Its tokens are not accepted any more by gateways that answer when the command returns.
    Delete(ChangeArguments),
}

/// Which key.
#[derive(Debug, Args)]
pub struct Which {
    /// The application: its name or id.
    #[arg(value_name = "APPLICATION")]
    application: String,
    /// For production or sandbox.
    #[arg(long, value_enum, default_value = "production", value_name = "KIND")]
    kind: Kind,
}

/// Arguments of `key oauth generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key oauth generate Phone
  portcullis key oauth generate Phone --grant authorization_code --grant refresh_token --callback https://phone.example/done
  curl -H \"Authorization: Bearer $(portcullis key oauth token Phone)\" http://127.0.0.1:8280/pizza/1.0.0/menu")]
pub struct GenerateArguments {
    #[command(flatten)]
    which: Which,
    /// A grant by which tokens may be got. Can be given again.
    #[arg(long, value_name = "GRANT", default_values = ["client_credentials", "password", "refresh_token"])]
    grant: Vec<String>,
    /// Where users are sent back to; needed with authorization_code.
    #[arg(long, value_name = "URL", default_value = "")]
    callback: String,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what was made.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `key oauth token`.
#[derive(Debug, Args)]
pub struct TokenArguments {
    #[command(flatten)]
    which: Which,
    /// A scope that it is to have. Can be given again.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// How long it lives, as 90s or 24h; as the server has it where it is not given.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    valid_for: Option<std::time::Duration>,
    /// The form of the answer: table and name show the token alone.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `key oauth regenerate-secret` and `delete`.
#[derive(Debug, Args)]
pub struct ChangeArguments {
    #[command(flatten)]
    which: Which,
    /// Do not ask.
    #[arg(long, short)]
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
pub async fn run(command: &OauthCommand) -> Result<(), Failure> {
    match command {
        OauthCommand::Generate(arguments) => generate(arguments).await,
        OauthCommand::List(arguments) => list(arguments).await,
        OauthCommand::Token(arguments) => token(arguments).await,
        OauthCommand::RegenerateSecret(arguments) => regenerate(arguments).await,
        OauthCommand::Delete(arguments) => delete(arguments).await,
    }
}

async fn generate(arguments: &GenerateArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let application = application(&remote, &arguments.which.application).await?;
    let path = format!("{APPLICATIONS}/{application}/generate-keys");
    let body = json!({
        "keyType": arguments.which.kind.as_contract(),
        "grantTypesToBeSupported": arguments.grant,
        "callbackUrl": arguments.callback,
    });
    if arguments.dry_run {
        return show_dry_run(&Method::POST, &path, &body);
    }
    let made = send(&remote.client, Method::POST, &path, &body).await?;
    if made["keyState"] != "APPROVED" && made["keyState"] != "COMPLETED" {
        output::say("it waits for approval: portcullis task list");
    }
    show_secret(arguments.output, &made)
}

/// Shows a key with its secret.
fn show_secret(format: Format, key: &Value) -> Result<(), Failure> {
    match format {
        Format::Json | Format::Yaml => output::value(format, key),
        Format::Name => output::data(published::text(key, "consumerKey")),
        Format::Table => {
            let row = ["consumerKey", "consumerSecret"].map(|name| published::text(key, name).to_owned());
            output::data(&output::table(&["consumer key", "consumer secret"], std::iter::once(row.to_vec())))
        }
    }
}

async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let application = application(&remote, &arguments.application).await?;
    let mut body = keys(&remote, &application).await?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        let next = format!("portcullis key oauth generate {}", arguments.application);
        output::say(&format!("the application has no keys; {next} makes one"));
        return Ok(());
    }
    for key in body["list"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        key.remove("consumerSecret");
        key.remove("token");
    }
    listing::show(arguments.output, &body, &COLUMNS, "consumerKey")
}

async fn token(arguments: &TokenArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let (path, key) = find(&remote, &arguments.which).await?;
    let mut body = json!({"scopes": arguments.scope, "consumerSecret": key["consumerSecret"]});
    if let Some(time) = arguments.valid_for {
        body["validityPeriod"] = json!(time.as_secs());
    }
    let made = send(&remote.client, Method::POST, &format!("{path}/generate-token"), &body).await?;
    match arguments.output {
        Format::Json | Format::Yaml => output::value(arguments.output, &made),
        Format::Table | Format::Name => output::data(published::text(&made, "accessToken")),
    }
}

async fn regenerate(arguments: &ChangeArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let (path, key) = find(&remote, &arguments.which).await?;
    let path = format!("{path}/regenerate-secret");
    if arguments.dry_run {
        return show_dry_run(&Method::POST, &path, &json!({}));
    }
    confirm("secret of", published::text(&key, "consumerKey"), arguments.yes)?;
    let made = send(&remote.client, Method::POST, &path, &json!({})).await?;
    show_secret(arguments.output, &made)
}

async fn delete(arguments: &ChangeArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let (path, key) = find(&remote, &arguments.which).await?;
    if arguments.dry_run {
        return show_dry_run(&Method::DELETE, &path, &Value::Null);
    }
    let name = published::text(&key, "consumerKey");
    confirm("key", name, arguments.yes)?;
    let reply = remote.client.delete(&path).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    let sentence = format!("deleted: no gateway accepts tokens of {name} any more");
    output::done(arguments.output, name, &sentence, &json!({"consumerKey": name, "deleted": true}))
}

async fn keys(remote: &Remote, application: &str) -> Result<Value, Failure> {
    let path = format!("{APPLICATIONS}/{application}/oauth-keys");
    remote.client.get(&path).await.map_err(|fault| of_client(&fault))
}

/// Finds a key; returns its path and the key.
async fn find(remote: &Remote, which: &Which) -> Result<(String, Value), Failure> {
    let application = application(remote, &which.application).await?;
    let all = keys(remote, &application).await?;
    let kind = which.kind.as_contract();
    let found = all["list"].as_array().into_iter().flatten().find(|key| key["keyType"] == kind);
    let key = found.cloned().ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("{} has no key of the type {kind}", which.application),
            "none was made yet, or it was deleted",
            format!("portcullis key oauth generate {} --kind {}", which.application, kind.to_ascii_lowercase()),
        )
    })?;
    Ok((format!("{APPLICATIONS}/{application}/oauth-keys/{}", published::text(&key, "keyMappingId")), key))
}
