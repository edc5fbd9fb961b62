//! TLS settings for both ends of the management port: PEM in, rustls configuration out. The cluster's mutual TLS and
//! the certificate authority are not here.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, ServerConfig, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text holds no certificate, or a damaged one.
    #[error("the certificate is not readable: {0}")]
    Certificate(#[source] rustls_pki_types::pem::Error),
    /// The text holds no private key, or a damaged one.
    #[error("the private key is not readable: {0}")]
    Key(#[source] rustls_pki_types::pem::Error),
    /// Certificate and key do not belong together, or cannot be used.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::Certificate(rustls_pki_types::pem::Error::NoItemsFound)),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::Certificate(error)),
    }
}

/// Returns the SHA-256 of the first certificate in `pem` (of its DER): what a join token carries.
///
/// # Errors
/// Where there is no certificate in it.
pub fn fingerprint(pem: &str) -> Result<[u8; 32], TlsError> {
    let found = certificates(pem)?;
    let first = found.first().ok_or(TlsError::Certificate(rustls_pki_types::pem::Error::NoItemsFound))?;
    Ok(Sha256::digest(first).into())
}

/// Returns the SHA-256 of every certificate in `pem`.
///
/// # Errors
/// Where there is none in it.
pub fn fingerprints(pem: &str) -> Result<Vec<[u8; 32]>, TlsError> {
    Ok(certificates(pem)?.iter().map(|certificate| Sha256::digest(certificate).into()).collect())
}

/// A server's certificate and key, which can be replaced while the server runs.
pub struct ServerCertificate {
    current: RwLock<Arc<CertifiedKey>>,
}

impl ServerCertificate {
    /// Reads a certificate, followed by those of its issuers, and its key.
    ///
    /// # Errors
    /// Where a text is not readable, or the two do not belong together.
    pub fn new(cert_chain_pem: &str, key_pem: &str) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Arc::new(certified_key(cert_chain_pem, key_pem)?));
        Ok(Arc::new(Self { current }))
    }

    /// Replaces certificate and key: connections made from now on see the new ones.
    ///
    /// # Errors
    /// As [`ServerCertificate::new`]; the old ones stay then.
    pub fn replace(&self, cert_chain_pem: &str, key_pem: &str) -> Result<(), TlsError> {
        let new = Arc::new(certified_key(cert_chain_pem, key_pem)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificate")
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Reads a certificate, followed by those of its issuers, and its key.
///
/// # Errors
/// Where a text is not readable, or the two do not belong together.
pub fn certified_key(cert_chain_pem: &str, key_pem: &str) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert_chain_pem)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(TlsError::Key)?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Unusable)
}

/// Returns a server's configuration: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, no client certificates.
///
/// # Errors
/// As [`ServerCertificate::new`].
pub fn server_config(cert_chain_pem: &str, key_pem: &str) -> Result<Arc<ServerConfig>, TlsError> {
    server_config_of(ServerCertificate::new(cert_chain_pem, key_pem)?)
}

/// Returns a server's configuration whose certificate can be replaced while it runs.
///
/// # Errors
/// Where the crypto provider lacks a protocol version, which it does not.
pub fn server_config_of(certificate: Arc<ServerCertificate>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Returns a client's configuration that trusts the authorities in `ca_pem` alone.
///
/// # Errors
/// Where there is no certificate in it, or one that is no authority's.
pub fn client_config_with_ca(ca_pem: &str) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem)? {
        roots.add(certificate).map_err(TlsError::Unusable)?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The authorities that vouch for clients' certificates.
pub struct ClientAuthorities(Arc<dyn ClientCertVerifier>);

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientAuthorities")
    }
}

impl ClientAuthorities {
    /// Reads authorities.
    ///
    /// # Errors
    /// Where there is no certificate in the text, or one that is no authority's.
    pub fn new(ca_pem: &str) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca_pem)? {
            roots.add(certificate).map_err(TlsError::Unusable)?;
        }
        let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let unusable = |cause: rustls::server::VerifierBuilderError| rustls::Error::General(cause.to_string());
        built.map(Self).map_err(|cause| TlsError::Unusable(unusable(cause)))
    }

    /// Says whether one of them vouches for a client's certificate now, by way of the others that were shown.
    #[must_use]
    pub fn have_signed(&self, certificate: &[u8], issuers: &[Vec<u8>]) -> bool {
        let issuers: Vec<_> = issuers.iter().map(|one| CertificateDer::from(one.as_slice())).collect();
        self.0.verify_client_cert(&CertificateDer::from(certificate), &issuers, UnixTime::now()).is_ok()
    }
}

/// Returns a client's configuration that trusts the one authority whose certificate (DER) has this SHA-256. The server
/// must send that certificate behind its own.
///
/// # Errors
/// Where the crypto provider lacks a protocol version, which it does not.
pub fn client_config_pinned(ca_sha256: [u8; 32]) -> Result<Arc<ClientConfig>, TlsError> {
    believing(Trust::Pinned(ca_sha256))
}

/// Returns a client's configuration that believes any certificate: for a person who asked for that by a flag.
///
/// # Errors
/// Where the crypto provider lacks a protocol version, which it does not.
pub fn client_config_insecure() -> Result<Arc<ClientConfig>, TlsError> {
    believing(Trust::Anybody)
}

fn believing(trust: Trust) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = Arc::new(Verifier { trust, provider: provider() });
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// No certificate in the chain has the fingerprint that was pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server does not belong to the cluster that was meant: its certificate authority has another fingerprint")]
pub struct WrongAuthority;

/// Whose certificates are believed.
#[derive(Debug)]
enum Trust {
    /// Those of the authority with this fingerprint.
    Pinned([u8; 32]),
    /// Anybody's.
    Anybody,
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Trust::Pinned(ca_sha256) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let authority = intermediates
            .iter()
            .find(|certificate| Sha256::digest(certificate).as_slice() == ca_sha256.as_slice())
            .ok_or_else(|| CertificateError::Other(OtherError(Arc::new(WrongAuthority))))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
