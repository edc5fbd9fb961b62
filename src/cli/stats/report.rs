//! The reports of the statistics, as table, JSON or CSV.

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::Method;
use serde_json::Value;

use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};

const PATH: &str = "/api/portcullis/v1/statistics";
/// Columns with ids and bytes, which tables leave out.
const NOT_IN_TABLES: [&str; 5] = ["api", "application", "request_bytes", "redirected", "aborted"];

/// Arguments of the reports.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis stats usage --from 7d
  portcullis stats apis --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z -o csv > january.csv
  portcullis stats latency --api Pizza:1.0.0 --from 1h

Administrators see the calls to all APIs of their tenant, publishers to those that they may see, subscribers those of
their applications.")]
pub struct ReportArguments {
    /// Calls to this API, by its id or as NAME:VERSION.
    #[arg(long, value_name = "API")]
    api: Option<String>,
    /// Calls by this application, by its id.
    #[arg(long, value_name = "ID")]
    application: Option<String>,
    /// From when on: so long ago (90m, 24h, 7d), or a time such as 2026-01-02T03:04:05Z. The last day where it is not given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    from: Option<String>,
    /// Until when, written the same way. Until now where it is not given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    to: Option<String>,
    /// How long each time of a series is. What fits the length in all where it is not given.
    #[arg(long, value_enum)]
    step: Option<Step>,
    /// Calls to APIs of this tenant; of all, for an operator, where it is not given.
    #[arg(long, value_name = "DOMAIN")]
    tenant: Option<String>,
    /// How many rows to show, the largest first.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Form,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// How long each time of a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Columns for people.
    #[default]
    Table,
    /// The REST body, unchanged.
    Json,
    /// The same as YAML.
    Yaml,
    /// Comma-separated values, for spreadsheets (RFC 4180).
    Csv,
}

/// Reads a time, or how long ago it was, and returns it as a time.
fn when(text: &str) -> Result<String, String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let ago = duration::parse(text).map_err(|_| {
        format!(
            "{text:?} is neither a time such as 2026-01-02T03:04:05Z nor how long ago it was, such as 90m, 24h or 7d"
        )
    })?;
    let ago = i64::try_from(ago.as_secs()).unwrap_or(i64::MAX);
    let now = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(now.saturating_sub(ago).max(0)).map(|time| time.to_string()).map_err(|e| e.to_string())
}

/// Shows a report.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub(super) async fn show(report: &str, arguments: &ReportArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let path = format!("{PATH}/{report}?{}", arguments.query());
    let reply = remote.client.send(Method::GET, &path, &[], Bytes::new()).await.map_err(|fault| of_client(&fault))?;
    if arguments.output == Form::Csv {
        return output::data(&String::from_utf8_lossy(&reply.bytes));
    }
    let body: Value = reply.json().map_err(|fault| of_client(&fault))?;
    match arguments.output {
        Form::Json => output::value(Format::Json, &body),
        Form::Yaml => output::value(Format::Yaml, &body),
        Form::Table | Form::Csv => show_table(&body),
    }
}

fn show_table(body: &Value) -> Result<(), Failure> {
    let list = body["list"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let Some(first) = list.first().and_then(Value::as_object) else {
        output::say(&format!("nothing was called from {} to {}", text("from"), text("to")));
        return Ok(());
    };
    let has_messages = list.iter().any(|row| row["messages"].as_u64().is_some_and(|messages| messages > 0));
    let is_shown = |column: &&str| !NOT_IN_TABLES.contains(column) && (has_messages || *column != "messages");
    // In the order in which the server has them.
    let columns: Vec<&str> = first.keys().map(String::as_str).filter(is_shown).collect();
    let heads: Vec<String> = columns.iter().map(|column| column.replace('_', " ")).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let rows = list.iter().map(|row| columns.iter().map(|column| cell(&row[*column])).collect());
    output::data(&output::table(&heads, rows))?;
    output::say(&format!("from {} to {}, by {}", text("from"), text("to"), text("step")));
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl ReportArguments {
    fn query(&self) -> String {
        let step = self.step.and_then(|step| step.to_possible_value());
        let step = step.as_ref().map(clap::builder::PossibleValue::get_name);
        let fields = [
            ("api", self.api.as_deref()),
            ("application", self.application.as_deref()),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("step", step),
            ("tenant", self.tenant.as_deref()),
            ("form", Some(if self.output == Form::Csv { "csv" } else { "json" })),
        ];
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let given = fields.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        query.extend_pairs(given).append_pair("limit", &self.limit.to_string());
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_told_by_how_long_ago_it_was() {
        let hour_ago: jiff::Timestamp = when("1h").unwrap().parse().unwrap();
        let seconds = jiff::Timestamp::now().as_second() - hour_ago.as_second();
        assert!((3_600..3_700).contains(&seconds), "{seconds}");
        assert_eq!(when("2026-01-02T03:04:05Z").unwrap(), "2026-01-02T03:04:05Z");
        assert!(when("yesterday").unwrap_err().contains("24h"));
    }
}
