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
