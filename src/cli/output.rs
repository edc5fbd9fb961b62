//! Output: data on standard output as table, JSON, YAML or names; everything else on standard error.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;

/// Whether messages are left out.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// The form of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// The REST body, unchanged.
    Json,
    /// The same as YAML.
    Yaml,
    /// Only ids or names, one per line.
    Name,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// Applies the choice to this process.
    pub fn apply(self) {
        match self {
            // anstream looks at the terminal, NO_COLOR, CLICOLOR_FORCE and TERM by itself.
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Writes data to standard output, with a line end; nothing where there is none. A reader that has gone away (`| head`) is not a failure.
///
/// # Errors
/// Where standard output cannot be written for another reason.
pub fn data(text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = anstream::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::from_io("the result cannot be written to standard output", &cause, "check where it goes"))
        }
        _ => Ok(()),
    }
}

/// Leaves messages out from now on: what is said by [`say`].
pub fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Says whether messages are left out.
#[must_use]
pub fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Writes a message for people to standard error, unless they want to hear none.
pub fn say(text: &str) {
    if !is_quiet() {
        tell(text);
    }
}

/// Writes to standard error what must be heard: faults, warnings, questions, and secrets that are shown once.
pub fn tell(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(anstream::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Writes a value as JSON or YAML.
///
/// # Errors
/// Where standard output cannot be written.
pub fn value(format: Format, value: &impl Serialize) -> Result<(), Failure> {
    let failed =
        |why: String| Failure::new(Exit::Failed, "the result cannot be shown", why, "choose another form with -o json");
    let text = match format {
        Format::Yaml => serde_saphyr::to_string(value).map_err(|fault| failed(fault.to_string()))?,
        _ => serde_json::to_string_pretty(value).map_err(|fault| failed(fault.to_string()))?,
    };
    data(&text)
}

/// Tells what was done: a sentence for people, or its id or the whole of it as data.
///
/// # Errors
/// Where standard output cannot be written.
pub fn done(format: Format, id: impl Display, sentence: &str, whole: &impl Serialize) -> Result<(), Failure> {
    match format {
        Format::Table => {
            say(sentence);
            Ok(())
        }
        Format::Name => data(&id.to_string()),
        format => value(format, whole),
    }
}

/// Returns rows as columns without borders, heads in upper case.
#[must_use]
pub fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads.iter().map(|head| head.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
