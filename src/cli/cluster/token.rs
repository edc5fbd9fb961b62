//! `portcullis cluster token`: makes, lists and revokes tokens with which nodes join.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::duration;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, RemoteArguments, of_client};

/// The path of join tokens.
pub const PATH: &str = "/api/portcullis/v1/cluster/tokens";

/// What to do with join tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it.
    Create(CreateArguments),
    /// List the tokens that may still be used. Their secrets are shown only when they are made.
    List(ReadArguments),
    /// Make a token useless.
    Revoke(RevokeArguments),
}

/// Arguments of `cluster token revoke`.
#[derive(Debug, Args)]
pub struct RevokeArguments {
    /// The token's id (see portcullis cluster token list).
    #[arg(value_name = "ID")]
    id: String,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `cluster token create`.
#[derive(Debug, Args)]
#[command(after_help = "\
The token is a secret: whoever has it can bring a node into the cluster until it is used up or expired.

Example:
  TOKEN=$(portcullis cluster token create)
  portcullis cluster join --data-dir n2 --bind 127.0.0.2 --token \"$TOKEN\"")]
pub struct CreateArguments {
    /// How long the token is good for: a whole number with s, m, h or d.
    #[arg(long, default_value = "24h", value_parser = duration::parse, value_name = "TIME")]
    ttl: Duration,
    /// How many nodes may join with it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "COUNT")]
    uses: u32,
    /// The form; the table is the token alone.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(arguments) => create(arguments).await,
        TokenCommand::List(arguments) => list(arguments).await,
        TokenCommand::Revoke(arguments) => revoke(arguments).await,
    }
}

async fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let request = json!({"ttl_s": arguments.ttl.as_secs(), "uses": arguments.uses});
    let body: Value = remote.client.post(PATH, &request).await.map_err(|fault| of_client(&fault))?;
    let token = token_of(&body)?;
    match arguments.output {
        Format::Table | Format::Name => output::data(&token)?,
        format => output::value(format, &body)?,
    }
    output::say(&format!(
        "good for {} within {}; on the new machine run:\n  portcullis cluster join --data-dir DIR --bind ADDRESS --token TOKEN",
        if arguments.uses == 1 { "one node".to_owned() } else { format!("{} nodes", arguments.uses) },
        in_words(arguments.ttl),
    ));
    Ok(())
}

async fn list(arguments: &ReadArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body: Value = remote.client.get(PATH).await.map_err(|fault| of_client(&fault))?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        output::say("no join token is open; make one with portcullis cluster token create");
        return Ok(());
    }
    listing::show(arguments.output, &body, &["id", "expires_at", "uses_left", "created_at"], "id")
}

async fn revoke(arguments: &RevokeArguments) -> Result<(), Failure> {
    let id = &arguments.id;
    // An id is hexadecimal; anything else would become another path.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let next = "portcullis cluster token list     shows the ids; a token itself is none";
        let what = format!("{id:?} is not the id of a join token");
        return Err(Failure::new(Exit::NotFound, what, "an id is 16 hexadecimal digits", next));
    }
    let remote = arguments.remote.connect().await?;
    remote.client.delete(&format!("{PATH}/{id}")).await.map_err(|fault| of_client(&fault))?;
    let sentence = format!("token {id} lets no node in any more; nodes that joined with it stay");
    output::done(arguments.output, id, &sentence, &json!({"id": id, "revoked": true}))?;
    output::say("next: portcullis cluster token list");
    Ok(())
}

/// Returns the token of the server's answer.
///
/// # Errors
/// Where there is none in it.
pub fn token_of(body: &Value) -> Result<String, Failure> {
    body.get("token").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
        let next = "run the same version here as there (portcullis version)";
        Failure::new(Exit::Failed, "the server's answer is not understood", "there is no token in it", next)
    })
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
