//! `portcullis policy test`: which limits a call would meet.

use std::net::IpAddr;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};

const TEST: &str = "/api/portcullis/v1/throttling/test";

/// Arguments of `policy test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis policy test PizzaShackAPI:1.0.0 --path /menu --app DefaultApplication --header 'x-kind: beta'")]
pub struct TestArguments {
    /// The API: NAME:VERSION, its context with the version, or its id.
    #[arg(value_name = "API")]
    api: String,
    /// The environment in which it is deployed.
    #[arg(long, value_name = "NAME", default_value = "Default")]
    environment: String,
    /// The verb.
    #[arg(long, value_name = "VERB", default_value = "GET")]
    verb: String,
    /// The path below the API's context.
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
    /// The application that calls, by name or id; without one the call has no token.
    #[arg(long = "app", value_name = "APP")]
    application: Option<String>,
    /// The end user; the application's owner where it is not given.
    #[arg(long, value_name = "NAME", requires = "application")]
    end_user: Option<String>,
    /// The call comes with a sandbox key.
    #[arg(long)]
    sandbox: bool,
    /// The client's address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    ip: IpAddr,
    /// A header of the call; may be given more than once.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = pair_of(':'))]
    headers: Vec<(String, String)>,
    /// The query of the call, without the question mark.
    #[arg(long, value_name = "QUERY", default_value = "")]
    query: String,
    /// A claim of the token; may be given more than once.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = pair_of('='))]
    claims: Vec<(String, String)>,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Returns a parser of two texts with `separator` between.
fn pair_of(separator: char) -> impl Fn(&str) -> Result<(String, String), String> + Clone + Send + Sync {
    move |text| {
        let (name, value) = text.split_once(separator).ok_or_else(|| format!("it has no `{separator}`"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    }
}

/// Shows which limits a call would meet.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn test(arguments: &TestArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let map = |pairs: &[(String, String)]| -> Map<String, Value> {
        pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    };
    let request = json!({
        "api": arguments.api,
        "environment": arguments.environment,
        "verb": arguments.verb,
        "path": arguments.path,
        "application": arguments.application,
        "user": arguments.end_user,
        "key_type": if arguments.sandbox { "SANDBOX" } else { "PRODUCTION" },
        "client_ip": arguments.ip,
        "headers": map(&arguments.headers),
        "query": arguments.query,
        "claims": map(&arguments.claims),
    });
    let body: Value = remote.client.post(TEST, &request).await.map_err(|fault| of_client(&fault))?;
    if let Some(id) = body["denied_by"].as_str() {
        output::say(&format!("the call would be turned away (900805): portcullis policy deny show {id}"));
    }
    if listing::is_empty(&body) && arguments.output == Format::Table {
        output::say("no limit applies to this call");
        return Ok(());
    }
    let columns = ["level", "policy", "counts", "limit", "window_s", "remaining", "resets_at", "key"];
    listing::show(arguments.output, &body, &columns, "counter")
}
