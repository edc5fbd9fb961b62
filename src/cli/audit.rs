//! `portcullis audit`: who did what, when, from where.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::failure::Failure;
use crate::listing;
use crate::output::{self, Format};
use crate::remote::{Remote, RemoteArguments, of_client};
use crate::scim::encoded;

const AUDIT: &str = "/api/portcullis/v1/audit";
const COLUMNS: [&str; 7] = ["at", "user", "tenant", "origin", "action", "subject", "outcome"];
/// Records of one answer of the server.
const PART: u64 = 5_000;

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List the newest records.
    List(ListArguments),
    /// Write all records to standard output, for keeping elsewhere.
    Export(ExportArguments),
}

/// Which records.
#[derive(Debug, Args)]
pub struct Which {
    /// Only what this user did.
    #[arg(long, value_name = "USER")]
    by: Option<String>,
    /// Only what users of this tenant did.
    #[arg(long, value_name = "DOMAIN")]
    tenant: Option<String>,
    /// Only this: SignIn, or what was changed, such as CreateUser.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what is about something with this in its name.
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// Only what came from this address.
    #[arg(long, value_name = "ADDRESS")]
    origin: Option<String>,
    /// Only what was done for the request with this id (X-Request-Id).
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only what was refused.
    #[arg(long)]
    refused: bool,
    /// Only what was done at this time or later (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what was done before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Arguments of `audit list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis audit list --by ann --since 2026-11-01T00:00:00Z
  portcullis audit list --action SignIn --refused")]
pub struct ListArguments {
    #[command(flatten)]
    which: Which,
    /// At most this many.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A JSON object per line.
    Jsonl,
    /// Comma-separated, with a line of heads.
    Csv,
}

/// Arguments of `audit export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    #[command(flatten)]
    which: Which,
    /// The form.
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl, value_name = "FORM")]
    format: ExportFormat,
    #[command(flatten)]
    remote: RemoteArguments,
}

impl Which {
    fn query(&self) -> String {
        let named = [
            ("user", &self.by),
            ("tenant", &self.tenant),
            ("action", &self.action),
            ("subject", &self.subject),
            ("origin", &self.origin),
            ("request", &self.request),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let mut query = String::new();
        for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            query.push_str(&format!("&{name}={}", encoded(value)));
        }
        if self.refused {
            query.push_str("&outcome=refused");
        }
        query
    }
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::List(arguments) => list(arguments).await,
        AuditCommand::Export(arguments) => export(arguments).await,
    }
}

async fn part(remote: &Remote, which: &Which, limit: u64, cursor: Option<&str>) -> Result<Value, Failure> {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    let path = format!("{AUDIT}?limit={limit}{}{cursor}", which.query());
    remote.client.get(&path).await.map_err(|fault| of_client(&fault))
}

async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body = part(&remote, &arguments.which, arguments.limit, None).await?;
    if listing::is_empty(&body) && arguments.output == Format::Table {
        output::say("nothing like that was done, or it is kept no longer");
        return Ok(());
    }
    listing::show(arguments.output, &body, &COLUMNS, "index")?;
    if !body["next_cursor"].is_null() && arguments.output == Format::Table {
        output::say("there is more: --limit shows it, portcullis audit export writes all of it");
    }
    Ok(())
}

async fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    if arguments.format == ExportFormat::Csv {
        output::data("at,tenant,user,origin,action,subject,outcome,refused,count,index,request")?;
    }
    let mut cursor: Option<String> = None;
    loop {
        let body = part(&remote, &arguments.which, PART, cursor.as_deref()).await?;
        let records = body["list"].as_array().cloned().unwrap_or_default();
        let lines: Vec<String> = records
            .iter()
            .map(|record| match arguments.format {
                ExportFormat::Jsonl => record.to_string(),
                ExportFormat::Csv => line(record),
            })
            .collect();
        if !lines.is_empty() {
            output::data(&lines.join("\n"))?;
        }
        match body["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(()),
        }
    }
}

/// Writes a record as a line of CSV (RFC 4180).
fn line(record: &Value) -> String {
    let names =
        ["at", "tenant", "user", "origin", "action", "subject", "outcome", "refused", "count", "index", "request"];
    let cell = |name: &str| {
        let text = match &record[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // A spreadsheet would take these for formulas.
        let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        if guard.is_empty() && !text.contains([',', '"', '\n', '\r']) {
            return text;
        }
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    };
    names.map(cell).join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_a_line_whatever_is_in_it() {
        let record = json!({"at": "2026", "user": "=ann", "subject": "a,\"b\"", "count": 1, "refused": null});
        assert_eq!(line(&record), "2026,,\"'=ann\",,,\"a,\"\"b\"\"\",,,1,,");
    }
}
