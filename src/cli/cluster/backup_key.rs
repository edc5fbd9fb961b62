//! With what a backup is encrypted and opened: a passphrase or a key, each from a file.

use std::path::PathBuf;

use clap::Args;
use portcullis_node::safekeeping::BackupKey;

use crate::failure::Failure;
use crate::files;

/// A passphrase or a key, from a file. Never on the command line: other users of the machine see that.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Encryption")]
pub struct BackupKeyArguments {
    /// A file whose first line is the passphrase; at least 12 characters.
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
    /// A file with a key of 64 hexadecimal digits (openssl rand -hex 32).
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl BackupKeyArguments {
    /// Reads the passphrase or key, if one was named.
    ///
    /// # Errors
    /// Where the file cannot be read or does not hold one.
    pub fn read(&self) -> Result<Option<BackupKey>, Failure> {
        if let Some(file) = &self.passphrase_file {
            return Ok(Some(BackupKey::passphrase(files::read_secret(file)?)));
        }
        let Some(file) = &self.key_file else { return Ok(None) };
        let key = BackupKey::from_file(&files::read_secret(file)?);
        let what = || format!("{} cannot be used", file.display());
        key.map(Some)
            .map_err(|fault| Failure::from_fault(what(), &portcullis_node::safekeeping::SafekeepingFault::from(fault)))
    }
}
