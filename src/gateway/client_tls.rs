//! TLS with clients: asks them for a certificate where an API wants one, and lets them connect with any or none. Whom an
//! API trusts is asked with each call, for connections are not an API's.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::route::compile::Projection;

/// Sessions that may be resumed, as many as a listener keeps where nothing is said.
const SESSIONS_MAX: usize = 256;
/// Certificates in a chain.
const CHAIN_MAX: usize = 8;
/// Bytes of all certificates in a chain.
const CHAIN_BYTES_MAX: usize = 64 << 10;

/// Returns the configuration of a listener: what is given, with other certificates shown, and clients asked for theirs
/// where an API wants them.
pub(crate) fn asking(
    given: &ServerConfig,
    shown: Arc<dyn ResolvesServerCert>,
    projection: &Arc<Projection>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::clone(given.crypto_provider());
    let verifier = AnyCertificate { provider: Arc::clone(&provider), projection: Arc::clone(projection) };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(Sessions {
        asked: ServerSessionMemoryCache::new(SESSIONS_MAX),
        unasked: ServerSessionMemoryCache::new(SESSIONS_MAX),
        projection: Arc::clone(projection),
    });
    Ok(config)
}

/// Sessions that clients may resume. Who was not asked for a certificate when a session began would show none for as long
/// as it is resumed, so once certificates are wanted such sessions are not found any more.
struct Sessions {
    asked: Arc<ServerSessionMemoryCache>,
    unasked: Arc<ServerSessionMemoryCache>,
    projection: Arc<Projection>,
}

impl Sessions {
    fn now(&self) -> &ServerSessionMemoryCache {
        if self.projection.wants_certificates() { &self.asked } else { &self.unasked }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.now().put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.now().get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.now().take(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// Lets clients show any certificate whose key they hold.
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    projection: Arc<Projection>,
}

impl fmt::Debug for AnyCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyCertificate")
    }
}

/// A client shows more certificates than are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain of certificates is too long")]
struct ChainTooLong;

impl ClientCertVerifier for AnyCertificate {
    fn offer_client_auth(&self) -> bool {
        self.projection.wants_certificates()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let bytes = end_entity.len() + intermediates.iter().map(|one| one.len()).sum::<usize>();
        if intermediates.len() >= CHAIN_MAX || bytes > CHAIN_BYTES_MAX {
            return Err(CertificateError::Other(OtherError(Arc::new(ChainTooLong))).into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
