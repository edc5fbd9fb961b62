//! `portcullis version`: which program this is.

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{self, Format};

/// Arguments of `version`.
#[derive(Debug, Args)]
pub struct VersionArguments {
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Shows the version.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(arguments: &VersionArguments) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match arguments.output {
        Format::Table => output::data(&format!("portcullis {version}")),
        Format::Name => output::data(version),
        format => output::value(format, &json!({"name": "portcullis", "version": version})),
    }
}
