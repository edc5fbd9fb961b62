//! The load generator behind `portcullis bench`: real clusters of child processes, real HTTP calls, figures as tables.
//!
//! It judges nothing but what can be counted: calls admitted and refused by clients, times, bytes.

mod accuracy;
mod backend;
mod cluster;
mod faults;
mod inner;
mod latency;
mod load;
mod redis;
mod routes;
mod seconds;
mod token;
mod usage;
mod validation;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Admitted ÷ limit, at each number of nodes.
    Accuracy,
    /// The same while nodes die, freeze and join.
    Faults,
    /// Processor time, entries and memory, in this process.
    Inner,
    /// Latency with and without a limit.
    Latency,
    /// Against a call of Redis for each request.
    Redis,
    /// Admitted ÷ limit in windows of a second, at each number of nodes.
    Seconds,
    /// Admitted = counted, after each node was killed.
    Usage,
}

/// All parts, in the order in which they are run.
pub const PARTS: [Part; 7] =
    [Part::Inner, Part::Latency, Part::Redis, Part::Usage, Part::Faults, Part::Seconds, Part::Accuracy];

impl Part {
    /// Returns its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Faults => "faults",
            Self::Inner => "inner",
            Self::Latency => "latency",
            Self::Redis => "redis",
            Self::Seconds => "seconds",
            Self::Usage => "usage",
        }
    }

    /// Returns the part of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        PARTS.into_iter().find(|part| part.name() == name)
    }
}

pub use routes::run_routes;
pub use token::{TokenSettings, run_tokens};

/// How throttling is to be measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The binary whose nodes are measured.
    pub program: PathBuf,
    /// Which parts.
    pub parts: Vec<Part>,
    /// Cluster sizes of the accuracy.
    pub nodes: Vec<usize>,
    /// Whole windows of a minute that are counted.
    pub windows: u64,
    /// How long all of it may take; parts that would not fit are left out and named.
    pub time_limit: Duration,
    /// The Redis server's program.
    pub redis_server: PathBuf,
}

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A program, file or socket could not be used.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A node could not be called.
    #[error("a node's answer: {0}")]
    Client(#[from] portcullis_http::client_error::ClientError),
    /// A node refused a step, or did not do it in time.
    #[error("{0}")]
    Node(String),
}

impl BenchError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Io { what, cause }
    }
}

/// Measures, and tells each table as soon as it is there. `note` hears what goes on.
///
/// # Errors
/// The first part that cannot be measured.
pub async fn run(
    settings: &Settings,
    note: &(dyn Fn(&str) + Sync),
    tell: &(dyn Fn(&str) + Sync),
) -> Result<(), BenchError> {
    let began = Instant::now();
    for part in PARTS.into_iter().filter(|part| settings.parts.contains(part)) {
        let left = settings.time_limit.saturating_sub(began.elapsed());
        if left < least_time(part, settings) {
            note(&format!("{} is left out: {} s are left", part.name(), left.as_secs()));
            continue;
        }
        note(&format!("{} …", part.name()));
        let table = match part {
            Part::Accuracy => {
                for nodes in &settings.nodes {
                    if settings.time_limit.saturating_sub(began.elapsed()) < accuracy::least_time(settings.windows) {
                        note(&format!("{nodes} nodes are left out: too little time is left"));
                        continue;
                    }
                    tell(&accuracy::measure(settings, *nodes).await?);
                }
                continue;
            }
            Part::Seconds => {
                for nodes in &settings.nodes {
                    tell(&seconds::measure(settings, *nodes).await?);
                }
                continue;
            }
            Part::Faults => faults::measure(settings).await?,
            Part::Inner => inner::measure(),
            Part::Latency => latency::measure(settings).await?,
            Part::Redis => redis::measure(settings).await?,
            Part::Usage => usage::measure(settings).await?,
        };
        tell(&table);
    }
    Ok(())
}

fn least_time(part: Part, settings: &Settings) -> Duration {
    match part {
        Part::Accuracy => accuracy::least_time(settings.windows),
        Part::Faults => Duration::from_secs(190),
        Part::Inner => Duration::from_secs(30),
        Part::Seconds => seconds::LEAST_TIME * u32::try_from(settings.nodes.len()).unwrap_or(u32::MAX),
        Part::Latency | Part::Redis => Duration::from_secs(60),
        Part::Usage => Duration::from_secs(75),
    }
}

/// Writes a table in Markdown.
pub(crate) fn table(title: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("### {title}\n\n| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

/// Returns the wall clock in milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    portcullis_database::handle::wall_clock().0
}
