//! `portcullis bench`: measures, on this machine, with real nodes in child processes.

mod markdown;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, Subcommand};
use portcullis_bench::{PARTS, Part, Settings, TokenSettings};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure quotas: admitted against the limit, faults, cost, and against Redis.
    Throttle(ThrottleArguments),
    /// Measure tokens: how many a second, how long one takes, and what gateways pay to have one validated.
    Token(TokenArguments),
    /// Measure a gateway's routes: to compile all, to follow a change of one API, and to find one for a call.
    Routes(RoutesArguments),
}

/// Arguments of `bench routes`.
#[derive(Debug, Args)]
#[command(after_help = "\
Measures in this process, with the gateway's own compiler and table. The table goes to standard output, in Markdown. Nothing
else should run on the machine meanwhile.")]
pub struct RoutesArguments {
    /// How many APIs are deployed; each number is measured.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_value = "100,1000,10000")]
    apis: Vec<u32>,
    /// How many operations each API has.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    operations: u32,
    /// The form: table is Markdown, name the titles of the tables.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Arguments of `bench token`.
#[derive(Debug, Args)]
#[command(after_help = "\
Starts clusters in temporary directories on loopback addresses and ends them again. The table goes to standard output, in
Markdown. Nothing else should run on the machine meanwhile.")]
pub struct TokenArguments {
    /// Sizes of the clusters.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_value = "1,3")]
    nodes: Vec<u8>,
    /// Callers at a time, each with a connection of its own.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    callers: u16,
    /// How many seconds each measurement takes.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The form: table is Markdown, name the titles of the tables.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Arguments of `bench throttle`.
#[derive(Debug, Args)]
#[command(after_help = "\
Starts clusters in temporary directories on loopback addresses and ends them again. The tables go to standard output, in
Markdown. Nothing else should run on the machine meanwhile.")]
pub struct ThrottleArguments {
    /// Which parts: inner, latency, redis, usage, faults, seconds, accuracy. All where it is not given.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<String>,
    /// Sizes of the clusters whose accuracy is measured.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_value = "1,3,5")]
    nodes: Vec<u8>,
    /// How many windows of a minute are counted.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    windows: u64,
    /// How many seconds all of it may take. Parts that would not fit are left out.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(30..=86_400))]
    time_limit: u64,
    /// The Redis server's program.
    #[arg(long, value_name = "FILE", default_value = "redis-server")]
    redis_server: PathBuf,
    /// The form: table is Markdown, name the titles of the tables.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Runs the command.
///
/// # Errors
/// Where something cannot be measured.
pub async fn run(command: &BenchCommand) -> Result<(), Failure> {
    let arguments = match command {
        BenchCommand::Throttle(arguments) => arguments,
        BenchCommand::Token(arguments) => return tokens(arguments).await,
        BenchCommand::Routes(arguments) => return routes(arguments),
    };
    let failed =
        |why: String| Failure::new(Exit::Failed, "the measurement failed", why, "run it again, or with --only PART");
    let parts: Option<Vec<Part>> = arguments.only.iter().map(|name| Part::of(name)).collect();
    let parts = parts.filter(|parts| !parts.is_empty()).or_else(|| arguments.only.is_empty().then(|| PARTS.to_vec()));
    let parts = parts.ok_or_else(|| {
        let known: Vec<&str> = PARTS.into_iter().map(Part::name).collect();
        Failure::new(Exit::Usage, "--only names a part that there is not", arguments.only.join(", "), known.join(", "))
    })?;
    if arguments.nodes.iter().any(|count| !(1..=9).contains(count)) {
        return Err(Failure::new(Exit::Usage, "--nodes is not acceptable", "each must be 1 to 9", "--nodes 1,3,5"));
    }
    let settings = Settings {
        program: std::env::current_exe().map_err(|cause| failed(cause.to_string()))?,
        parts,
        nodes: arguments.nodes.iter().map(|count| usize::from(*count)).collect(),
        windows: arguments.windows,
        time_limit: Duration::from_secs(arguments.time_limit),
        redis_server: arguments.redis_server.clone(),
    };
    let measured = Mutex::new(String::new());
    let tell = |table: &str| {
        if arguments.output == Format::Table {
            // Where standard output is gone nobody reads the rest either.
            output::data(&format!("{table}\n")).ok();
        }
        measured.lock().unwrap_or_else(PoisonError::into_inner).push_str(&format!("{table}\n"));
    };
    portcullis_bench::run(&settings, &output::say, &tell).await.map_err(|fault| failed(fault.to_string()))?;
    let measured = measured.into_inner().unwrap_or_else(PoisonError::into_inner);
    if arguments.output == Format::Table { Ok(()) } else { show(arguments.output, &measured) }
}

/// Shows tables of Markdown.
fn show(format: Format, tables: &str) -> Result<(), Failure> {
    match format {
        Format::Table => output::data(tables),
        Format::Name => {
            output::data(&markdown::tables(tables).into_iter().map(|table| table.title).collect::<Vec<_>>().join("\n"))
        }
        format => output::value(format, &markdown::tables(tables)),
    }
}

fn routes(arguments: &RoutesArguments) -> Result<(), Failure> {
    if arguments.apis.iter().any(|count| !(1..=100_000).contains(count)) {
        let (what, why) = ("--apis is not acceptable", "each must be 1 to 100000");
        return Err(Failure::new(Exit::Usage, what, why, "--apis 100,10000"));
    }
    let table = portcullis_bench::run_routes(&arguments.apis, arguments.operations, &output::say).map_err(|fault| {
        Failure::new(Exit::Failed, "the measurement failed", fault.to_string(), "run it again, with another --apis")
    })?;
    show(arguments.output, &table)
}

async fn tokens(arguments: &TokenArguments) -> Result<(), Failure> {
    let failed =
        |why: String| Failure::new(Exit::Failed, "the measurement failed", why, "run it again, or with --nodes 1");
    if arguments.nodes.iter().any(|count| !(1..=9).contains(count)) {
        return Err(Failure::new(Exit::Usage, "--nodes is not acceptable", "each must be 1 to 9", "--nodes 1,3"));
    }
    let settings = TokenSettings {
        program: std::env::current_exe().map_err(|cause| failed(cause.to_string()))?,
        nodes: arguments.nodes.iter().map(|count| usize::from(*count)).collect(),
        callers: usize::from(arguments.callers),
        duration: Duration::from_secs(arguments.seconds),
    };
    let table =
        portcullis_bench::run_tokens(&settings, &output::say).await.map_err(|fault| failed(fault.to_string()))?;
    show(arguments.output, &table)
}
