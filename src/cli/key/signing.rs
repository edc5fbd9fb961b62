//! `portcullis key signing` and `key jwks`: the keys that sign tokens.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, RemoteArguments, of_client};

const PATH: &str = "/api/portcullis/v1/signing-keys";

/// What to do with signing keys.
#[derive(Debug, Subcommand)]
pub enum SigningCommand {
    /// List the keys that sign, are about to, or have signed.
    List(ReadArguments),
    /// Make a new key that takes the place of the one of its algorithm.
    Rotate(RotateArguments),
    /// Remove a key: nothing that it signed is accepted any more.
    Retire(RetireArguments),
}

/// Arguments of `key signing rotate`.
#[derive(Debug, Args)]
#[command(after_help = "\
The new key is shown to clients at once and signs after the overlap, when they have heard of it. What the key before
signed stays good until it ends; `key signing retire` ends it.

Examples:
  portcullis key signing rotate
  portcullis key signing rotate --algorithm RS256 --overlap 1h
  portcullis key signing rotate --now              the key before may have been stolen: then retire it, too")]
pub struct RotateArguments {
    /// ES256, RS256 or EdDSA; the one that the cluster signs with where it is not given.
    #[arg(long, value_name = "NAME", value_parser = ["ES256", "RS256", "EdDSA"])]
    algorithm: Option<String>,
    /// After how long the new key signs.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    overlap: std::time::Duration,
    /// Have the new key sign at once.
    #[arg(long, conflicts_with = "overlap")]
    now: bool,
    /// The form; the table is the new key's id alone.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `key signing retire`.
#[derive(Debug, Args)]
pub struct RetireArguments {
    /// The key's id (kid).
    #[arg(value_name = "ID")]
    id: String,
    /// Retire it though it signs: all tokens that it signed end now, and the next token makes a new key.
    #[arg(long)]
    force: bool,
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
pub async fn run(command: &SigningCommand) -> Result<(), Failure> {
    match command {
        SigningCommand::List(arguments) => list(arguments).await,
        SigningCommand::Rotate(arguments) => rotate(arguments).await,
        SigningCommand::Retire(arguments) => retire(arguments).await,
    }
}

async fn list(arguments: &ReadArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body: Value = remote.client.get(PATH).await.map_err(|fault| of_client(&fault))?;
    let rows = body.get("list").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |row: &Value, field: &str| row.get(field).and_then(Value::as_str).unwrap_or("-").to_owned();
    match arguments.output {
        Format::Table => {
            let fields = ["id", "algorithm", "state", "created_at", "signs_from", "retired_at"];
            let lines = rows.iter().map(|row| fields.iter().map(|field| text(row, field)).collect());
            output::data(&output::table(&["id", "algorithm", "state", "created", "signs from", "retired"], lines))
        }
        Format::Name => output::data(&rows.iter().map(|row| text(row, "id")).collect::<Vec<_>>().join("\n")),
        format => output::value(format, &body),
    }
}

async fn rotate(arguments: &RotateArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let overlap_s = if arguments.now { 0 } else { arguments.overlap.as_secs() };
    let body = json!({ "algorithm": arguments.algorithm, "overlap_s": overlap_s });
    let made: Value = remote.client.post(PATH, &body).await.map_err(|fault| of_client(&fault))?;
    let text = |field: &str| made.get(field).and_then(Value::as_str).unwrap_or("?").to_owned();
    let from = if overlap_s == 0 { "from now on".to_owned() } else { format!("in {overlap_s} s") };
    output::say(&format!("key {} ({}) is made and signs {from}", text("id"), text("algorithm")));
    output::say("next: portcullis key signing list");
    let format = if arguments.output == Format::Table { Format::Name } else { arguments.output };
    output::done(format, text("id"), "", &made)
}

async fn retire(arguments: &RetireArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let path = format!("{PATH}/{}?force={}", arguments.id, arguments.force);
    remote.client.delete(&path).await.map_err(|fault| of_client(&fault))?;
    let sentence = format!("key {} is gone, and with it what it signed", arguments.id);
    output::done(arguments.output, &arguments.id, &sentence, &json!({"id": arguments.id, "retired": true}))?;
    output::say("next: portcullis key signing list");
    Ok(())
}

/// Shows the public keys.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn jwks(arguments: &ReadArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body: Value = remote.client.get("/oauth2/jwks").await.map_err(|fault| of_client(&fault))?;
    let format = if arguments.output == Format::Table { Format::Json } else { arguments.output };
    output::value(format, &body)
}
