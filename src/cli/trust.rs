//! Which certificate authority is expected behind a server: pinned at the first contact, and refused when it changes.
//!
//! Clusters that were made or joined by this user on this machine are trusted by their own certificate, without a
//! first contact. The file is `trust.toml` in the XDG state directory.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portcullis_http::tls;
use serde::{Deserialize, Serialize};

use crate::authority::CA_FILE;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// Servers and clusters remembered; the file stays readable and small.
const REMEMBERED_MAX: usize = 200;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Fingerprint of the authority by `host:port`.
    #[serde(default)]
    servers: BTreeMap<String, String>,
    /// Data directories by fingerprint, of clusters made or joined here; the newest last.
    #[serde(default)]
    clusters: Vec<OwnCluster>,
}

/// A cluster that a node of this machine belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OwnCluster {
    ca_fingerprint: String,
    data_dir: PathBuf,
}

impl OwnCluster {
    /// Says whether this is the cluster's authority: the one it was made with, or one that took its place since then.
    fn is_of(&self, fingerprint: &str) -> bool {
        let moved_to = || {
            let bundle = std::fs::read_to_string(self.data_dir.join(CA_FILE)).ok()?;
            tls::fingerprints(&bundle).ok()
        };
        let is_it = |one: &[u8; 32]| hex::encode(one) == fingerprint;
        self.ca_fingerprint == fingerprint || moved_to().is_some_and(|moved_to| moved_to.iter().any(is_it))
    }
}

/// The certificate authorities that this user has met.
#[derive(Debug)]
pub struct Trust {
    file: Option<PathBuf>,
    remembered: Remembered,
}

/// What is known of an authority that a server showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It is the one expected.
    Known,
    /// It was never met, and neither was the server.
    First,
    /// The server was met with another one.
    Changed,
}

impl Trust {
    /// Opens what is remembered; nothing where the user has no home.
    ///
    /// # Errors
    /// Where the file cannot be read or is damaged.
    pub fn open() -> Result<Self, Failure> {
        Self::open_at(files::in_state("trust.toml"))
    }

    fn open_at(file: Option<PathBuf>) -> Result<Self, Failure> {
        let text = file.as_deref().map(files::read).transpose()?.unwrap_or_default();
        let remembered = toml::from_str(&text).map_err(|fault| {
            let place = file.as_deref().map(|file| file.display().to_string()).unwrap_or_default();
            Failure::new(Exit::Failed, format!("{place} is damaged"), fault.message(), format!("rm {place}"))
        })?;
        Ok(Self { file, remembered })
    }

    /// Says what is known of the authority that `server` (`host:port`) showed.
    #[must_use]
    pub fn meet(&self, server: &str, fingerprint: &str) -> Met {
        if self.remembered.clusters.iter().any(|one| one.is_of(fingerprint)) {
            return Met::Known;
        }
        match self.remembered.servers.get(server) {
            Some(pinned) if pinned == fingerprint => Met::Known,
            Some(_) => Met::Changed,
            None => Met::First,
        }
    }

    /// Returns what was pinned for a server.
    #[must_use]
    pub fn pinned(&self, server: &str) -> Option<&str> {
        self.remembered.servers.get(server).map(String::as_str)
    }

    /// Pins the authority of a server.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn pin(&mut self, server: &str, fingerprint: &str) -> Result<(), Failure> {
        let servers = &mut self.remembered.servers;
        if servers.len() >= REMEMBERED_MAX && !servers.contains_key(server) {
            servers.pop_first();
        }
        servers.insert(server.to_owned(), fingerprint.to_owned());
        self.write()
    }

    /// Forgets a server; says whether it was known.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn forget(&mut self, server: &str) -> Result<bool, Failure> {
        let was_known = self.remembered.servers.remove(server).is_some();
        self.write()?;
        Ok(was_known)
    }

    /// Remembers a cluster that was made or joined here.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn add_own(&mut self, fingerprint: &str, data_dir: PathBuf) -> Result<(), Failure> {
        let clusters = &mut self.remembered.clusters;
        clusters.retain(|one| one.data_dir != data_dir);
        if clusters.len() >= REMEMBERED_MAX {
            clusters.remove(0);
        }
        clusters.push(OwnCluster { ca_fingerprint: fingerprint.to_owned(), data_dir });
        self.write()
    }

    /// Forgets the clusters of a data directory that is going away.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn forget_own(&mut self, data_dir: &std::path::Path) -> Result<(), Failure> {
        self.remembered.clusters.retain(|one| one.data_dir != data_dir);
        self.write()
    }

    fn write(&self) -> Result<(), Failure> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = toml::to_string(&self.remembered).map_err(|fault| {
            Failure::new(Exit::Failed, "what is trusted cannot be written", fault.to_string(), "report this")
        })?;
        files::write(file, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_pinned_at_first_contact_and_a_changed_authority_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("state/trust.toml");
        let mut trust = Trust::open_at(Some(file.clone())).unwrap();
        assert_eq!(trust.meet("n1:9443", "aa"), Met::First);
        trust.pin("n1:9443", "aa").unwrap();

        let mut trust = Trust::open_at(Some(file)).unwrap();
        assert_eq!(trust.meet("n1:9443", "aa"), Met::Known);
        assert_eq!(trust.meet("n1:9443", "bb"), Met::Changed);
        trust.add_own("bb", "/data/n1".into()).unwrap();
        assert_eq!(trust.meet("n1:9443", "bb"), Met::Known, "a cluster made here needs no first contact");
        trust.forget_own(std::path::Path::new("/data/n1")).unwrap();
        assert_eq!(trust.meet("n1:9443", "bb"), Met::Changed);
        assert!(trust.forget("n1:9443").unwrap());
        assert_eq!(trust.meet("n1:9443", "bb"), Met::First);
    }
}
