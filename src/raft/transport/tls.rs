//! Mutual TLS between nodes: both sides show a certificate of the cluster's authority, which says which node it is.

use std::fmt;
use std::sync::Arc;

use portcullis_model::NodeId;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use uuid::Uuid;
use x509_parser::extensions::GeneralName;

use super::verifier::{OfClients, OfServers};
use crate::authority::{node_host, node_of_host};
use crate::certificates::Held;

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

/// Both ends of mutual TLS, as they are with one certificate and one set of authorities.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) acceptor: TlsAcceptor,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    pub(crate) fn new(held: &Held, node: NodeId) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&held.authorities)? {
            roots.add(authority)?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&held.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(held.key.as_bytes())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = &[&rustls::version::TLS13];

        let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OfServers { inner: servers, node }))
            .with_client_auth_cert(chain.clone(), key.clone_key())?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(Arc::new(OfClients { inner: clients, node }))
            .with_single_cert(chain, key)?;
        // A caller that names no protocol speaks the cluster's own.
        server.alpn_protocols = vec![HTTP.to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(client)), acceptor: TlsAcceptor::from(Arc::new(server)) })
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect()
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
