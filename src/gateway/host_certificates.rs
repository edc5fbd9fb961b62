//! Certificates of virtual hosts: files in a directory, of which a client is shown the one for the name that it asks for
//! (SNI, RFC 6066 §3). It sees files that are changed while it runs. It does not get certificates from anywhere.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tracing::{info, warn};
use x509_parser::extensions::GeneralName;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// Certificates in a directory.
const CERTIFICATES_MAX: usize = 10_000;
/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The certificates by the names of hosts in them: `api.example.com`, `*.example.com`.
type Table = HashMap<String, Shown>;

/// A certificate, and the file that it was read from.
#[derive(Clone)]
struct Shown {
    file: Arc<Path>,
    key: Arc<CertifiedKey>,
}

/// Shows each client the certificate for the name that it asks for.
pub(crate) struct HostCertificates {
    directory: PathBuf,
    provider: Arc<CryptoProvider>,
    table: ArcSwap<Table>,
    /// For names that no file has, and for clients that ask for none.
    otherwise: Arc<dyn ResolvesServerCert>,
}

/// A certificate that cannot be served.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{} cannot be read: {}", .0.display(), .1)]
    Read(PathBuf, io::Error),
    #[error("{} has more than {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    #[error("{} is not PEM: {}", .0.display(), .1)]
    Pem(PathBuf, rustls_pki_types::pem::Error),
    #[error("it holds no certificate")]
    Empty,
    #[error("the key cannot be used, or is not the certificate's: {0}")]
    Key(#[from] rustls::Error),
    #[error("the certificate names no host (subjectAltName)")]
    NoName,
}

/// What tells whether files have changed.
type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

impl HostCertificates {
    /// Reads the directory, and follows it until what is returned is dropped.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub(crate) fn follow(
        directory: &Path,
        provider: &Arc<CryptoProvider>,
        otherwise: &Arc<dyn ResolvesServerCert>,
    ) -> io::Result<Arc<Self>> {
        let stamp = stamp(directory)?;
        let certificates = Arc::new(Self {
            directory: directory.to_owned(),
            provider: Arc::clone(provider),
            table: ArcSwap::default(),
            otherwise: Arc::clone(otherwise),
        });
        certificates.read(&stamp);
        let followed = Arc::downgrade(&certificates);
        std::thread::Builder::new().name("gateway-certificates".to_owned()).spawn(move || watch(&followed, stamp))?;
        Ok(certificates)
    }

    /// Reads all files. One that cannot be served is logged; its name keeps the certificate that it had.
    fn read(&self, stamp: &Stamp) {
        let before = self.table.load_full();
        let mut table = Table::new();
        let pairs = stamp.iter().filter(|(path, ..)| path.extension().is_some_and(|end| end == "pem"));
        for (path, ..) in pairs.take(CERTIFICATES_MAX) {
            match self.pair(path) {
                Ok((names, key)) => {
                    let shown = Shown { file: Arc::from(path.as_path()), key };
                    table.extend(names.into_iter().map(|name| (name, shown.clone())));
                }
                Err(error) => {
                    warn!(file = %path.display(), %error, "certificate of a virtual host not usable: correct the file, or take it away");
                    // What is half written will be whole soon, and what is broken must not take the host away.
                    let kept = before.iter().filter(|(_, shown)| *shown.file == **path);
                    let kept: Vec<_> = kept.map(|(name, shown)| (name.clone(), shown.clone())).collect();
                    table.extend(kept);
                }
            }
        }
        info!(hosts = table.len(), "certificates of virtual hosts read");
        self.table.store(Arc::new(table));
    }

    fn pair(&self, chain: &Path) -> Result<(Vec<String>, Arc<CertifiedKey>), Unusable> {
        let (chain_file, key_file) = (chain, chain.with_extension("key"));
        let chain_pem = read_file(chain_file)?;
        let key_pem = read_file(&key_file)?;
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&chain_pem).collect();
        let chain = chain.map_err(|error| Unusable::Pem(chain_file.to_owned(), error))?;
        let names = names_of(chain.first().ok_or(Unusable::Empty)?);
        if names.is_empty() {
            return Err(Unusable::NoName);
        }
        let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| Unusable::Pem(key_file, error))?;
        let key = CertifiedKey::new(chain, self.provider.key_provider.load_private_key(key)?);
        key.keys_match()?;
        Ok((names, Arc::new(key)))
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let found = table.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            table.get(&format!("*.{parent}"))
        });
        found.map(|shown| Arc::clone(&shown.key))
    }
}

impl ResolvesServerCert for HostCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().and_then(|name| self.find(name)).or_else(|| self.otherwise.resolve(hello))
    }
}

impl fmt::Debug for HostCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCertificates").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// Looks at the files again and again until nobody shows them any more.
fn watch(certificates: &Weak<HostCertificates>, mut seen: Stamp) {
    loop {
        std::thread::park_timeout(INTERVAL);
        let Some(certificates) = certificates.upgrade() else { return };
        match stamp(&certificates.directory) {
            Ok(now) if now != seen => {
                certificates.read(&now);
                seen = now;
            }
            Ok(_) => {}
            Err(error) => {
                let directory = certificates.directory.display();
                warn!(%directory, %error, "certificates of virtual hosts not readable; those that were read stay");
            }
        }
    }
}

fn stamp(directory: &Path) -> io::Result<Stamp> {
    let mut stamp = Stamp::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if !path.extension().is_some_and(|end| end == "pem" || end == "key") {
            continue;
        }
        // Through links, as some mount secrets so.
        if let Ok(about) = fs::metadata(&path) {
            stamp.push((path, about.modified().ok(), about.len()));
        }
    }
    stamp.sort();
    Ok(stamp)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Unusable> {
    let unread = |error| Unusable::Read(path.to_owned(), error);
    if fs::metadata(path).map_err(unread)?.len() > FILE_BYTES_MAX {
        return Err(Unusable::TooLarge(path.to_owned()));
    }
    fs::read(path).map_err(unread)
}

/// Returns the names of hosts in a certificate.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, read)) = x509_parser::parse_x509_certificate(certificate) else { return Vec::new() };
    let Ok(Some(names)) = read.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}
