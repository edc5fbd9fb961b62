//! Logging: tracing to standard error, for people or as JSON lines; the last lines are kept in memory too. It does not write
//! access logs.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{LogFormat, LogSection};

/// The filter that "info" stands for.
const CALM_INFO: &str = "info,openraft=warn,sled=warn";

/// Where the filter of this process can be set anew, once logging was started.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Bytes of the last lines that are kept.
const RECENT_BYTES_MAX: usize = 256 << 10;

/// The last lines of this process.
static RECENT: Mutex<Recent> = Mutex::new(Recent { lines: VecDeque::new(), bytes: 0 });

/// The last lines, as many as there is room for.
struct Recent {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Recent {
    fn push(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > RECENT_BYTES_MAX
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }
}

/// Writes each line to standard error, and keeps it.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        RECENT.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        io::stderr().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Returns the last lines that this process logged, the oldest first; with the colours that they had.
pub(crate) fn recent_lines() -> Vec<String> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner).lines.iter().cloned().collect()
}

/// Says whether a text is a level or a filter.
pub(crate) fn is_filter(text: &str) -> bool {
    // A bare unknown word would count as the name of a module, and log nothing.
    let is_known = |part: &str| part.contains('=') || part.parse::<tracing::Level>().is_ok() || part == "off";
    !text.is_empty() && text.split(',').all(is_known) && text.parse::<EnvFilter>().is_ok()
}

/// Starts logging for the whole process, once; where it was started before, that stays.
pub fn start(section: &LogSection) {
    let (filter, handle) = reload::Layer::new(filter(&section.level));
    let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Lines);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match section.format {
        LogFormat::Human => registry.with(lines.with_ansi(is_coloured)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    match started {
        // Nobody else sets it: logging is started once.
        Ok(()) => drop(FILTER.set(handle)),
        Err(reason) => tracing::debug!(%reason, "logging was started before"),
    }
}

/// Has another level, or filter, count from now on. Does nothing where this process does not log.
pub(crate) fn set_level(level: &str) {
    if let Some(Err(reason)) = FILTER.get().map(|handle| handle.reload(filter(level))) {
        tracing::error!(%reason, "the level of the log cannot be changed");
    }
}

fn filter(level: &str) -> EnvFilter {
    // At "info" the libraries below tell of each of their steps, which is for people who look into them.
    let level = if level == "info" { CALM_INFO } else { level };
    level.parse::<EnvFilter>().unwrap_or_else(|_| EnvFilter::new(CALM_INFO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_older_ones_make_room() {
        let mut recent = Recent { lines: VecDeque::new(), bytes: 0 };
        for number in 0..10_000 {
            recent.push(format!("line {number} {}\n", "x".repeat(100)).as_bytes());
        }
        assert!(recent.bytes <= RECENT_BYTES_MAX && recent.bytes > RECENT_BYTES_MAX - 200, "{}", recent.bytes);
        assert!(recent.lines.back().expect("lines").starts_with("line 9999 "));
        assert_eq!(recent.bytes, recent.lines.iter().map(String::len).sum::<usize>());
    }
}
