//! By what TLS to backends is trusted: what the system trusts, and for some backends what their publishers added.

use std::fmt;
use std::sync::Arc;

use portcullis_model::client_certificate::CertificateDer;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer as Der, ServerName, UnixTime};
use tracing::warn;

use super::link::Trust;

/// What every backend may be trusted by.
#[derive(Debug)]
pub(crate) struct Authorities {
    /// What the system trusts.
    roots: RootCertStore,
    /// By what the gateway shows backends that ask who it is.
    identity: Option<Arc<CertifiedKey>>,
}

impl Default for Authorities {
    fn default() -> Self {
        Self { roots: RootCertStore::empty(), identity: None }
    }
}

impl Authorities {
    /// Reads what the operating system trusts; nothing where it has nothing. `identity` is shown to backends that ask.
    pub(crate) fn of_the_system(identity: Option<Arc<CertifiedKey>>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self { roots, identity }
    }

    /// Returns how TLS to backends is checked that have no certificates of their own; `None` where the system trusts
    /// nobody.
    ///
    /// # Errors
    /// Where the crypto provider lacks a protocol version, which it does not.
    pub(crate) fn usual(&self) -> Result<Option<Arc<ClientConfig>>, rustls::Error> {
        if self.roots.is_empty() {
            warn!("the system trusts no certificate authority: calls to https backends will fail");
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Some(Arc::new(self.identify(builder.with_root_certificates(self.roots.clone())))))
    }

    /// Has the gateway show its certificate, where it has one.
    fn identify(&self, builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> ClientConfig {
        match &self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(identity)))),
            None => builder.with_no_client_auth(),
        }
    }

    /// Returns how TLS to a backend is checked that has certificates of its own; `None` where none of them is usable,
    /// so that the backend is trusted as others are.
    pub(crate) fn trust(&self, own: &[CertificateDer]) -> Option<Arc<Trust>> {
        let mut roots = self.roots.clone();
        let mut pinned = Vec::new();
        for one in own {
            let der = Der::from(one.0.clone());
            match roots.add(der.clone()) {
                Ok(()) => pinned.push(der),
                Err(error) => warn!(%error, "certificate of an endpoint not usable; nothing is trusted by it"),
            }
        }
        if pinned.is_empty() {
            return None;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let chains = chains.inspect_err(|error| warn!(%error, "certificates of an endpoint not usable")).ok()?;
        let verifier = Verifier { chains, pinned, provider: Arc::clone(&provider) };
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Some(Arc::new(Trust::new(Arc::new(self.identify(builder)))))
    }
}

/// Trusts a backend whose chain leads to an authority, as usual; and one that shows exactly a certificate that was added
/// for it: servers with a certificate that they signed themselves are no authority's.
struct Verifier {
    chains: Arc<WebPkiServerVerifier>,
    pinned: Vec<Der<'static>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("pinned", &self.pinned.len()).finish_non_exhaustive()
    }
}

/// Says whether a certificate is good at a time.
fn is_in_time(der: &Der<'_>, now: UnixTime) -> bool {
    let Ok((_, read)) = x509_parser::parse_x509_certificate(der) else { return false };
    let Ok(now) = i64::try_from(now.as_secs()) else { return false };
    let validity = read.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &Der<'_>,
        intermediates: &[Der<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.iter().any(|one| one == end_entity) && is_in_time(end_entity, now) {
            return Ok(ServerCertVerified::assertion());
        }
        self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &Der<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &Der<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
