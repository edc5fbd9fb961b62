//! Mutual TLS between nodes: both sides show a certificate of the cluster's authority, which says which node it is.

use std::sync::Arc;

use portcullis_model::NodeId;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use uuid::Uuid;
use x509_parser::extensions::GeneralName;

use crate::authority::{node_host, node_of_host};
use crate::identity::DataDirectory;

/// What a caller names in ALPN who wants to speak HTTP/2 with the node's components.
pub(super) const HTTP: &[u8] = b"h2";

/// Why the node's certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file in `tls/` is not PEM, or not of the kind expected.
    #[error("a certificate or key in the data directory's tls/ cannot be read")]
    Pem(#[from] pem::Error),
    /// Certificate and key do not fit, or are not usable.
    #[error("the certificates in the data directory's tls/ cannot be used")]
    Rustls(#[from] rustls::Error),
    /// The authority's certificate is not usable.
    #[error("the authority's certificate in tls/ca.pem cannot be used")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Both ends of mutual TLS.
pub(super) fn configure(directory: &DataDirectory) -> Result<(TlsConnector, TlsAcceptor), TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(directory.ca_certificate().as_bytes())?)?;
    let roots = Arc::new(roots);
    let chain = vec![CertificateDer::from_pem_slice(directory.certificate().as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(directory.key().as_bytes())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = &[&rustls::version::TLS13];

    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?
        .with_root_certificates(Arc::clone(&roots))
        .with_client_auth_cert(chain.clone(), key.clone_key())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    // A caller that names no protocol speaks the cluster's own.
    server.alpn_protocols = vec![HTTP.to_vec()];
    Ok((TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server))))
}

/// Says whether the certificate, which the authority signed, is that of node `node`.
pub(super) fn belongs_to(certificate: Option<&CertificateDer<'_>>, node: NodeId, cluster: Uuid) -> bool {
    let Some(Ok((_, certificate))) = certificate.map(|der| x509_parser::parse_x509_certificate(der)) else {
        return false;
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    let host = node_host(node, cluster);
    names.value.general_names.iter().any(|name| matches!(name, GeneralName::DNSName(dns) if **dns == host))
}

/// Returns the node whose certificate, which the authority signed, it is.
pub(super) fn node_of(certificate: Option<&CertificateDer<'_>>, cluster: Uuid) -> Option<NodeId> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate?).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(dns) => node_of_host(dns, cluster),
        _ => None,
    })
}
