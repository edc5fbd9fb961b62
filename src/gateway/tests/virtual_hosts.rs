//! Certificates of virtual hosts: each client is shown the one for the name that it asks for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use portcullis_gateway::{HttpsSettings, Settings};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use stage::{Stage, settings};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

fn made(names: &[&str]) -> (CertificateDer<'static>, String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.der().clone(), made.cert.pem(), made.signing_key.serialize_pem())
}

/// Puts a certificate and its key into a directory.
fn put(directory: &Path, name: &str, names: &[&str]) -> CertificateDer<'static> {
    let (certificate, chain, key) = made(names);
    std::fs::write(directory.join(format!("{name}.key")), key).unwrap();
    std::fs::write(directory.join(format!("{name}.pem")), chain).unwrap();
    certificate
}

/// Returns the certificate that a client is shown who asks for a name and trusts these.
async fn shown(
    address: SocketAddr,
    name: &str,
    trusted: &[&CertificateDer<'static>],
) -> Option<CertificateDer<'static>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in trusted {
        roots.add((*certificate).clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, tcp).await.ok()?;
    stream.get_ref().1.peer_certificates().map(|chain| chain[0].clone().into_owned())
}

#[tokio::test]
async fn each_name_has_its_certificate_also_one_that_comes_later() {
    let directory = tempfile::tempdir().unwrap();
    let one = put(directory.path(), "one", &["one.example", "www.one.example"]);
    let many = put(directory.path(), "many", &["*.many.example"]);
    std::fs::write(directory.path().join("broken.pem"), "nothing").unwrap();
    let (usual, _, key) = made(&["localhost"]);
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(key.as_bytes()).unwrap();
    let key: PrivateKeyDer<'static> = key;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![usual.clone()], key).unwrap();
    let https = HttpsSettings { address: "127.0.0.1:0".parse().unwrap(), tls: Arc::new(server) };
    let certificates_dir = Some(directory.path().to_owned());
    let stage = Stage::new(Settings { https: Some(https), certificates_dir, ..settings() });
    let address = stage.gateway.https_address().unwrap();
    for (name, expected) in [
        ("one.example", Some(&one)),
        ("www.one.example", Some(&one)),
        ("a.many.example", Some(&many)),
        ("localhost", Some(&usual)),
        // The usual one is shown, which is not for it.
        ("a.b.many.example", None),
        ("other.example", None),
    ] {
        assert_eq!(shown(address, name, &[&one, &many, &usual]).await.as_ref(), expected, "{name}");
    }
    let new = put(directory.path(), "one", &["one.example"]);
    let later = put(directory.path(), "later", &["later.example"]);
    let deadline = tokio::time::Instant::now() + stage::PATIENCE;
    while shown(address, "later.example", &[&later]).await.is_none()
        || shown(address, "one.example", &[&new]).await.is_none()
    {
        assert!(tokio::time::Instant::now() < deadline, "the files are never read again");
    }
    assert_eq!(shown(address, "www.one.example", &[&one, &new, &usual]).await, None, "the new one is not for it");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_a_clear_error() {
    let (_, chain, key) = made(&["localhost"]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = rustls::pki_types::pem::PemObject::from_pem_slice(chain.as_bytes()).unwrap();
    let key: PrivateKeyDer<'static> = rustls::pki_types::pem::PemObject::from_pem_slice(key.as_bytes()).unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![chain], key).unwrap();
    let https = HttpsSettings { address: "127.0.0.1:0".parse().unwrap(), tls: Arc::new(server) };
    let settings = Settings { https: Some(https), certificates_dir: Some("/no/such/place".into()), ..settings() };
    let (keys, quotas) = (Arc::<stage::Keys>::default(), Arc::<stage::Budgets>::default());
    let error = portcullis_gateway::start(settings, keys, quotas, Arc::new(stage::Echo)).unwrap_err();
    assert!(error.to_string().contains("/no/such/place"), "{error}");
}
