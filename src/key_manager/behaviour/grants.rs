//! Devices, exchange, pushed requests, registration, secrets, and tokens that are bound to keys.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use portcullis_database::handle::wall_clock;
use portcullis_jose::{Algorithm, Jwk, Signer, base64url};
use portcullis_model::authorization::{ClientSecret, TokenBinding};
use portcullis_model::{ClientSecretId, Timestamp, TokenType};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::browser::{Browser, change_client, claims};
use super::world::{Node, PASSWORD, SECRET, World, basic, cluster_key, sign_in_form};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const OWN: &str = "grant_type=client_credentials";

fn world_with(grant: &str) -> World {
    let world = World::new(TokenType::Jwt);
    change_client(&world, |client| client.grants.push(grant.to_owned()));
    world
}

#[tokio::test]
async fn a_device_gets_a_token_once_its_user_has_entered_the_code_and_allowed_it() {
    let world = world_with(DEVICE);
    let (node, other) = (world.node(), world.lagging_node());
    let (status, _, begun) = node.post("/oauth2/device_authorization", "scope=openid+order").await;
    assert_eq!(status, StatusCode::OK, "{begun}");
    let code = begun["device_code"].as_str().unwrap();
    let poll = format!("grant_type={DEVICE}&device_code={code}");
    assert_eq!(other.post("/oauth2/token", &poll).await.2["error"], "authorization_pending");
    assert_eq!(other.post("/oauth2/token", &poll).await.2["error"], "slow_down");

    let mut browser = Browser::new(&node);
    let page = browser.get(begun["verification_uri_complete"].as_str().unwrap().split("9443").nth(1).unwrap()).await;
    let entered = browser.sign_in(&page, PASSWORD).await;
    let shown = begun["user_code"].as_str().unwrap();
    assert!(entered.text.contains(shown), "the code is filled in: {}", entered.text);
    let form = |page: &super::browser::Page| (page.hidden("to"), page.hidden("form_token"));
    let (to, token) = form(&entered);
    let wrong = [("to", to.as_str()), ("form_token", &token), ("user_code", "BBBB-BBBB")];
    assert!(browser.post("/oauth2/device", &wrong).await.text.contains("wrong, used up or too old"));
    let typed = shown.to_lowercase().replace('-', " ");
    let fields = [("to", to.as_str()), ("form_token", &token), ("user_code", &typed)];
    let asked = browser.post("/oauth2/device", &fields).await;
    assert!(asked.text.contains("<code>order</code>"), "{}", asked.text);
    let (to, token) = form(&asked);
    let fields = [("to", to.as_str()), ("form_token", &token), ("user_code", shown), ("decision", "allow")];
    assert!(browser.post("/oauth2/device", &fields).await.text.contains("Connected"));
    assert!(browser.post("/oauth2/device", &fields).await.text.contains("wrong, used up"), "the first word counts");

    // A third node: each node knows how often it was asked itself.
    let third = world.lagging_node();
    let (status, _, granted) = third.post("/oauth2/token", &poll).await;
    assert_eq!(status, StatusCode::OK, "{granted}");
    assert_eq!(granted["scope"], "openid order");
    assert!(node.validate(granted["access_token"].as_str().unwrap()).await.unwrap().is_user_token);
    let again = world.node().post("/oauth2/token", &poll).await.2;
    assert_eq!(again["error"], "invalid_grant");
    assert!(node.validate(granted["access_token"].as_str().unwrap()).await.is_err(), "a second use takes back");
    world.wait(Duration::from_secs(1_300));
    node.token(&sign_in_form("order")).await;
    assert_eq!(world.node().post("/oauth2/token", &poll).await.2["error"], "expired_token");
}

#[tokio::test]
async fn a_token_is_exchanged_for_no_more_than_it_was_good_for() {
    let world = world_with(EXCHANGE);
    let node = world.node();
    let (subject, _) = node.token(&sign_in_form("order+look")).await;
    let form = |further: &str| {
        format!(
            "grant_type={EXCHANGE}&subject_token={subject}&subject_token_type=urn:ietf:params:oauth:token-type:access_token{further}"
        )
    };
    let (status, _, body) =
        node.post("/oauth2/token", &form("&scope=look&resource=https://gw.example/pizza/1.0.0")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(
        (&claims(token)["sub"], &claims(token)["aud"]),
        (&"admin@carbon.super".into(), &"https://gw.example/pizza/1.0.0".into())
    );
    assert_eq!(node.validate(token).await.unwrap().scopes, ["look"]);
    let (own, _) = node.token(OWN).await;
    let acting = format!("&actor_token={own}&actor_token_type=urn:ietf:params:oauth:token-type:access_token");
    let body = node.post("/oauth2/token", &form(&acting)).await.2;
    assert_eq!(claims(body["access_token"].as_str().unwrap())["act"]["sub"], world.client.0.as_str());
    for (further, error) in [
        ("&scope=bake", "invalid_scope"),
        ("&audience=somebody", "invalid_target"),
        ("&actor_token=x", "invalid_request"),
        ("&requested_token_type=urn:ietf:params:oauth:token-type:saml2", "invalid_request"),
    ] {
        assert_eq!(node.post("/oauth2/token", &form(further)).await.2["error"], error, "{further}");
    }
    let of_application = form("").replace(&subject, &own);
    assert_eq!(node.post("/oauth2/token", &of_application).await.2["error"], "invalid_request");
    assert_eq!(node.post("/oauth2/token", &form("").replace(&subject, "x")).await.2["error"], "invalid_request");
}

#[tokio::test]
async fn a_token_for_another_resource_is_not_good_at_an_api() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    for (resource, is_good) in [
        ("https://gw.example/pizza/1.0.0", true),
        ("https://gw.example/pizza", true),
        ("https://gw.example/pizza/1.0.0/menu", true),
        ("https://gw.example/", true),
        ("https://gw.example/pizza/1.0", false),
        ("https://gw.example/other", false),
    ] {
        let (token, _) = node.token(&format!("{OWN}&resource={resource}")).await;
        assert_eq!(node.validate(&token).await.is_ok(), is_good, "{resource}");
    }
}

/// A key, and the proofs it makes.
struct Prover {
    signer: Signer,
    jwk: Jwk,
}

impl Prover {
    fn new() -> Self {
        let (signer, _) = Signer::generate(Algorithm::EdDsa).unwrap();
        let jwk = signer.public_jwk("x").map(|jwk| Jwk { kid: None, purpose: None, alg: None, ..jwk }).unwrap();
        Self { signer, jwk }
    }

    fn proof(&self, id: &str, method: &str, path: &str, token: Option<&str>) -> String {
        let mut claims = json!({
            "jti": id, "htm": method, "htu": format!("https://localhost:9443{path}"), "iat": wall_clock().as_secs(),
        });
        if let Some(token) = token {
            claims["ath"] = base64url(&Sha256::digest(token)).into();
        }
        self.signer.sign_with_key("dpop+jwt", &self.jwk, &claims).unwrap()
    }
}

async fn with_proof(node: &Node, client: &str, form: &str, proof: &str) -> (StatusCode, Value) {
    let request = Request::post("/oauth2/token")
        .header("authorization", basic(client, SECRET))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("dpop", proof)
        .body(Body::from(form.to_owned()))
        .unwrap();
    let (status, _, body) = node.send(request).await;
    (status, body)
}

#[tokio::test]
async fn a_bound_token_is_good_with_a_fresh_proof_of_its_key_alone() {
    for form in [TokenType::Jwt, TokenType::Opaque] {
        let world = World::new(form);
        let node = world.node();
        let prover = Prover::new();
        let ask = sign_in_form("openid");
        let proof = prover.proof("1", "POST", "/oauth2/token", None);
        let (status, body) = with_proof(&node, &world.client.0, &ask, &proof).await;
        assert_eq!((status, &body["token_type"]), (StatusCode::OK, &"DPoP".into()), "{body}");
        let token = body["access_token"].as_str().unwrap();
        let expected = TokenBinding::Key(prover.jwk.thumbprint().unwrap());
        assert_eq!(node.validate(token).await.unwrap().binding, Some(expected));
        let (_, again) = with_proof(&node, &world.client.0, &ask, &proof).await;
        assert_eq!(again["error"], "invalid_dpop_proof", "a proof is good once");
        let elsewhere = prover.proof("2", "POST", "/oauth2/par", None);
        assert_eq!(with_proof(&node, &world.client.0, &ask, &elsewhere).await.1["error"], "invalid_dpop_proof");

        let show = async |scheme: &str, proof: &str| {
            let request = Request::get("/oauth2/userinfo")
                .header("authorization", format!("{scheme} {token}"))
                .header("dpop", proof)
                .body(Body::empty())
                .unwrap();
            node.send(request).await.0
        };
        let good = prover.proof("3", "GET", "/oauth2/userinfo", Some(token));
        assert_eq!(show("Bearer", &good).await, StatusCode::UNAUTHORIZED);
        assert_eq!(show("DPoP", &good).await, StatusCode::OK);
        assert_eq!(show("DPoP", &good).await, StatusCode::UNAUTHORIZED);
        let others = Prover::new().proof("4", "GET", "/oauth2/userinfo", Some(token));
        assert_eq!(show("DPoP", &others).await, StatusCode::UNAUTHORIZED);
        let without = prover.proof("5", "GET", "/oauth2/userinfo", None);
        assert_eq!(show("DPoP", &without).await, StatusCode::UNAUTHORIZED);
        let (_, _, told) = node.post("/oauth2/introspect", &format!("token={token}")).await;
        assert_eq!((&told["token_type"], told["cnf"]["jkt"].is_string()), (&"DPoP".into(), true), "{told}");
        let refused = node.faces.authentication.authenticate(portcullis_model::port::Credentials::Bearer(token)).await;
        assert!(refused.is_err(), "the management port takes no proofs");
    }
}

#[tokio::test]
async fn several_secrets_are_good_at_a_time_until_each_ends_or_is_taken() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let (first, second) = (ClientSecretId::from_random([1; 16]), ClientSecretId::from_random([2; 16]));
    let put = |id, text: &str, expires_at| portcullis_database::command::PutClientSecret {
        client: world.client.clone(),
        id,
        secret: ClientSecret {
            secret: cluster_key().seal(text.as_bytes()),
            description: String::new(),
            created_at: Timestamp(0),
            expires_at,
        },
    };
    let soon = wall_clock().after(Duration::from_secs(100));
    super::world::submit(&node, put(first, "first", Some(soon))).await;
    super::world::submit(&node, put(second, "second", None)).await;
    let status = async |secret: &str| node.post_as(&world.client.0, secret, "/oauth2/token", OWN).await.0;
    for secret in [SECRET, "first", "second"] {
        assert_eq!(status(secret).await, StatusCode::OK, "{secret}");
    }
    assert_eq!(status("third").await, StatusCode::UNAUTHORIZED);
    world.wait(Duration::from_secs(101));
    assert_eq!(status("first").await, StatusCode::UNAUTHORIZED);
    let remove = portcullis_database::command::RemoveClientSecret { client: world.client.clone(), id: second };
    super::world::submit(&node, remove).await;
    assert_eq!((status("second").await, status(SECRET).await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
}

async fn register(node: &Node, metadata: &Value) -> (StatusCode, Value) {
    let (status, _, body) = node.json_as("admin", "POST", "/oauth2/register", metadata).await;
    (status, body)
}

#[tokio::test]
async fn a_client_registers_itself_and_manages_that_by_its_token() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let wish = json!({ "client_name": "app", "redirect_uris": ["https://a.example/cb", "https://b.example/cb"] });
    let (status, made) = register(&node, &wish).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["grant_types"], json!(["authorization_code"]));
    assert!(made["client_secret"].is_string() && made["registration_access_token_digest"].is_null());
    let (_, other) = register(&node, &wish).await;
    assert_ne!(made["client_id"], other["client_id"], "a second registration is another client");
    let call = async |method: &str, token: &Value, body: Value| {
        let request = Request::builder()
            .method(method)
            .uri(format!("/oauth2/register/{}", made["client_id"].as_str().unwrap()))
            .header("authorization", format!("Bearer {}", token.as_str().unwrap()))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let (status, _, body) = node.send(request).await;
        (status, body)
    };
    let token = &made["registration_access_token"];
    assert_eq!(call("GET", token, Value::Null).await.1["redirect_uris"], wish["redirect_uris"]);
    assert_eq!(call("GET", &other["registration_access_token"], Value::Null).await.0, StatusCode::UNAUTHORIZED);
    let change = json!({
        "client_id": made["client_id"], "redirect_uris": ["https://c.example/"], "token_endpoint_auth_method": "none",
    });
    let (status, changed) = call("PUT", token, change).await;
    assert_eq!((status, changed["client_secret"].is_null()), (StatusCode::OK, true), "{changed}");
    assert_eq!(call("DELETE", token, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(call("GET", token, Value::Null).await.0, StatusCode::UNAUTHORIZED);
    for (bad, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["javascript:alert(1)"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": "https://a.example" }), "invalid_client_metadata"),
        (json!({ "grant_types": ["magic"] }), "invalid_client_metadata"),
        (
            json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt" }),
            "invalid_client_metadata",
        ),
        (json!({ "grant_types": ["client_credentials"], "jwks_uri": "https://a.example" }), "invalid_client_metadata"),
        (
            json!({ "grant_types": ["client_credentials"], "jwks": { "keys": [{ "kty": "oct", "k": "AA" }] } }),
            "invalid_client_metadata",
        ),
    ] {
        let (status, body) = register(&node, &bad).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &error.into()), "{bad}");
    }
}

#[tokio::test]
async fn a_client_with_a_key_signs_in_by_assertions_that_are_good_once() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let (signer, _) = Signer::generate(Algorithm::Es256).unwrap();
    let jwk = signer.public_jwk("k1").unwrap();
    let wish = json!({
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [jwk] },
    });
    let (_, made) = register(&node, &wish).await;
    let id = made["client_id"].as_str().unwrap().to_owned();
    assert!(made["client_secret"].is_null());
    let now = wall_clock().as_secs();
    let good =
        json!({ "iss": id, "sub": id, "aud": "https://localhost:9443/oauth2/token", "exp": now + 60, "jti": "1" });
    let ask = async |claims: &Value, signer: &Signer| {
        let assertion = signer.sign("JWT", "k1", claims).unwrap();
        let form = format!(
            "{OWN}&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion={assertion}"
        );
        let request = Request::post("/oauth2/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        node.send(request).await.0
    };
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims["jti"] = format!("{name} {value}").into();
        claims[name] = value;
        claims
    };
    for bad in [
        with("aud", "https://other.example".into()),
        with("exp", (now - 1).into()),
        with("exp", (now + 86_400).into()),
        with("iss", "other".into()),
        with("nbf", (now + 3_600).into()),
        with("jti", "".into()),
    ] {
        assert_eq!(ask(&bad, &signer).await, StatusCode::UNAUTHORIZED, "{bad}");
    }
    let (other, _) = Signer::generate(Algorithm::Es256).unwrap();
    assert_eq!(ask(&good, &other).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&good, &signer).await, StatusCode::OK);
    assert_eq!(ask(&good, &signer).await, StatusCode::UNAUTHORIZED, "it is good once");
    assert_eq!(node.post_as(&id, "", "/oauth2/token", OWN).await.0, StatusCode::UNAUTHORIZED, "a secret will not do");
}

#[tokio::test]
async fn with_one_token_at_a_time_a_new_one_takes_the_place_of_the_one_before() {
    for form in [TokenType::Jwt, TokenType::Opaque] {
        let world = World::new(form);
        let node = world.node_with(|settings| settings.has_one_token = true);
        let (first, _) = node.token(OWN).await;
        let (other_scopes, _) = node.token(&format!("{OWN}&scope=device_x")).await;
        let (second, _) = node.token(OWN).await;
        assert!(node.validate(&first).await.is_err() && node.validate(&second).await.is_ok());
        assert!(node.validate(&other_scopes).await.is_ok());
        let (of_user, refresh) = node.token(&sign_in_form("order")).await;
        let again = format!("grant_type=refresh_token&refresh_token={}", refresh.unwrap());
        let (renewed, refresh) = node.token(&again).await;
        assert!(node.validate(&of_user).await.is_err() && node.validate(&renewed).await.is_ok());
        let again = format!("grant_type=refresh_token&refresh_token={}", refresh.unwrap());
        assert!(node.validate(&node.token(&again).await.0).await.is_ok(), "the family goes on");
    }
}

#[tokio::test]
async fn an_assertion_of_a_trusted_issuer_gets_a_users_token_once() {
    const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let world = world_with(JWT_BEARER);
    let (node, other) = (world.node(), world.node());
    let (signer, _) = Signer::generate(Algorithm::Rs256).unwrap();
    let keys = serde_json::to_string(&[signer.public_jwk("1").unwrap()]).unwrap();
    let trust = |trusted| portcullis_database::command::SetTrustedIssuer {
        tenant: portcullis_model::TenantDomain::super_tenant(),
        issuer: "https://idp.example".to_owned(),
        trusted,
    };
    let now = wall_clock().as_secs();
    let claims = |jti: &str| {
        json!({ "iss": "https://idp.example", "sub": "admin", "aud": "https://localhost:9443/oauth2/token",
            "exp": now + 100, "jti": jti })
    };
    let ask = async |node: &Node, claims: &Value, signer: &Signer| {
        let assertion = signer.sign("JWT", "1", claims).unwrap();
        node.post("/oauth2/token", &format!("grant_type={JWT_BEARER}&assertion={assertion}&scope=order")).await.2
    };
    assert_eq!(ask(&node, &claims("0"), &signer).await["error"], "invalid_grant", "nobody is trusted yet");
    let trusted = portcullis_model::authorization::TrustedIssuer { keys, audience: None, created_at: Timestamp(0) };
    super::world::submit(&node, trust(Some(trusted))).await;
    let got = ask(&node, &claims("1"), &signer).await;
    assert!(got["refresh_token"].is_null(), "{got}");
    let verdict = other.validate(got["access_token"].as_str().unwrap()).await.unwrap();
    assert!(verdict.is_user_token && verdict.scopes == ["order"]);
    assert_eq!(ask(&node, &claims("1"), &signer).await["error"], "invalid_grant", "it is good once");
    for (name, value) in [
        ("sub", json!("nobody")),
        ("aud", json!("https://x.example")),
        ("exp", json!(now - 1)),
        ("exp", json!(now + 90_000)),
    ] {
        let mut bad = claims(&format!("{name}{value}"));
        bad[name] = value;
        assert_eq!(ask(&node, &bad, &signer).await["error"], "invalid_grant", "{bad}");
    }
    let (stranger, _) = Signer::generate(Algorithm::Rs256).unwrap();
    assert_eq!(ask(&node, &claims("2"), &stranger).await["error"], "invalid_grant");
    super::world::submit(&node, trust(None)).await;
    assert_eq!(ask(&other, &claims("3"), &signer).await["error"], "invalid_grant");
}
