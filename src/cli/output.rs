//! Output: data on standard output as table, JSON, YAML or names; everything else on standard error.

use std::io::Write;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;

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

/// Writes data to standard output, with a line end. A reader that has gone away (`| head`) is not a failure.
///
/// # Errors
/// Where standard output cannot be written for another reason.
pub fn data(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::from_io("the result cannot be written to standard output", &cause, "check where it goes"))
        }
        _ => Ok(()),
    }
}

/// Writes a message for people to standard error.
pub fn say(text: &str) {
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
