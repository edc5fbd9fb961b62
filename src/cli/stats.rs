//! `portcullis stats`: what was called, by whom and how fast; who holds what of each counter, what was used of it, and
//! limits given anew.

mod report;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};

use report::ReportArguments;

const COUNTERS_PATH: &str = "/api/portcullis/v1/throttling/counters";
const USAGE_PATH: &str = "/api/portcullis/v1/throttling/usage";

/// What to see.
#[derive(Debug, Subcommand)]
pub enum StatsCommand {
    /// Show how many calls there were over time, and how they ended.
    Usage(ReportArguments),
    /// Show the calls by API and version.
    Apis(ReportArguments),
    /// Show the calls by resource.
    Resources(ReportArguments),
    /// Show the calls by application and business plan.
    Applications(ReportArguments),
    /// Show the calls by user.
    Users(ReportArguments),
    /// Show the calls by backend, and how long backends took.
    Destinations(ReportArguments),
    /// Show the calls that the gateway answered with a fault, by its code.
    Faults(ReportArguments),
    /// Show the calls that a quota or a deny policy turned away, and why.
    Throttled(ReportArguments),
    /// Show how long calls took over time: in all, at the backend, in the gateway.
    Latency(ReportArguments),
    /// Show who called each API last, and when.
    LastAccess(ReportArguments),
    /// Show the calls by kind of the calling program.
    Agents(ReportArguments),
    /// Show the calls by node.
    Nodes(ReportArguments),
    /// Show the calls by country of the caller, where that is told.
    Countries(ReportArguments),
    /// Show who holds which grant of each counter, and what is left.
    Counters(ListArguments),
    /// Show what was used of each counter in all.
    Spent(ListArguments),
    /// Give callers their limits anew, within the present window.
    Reset(ResetArguments),
}

/// Which counters.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which counters")]
pub struct WhichArguments {
    /// Those of this policy.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Those of policies of this level: subscription, application, advanced or custom.
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// Those of this application, by its id.
    #[arg(long, value_name = "ID")]
    application: Option<String>,
    /// Those of this user.
    #[arg(long, value_name = "NAME")]
    of_user: Option<String>,
    /// Those of this tenant; of all, for an operator, where it is not given.
    #[arg(long, value_name = "DOMAIN")]
    tenant: Option<String>,
}

/// Arguments of the lists.
#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    which: WhichArguments,
    /// How many to show.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Begin after this: what the list before ended with.
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `stats reset`.
#[derive(Debug, Args)]
#[command(after_help = "\
What nodes hold at that moment stays theirs, so that from then on no more than the limit is used.
A policy, an application or a user must be given.")]
pub struct ResetArguments {
    #[command(flatten)]
    which: WhichArguments,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

impl WhichArguments {
    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = [
            ("policy", &self.policy),
            ("level", &self.level),
            ("application", &self.application),
            ("user", &self.of_user),
            ("tenant", &self.tenant),
        ];
        fields.into_iter().filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
    }
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &StatsCommand) -> Result<(), Failure> {
    match command {
        StatsCommand::Usage(arguments) => report::show("usage", arguments).await,
        StatsCommand::Apis(arguments) => report::show("apis", arguments).await,
        StatsCommand::Resources(arguments) => report::show("resources", arguments).await,
        StatsCommand::Applications(arguments) => report::show("applications", arguments).await,
        StatsCommand::Users(arguments) => report::show("users", arguments).await,
        StatsCommand::Destinations(arguments) => report::show("destinations", arguments).await,
        StatsCommand::Faults(arguments) => report::show("faults", arguments).await,
        StatsCommand::Throttled(arguments) => report::show("throttled", arguments).await,
        StatsCommand::Latency(arguments) => report::show("latency", arguments).await,
        StatsCommand::LastAccess(arguments) => report::show("last-access", arguments).await,
        StatsCommand::Agents(arguments) => report::show("agents", arguments).await,
        StatsCommand::Nodes(arguments) => report::show("nodes", arguments).await,
        StatsCommand::Countries(arguments) => report::show("countries", arguments).await,
        StatsCommand::Counters(arguments) => {
            let columns = ["key", "limit", "left", "pool", "ends", "held by"];
            show(arguments, COUNTERS_PATH, &columns, counter_row).await
        }
        StatsCommand::Spent(arguments) => show(arguments, USAGE_PATH, &["key", "used in all"], usage_row).await,
        StatsCommand::Reset(arguments) => reset(arguments).await,
    }
}

async fn show(
    arguments: &ListArguments,
    path: &str,
    columns: &[&str],
    row: fn(&Value) -> Vec<String>,
) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(arguments.which.fields()).append_pair("limit", &arguments.limit.to_string());
    if let Some(after) = &arguments.after {
        query.append_pair("after", after);
    }
    let body: Value =
        remote.client.get(&format!("{path}?{}", query.finish())).await.map_err(|fault| of_client(&fault))?;
    let list = body["list"].as_array().map(Vec::as_slice).unwrap_or_default();
    match arguments.output {
        Format::Table if list.is_empty() => output::say("nothing was used yet"),
        Format::Table => output::data(&output::table(columns, list.iter().map(row)))?,
        Format::Name => {
            let keys: Vec<&str> = list.iter().filter_map(|one| one["key"].as_str()).collect();
            output::data(&keys.join("\n"))?;
        }
        format => output::value(format, &body)?,
    }
    if let Some(next) = body["next"].as_str() {
        output::say(&format!("there may be more: --after {next}"));
    }
    Ok(())
}

fn counter_row(counter: &Value) -> Vec<String> {
    let holdings = counter["holdings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let held = holdings.iter().map(|one| format!("node {}: {} of {}", one["node"], one["unspent"], held_in_all(one)));
    let left = match (counter["is_over"].as_bool(), counter["is_exhausted"].as_bool()) {
        (Some(true), _) => "over".to_owned(),
        (_, Some(true)) => format!("{} (used up)", counter["remaining"]),
        _ => counter["remaining"].to_string(),
    };
    let text = |name: &str| counter[name].as_str().unwrap_or_default().to_owned();
    vec![
        text("key"),
        counter["limit"].to_string(),
        left,
        counter["pool"].to_string(),
        text("ends_at"),
        held.collect::<Vec<_>>().join(", "),
    ]
}

/// Returns what a node got in all: its reserve and what was granted, less what it gave back.
fn held_in_all(holding: &Value) -> u64 {
    let amount = |name: &str| holding[name].as_u64().unwrap_or(0);
    (amount("reserve") + amount("granted")).saturating_sub(amount("returned"))
}

fn usage_row(row: &Value) -> Vec<String> {
    vec![row["key"].as_str().unwrap_or_default().to_owned(), row["used_in_all"].to_string()]
}

async fn reset(arguments: &ResetArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let fields = arguments.which.fields().map(|(name, value)| (name.to_owned(), Value::from(value)));
    let body: Map<String, Value> = fields.collect();
    let path = format!("{COUNTERS_PATH}/reset");
    let done: Value = remote.client.post(&path, &body).await.map_err(|fault| of_client(&fault))?;
    output::done(arguments.output, &done["count"], &format!("{} counters were reset", done["count"]), &done)?;
    output::say("next: portcullis stats counters");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_counter_shows_what_is_left_and_who_holds_it() {
        let counter = json!({
            "key": "carbon.super/subscription/Gold/a:b", "limit": 100, "remaining": 42, "pool": 12,
            "ends_at": "2026-11-26T09:00:00Z", "is_over": false, "is_exhausted": false,
            "holdings": [{"node": 1, "reserve": 5, "granted": 40, "returned": 10, "unspent": 30}],
        });
        let row = ["carbon.super/subscription/Gold/a:b", "100", "42", "12", "2026-11-26T09:00:00Z", "node 1: 30 of 35"];
        assert_eq!(counter_row(&counter), row);
    }
}
