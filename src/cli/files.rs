//! The files the command line keeps for its user: contexts in the XDG configuration directory, trust in the state
//! directory. Both are readable by the user alone.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Bytes of such a file.
const BYTES_MAX: u64 = 1 << 20;

/// Returns a file in the user's configuration directory; `None` where the user has no home.
pub fn in_config(name: &str) -> Option<PathBuf> {
    of_user("XDG_CONFIG_HOME", ".config", name)
}

/// Returns a file in the user's state directory; `None` where the user has no home.
pub fn in_state(name: &str) -> Option<PathBuf> {
    of_user("XDG_STATE_HOME", ".local/state", name)
}

/// The XDG base directory specification ignores relative paths.
fn of_user(variable: &str, below_home: &str, name: &str) -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let base = std::env::var_os(variable).map(PathBuf::from).and_then(absolute).or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from).and_then(absolute)?;
        Some(home.join(below_home))
    })?;
    Some(base.join("portcullis").join(name))
}

/// Reads a file; empty where it is not there.
///
/// # Errors
/// Where it is there but cannot be read.
pub fn read(path: &Path) -> Result<String, Failure> {
    let failed = |cause: &std::io::Error| {
        Failure::from_io(format!("{} cannot be read", path.display()), cause, "check its permissions, or delete it")
    };
    match std::fs::metadata(path) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(cause) => Err(failed(&cause)),
        Ok(about) if about.len() > BYTES_MAX => Err(failed(&std::io::Error::other("it is too large"))),
        Ok(_) => std::fs::read_to_string(path).map_err(|cause| failed(&cause)),
    }
}

/// Writes a file whole, or not at all, for the user alone (0600).
///
/// # Errors
/// Where it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let place = path.with_extension(format!("new-{}", std::process::id()));
    let written = (|| {
        if let Some(directory) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&place)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&place, path)
    })();
    written.map_err(|cause| {
        // The half-written file is of no use; that it cannot be removed changes nothing for the caller.
        let _ = std::fs::remove_file(&place);
        Failure::from_io(format!("{} cannot be written", path.display()), &cause, "check the directory's permissions")
    })
}

/// Reads a secret from a file: its first line.
///
/// # Errors
/// Where it cannot be read or is empty.
pub fn read_secret(path: &Path) -> Result<String, Failure> {
    let what = || format!("the password cannot be read from {}", path.display());
    let text = std::fs::read_to_string(path)
        .map_err(|cause| Failure::from_io(what(), &cause, "give a file that holds the password in its first line"))?;
    let secret = text.lines().next().unwrap_or_default().to_owned();
    if secret.is_empty() || text.len() as u64 > BYTES_MAX {
        return Err(Failure::new(
            crate::exit::Exit::Failed,
            what(),
            "its first line is empty, or the file is too large",
            "give a file that holds the password in its first line",
        ));
    }
    Ok(secret)
}
