//! Proofs of who calls other than access tokens: API keys, passwords, and what an API accepts of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_gateway::Settings;
use portcullis_model::api::Security;
use portcullis_model::port::{Assertion, KeyRefusal, KeyVerdict};
use portcullis_model::{DeployedApi, EdgeSecurity, KeyRestriction, Timestamp};
use stage::{Backend, Client, Reply, Stage, api, settings, verdict};

const API_KEY: Security = Security { has_oauth2: false, has_api_key: true, ..NOTHING };
const BASIC: Security = Security { has_oauth2: false, has_basic_auth: true, ..NOTHING };
const ALL: Security = Security { has_oauth2: true, has_api_key: true, has_basic_auth: true, ..NOTHING };
const NOTHING: Security = Security {
    has_oauth2: false,
    has_api_key: false,
    has_basic_auth: false,
    has_mutual_tls: false,
    is_mutual_tls_mandatory: false,
    is_token_mandatory: true,
};

fn secured(backend: &Backend, security: Security) -> DeployedApi {
    DeployedApi { security, ..api(backend.address) }
}

/// Sends one GET with more headers.
async fn get(client: &mut Client, path: &str, headers: &[(&str, &str)]) -> Reply {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    client.send(&format!("GET /pizza/1.0.0{path} HTTP/1.1\r\nHost: gateway\r\n{headers}\r\n")).await;
    client.reply().await
}

/// Returns the challenges of an answer.
fn challenges(reply: &Reply) -> Vec<String> {
    let lines = reply.head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate")).map(|(_, value)| value.to_owned()).collect()
}

#[tokio::test]
async fn an_api_key_opens_by_header_and_by_query_and_never_reaches_the_backend() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([secured(&backend, API_KEY)]);
    stage.keys.set("api key k1", Ok(verdict()));
    let mut client = stage.client().await;
    for (path, headers, line) in [
        ("/menu?a=1", &[("ApiKey", "k1")][..], "GET /base/menu?a=1"),
        ("/menu", &[("apikey", "k1"), ("Authorization", "Bearer of the backend")], "GET /base/menu"),
        ("/menu?apikey=k1&a=1", &[], "GET /base/menu?a=1"),
        ("/menu?apikey=k1", &[], "GET /base/menu"),
        // Both at once: the header counts, and neither is passed on.
        ("/menu?apikey=other&b", &[("ApiKey", "k1")], "GET /base/menu?b"),
    ] {
        let reply = get(&mut client, path, headers).await;
        assert_eq!(reply.status, 200, "{path} {headers:?}: {}", reply.text());
        let seen = backend.last();
        assert_eq!((seen.line.as_str(), seen.headers.get("apikey")), (line, None));
        let own = headers.iter().any(|(name, _)| *name == "Authorization");
        assert_eq!(
            seen.headers.contains_key("authorization"),
            own,
            "what is not a proof here is the backend's business"
        );
    }
    assert_eq!(stage.keys.asked.load(Ordering::SeqCst), 1, "the verdict is remembered");
    let calls = backend.calls();
    for (path, headers, code) in [
        ("/menu", &[][..], "900902"),
        ("/menu", &[("Authorization", "Bearer good")], "900902"),
        ("/menu?apikey=", &[], "900902"),
        ("/menu", &[("ApiKey", "nobody's")], "900901"),
        ("/menu", &[("ApiKey", "k1"), ("ApiKey", "k1")], "900901"),
        ("/menu?apikey=k1&apikey=k2", &[], "900901"),
        ("/menu", &[("ApiKey", "good")], "900901"),
    ] {
        let reply = get(&mut client, path, headers).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, code), "{path} {headers:?}");
    }
    assert_eq!(backend.calls(), calls, "nothing that was refused reached the backend");
    stage.keys.set("api key k1", Err(KeyRefusal::Invalid));
    stage.keys_changed();
    let revoked = get(&mut client, "/menu", &[("ApiKey", "k1")]).await;
    assert_eq!((revoked.status, revoked.code().as_str()), (401, "900901"));
    assert!(revoked.text().contains("API key"), "{}", revoked.text());
}

#[tokio::test]
async fn an_api_may_have_its_own_header_for_keys() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([secured(&backend, API_KEY)]);
    stage.keys.set("api key k1", Ok(verdict()));
    let mut client = stage.client().await;
    assert_eq!(get(&mut client, "/menu", &[("X-Shop-Key", "k1")]).await.code(), "900902");
    stage.change(|state| {
        let edge = EdgeSecurity { api_key_header: Some("X-Shop-Key".to_owned()), ..EdgeSecurity::default() };
        state.deployed.edge_security.insert(("Default".to_owned(), api(backend.address).id), Arc::new(edge));
        state.deployed.advance(portcullis_database::state::Generation::Routes);
    });
    assert_eq!(get(&mut client, "/menu", &[("X-Shop-Key", "k1")]).await.status, 200);
    assert!(!backend.last().headers.contains_key("x-shop-key"));
    let missing = get(&mut client, "/menu", &[("ApiKey", "k1")]).await;
    assert_eq!(missing.code(), "900902");
    assert!(missing.text().contains("x-shop-key: API_KEY"), "{}", missing.text());
}

#[tokio::test]
async fn a_key_that_is_limited_to_places_is_refused_elsewhere() {
    let backend = Backend::start().await;
    let stage = Stage::new(Settings { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..settings() });
    stage.deploy(secured(&backend, API_KEY));
    let limited = |networks: &[&str], referrers: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let restriction = KeyRestriction { networks: owned(networks), referrers: owned(referrers) };
        Ok(KeyVerdict { restriction: Some(Box::new(restriction)), ..verdict() })
    };
    stage.keys.set("api key near", limited(&["10.0.0.0/8", "2001:db8::/32"], &[]));
    stage.keys.set("api key page", limited(&[], &["https://shop.example/*"]));
    let mut client = stage.client().await;
    for (key, header, value, is_let_in) in [
        ("near", "X-Forwarded-For", "10.1.2.3", true),
        ("near", "X-Forwarded-For", "2001:db8::7", true),
        ("near", "X-Forwarded-For", "11.1.2.3", false),
        ("near", "X-Own", "1", false),
        ("page", "Referer", "https://shop.example/cart", true),
        ("page", "Referer", "https://shop.example.evil/", false),
        ("page", "X-Own", "1", false),
    ] {
        let reply = get(&mut client, "/menu", &[("ApiKey", key), (header, value)]).await;
        if is_let_in {
            assert_eq!(reply.status, 200, "{key} {value}");
        } else {
            assert_eq!((reply.status, reply.code().as_str()), (403, "900908"), "{key} {value}");
        }
    }
}

#[tokio::test]
async fn a_password_opens_with_the_scopes_of_its_user() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([secured(&backend, BASIC)]);
    let user = |scopes: &[&str]| {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Ok(KeyVerdict { is_user_token: true, scopes, ..verdict() })
    };
    stage.keys.set("password anna:p:w", user(&["admin"]));
    stage.keys.set("password bert:pw", user(&[]));
    stage.keys.set("password slow:pw", Err(KeyRefusal::Unavailable));
    let (anna, bert) = (("Authorization", "Basic YW5uYTpwOnc="), ("Authorization", "Basic YmVydDpwdw=="));
    let mut client = stage.client().await;
    for (path, header, expected) in [
        ("/admin", anna, 200),
        ("/mine", anna, 200),
        ("/menu", bert, 200),
        ("/admin", bert, 403),
        ("/menu", ("Authorization", "Basic YW5uYTp3cm9uZw=="), 401),
        ("/menu", ("Authorization", "Basic !!!"), 401),
        ("/menu", ("Authorization", "Bearer good"), 401),
        ("/menu", ("Authorization", "Basic c2xvdzpwdw=="), 500),
        ("/open", ("X-Own", "1"), 200),
    ] {
        let reply = get(&mut client, path, &[header]).await;
        assert_eq!(reply.status, expected, "{path} {header:?}: {}", reply.text());
    }
    let wrong = get(&mut client, "/menu", &[("Authorization", "Basic YW5uYTp3cm9uZw==")]).await;
    assert_eq!(wrong.code(), "900901");
    assert!(wrong.text().contains("user name and password"), "{}", wrong.text());
    get(&mut client, "/menu", &[anna]).await;
    assert!(!backend.last().headers.contains_key("authorization"));
}

#[tokio::test]
async fn what_was_said_of_a_password_is_asked_again_when_it_is_too_old() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([secured(&backend, BASIC)]);
    stage.keys.set("password bert:pw", Ok(KeyVerdict { is_user_token: true, expires_at: Timestamp(1), ..verdict() }));
    let bert = [("Authorization", "Basic YmVydDpwdw==")];
    let mut client = stage.client().await;
    // Said to be over already: it is refused, and asked about each time.
    for asked in 1..=2 {
        assert_eq!(get(&mut client, "/menu", &bert).await.code(), "900903");
        assert_eq!(stage.keys.asked.load(Ordering::SeqCst), asked);
    }
    stage.keys.set("password bert:pw", Ok(verdict()));
    for _ in 0..2 {
        assert_eq!(get(&mut client, "/menu", &bert).await.status, 200);
    }
    assert_eq!(stage.keys.asked.load(Ordering::SeqCst), 3, "and remembered while it is good");
}

#[tokio::test]
async fn an_api_that_accepts_several_proofs_takes_any_and_names_all() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([secured(&backend, ALL)]);
    stage.keys.set("api key k1", Ok(verdict()));
    stage.keys.set("password bert:pw", Ok(KeyVerdict { is_user_token: true, ..verdict() }));
    stage.keys.set("late", Err(KeyRefusal::Expired));
    let mut client = stage.client().await;
    for headers in [
        &[("Authorization", "Bearer good")][..],
        &[("Authorization", "Basic YmVydDpwdw==")],
        &[("ApiKey", "k1")],
        &[("ApiKey", "k1"), ("Authorization", "Digest something else")],
    ] {
        assert_eq!(get(&mut client, "/menu", headers).await.status, 200, "{headers:?}");
        let seen = backend.last();
        assert!(!seen.headers.contains_key("authorization") && !seen.headers.contains_key("apikey"), "{headers:?}");
    }
    let missing = get(&mut client, "/menu", &[]).await;
    assert_eq!(missing.code(), "900902");
    for word in ["Authorization: Bearer", "Authorization: Basic", "ApiKey: API_KEY"] {
        assert!(missing.text().contains(word), "{}", missing.text());
    }
    let said: Vec<String> = challenges(&missing);
    for (scheme, challenge) in ["OAuth2", "Basic", "ApiKey"].iter().zip(&said) {
        assert!(challenge.starts_with(&format!("{scheme} realm=")), "{challenge}");
        assert!(challenge.contains("error_description=\"Missing Credentials\""), "{challenge}");
    }
    assert_eq!(said.len(), 3);
    // The cause is told of the kind that was shown, and of no other.
    let late = challenges(&get(&mut client, "/menu", &[("Authorization", "Bearer late"), ("ApiKey", "k1")]).await);
    assert!(late[0].contains("error_description=\"Access Token Expired\""), "{late:?}");
    assert!(!late[1].contains("error") && !late[2].contains("error"), "{late:?}");
}

#[tokio::test]
async fn a_backend_is_told_who_calls_by_the_gateway_and_by_nobody_else() {
    let backend = Backend::start().await;
    let header = Some("x-jwt-assertion".parse().unwrap());
    let stage = Stage::new(Settings { assertion_header: header, ..settings() });
    stage.deploy(api(backend.address));
    let said = |token: &str, ends_at: u64| {
        let assertion = Assertion { token: token.to_owned(), expires_at: Timestamp(ends_at) };
        Ok(KeyVerdict { assertion: Some(Box::new(assertion)), ..verdict() })
    };
    stage.keys.set("good", said("first", u64::MAX - 1));
    let mut client = stage.client().await;
    let forged = [("Authorization", "Bearer good"), ("X-JWT-Assertion", "forged")];
    for _ in 0..2 {
        assert_eq!(get(&mut client, "/menu", &forged).await.status, 200);
        let seen: Vec<_> = backend.last().headers.get_all("x-jwt-assertion").iter().cloned().collect();
        assert_eq!(seen, ["first"]);
    }
    assert_eq!(stage.keys.asked.load(Ordering::SeqCst), 1, "signed once for a token");
    assert_eq!(get(&mut client, "/open", &[("X-JWT-Assertion", "forged")]).await.status, 200);
    assert!(!backend.last().headers.contains_key("x-jwt-assertion"), "nobody is known there");

    // One that is about to end is asked for anew with the next call.
    stage.keys.set("short", said("about to end", 1));
    let short = [("Authorization", "Bearer short")];
    get(&mut client, "/menu", &short).await;
    stage.keys.set("short", said("new", u64::MAX - 1));
    get(&mut client, "/menu", &short).await;
    assert_eq!(backend.last().headers["x-jwt-assertion"], "new");
}

#[tokio::test]
async fn without_the_setting_a_header_of_that_name_is_the_clients_own() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    get(&mut client, "/menu", &[("Authorization", "Bearer good"), ("X-JWT-Assertion", "mine")]).await;
    assert_eq!(backend.last().headers["x-jwt-assertion"], "mine");
}

#[tokio::test]
async fn where_a_client_certificate_must_be_there_nothing_else_opens() {
    let backend = Backend::start().await;
    for has_mutual_tls in [true, false] {
        let security = Security { has_mutual_tls, is_mutual_tls_mandatory: true, ..ALL };
        let stage = Stage::with_apis([secured(&backend, security)]);
        stage.keys.set("api key k1", Ok(verdict()));
        let mut client = stage.client().await;
        let calls = backend.calls();
        for headers in [&[("Authorization", "Bearer good")][..], &[("ApiKey", "k1")], &[]] {
            let reply = get(&mut client, "/menu", headers).await;
            assert_eq!((reply.status, reply.code().as_str()), (401, "900902"), "{headers:?}");
        }
        assert_eq!(get(&mut client, "/open", &[]).await.status, 200);
        assert_eq!(backend.calls(), calls + 1);
    }
}
