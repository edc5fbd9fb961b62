//! Certificates of endpoints: a backend whose authority the system does not know is called on every node from when its
//! certificate was added, until it is taken away.

mod harness;

use harness::backend::Backend;
use harness::http::{Client, Reply, multipart};
use harness::journey::{self, Wish, text};
use harness::{Cluster, Node};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;

const CERTIFICATES: &str = "/api/am/publisher/v4/endpoint-certificates";
const MENU: &str = "/pizza/1.0.0/menu";

fn tls(certificate: Vec<u8>, key: &KeyPair) -> rustls::ServerConfig {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .expect("a certificate")
}

/// Makes an authority and a certificate of it for the loopback address.
fn signed() -> (String, rustls::ServerConfig) {
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("params");
    let server = server.signed_by(&key, &authority).expect("a certificate");
    (authority.pem(), tls(server.der().to_vec(), &key))
}

/// Makes a certificate that its server signed itself, as an authority and for another name: only who was told trusts it.
fn signed_by_itself() -> (String, rustls::ServerConfig) {
    let mut params = CertificateParams::new(vec!["somewhere.else".to_owned()]).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    (made.pem(), tls(made.der().to_vec(), &key))
}

async fn upload(admin: &Client, verb: &str, path: &str, parts: &[(&str, &str)]) -> Reply {
    let parts: Vec<_> =
        parts.iter().map(|(name, value)| (*name, (*name == "certificate").then_some("a.crt"), *value)).collect();
    let (body, content_type) = multipart(&parts);
    admin.send(verb, path, &[("content-type", &content_type)], body).await.expect("upload")
}

async fn call(node: &Node, token: &str) -> u16 {
    node.gateway().with_bearer(token).get(MENU).await.expect("call").status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_of_an_unknown_authority_is_called_while_its_certificate_is_there() {
    let cluster = Cluster::start(3).await;
    let (authority, tls) = signed();
    let backend = Backend::start_secure("production", tls).await;
    let url = backend.url();
    let pizza = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &pizza).await;
    for node in &cluster.nodes {
        assert!(call(node, &token).await >= 500);
    }
    let (admin, other) = (cluster.nodes[1].admin(), cluster.nodes[2].admin());
    // For another port it is not good.
    let added = [("alias", "inner"), ("endpoint", "https://127.0.0.1:1"), ("certificate", &authority)];
    upload(&admin, "POST", CERTIFICATES, &added).await.expect(200);
    assert!(call(&cluster.nodes[0], &token).await >= 500);
    let added = [("alias", "backend"), ("endpoint", &*url), ("certificate", &authority)];
    let reply = upload(&admin, "POST", CERTIFICATES, &added).await.expect(200);
    assert_eq!(
        (reply.header("location"), reply.json()),
        ("/api/am/publisher/v4/endpoint-certificates/backend", json!({"alias": "backend", "endpoint": url}),)
    );
    for node in &cluster.nodes {
        assert_eq!(call(node, &token).await, 200);
    }
    upload(&admin, "POST", CERTIFICATES, &added).await.expect(409);
    let wrong = [("alias", "x"), ("endpoint", "ftp://a"), ("certificate", &authority)];
    upload(&admin, "POST", CERTIFICATES, &wrong).await.expect(400);
    let wrong = [("alias", "x"), ("endpoint", &*url), ("certificate", "no certificate")];
    upload(&admin, "POST", CERTIFICATES, &wrong).await.expect(400);

    let listed = other.get(&format!("{CERTIFICATES}?alias=backend")).await.expect("list").expect(200).json();
    assert_eq!((listed["count"].as_u64(), listed["certificates"][0]["endpoint"].as_str()), (Some(1), Some(&*url)));
    let one = format!("{CERTIFICATES}/backend");
    assert_eq!(text(&other.get(&one).await.expect("show").expect(200).json(), "status"), "Active");
    assert_eq!(
        other.get(&format!("{one}/content")).await.expect("content").expect(200).text().trim(),
        authority.trim()
    );
    let usage = other.get(&format!("{one}/usage")).await.expect("usage").expect(200).json();
    assert_eq!((usage["count"].as_u64(), usage["list"][0]["name"].as_str()), (Some(1), Some("pizza")), "{usage}");

    other.send("DELETE", &one, &[], "").await.expect("delete").expect(200);
    other.send("DELETE", &one, &[], "").await.expect("again").expect(404);
    for node in &cluster.nodes {
        assert!(call(node, &token).await >= 500);
    }
    assert_eq!(backend.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_signed_its_certificate_itself_is_known_by_it_until_another_takes_its_place() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let (certificate, tls) = signed_by_itself();
    let backend = Backend::start_secure("production", tls).await;
    let url = backend.url();
    let pizza = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let token = journey::token(node, &pizza).await;
    let added = [("alias", "backend"), ("endpoint", "127.0.0.1"), ("certificate", &*certificate)];
    upload(&node.admin(), "POST", CERTIFICATES, &added).await.expect(200);
    assert_eq!(call(node, &token).await, 200);
    let (another, _) = signed_by_itself();
    let one = format!("{CERTIFICATES}/backend");
    upload(&node.admin(), "PUT", &one, &[("certificate", &another)]).await.expect(200);
    assert!(call(node, &token).await >= 500);
}
