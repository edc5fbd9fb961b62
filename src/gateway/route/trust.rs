//! Which client certificates an API trusts: those that were added to it, and those that an authority signed which was.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_model::client_certificate::TrustedCertificate;
use portcullis_model::{ApiId, Timestamp};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use tracing::warn;

use crate::peer::PeerCertificate;

/// What an API trusts.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// Clients' own certificates, by digest.
    own: HashMap<String, Arc<TrustedCertificate>>,
    authorities: Vec<(Arc<dyn ClientCertVerifier>, Arc<TrustedCertificate>)>,
}

/// Why a certificate does not prove who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// The API does not trust it.
    Foreign,
    /// Its time is over, or has not come.
    Expired,
}

impl Trust {
    /// Compiles certificates. One that cannot be used is logged and left out: it opens nothing.
    pub(crate) fn new(api: ApiId, certificates: &[TrustedCertificate]) -> Self {
        let mut trust = Self::default();
        for one in certificates {
            let der = CertificateDer::from(one.certificate.0.as_slice());
            let Some(read) = PeerCertificate::new(std::slice::from_ref(&der)) else {
                warn!(%api, alias = one.alias, "client certificate not readable; nobody is let in by it");
                continue;
            };
            let shared = Arc::new(one.clone());
            if is_authority(&der) {
                match verifier(&der) {
                    Ok(verifier) => trust.authorities.push((verifier, Arc::clone(&shared))),
                    Err(error) => warn!(%api, alias = one.alias, %error, "authority of client certificates not usable"),
                }
            }
            trust.own.insert(read.digest.clone(), shared);
        }
        trust
    }

    /// Finds by which entry a certificate is trusted at `now`.
    pub(crate) fn find(&self, peer: &PeerCertificate, now: Timestamp) -> Result<&Arc<TrustedCertificate>, Distrust> {
        let found = self.own.get(&peer.digest).or_else(|| self.signed_by(peer, now));
        if now < peer.not_before || now >= peer.not_after {
            return Err(Distrust::Expired);
        }
        found.ok_or(Distrust::Foreign)
    }

    fn signed_by(&self, peer: &PeerCertificate, now: Timestamp) -> Option<&Arc<TrustedCertificate>> {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()));
        let (first, rest) = peer.chain.split_first()?;
        let mut signers = self.authorities.iter();
        signers.find(|(verifier, _)| verifier.verify_client_cert(first, rest, now).is_ok()).map(|(_, one)| one)
    }
}

fn is_authority(der: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der) else { return false };
    certificate.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca)
}

fn verifier(der: &CertificateDer<'_>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(der.clone().into_owned()).map_err(|error| error.to_string())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    builder.build().map_err(|error| error.to_string())
}
