//! Client certificates on real processes: added over the REST contract on one node, good on every other, and told to
//! backends by none but the gateway.

mod harness;

use harness::backend::Backend;
use harness::http::{Client, multipart};
use harness::journey::{self, Wish, text};
use harness::{Cluster, Node};
use serde_json::{Value, json};

/// Calls a node's gateway over TLS with a certificate.
fn showing(node: &Node, made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Client {
    let (certificate, key) = (made.cert.der().to_vec(), made.signing_key.serialize_der());
    Client::secure_as(&node.secure_gateway().base(), &node.data_dir.join("tls/ca.pem"), certificate, key)
}

fn made(name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate")
}

/// Sends a certificate with its alias and plan.
async fn upload(admin: &Client, verb: &str, path: &str, parts: &[(&str, &str)]) -> harness::http::Reply {
    let parts: Vec<_> =
        parts.iter().map(|(name, value)| (*name, (*name == "certificate").then_some("a.crt"), *value)).collect();
    let (body, content_type) = multipart(&parts);
    admin.send(verb, path, &[("content-type", &content_type)], body).await.expect("upload")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_opens_an_api_on_every_node_until_it_is_deleted() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let admin = cluster.nodes[0].admin();
    let api = journey::publish(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let path = format!("/api/am/publisher/v4/apis/{api}");
    let mut body = admin.get(&path).await.expect("get").expect(200).json();
    body["securityScheme"] = json!(["mutualssl", "mutualssl_mandatory"]);
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    journey::deploy(&admin, &api).await;

    let (anna, eve) = (made("anna"), made("eve"));
    let certificates = format!("{path}/client-certs/PRODUCTION");
    let pem = anna.cert.pem();
    let added =
        upload(&admin, "POST", &certificates, &[("alias", "anna"), ("tier", "Gold"), ("certificate", &pem)]).await;
    assert_eq!(text(&added.expect(200).json(), "alias"), "anna");
    for node in &cluster.nodes {
        showing(node, &anna).get("/pizza/1.0.0/menu").await.expect("call").expect(200);
        let foreign = showing(node, &eve).get("/pizza/1.0.0/menu").await.expect("call").expect(401);
        assert_eq!(foreign.json()["code"], "900901", "{}", foreign.text());
        let none = node.secure_gateway().get("/pizza/1.0.0/menu").await.expect("call").expect(401);
        assert_eq!(none.json()["code"], "900902", "{}", none.text());
    }

    let other = cluster.nodes[1].admin();
    let listed = other.get(&certificates).await.expect("list").expect(200).json();
    assert_eq!((&listed["count"], &listed["certificates"][0]["tier"]), (&json!(1), &json!("Gold")));
    let shown = other.get(&format!("{path}/client-certificates/anna")).await.expect("show").expect(200).json();
    assert_eq!((&shown["status"], &shown["version"]), (&json!("Active"), &json!("V3")));
    let content = other.get(&format!("{certificates}/anna/content")).await.expect("content").expect(200).text();
    assert_eq!(content.replace('\r', "").trim(), pem.replace('\r', "").trim());
    for (parts, status) in [
        (vec![("alias", "anna"), ("tier", "Gold"), ("certificate", pem.as_str())], 409),
        (vec![("alias", "b"), ("tier", "No such plan"), ("certificate", pem.as_str())], 400),
        (vec![("alias", "b"), ("tier", "Gold"), ("certificate", "nonsense")], 400),
        (vec![("alias", "b"), ("tier", "Gold")], 400),
    ] {
        upload(&admin, "POST", &certificates, &parts).await.expect(status);
    }
    other.get(&format!("{path}/client-certs/SANDBOX/anna")).await.expect("show").expect(404);

    // Replaced: the one before is good nowhere any more.
    let renewed = made("anna");
    upload(&other, "PUT", &format!("{certificates}/anna"), &[("certificate", &renewed.cert.pem())]).await.expect(200);
    for node in &cluster.nodes {
        showing(node, &anna).get("/pizza/1.0.0/menu").await.expect("call").expect(401);
        showing(node, &renewed).get("/pizza/1.0.0/menu").await.expect("call").expect(200);
    }
    let deleted = other.send("DELETE", &format!("{certificates}/anna"), &[], "").await.expect("delete").expect(200);
    assert_eq!(deleted.header("x-fence-unreached"), "");
    for node in &cluster.nodes {
        showing(node, &renewed).get("/pizza/1.0.0/menu").await.expect("call").expect(401);
    }
    other.send("DELETE", &format!("{certificates}/anna"), &[], "").await.expect("delete").expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_are_told_who_calls_and_can_check_it_by_the_key_set() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[gateway]\nbackend_jwt_header = \"X-JWT-Assertion\"\n");
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let token = journey::token(node, &published).await;
    let menu = format!("{}/menu", published.path);
    let forged = [("x-jwt-assertion", "forged")];
    let reply = node.gateway().with_bearer(&token).send("GET", &menu, &forged, "").await.expect("call").expect(200);
    let assertion = text(&reply.json()["headers"], "x-jwt-assertion");
    let keys = node.anonymous().get("/oauth2/jwks").await.expect("keys").expect(200).json();
    let claims = checked(&assertion, &keys);
    assert_eq!(claims["iss"], "wso2.org/products/am");
    let claim = |name: &str| claims[format!("http://wso2.org/claims/{name}")].clone();
    assert_eq!(
        (claim("apiname"), claim("apicontext"), claim("version")),
        ("pizza".into(), "/pizza/1.0.0".into(), "1.0.0".into())
    );
    assert_eq!((claim("applicationUUId"), claim("keytype")), (published.application.into(), "PRODUCTION".into()));
    assert_eq!((claim("usertype"), claim("enduserTenantId")), ("APPLICATION".into(), "-1234".into()));
    let ends_at = claims["exp"].as_i64().expect("an end");
    let left = ends_at - jiff::Timestamp::now().as_second();
    assert!((1..=900).contains(&left), "{left} s are left");
}

/// Checks a signed token as a backend does, by the key of the set that it names, and returns the claims.
fn checked(token: &str, keys: &Value) -> Value {
    let unverified = portcullis_jose::Unverified::parse(token).expect("a signed token");
    let mut keys = keys["keys"].as_array().expect("keys").iter();
    let key = keys.find(|key| key["kid"].as_str() == unverified.header.kid.as_deref()).expect("the key that it names");
    let key: portcullis_jose::Jwk = serde_json::from_value(key.clone()).expect("a key");
    unverified.verify(&key.public_key(unverified.algorithm).expect("a key of this kind")).expect("signed by this key")
}

/// An authority and what it signs.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    /// Signs a certificate of a client.
    fn sign(&self, name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        let mut params = rcgen::CertificateParams::new(vec![format!("{name}.example")]).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Acme");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let signing_key = rcgen::KeyPair::generate().expect("a key");
        let cert = params.signed_by(&signing_key, &self.issuer).expect("a certificate");
        rcgen::CertifiedKey { cert, signing_key }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_who_they_are_by_a_certificate_and_their_tokens_are_bound_to_it() {
    let mut cluster = Cluster::empty();
    let (ours, others) = (Authority::new(), Authority::new());
    let file = cluster.path("clients.pem");
    std::fs::write(&file, ours.certificate.pem()).expect("the authority");
    for number in [1, 2] {
        cluster.configure(number, &format!("[oauth]\nclient_authorities_file = {:?}\n", file.to_str().expect("text")));
    }
    cluster.bootstrap_with(&["--components", "publisher,store,key-manager,traffic-manager,admin"]).await;
    cluster.join_with(&["--components", "gateway"]).await;
    let (managing, gateway) = (&cluster.nodes[0], &cluster.nodes[1]);
    let register = async |names: Value| {
        let mut client = json!({"client_name": "robot", "grant_types": ["client_credentials"]});
        client.as_object_mut().expect("an object").extend(names.as_object().expect("an object").clone());
        managing.admin().json("POST", "/oauth2/register", &client).await.expect("register")
    };
    let by_subject = json!({
        "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=robot,O=Acme",
        "access_token_type": "JWT",
    });
    let id = text(&register(by_subject).await.expect(201).json(), "client_id");
    register(json!({"token_endpoint_auth_method": "tls_client_auth"})).await.expect(400);

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("grant_type=client_credentials&client_id={id}");
    let ask = async |client: Client| client.send("POST", "/token", &form, body.clone()).await.expect("an answer");
    let robot = ours.sign("robot");
    let granted = ask(showing(gateway, &robot)).await.expect(200).json();
    let claims = journey::text(&granted, "access_token");
    let claims = claims.split('.').nth(1).expect("claims");
    use base64::Engine as _;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    assert!(claims["cnf"]["x5t#S256"].is_string(), "{claims}");
    // Another name, another authority, and none at all.
    for client in
        [showing(gateway, &ours.sign("other")), showing(gateway, &others.sign("robot")), gateway.secure_gateway()]
    {
        assert_eq!(ask(client).await.expect(401).json()["error"], "invalid_client");
    }
    // What the header between nodes says is not taken from a caller.
    let forged = robot.cert.der().to_vec();
    let forged = base64::engine::general_purpose::STANDARD.encode(forged);
    let headers = [form[0], ("x-portcullis-client-certificates", forged.as_str())];
    gateway.gateway().send("POST", "/token", &headers, body.clone()).await.expect("an answer").expect(401);
}
