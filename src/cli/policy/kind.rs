//! `portcullis policy plan`, `rate-limit`, `application` and `custom`: list, show, create, update, delete.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use portcullis_http::client::Client;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, RemoteArguments, of_client};
use crate::request::{confirm, read_document, say_unreached, send, show_dry_run};

/// What kind of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Business plans.
    Plan,
    /// Advanced policies.
    RateLimit,
    /// Application policies.
    Application,
    /// Custom rules.
    Custom,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Plan => "/api/am/admin/v4/throttling/policies/subscription",
            Self::RateLimit => "/api/am/admin/v4/throttling/policies/advanced",
            Self::Application => "/api/am/admin/v4/throttling/policies/application",
            Self::Custom => "/api/am/admin/v4/throttling/policies/custom",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::RateLimit => "rate limit",
            Self::Application => "application policy",
            Self::Custom => "custom rule",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::RateLimit => "rate-limit",
            Self::Application => "application",
            Self::Custom => "custom",
        }
    }
}

/// What to do with policies of one kind.
#[derive(Debug, Subcommand)]
pub enum KindCommand {
    /// List them.
    List(ReadArguments),
    /// Show one as the Admin contract has it.
    Show(ShowArguments),
    /// Create one, from a file or from flags. In force on every node that answers when the command returns.
    Create(WriteArguments),
    /// Change one: what a file says replaces it, what flags say is changed in it.
    Update(WriteArguments),
    /// Delete one that nothing uses.
    Delete(DeleteArguments),
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The policy's name or id.
    #[arg(value_name = "NAME")]
    name: String,
    /// The form; a table has its main fields.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `create` and `update`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis policy plan create Tiny --requests 100 --per min --burst 5 --burst-per sec
  portcullis policy custom create PerAddress --key '$clientIp' --expression 'appId != \"\"' --requests 60 --per min
  portcullis policy rate-limit show 10KPerMin -o yaml > p.yaml    edit it, then: portcullis policy rate-limit update -f p.yaml")]
pub struct WriteArguments {
    /// The policy's name; may be left out where the file has it.
    #[arg(value_name = "NAME", required_unless_present = "file")]
    name: Option<String>,
    /// A policy as the Admin contract has it, in JSON or YAML; - is standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["requests", "per", "burst", "burst_per", "key", "expression", "sliding"])]
    file: Option<PathBuf>,
    /// Requests per window.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..))]
    requests: Option<i64>,
    /// The window: sec, min, hour, day, week, month or year.
    #[arg(long, value_name = "UNIT", default_value = "min")]
    per: String,
    /// Requests that may come at once, of plans and application policies.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(0..), requires = "burst_per")]
    burst: Option<i64>,
    /// The window of the burst.
    #[arg(long, value_name = "UNIT", requires = "burst")]
    burst_per: Option<String>,
    /// Count over windows that slide, so that nothing is doubled across a boundary.
    #[arg(long)]
    sliding: bool,
    /// The key of a custom rule: $userId, $apiContext, $apiVersion, $resourceKey, $appTenant, $apiTenant, $appId, $clientIp.
    #[arg(long, value_name = "TEMPLATE")]
    key: Option<String>,
    /// Which calls a custom rule counts, in CEL; all where it is not given.
    #[arg(long, value_name = "CEL")]
    expression: Option<String>,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// The policy's name or id.
    #[arg(value_name = "NAME")]
    name: String,
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

/// Runs the command on policies of one kind.
///
/// # Errors
/// Where the server refuses or cannot be reached, or what was given cannot be read.
pub async fn run(kind: Kind, command: &KindCommand) -> Result<(), Failure> {
    match command {
        KindCommand::List(arguments) => list(kind, arguments).await,
        KindCommand::Show(arguments) => show(kind, arguments).await,
        KindCommand::Create(arguments) => create(kind, arguments).await,
        KindCommand::Update(arguments) => update(kind, arguments).await,
        KindCommand::Delete(arguments) => delete(kind, arguments).await,
    }
}

async fn list(kind: Kind, arguments: &ReadArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let mut body: Value = remote.client.get(kind.path()).await.map_err(|fault| of_client(&fault))?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        output::say(&format!("there is none yet; make one with portcullis policy {} create", kind.command()));
        return Ok(());
    }
    if arguments.output == Format::Table {
        body["list"].as_array_mut().into_iter().flatten().for_each(add_columns);
    }
    listing::show(arguments.output, &body, &["policyName", "limit", "burst", "description"], "policyName")
}

async fn show(kind: Kind, arguments: &ShowArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let found = find(&remote.client, kind, &arguments.name).await?;
    show_one(arguments.output, &found)
}

fn show_one(format: Format, policy: &Value) -> Result<(), Failure> {
    match format {
        Format::Json | Format::Yaml => output::value(format, policy),
        Format::Table | Format::Name => {
            let mut row = policy.clone();
            add_columns(&mut row);
            let columns = ["policyName", "policyId", "limit", "burst", "description"];
            listing::show(format, &json!({ "list": [row] }), &columns, "policyName")
        }
    }
}

/// Adds what a policy allows in words, for tables.
fn add_columns(policy: &mut Value) {
    let limit = limit_of(&policy["defaultLimit"]);
    let (count, unit) = match &policy["burstLimit"] {
        Value::Null => (&policy["rateLimitCount"], &policy["rateLimitTimeUnit"]),
        burst => (&burst["rateLimitCount"], &burst["rateLimitTimeUnit"]),
    };
    let burst = match count.as_i64() {
        Some(count) if count > 0 => json!(format!("{count} per {}", unit.as_str().unwrap_or("?"))),
        _ => Value::Null,
    };
    policy["limit"] = json!(limit);
    policy["burst"] = burst;
}

fn limit_of(limit: &Value) -> String {
    let (amount, what) = match limit["type"].as_str() {
        Some("BANDWIDTHLIMIT") => (&limit["bandwidth"], limit["bandwidth"]["dataUnit"].as_str().unwrap_or("?")),
        Some("EVENTCOUNTLIMIT") => (&limit["eventCount"], "events"),
        Some("AIAPIQUOTALIMIT") => (&limit["aiApiQuota"], "tokens"),
        _ => (&limit["requestCount"], "requests"),
    };
    let fields = ["requestCount", "eventCount", "dataAmount"];
    let count = match limit["type"].as_str() {
        Some("AIAPIQUOTALIMIT") => amount["totalTokenCount"].as_i64().or_else(|| amount["requestCount"].as_i64()),
        _ => fields.iter().find_map(|field| amount[*field].as_i64()),
    };
    match count {
        Some(2_147_483_647) => "unlimited".to_owned(),
        Some(count) => {
            let (length, unit) = (amount["unitTime"].as_i64().unwrap_or(1), amount["timeUnit"].as_str().unwrap_or("?"));
            let window = if length == 1 { unit.to_owned() } else { format!("{length} {unit}") };
            format!("{count} {what} per {window}")
        }
        None => "-".to_owned(),
    }
}

async fn create(kind: Kind, arguments: &WriteArguments) -> Result<(), Failure> {
    let mut body = match &arguments.file {
        Some(file) => read_document(file)?,
        None => json!({}),
    };
    overlay(kind, arguments, &mut body)?;
    if arguments.dry_run {
        return show_dry_run(&Method::POST, kind.path(), &body);
    }
    let remote = arguments.remote.connect().await?;
    let made = send(&remote.client, Method::POST, kind.path(), &body).await?;
    show_one(arguments.output, &made)?;
    let name = name_of(&made);
    output::say(&format!(
        "{} {name} is made; next: portcullis policy {} show {name} -o yaml",
        kind.noun(),
        kind.command()
    ));
    Ok(())
}

async fn update(kind: Kind, arguments: &WriteArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let document = arguments.file.as_deref().map(read_document).transpose()?;
    let name = arguments.name.clone().or_else(|| document.as_ref().map(name_of)).unwrap_or_default();
    let existing = find(&remote.client, kind, &name).await?;
    let path = format!("{}/{}", kind.path(), existing["policyId"].as_str().unwrap_or_default());
    let mut body = document.unwrap_or(existing);
    overlay(kind, arguments, &mut body)?;
    if arguments.dry_run {
        return show_dry_run(&Method::PUT, &path, &body);
    }
    let made = send(&remote.client, Method::PUT, &path, &body).await?;
    show_one(arguments.output, &made)?;
    output::say(&format!("{} {name} is changed; windows that are open end as they began", kind.noun()));
    Ok(())
}

/// Puts what the flags say into a policy.
fn overlay(kind: Kind, arguments: &WriteArguments, body: &mut Value) -> Result<(), Failure> {
    let Value::Object(fields) = body else {
        let next = "write it as the server shows it: portcullis policy plan show Gold -o yaml";
        return Err(Failure::new(Exit::Failed, "the file holds no policy", "it is not an object", next));
    };
    if let Some(name) = &arguments.name {
        fields.entry("policyName").or_insert_with(|| json!(name));
    }
    if let Some(count) = arguments.requests {
        let amount = json!({"timeUnit": arguments.per, "unitTime": 1, "requestCount": count});
        fields.insert("defaultLimit".to_owned(), json!({"type": "REQUESTCOUNTLIMIT", "requestCount": amount}));
        // A query of the original's would say the limit again.
        fields.remove("siddhiQuery");
        if kind == Kind::Plan {
            fields.entry("stopOnQuotaReach").or_insert(json!(true));
        }
    }
    if let (Some(count), Some(unit)) = (arguments.burst, &arguments.burst_per) {
        match kind {
            Kind::Application => {
                fields.insert("burstLimit".to_owned(), json!({"rateLimitCount": count, "rateLimitTimeUnit": unit}));
            }
            Kind::Plan => {
                fields.insert("rateLimitCount".to_owned(), json!(count));
                fields.insert("rateLimitTimeUnit".to_owned(), json!(unit));
            }
            Kind::RateLimit | Kind::Custom => {
                let error = format!("a {} has no burst", kind.noun());
                let next = "leave --burst and --burst-per out";
                return Err(Failure::new(Exit::Usage, error, "only plans and application policies have one", next));
            }
        }
    }
    if arguments.sliding {
        fields.insert("windowKind".to_owned(), json!("sliding"));
    }
    if let Some(key) = &arguments.key {
        fields.insert("keyTemplate".to_owned(), json!(key));
    }
    if let Some(expression) = &arguments.expression {
        fields.insert("expression".to_owned(), json!(expression));
        fields.remove("siddhiQuery");
    }
    Ok(())
}

async fn delete(kind: Kind, arguments: &DeleteArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let existing = find(&remote.client, kind, &arguments.name).await?;
    let path = format!("{}/{}", kind.path(), existing["policyId"].as_str().unwrap_or_default());
    if arguments.dry_run {
        return show_dry_run(&Method::DELETE, &path, &Value::Null);
    }
    confirm(kind.noun(), &name_of(&existing), arguments.yes)?;
    let reply = remote.client.delete(&path).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    let name = name_of(&existing);
    let whole = json!({"policyId": existing["policyId"], "policyName": name, "deleted": true});
    output::done(arguments.output, &name, &format!("{} {name} is deleted", kind.noun()), &whole)
}

fn name_of(policy: &Value) -> String {
    policy["policyName"].as_str().unwrap_or_default().to_owned()
}

/// Finds a policy by name or id.
async fn find(client: &Client, kind: Kind, name: &str) -> Result<Value, Failure> {
    let body: Value = client.get(kind.path()).await.map_err(|fault| of_client(&fault))?;
    let all = body["list"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = all.iter().find(|one| one["policyName"] == name || one["policyId"] == name);
    found.cloned().ok_or_else(|| {
        let error = format!("there is no {} {name}", kind.noun());
        let next = format!("portcullis policy {} list", kind.command());
        Failure::new(Exit::NotFound, error, "no policy of this kind has that name or id", next)
    })
}
