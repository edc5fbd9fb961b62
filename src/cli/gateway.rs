//! `portcullis gateway`: the calls of a gateway as they are answered.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};

const TAIL_PATH: &str = "/api/portcullis/v1/gateway/tail";

/// What to see.
#[derive(Debug, Subcommand)]
pub enum GatewayCommand {
    /// Show calls as they are answered, until interrupted.
    Tail(TailArguments),
}

/// Arguments of `gateway tail`.
#[derive(Debug, Args)]
#[command(after_help = "\
Shown are the calls of the gateway on the node that is asked (--server), neither queries nor bodies nor credentials.

Examples:
  portcullis gateway tail --status 5xx
  portcullis gateway tail --api /pizza --verb POST --json")]
pub struct TailArguments {
    /// Those of APIs whose context with the version begins so.
    #[arg(long, value_name = "CONTEXT")]
    api: Option<String>,
    /// Those with this status, or of this class: 404, 5xx.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Those with this verb.
    #[arg(long, value_name = "VERB")]
    verb: Option<String>,
    /// Those whose path begins so.
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Those of this application, by its name.
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// End after so many.
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,
    /// Show each as a line of JSON; as -o json.
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// The form: a line for each call, of JSON too; documents of YAML; the paths alone.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the node refuses or cannot be reached, or the line breaks.
pub async fn run(command: &GatewayCommand) -> Result<(), Failure> {
    let GatewayCommand::Tail(arguments) = command;
    let fields = [
        ("api", &arguments.api),
        ("status", &arguments.status),
        ("verb", &arguments.verb),
        ("path", &arguments.path),
        ("application", &arguments.application),
    ];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(fields.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
    let remote = arguments.remote.connect().await?;
    let path = format!("{TAIL_PATH}?{}", query.finish());
    let mut stream = remote.client.stream(&path).await.map_err(|fault| of_client(&fault))?;
    let (mut lines, mut shown) = (Lines::default(), 0);
    while let Some(piece) = stream.next().await.map_err(|fault| of_client(&fault))? {
        for line in lines.take(&piece) {
            let Some(text) = line.strip_prefix("data:").map(str::trim) else { continue };
            let Ok(event) = serde_json::from_str::<Value>(text) else { continue };
            if let Some(missed) = event.get("missed") {
                output::say(&format!("{missed} calls were missed: they came faster than they were taken"));
                continue;
            }
            match arguments.output {
                Format::Json => output::data(text)?,
                Format::Table => output::data(&if arguments.json { text.to_owned() } else { row(&event) })?,
                Format::Name => output::data(event["path"].as_str().unwrap_or("-"))?,
                Format::Yaml => {
                    output::data("---")?;
                    output::value(Format::Yaml, &event)?;
                }
            }
            shown += 1;
            if arguments.count.is_some_and(|count| shown >= count) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The lines of a stream that comes in pieces.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(&mut self, piece: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(piece);
        let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.0.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

/// Writes a call for people.
fn row(call: &Value) -> String {
    let text = |name: &str| call[name].as_str().unwrap_or("-").to_owned();
    let time = i64::try_from(call["at_ms"].as_u64().unwrap_or_default()).unwrap_or_default();
    let time = jiff::Timestamp::from_millisecond(time).unwrap_or_default();
    let took_ms = call["took_us"].as_f64().unwrap_or_default() / 1_000.0;
    format!(
        "{}  {}  {:<6} {}  {took_ms:.1} ms  {}  {}",
        time.strftime("%H:%M:%S%.3f"),
        call["status"],
        text("verb"),
        text("path"),
        text("application"),
        text("client"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut lines = Lines::default();
        assert!(lines.take(b"event: call\nda").len() == 1);
        assert_eq!(lines.take(b"ta: {}\n\n: keep"), ["data: {}", ""]);
        assert_eq!(lines.take(b"\n"), [": keep"]);
    }

    #[test]
    fn a_call_is_one_line() {
        let call = serde_json::json!({
            "at_ms": 1_500, "client": "127.0.0.1", "verb": "GET", "path": "/pizza/1.0.0/menu", "api": "/pizza/1.0.0",
            "application": null, "status": 404, "took_us": 1_234,
        });
        assert_eq!(row(&call), "00:00:01.500  404  GET    /pizza/1.0.0/menu  1.2 ms  -  127.0.0.1");
    }
}
