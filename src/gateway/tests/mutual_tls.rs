//! Client certificates: which an API trusts, alone and together with other proofs, in the handshake and in a header.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use portcullis_database::state::Generation;
use portcullis_gateway::{HttpsSettings, Settings};
use portcullis_model::api::Security;
use portcullis_model::authorization::TokenBinding;
use portcullis_model::client_certificate::{CertificateDer, TrustedCertificate};
use portcullis_model::counter::CounterLevel;
use portcullis_model::endpoint_trust::{EndpointPlace, EndpointTrust};
use portcullis_model::port::KeyVerdict;
use portcullis_model::{DeployedApi, EdgeSecurity, Endpoint, KeyType, OperationAuth, TenantDomain};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer as Der, PrivateKeyDer};
use stage::{Backend, Stage, api, settings, verdict};

/// A certificate with its key.
struct Made {
    certificate: rcgen::Certificate,
    key: KeyPair,
    params: CertificateParams,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn own(params: CertificateParams) -> Made {
    let key = KeyPair::generate().unwrap();
    Made { certificate: params.self_signed(&key).unwrap(), key, params }
}

fn authority(name: &str) -> Made {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages.clear();
    own(params)
}

fn signed(params: CertificateParams, by: &Made) -> Made {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &Issuer::from_params(&by.params, &by.key)).unwrap();
    Made { certificate, key, params }
}

fn trusted(alias: &str, made: &Made, plan: &str) -> TrustedCertificate {
    let certificate = CertificateDer(made.certificate.der().to_vec());
    TrustedCertificate { alias: alias.to_owned(), plan: plan.to_owned(), key_type: KeyType::Production, certificate }
}

const CERTIFICATE_ALONE: Security = Security {
    has_oauth2: false,
    has_api_key: false,
    has_basic_auth: false,
    has_mutual_tls: true,
    is_mutual_tls_mandatory: true,
    is_token_mandatory: false,
};

struct Front {
    stage: Stage,
    certificate: CertificateDer,
    roots: rustls::RootCertStore,
    backend: Backend,
}

impl Front {
    async fn start(with: Settings) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let https = HttpsSettings { address: "127.0.0.1:0".parse().unwrap(), tls: Arc::new(tls) };
        let stage = Stage::new(Settings { https: Some(https), ..with });
        let certificate = CertificateDer(made.cert.der().to_vec());
        Self { stage, certificate, roots, backend: Backend::start().await }
    }

    fn api(&self) -> DeployedApi {
        api(self.backend.address)
    }

    fn trust(&self, certificates: Vec<TrustedCertificate>) {
        self.stage.change(|state| {
            let edge = EdgeSecurity { api_key_header: None, certificates };
            state.deployed.edge_security.insert(("Default".to_owned(), self.api().id), Arc::new(edge));
            state.deployed.advance(Generation::Routes);
            state.deployed.advance(Generation::Keys);
        });
    }

    /// Calls with a certificate, or none, over a connection of its own; returns the status and the code.
    async fn call(&self, shown: Option<&Made>, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        self.call_by(&self.config(shown), path, headers).await
    }

    fn config(&self, shown: Option<&Made>) -> Arc<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(self.roots.clone());
        let config = match shown {
            Some(made) => {
                let key = PrivateKeyDer::try_from(made.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![made.certificate.der().clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        Arc::new(config)
    }

    async fn call_by(&self, config: &Arc<rustls::ClientConfig>, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let address = self.stage.gateway.https_address().unwrap();
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let tls = tokio_rustls::TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(tls);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::get(format!("/pizza/1.0.0{path}")).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    }
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn the_certificates_of_an_api_open_it_and_no_others() {
    let front = Front::start(settings()).await;
    front.stage.deploy(DeployedApi { security: CERTIFICATE_ALONE, ..front.api() });
    let (anna, eve, ca) = (own(params("anna")), own(params("eve")), authority("partner"));
    let of_partner = signed(params("bert"), &ca);
    let mut over = params("carl");
    over.not_before = rcgen::date_time_ymd(2019, 1, 1);
    over.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let over = signed(over, &ca);
    front.trust(vec![trusted("anna", &anna, "Gold"), trusted("partner", &ca, "Gold"), trusted("over", &over, "Gold")]);
    for (who, expected) in [
        (Some(&anna), (200, String::new())),
        (Some(&of_partner), (200, String::new())),
        (Some(&eve), refused(401, "900901")),
        (Some(&over), refused(401, "900901")),
        (None, refused(401, "900902")),
    ] {
        assert_eq!(front.call(who, "/menu", &[]).await, expected);
        assert_eq!(front.call(who, "/open", &[]).await, (200, String::new()), "nobody is asked there");
    }
    // A certificate holds no scopes and is no user.
    assert_eq!(front.call(Some(&anna), "/admin", &[]).await, refused(403, "900910"));
    assert_eq!(front.call(Some(&anna), "/mine", &[]).await, refused(401, "900905"));
    front.trust(vec![trusted("partner", &ca, "Gold")]);
    assert_eq!(front.call(Some(&anna), "/menu", &[]).await, refused(401, "900901"), "taken away: no longer trusted");
    assert_eq!(front.call(Some(&of_partner), "/menu", &[]).await, (200, String::new()));
}

#[tokio::test]
async fn the_plan_of_the_certificate_limits_its_bearer() {
    let front = Front::start(settings()).await;
    front.stage.deploy(DeployedApi { security: CERTIFICATE_ALONE, ..front.api() });
    front.stage.budgets.set("Gold", CounterLevel::Subscription, 2, false);
    let anna = own(params("anna"));
    front.trust(vec![trusted("anna", &anna, "Gold")]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(front.call(Some(&anna), "/menu", &[]).await);
    }
    assert_eq!(seen, [(200, String::new()), (200, String::new()), refused(429, "900804")]);
}

#[tokio::test]
async fn mandatory_and_optional_mean_what_they_say() {
    let front = Front::start(settings()).await;
    front.stage.keys.set("good", Ok(verdict()));
    let (anna, eve) = (own(params("anna")), own(params("eve")));
    let token = [("authorization", "Bearer good")];
    let bad = [("authorization", "Bearer bad")];
    let ok = || (200, String::new());
    for (is_mutual_tls_mandatory, is_token_mandatory) in [(true, true), (true, false), (false, true), (false, false)] {
        let security = Security {
            has_oauth2: true,
            has_mutual_tls: true,
            is_mutual_tls_mandatory,
            is_token_mandatory,
            ..CERTIFICATE_ALONE
        };
        front.stage.deploy(DeployedApi { security, ..front.api() });
        front.trust(vec![trusted("anna", &anna, "Gold")]);
        let what = format!("certificate {is_mutual_tls_mandatory}, token {is_token_mandatory}");
        assert_eq!(front.call(Some(&anna), "/menu", &token).await, ok(), "{what}");
        assert_eq!(front.call(None, "/menu", &[]).await, refused(401, "900902"), "{what}");
        let expected = if is_token_mandatory { refused(401, "900902") } else { ok() };
        assert_eq!(front.call(Some(&anna), "/menu", &[]).await, expected, "a certificate alone; {what}");
        let expected = if is_mutual_tls_mandatory { refused(401, "900902") } else { ok() };
        assert_eq!(front.call(None, "/menu", &token).await, expected, "a token alone; {what}");
        let expected = if is_mutual_tls_mandatory { refused(401, "900901") } else { ok() };
        assert_eq!(
            front.call(Some(&eve), "/menu", &token).await,
            expected,
            "a token and a foreign certificate; {what}"
        );
        assert_eq!(
            front.call(Some(&anna), "/menu", &bad).await,
            refused(401, "900901"),
            "what is shown must be good; {what}"
        );
    }
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_opens_with_that_certificate_alone() {
    let front = Front::start(settings()).await;
    let security =
        Security { has_oauth2: true, is_mutual_tls_mandatory: false, is_token_mandatory: true, ..CERTIFICATE_ALONE };
    front.stage.deploy(DeployedApi { security, ..front.api() });
    let (anna, eve) = (own(params("anna")), own(params("eve")));
    let thumbprint = thumbprint_of(&anna);
    let bound = KeyVerdict { binding: Some(TokenBinding::Certificate(thumbprint)), ..verdict() };
    front.stage.keys.set("bound", Ok(bound));
    let token = [("authorization", "Bearer bound")];
    // The API need not trust the certificate itself.
    assert_eq!(front.call(Some(&anna), "/menu", &token).await, (200, String::new()));
    assert_eq!(front.call(Some(&eve), "/menu", &token).await, refused(401, "900901"));
    assert_eq!(front.call(None, "/menu", &token).await, refused(401, "900901"));
    front.stage.deploy(front.api());
    assert_eq!(
        front.call(Some(&anna), "/menu", &token).await,
        refused(401, "900901"),
        "certificates are not asked for"
    );
}

fn thumbprint_of(made: &Made) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, made.certificate.der());
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, digest)
}

#[tokio::test]
async fn a_trusted_proxy_passes_certificates_on_and_nobody_else_does() {
    let with = |proxies: &[&str]| Settings {
        client_certificate_header: Some("x-wso2-client-certificate".parse().unwrap()),
        trusted_proxies: proxies.iter().map(|network| network.parse().unwrap()).collect(),
        ..settings()
    };
    let (anna, eve) = (own(params("anna")), own(params("eve")));
    let written = |made: &Made| made.certificate.pem().replace('\n', "%0A").replace(' ', "%20");
    for (proxies, expected) in [(&["127.0.0.0/8"][..], 200), (&["10.0.0.0/8"], 401)] {
        let front = Front::start(with(proxies)).await;
        let mut of_application = front.api();
        of_application.operations[0].auth = OperationAuth::Application;
        front.stage.deploy(DeployedApi { security: CERTIFICATE_ALONE, ..of_application });
        front.trust(vec![trusted("anna", &anna, "Gold")]);
        let (anna, eve) = (written(&anna), written(&eve));
        let status = front.call(None, "/menu", &[("X-WSO2-CLIENT-CERTIFICATE", &anna)]).await.0;
        assert_eq!(status, expected, "{proxies:?}");
        assert_eq!(front.call(None, "/menu", &[("X-WSO2-CLIENT-CERTIFICATE", &eve)]).await.0, 401);
        let twice = [("X-WSO2-CLIENT-CERTIFICATE", anna.as_str()), ("X-WSO2-CLIENT-CERTIFICATE", anna.as_str())];
        assert_eq!(front.call(None, "/menu", &twice).await.0, 401);
        if expected == 200 {
            assert!(!front.backend.last().headers.contains_key("x-wso2-client-certificate"));
        }
    }
}

#[tokio::test]
async fn clients_are_asked_for_certificates_only_where_an_api_wants_them() {
    let front = Front::start(settings()).await;
    front.stage.deploy(front.api());
    front.stage.keys.set("good", Ok(verdict()));
    let anna = own(params("anna"));
    let asked = |resolver: &Arc<Noting>| resolver.asked.load(std::sync::atomic::Ordering::SeqCst);
    let resolver = Arc::new(Noting::default());
    front.connect_noting(&resolver).await;
    assert_eq!(asked(&resolver), 0, "browsers would ask people to choose one");
    // A session that began before is not resumed: its client would go on showing nothing.
    let config = front.config(Some(&anna));
    assert_eq!(front.call_by(&config, "/open", &[]).await.0, 200);
    front.stage.deploy(DeployedApi { security: CERTIFICATE_ALONE, ..front.api() });
    front.trust(vec![trusted("anna", &anna, "Gold")]);
    front.connect_noting(&resolver).await;
    assert_eq!(asked(&resolver), 1);
    for _ in 0..2 {
        assert_eq!(front.call_by(&config, "/menu", &[]).await, (200, String::new()));
    }
}

/// Notes whether the server asks for a certificate, and shows none.
#[derive(Debug, Default)]
struct Noting {
    asked: std::sync::atomic::AtomicU64,
}

impl rustls::client::ResolvesClientCert for Noting {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Front {
    async fn connect_noting(&self, resolver: &Arc<Noting>) {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let resolver = Arc::<Noting>::clone(resolver);
        let config = builder.with_root_certificates(self.roots.clone()).with_client_cert_resolver(resolver);
        let tcp = tokio::net::TcpStream::connect(self.stage.gateway.https_address().unwrap()).await.unwrap();
        let name = "localhost".try_into().unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_whose_key_the_client_does_not_hold_is_no_proof() {
    let front = Front::start(settings()).await;
    front.stage.deploy(DeployedApi { security: CERTIFICATE_ALONE, ..front.api() });
    let (anna, eve) = (own(params("anna")), own(params("eve")));
    front.trust(vec![trusted("anna", &anna, "Gold")]);
    let stolen = Der::from(anna.certificate.der().to_vec());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(eve.key.serialize_der()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = Arc::new(rustls::sign::CertifiedKey::new(vec![stolen], key));
    #[derive(Debug)]
    struct Always(Arc<rustls::sign::CertifiedKey>);
    impl rustls::client::ResolvesClientCert for Always {
        fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(front.roots.clone()).with_client_cert_resolver(Arc::new(Always(shown)));
    let tcp = tokio::net::TcpStream::connect(front.stage.gateway.https_address().unwrap()).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let connected = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    let Ok(mut tls) = connected else { return };
    // With TLS 1.3 the client hears of it with the first read.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let _ = tls.write_all(b"GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut answer = Vec::new();
    assert!(tls.read_to_end(&mut answer).await.is_err(), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(front.backend.calls(), 0);
}

#[tokio::test]
async fn a_gateway_shows_backends_that_ask_who_it_is() {
    let backend = Front::start(settings()).await;
    backend.stage.deploy(DeployedApi { security: CERTIFICATE_ALONE, ..backend.api() });
    let own = own(params("gateway"));
    backend.trust(vec![trusted("gateway", &own, "Unlimited")]);
    let port = backend.stage.gateway.https_address().unwrap().port();
    let url = format!("https://localhost:{port}/pizza/1.0.0");
    let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let identity = CertifiedKey::from_der(vec![own.certificate.der().clone()], key, &provider).unwrap();
    for (identity, expected) in [(Some(Arc::new(identity)), 200), (None, 401)] {
        let stage = Stage::new(Settings { backend_identity: identity, ..settings() });
        stage.keys.set("good", Ok(verdict()));
        stage.change(|state| {
            let place = (EndpointPlace::parse(&url).unwrap(), backend.certificate.clone());
            let trust = EndpointTrust { certificates: vec![place] };
            state.deployed.endpoint_trust.insert(TenantDomain::super_tenant(), Arc::new(trust));
        });
        let mut deployed = backend.api();
        deployed.endpoints.production = vec![Endpoint { url: url.clone(), timeout_ms: None }];
        stage.deploy(deployed);
        assert_eq!(stage.get("/pizza/1.0.0/menu").await.status, expected);
    }
}
