//! Logging: tracing to standard error, for people or as JSON lines. It does not write access logs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSection};

/// The filter that "info" stands for.
const CALM_INFO: &str = "info,openraft=warn,sled=warn";

/// Says whether a text is a level or a filter.
pub(crate) fn is_filter(text: &str) -> bool {
    // A bare unknown word would count as the name of a module, and log nothing.
    let is_known = |part: &str| part.contains('=') || part.parse::<tracing::Level>().is_ok() || part == "off";
    !text.is_empty() && text.split(',').all(is_known) && text.parse::<EnvFilter>().is_ok()
}

/// Starts logging for the whole process, once; where it was started before, that stays.
pub fn start(section: &LogSection) {
    // At "info" the libraries below tell of each of their steps, which is for people who look into them.
    let level = if section.level == "info" { CALM_INFO } else { &section.level };
    let filter = level.parse::<EnvFilter>().unwrap_or_else(|_| EnvFilter::new(CALM_INFO));
    let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match section.format {
        LogFormat::Human => registry.with(lines.with_ansi(is_coloured)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    if let Err(reason) = started {
        tracing::debug!(%reason, "logging was started before");
    }
}
