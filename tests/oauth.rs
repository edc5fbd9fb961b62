//! OAuth 2 as clients and browsers meet it: over TLS, each step at another node, and the token at a gateway.

mod harness;

use std::path::Path;

use harness::http::{Client, Reply};
use harness::journey::{self, Wish, text};
use harness::visitor::hidden;
use harness::{Cluster, Node};
use serde_json::{Value, json};

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];
const CALLBACK: &str = "https://app.example/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A browser that keeps its cookies whichever node it is sent to, as it does behind a balancer.
#[derive(Default)]
struct Browser {
    cookies: Vec<(String, String)>,
}

impl Browser {
    async fn send(&mut self, node: &Node, verb: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [FORM[0], ("cookie", cookies.as_str()), ("sec-fetch-site", "same-origin")];
        let reply = node.anonymous().send(verb, path, &headers, body).await.expect("an answer");
        for cookie in reply.headers.get_all("set-cookie") {
            let pair = cookie.to_str().expect("text").split(';').next().expect("a pair");
            let (name, value) = pair.split_once('=').expect("a name");
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        reply
    }
}

async fn token_request(node: &Node, client: &journey::Published, form: &str) -> Reply {
    let login = node.anonymous().with_basic(&client.client_id, &client.client_secret);
    login.send("POST", "/oauth2/token", &FORM, form.to_owned()).await.expect("an answer")
}

async fn calls(node: &Node, path: &str, token: &str) -> u16 {
    node.gateway().with_bearer(token).get(path).await.expect("an answer").status
}

/// Lets an application's keys use codes, by the Store's contract.
async fn allow_codes(store: &Client, application: &str) {
    let keys = store.get(&format!("/api/am/devportal/v3/applications/{application}/oauth-keys")).await.expect("keys");
    let mapping = text(&keys.expect(200).json()["list"][0], "keyMappingId");
    let grants = json!(["authorization_code", "refresh_token", "client_credentials"]);
    let change = json!({"keyType": "PRODUCTION", "supportedGrantTypes": grants, "callbackUrl": CALLBACK});
    let path = format!("/api/am/devportal/v3/applications/{application}/oauth-keys/{mapping}");
    store.json("PUT", &path, &change).await.expect("a change").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_at_one_node_allows_at_another_and_the_code_is_redeemed_at_a_third() {
    let cluster = Cluster::start(3).await;
    let backend = harness::backend::Backend::start("pizza").await;
    let [one, two, three] = &cluster.nodes[..] else { panic!("three nodes") };
    let url = backend.url();
    let wish = Wish { token_type: "JWT", ..Wish::new("pizza", &url) };
    let client = journey::publish_and_subscribe(one, &wish).await;
    allow_codes(&one.admin(), &client.application).await;
    let mut browser = Browser::default();
    let request = format!(
        "client_id={}&response_type=code&redirect_uri={CALLBACK}&scope=openid&state=s&nonce=n&code_challenge={CHALLENGE}\
         &code_challenge_method=S256",
        client.client_id
    );
    // The gateway sends browsers on to the pages, as the original's does.
    let pages = two.secure_gateway().get(&format!("/authorize?{request}")).await.expect("an answer").expect(307);
    assert_eq!(pages.header("location"), format!("{}/oauth2/authorize?{request}", two.management_url()));
    let page = browser.send(one, "GET", &format!("/oauth2/authorize?{request}"), &[]).await.expect(200);
    let (to, form_token) = (hidden(&page.text(), "to"), hidden(&page.text(), "form_token"));
    let fields =
        [("to", to.as_str()), ("form_token", &form_token), ("username", "admin"), ("password", harness::PASSWORD)];
    let signed_in = browser.send(one, "POST", "/oauth2/sign-in", &fields).await.expect(303);
    let asked = browser.send(two, "GET", signed_in.header("location"), &[]).await.expect(200);
    let (to, form_token) = (hidden(&asked.text(), "to"), hidden(&asked.text(), "form_token"));
    let fields = [("to", to.as_str()), ("form_token", &form_token), ("decision", "allow")];
    let answer = browser.send(two, "POST", "/oauth2/consent", &fields).await.expect(303);
    let address = url::Url::parse(answer.header("location")).expect("an address");
    let pairs: std::collections::HashMap<_, _> = address.query_pairs().into_owned().collect();
    assert_eq!((pairs["state"].as_str(), pairs["iss"].as_str()), ("s", "https://localhost:9443/oauth2/token"));

    let form = format!(
        "grant_type=authorization_code&code={}&redirect_uri={CALLBACK}&code_verifier={VERIFIER}",
        pairs["code"]
    );
    // The node that gave the code may be gone by then.
    two.kill();
    let granted = token_request(three, &client, &form).await.expect(200).json();
    let token = text(&granted, "access_token");
    for node in [one, three] {
        assert_eq!(calls(node, &format!("{}/menu", client.path), &token).await, 200);
    }
    let user =
        three.anonymous().with_bearer(&token).get("/oauth2/userinfo").await.expect("an answer").expect(200).json();
    assert_eq!(user["sub"], "admin@carbon.super");
    let again = token_request(one, &client, &form).await.expect(400).json();
    assert_eq!(again["error"], "invalid_grant");
    // What is taken back on one node is refused on the other as soon as that has heard of it.
    harness::until("both gateways to refuse the token", async || {
        let first = calls(one, &format!("{}/menu", client.path), &token).await;
        let third = calls(three, &format!("{}/menu", client.path), &token).await;
        (first == 401 && third == 401).then_some(())
    })
    .await;
}

fn kid_and_algorithm(token: &str) -> (String, String) {
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header"));
    let header: Value = serde_json::from_slice(&header.expect("base64url")).expect("JSON");
    (text(&header, "kid"), text(&header, "alg"))
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_keys_of_every_algorithm_rotate_and_what_a_retired_one_signed_is_refused_everywhere() {
    let mut cluster = Cluster::empty();
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.wait_for_voters(2).await;
    let backend = harness::backend::Backend::start("pizza").await;
    let url = backend.url();
    let wish = Wish { token_type: "JWT", ..Wish::new("pizza", &url) };
    let client = journey::publish_and_subscribe(&cluster.nodes[0], &wish).await;
    let path = format!("{}/menu", client.path);
    let server = cluster.nodes[1].management_url();
    let cli = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--server", &server, "--data-dir", "n2"]);
        cluster.cli_ok(&all)
    };
    let first = journey::token(&cluster.nodes[0], &client).await;
    let (first_kid, algorithm) = kid_and_algorithm(&first);
    assert_eq!(algorithm, "ES256");
    // A key that is only shown does not sign yet.
    let next = cli(&["key", "signing", "rotate", "--overlap", "1h"]).trim().to_owned();
    assert_eq!(kid_and_algorithm(&journey::token(&cluster.nodes[1], &client).await).0, first_kid);
    let listed = cli(&["key", "signing", "list"]);
    assert!(listed.lines().any(|line| line.contains(&next) && line.contains("next")), "{listed}");
    let now = cli(&["key", "signing", "rotate", "--now"]).trim().to_owned();
    let second = journey::token(&cluster.nodes[0], &client).await;
    assert_eq!(kid_and_algorithm(&second).0, now);
    for kid in [&first_kid, &next, &now] {
        let keys = cluster.nodes[1].anonymous().get("/oauth2/jwks").await.expect("keys").expect(200);
        assert!(keys.text().contains(kid.as_str()), "{}", keys.text());
    }
    for node in &cluster.nodes {
        assert_eq!((calls(node, &path, &first).await, calls(node, &path, &second).await), (200, 200));
    }
    cli(&["key", "signing", "retire", &first_kid]);
    for node in &cluster.nodes {
        assert_eq!((calls(node, &path, &first).await, calls(node, &path, &second).await), (401, 200));
    }
    let refused = cluster.cli(&["key", "signing", "retire", &now, "--server", &server, "--data-dir", "n2"]);
    assert!(!refused.status.success(), "the key that signs goes only by force");
    for algorithm in ["RS256", "EdDSA"] {
        for node in &cluster.nodes {
            node.terminate().await;
            node.run_with(&[("PORTCULLIS_OAUTH__SIGNING_ALGORITHM", Path::new(algorithm))]);
        }
        for node in &cluster.nodes {
            node.wait_ready().await;
        }
        let token = journey::token(&cluster.nodes[0], &client).await;
        assert_eq!(kid_and_algorithm(&token).1, algorithm);
        for node in &cluster.nodes {
            assert_eq!((calls(node, &path, &token).await, calls(node, &path, &second).await), (200, 200));
        }
    }
}
