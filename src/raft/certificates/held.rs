//! The certificate, key and trusted authorities that a node uses now, and where they are replaced while it runs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_model::certificate::Fingerprint;
use portcullis_model::{NodeId, Timestamp};
use tokio::sync::{Mutex, watch};

use super::files;
use super::parsed::Parsed;
use crate::identity::IdentityError;
use crate::transport::{Tls, TlsError};

/// What a node shows and what it believes.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// Its certificate, PEM, and behind it the one by which those who trust the former authority believe the present
    /// one, while there is such a one.
    pub certificate: String,
    /// The certificate's private key, PKCS #8 PEM.
    pub key: String,
    /// The authorities that it trusts, PEM; the one that signs certificates comes first.
    pub authorities: String,
    pub(crate) parsed: Parsed,
    trusted: Vec<Parsed>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.parsed)
    }
}

impl Held {
    pub(crate) fn new(certificate: String, key: String, authorities: String) -> Result<Self, IdentityError> {
        let parsed = Parsed::from_pem(&certificate)?;
        let trusted = Parsed::all_from_pem(&authorities)?;
        if trusted.is_empty() {
            return Err(IdentityError::Invalid("the authority's certificate"));
        }
        Ok(Self { certificate, key, authorities, parsed, trusted })
    }

    /// Returns what a server sends: its certificate and those of its authorities, of which the one that signs comes
    /// last.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut authorities: Vec<&str> = self.authorities.split_inclusive("-----END CERTIFICATE-----").collect();
        authorities.retain(|text| text.contains("-----BEGIN"));
        authorities.reverse();
        let texts = std::iter::once(self.certificate.as_str()).chain(authorities);
        texts.map(|text| format!("{}\n", text.trim())).collect()
    }

    /// Returns when the certificate ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.parsed.not_after
    }

    /// Returns when the certificate begins to be valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.parsed.not_before
    }

    /// Returns when the first of the trusted authorities ends.
    #[must_use]
    pub fn authorities_not_after(&self) -> Timestamp {
        self.trusted.iter().map(|authority| authority.not_after).min().unwrap_or_default()
    }

    /// Returns the authority that signed the certificate, if it is one of those trusted.
    pub(crate) fn signer(&self) -> Option<Fingerprint> {
        let signer = self.trusted.iter().find(|authority| self.parsed.names_as_signer(authority));
        signer.map(|authority| authority.fingerprint)
    }

    /// Returns the authorities that are trusted.
    pub(crate) fn trusts(&self) -> Vec<Fingerprint> {
        self.trusted.iter().map(|authority| authority.fingerprint).collect()
    }
}

/// The one place where a running node's certificates are looked up and replaced.
pub(crate) struct Certificates {
    directory: PathBuf,
    held: watch::Sender<Arc<Held>>,
    tls: ArcSwap<Tls>,
    node: NodeId,
    /// How long a certificate is valid that this node signs.
    pub(crate) valid: Duration,
    /// Held by whoever replaces something: one replacement at a time.
    pub(crate) replacing: Mutex<()>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({:?})", self.held())
    }
}

impl Certificates {
    /// Begins with what the data directory holds; `directory` is its `tls/`.
    pub(crate) fn new(directory: PathBuf, held: Held, node: NodeId, valid: Duration) -> Result<Self, TlsError> {
        let tls = ArcSwap::from_pointee(Tls::new(&held, node)?);
        let held = watch::Sender::new(Arc::new(held));
        Ok(Self { directory, held, tls, node, valid, replacing: Mutex::default() })
    }

    /// Returns what is in force.
    pub(crate) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.borrow())
    }

    /// Returns a receiver that sees every replacement.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Held>> {
        self.held.subscribe()
    }

    /// Returns the TLS settings for the next connection.
    pub(crate) fn tls(&self) -> Arc<Tls> {
        self.tls.load_full()
    }

    /// Puts other authorities in force. On disk first: what a node said it trusts it trusts also after a crash.
    pub(crate) fn trust(&self, authorities: String) -> Result<(), ReplaceError> {
        let held = self.held();
        let new = Held::new(held.certificate.clone(), held.key.clone(), authorities)?;
        let tls = Tls::new(&new, self.node)?;
        files::replace_authorities(&self.directory, &new.authorities)?;
        self.put_in_force(new, tls);
        Ok(())
    }

    /// Puts another certificate with its key in force.
    pub(crate) fn replace(&self, certificate: String, key: String) -> Result<(), ReplaceError> {
        let new = Held::new(certificate, key, self.held().authorities.clone())?;
        let tls = Tls::new(&new, self.node)?;
        files::replace_pair(&self.directory, &new.certificate, &new.key)?;
        self.put_in_force(new, tls);
        Ok(())
    }

    fn put_in_force(&self, held: Held, tls: Tls) {
        self.tls.store(Arc::new(tls));
        self.held.send_replace(Arc::new(held));
    }
}

/// Why a certificate or an authority was not put in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError {
    #[error(transparent)]
    Files(#[from] IdentityError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}
