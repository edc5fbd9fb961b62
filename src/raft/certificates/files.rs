//! The files in `tls/`: read, and replaced so that a crash at any moment leaves a certificate and the key that fits it.
//!
//! A new pair is written beside the old one, key first. Once both are on disk the key takes its place, then the
//! certificate. So where only the certificate is beside, the change had been decided, and is finished; anything else
//! beside is a change that never was, and is removed.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::held::Held;
use crate::identity::{IdentityError, io_at};
use crate::log::sync_directory;

pub(crate) const AUTHORITIES: &str = "ca.pem";
pub(crate) const CERTIFICATE: &str = "node.pem";
pub(crate) const KEY: &str = "node.key";
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

fn beside(name: &str) -> String {
    format!("{name}.new")
}

fn write(directory: &Path, name: &str, content: &str, mode: u32) -> Result<(), IdentityError> {
    let path = directory.join(beside(name));
    let written =
        File::options().write(true).create(true).truncate(true).mode(mode).open(&path).and_then(|mut file| {
            file.write_all(content.as_bytes())?;
            file.sync_all()
        });
    written.map_err(io_at(&path))
}

fn put_in_place(directory: &Path, name: &str) -> Result<(), IdentityError> {
    let path = directory.join(name);
    let moved = fs::rename(directory.join(beside(name)), &path).and_then(|()| sync_directory(directory));
    moved.map_err(io_at(&path))
}

/// Replaces the node's certificate and key.
pub(crate) fn replace_pair(directory: &Path, certificate: &str, key: &str) -> Result<(), IdentityError> {
    write(directory, KEY, key, SECRET)?;
    write(directory, CERTIFICATE, certificate, PUBLIC)?;
    sync_directory(directory).map_err(io_at(directory))?;
    put_in_place(directory, KEY)?;
    put_in_place(directory, CERTIFICATE)
}

/// Replaces the authorities that are trusted.
pub(crate) fn replace_authorities(directory: &Path, authorities: &str) -> Result<(), IdentityError> {
    write(directory, AUTHORITIES, authorities, PUBLIC)?;
    put_in_place(directory, AUTHORITIES)
}

/// Finishes or undoes a replacement that a crash cut short.
fn recover(directory: &Path) -> Result<(), IdentityError> {
    let is_beside = |name: &str| fs::exists(directory.join(beside(name))).map_err(io_at(directory));
    if is_beside(CERTIFICATE)? && !is_beside(KEY)? {
        return put_in_place(directory, CERTIFICATE);
    }
    for name in [CERTIFICATE, KEY, AUTHORITIES] {
        let path = directory.join(beside(name));
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_at(&path)(e)),
            _ => {}
        }
    }
    Ok(())
}

/// Reads the files, after finishing what a crash cut short.
pub(crate) fn read(directory: &Path) -> Result<Held, IdentityError> {
    recover(directory)?;
    let text = |name: &str| {
        let path = directory.join(name);
        fs::read_to_string(&path).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => damaged(&path, &e),
            _ => io_at(&path)(e),
        })
    };
    let (authorities, certificate, key) = (text(AUTHORITIES)?, text(CERTIFICATE)?, text(KEY)?);
    Held::new(certificate, key, authorities).map_err(|e| damaged(directory, &e))
}

fn damaged(path: &Path, reason: &dyn Display) -> IdentityError {
    let reason = format!("{reason}; make new ones: `portcullis cluster certificate renew --offline`");
    IdentityError::Damaged { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority;

    /// A directory with the files of a node whose certificate an authority of its own signed.
    fn made() -> (tempfile::TempDir, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let ca = authority::create("test").unwrap();
        replace_authorities(directory.path(), &ca.certificate).unwrap();
        replace_pair(directory.path(), &ca.certificate, "first key").unwrap();
        (directory, ca.certificate, authority::create("test").unwrap().certificate)
    }

    fn pair(directory: &Path) -> (String, String) {
        let Held { certificate, key, .. } = read(directory).unwrap();
        (certificate, key)
    }

    #[test]
    fn a_crash_at_any_moment_leaves_a_certificate_and_its_key() {
        // Only the key was written, perhaps not to its end.
        let (directory, old, new) = made();
        write(directory.path(), KEY, "sec", SECRET).unwrap();
        assert_eq!(pair(directory.path()), (old.clone(), "first key".to_owned()));
        // Both were written, none is in its place.
        write(directory.path(), KEY, "second key", SECRET).unwrap();
        write(directory.path(), CERTIFICATE, &new[..40], PUBLIC).unwrap();
        assert_eq!(pair(directory.path()), (old, "first key".to_owned()));
        // The key is in its place.
        write(directory.path(), KEY, "second key", SECRET).unwrap();
        write(directory.path(), CERTIFICATE, &new, PUBLIC).unwrap();
        put_in_place(directory.path(), KEY).unwrap();
        assert_eq!(pair(directory.path()), (new, "second key".to_owned()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3, "nothing is left beside");
    }

    #[test]
    fn a_file_that_is_no_text_is_damaged() {
        for name in [AUTHORITIES, CERTIFICATE, KEY] {
            let (directory, ..) = made();
            fs::write(directory.path().join(name), b"\xff\xfe").unwrap();
            let refused = read(directory.path()).unwrap_err();
            assert!(matches!(refused, IdentityError::Damaged { .. }), "{name}: {refused}");
        }
    }
}
