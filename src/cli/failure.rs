//! How a command tells that it failed: four lines (error, why, try, docs) on standard error, and an exit code.

use std::fmt;

use anstyle::{AnsiColor, Style};
use portcullis_model::fault::Fault;

use crate::exit::Exit;

/// Why a command failed, in words for the person who ran it.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    error: String,
    why: String,
    next: String,
    docs: String,
}

impl Failure {
    /// Makes a failure from what went wrong, why, and what to do next.
    pub fn new(exit: Exit, error: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        let docs = "portcullis help".to_owned();
        Self { exit, error: error.into(), why: why.into(), next: next.into(), docs }
    }

    /// Sets where to read more.
    #[must_use]
    pub fn docs(mut self, docs: impl Into<String>) -> Self {
        self.docs = docs.into();
        self
    }

    /// Sets what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// Returns what went wrong and why, in one line.
    pub fn summary(&self) -> String {
        format!("{}: {}", self.error, self.why.replace('\n', " "))
    }

    /// Returns what to do next.
    pub fn next_step(&self) -> &str {
        &self.next
    }

    /// Makes a failure from an error that knows its own code and next step.
    pub fn from_fault(what: impl Into<String>, fault: &dyn Fault) -> Self {
        let exit = match fault.status() {
            // A command line or file of the caller that is wrong is not a wrong use of the command line itself.
            400 => Exit::Failed,
            status => Exit::of_status(status),
        };
        Self::new(exit, what, fault.to_string(), fault.next_step()).docs(docs_of(fault.code()))
    }

    /// Makes a failure of an operation on a file or directory.
    pub fn from_io(what: impl Into<String>, cause: &std::io::Error, next: impl Into<String>) -> Self {
        Self::new(Exit::Failed, what, cause.to_string(), next)
    }
}

/// Says why a text is no YAML. The parser begins with the word that commands begin with too.
pub fn why_no_yaml(fault: &serde_saphyr::Error) -> String {
    let text = fault.to_string();
    text.strip_prefix("error: ").map(str::to_owned).unwrap_or(text)
}

/// Returns what explains an error code.
pub fn docs_of(code: &str) -> String {
    format!("portcullis docs {code}")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bad = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let muted = Style::new().dimmed();
        writeln!(f, "{bad}error:{bad:#} {}", self.error)?;
        for (name, text) in [("why", &self.why), ("try", &self.next), ("docs", &self.docs)] {
            writeln!(f, "  {muted}{name:<5}{muted:#} {}", text.replace('\n', "\n        "))?;
        }
        Ok(())
    }
}
