//! What callers see: codes, statuses, headers and bodies of the whole way through the gateway.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_gateway::{HttpsSettings, Settings};
use portcullis_model::api::Cors;
use portcullis_model::counter::CounterLevel;
use portcullis_model::port::{KeyRefusal, KeyVerdict};
use portcullis_model::{Endpoint, KeyType, Lifecycle, Timestamp};
use stage::{Backend, Stage, api, settings, verdict};

#[tokio::test]
async fn a_call_reaches_the_backend_without_the_token_and_with_its_origin() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    client
        .send(
            "GET /pizza/1.0.0/order/7?size=l HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer good\r\n\
             X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: evil\r\nConnection: keep-alive, x-secret\r\nX-Secret: 1\r\n\
             X-Own: 2\r\nX-Request-Id: mine-1\r\n\r\n",
        )
        .await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text()), (200, "GET /base/order/7?size=l 0"));
    assert_eq!(reply.header("x-backend"), Some("yes"));
    assert_eq!(reply.header("x-request-id"), Some("mine-1"));
    let seen = backend.last();
    let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("host"), Some(backend.address.to_string().as_str()));
    assert_eq!(header("x-forwarded-for"), Some("10.0.0.1, 127.0.0.1"));
    assert_eq!(header("x-forwarded-proto"), Some("http"));
    assert_eq!(header("x-forwarded-host"), Some("shop.example"));
    assert_eq!(header("x-request-id"), Some("mine-1"));
    assert_eq!(header("x-own"), Some("2"));
    assert_eq!((header("authorization"), header("x-secret"), header("connection")), (None, None, None));
}

#[tokio::test]
async fn each_refusal_has_the_codes_of_the_original() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    for (token, refusal) in [
        ("expired", KeyRefusal::Expired),
        ("blocked", KeyRefusal::Blocked),
        ("stranger", KeyRefusal::NotSubscribed),
        ("inactive", KeyRefusal::Inactive),
        ("unsure", KeyRefusal::Unavailable),
    ] {
        stage.keys.set(token, Err(refusal));
    }
    stage.keys.set("late", Ok(KeyVerdict { expires_at: Timestamp(1), ..verdict() }));
    stage.keys.set("sandbox", Ok(KeyVerdict { key_type: KeyType::Sandbox, ..verdict() }));
    let mut client = stage.client().await;
    let cases = [
        ("/pizza/1.0.0/menu", None, 401, "900902", Some("invalid_request")),
        ("/pizza/1.0.0/menu", Some("forged"), 401, "900901", Some("invalid_token")),
        ("/pizza/1.0.0/menu", Some("expired"), 401, "900903", Some("Access Token Expired")),
        ("/pizza/1.0.0/menu", Some("late"), 401, "900903", Some("Access Token Expired")),
        ("/pizza/1.0.0/menu", Some("blocked"), 401, "900907", Some("temporarily blocked")),
        ("/pizza/1.0.0/menu", Some("stranger"), 403, "900908", None),
        ("/pizza/1.0.0/menu", Some("inactive"), 401, "900909", Some("inactive")),
        ("/pizza/1.0.0/menu", Some("unsure"), 500, "900900", None),
        ("/pizza/1.0.0/menu", Some("sandbox"), 403, "900901", None),
        ("/pizza/1.0.0/mine", Some("good"), 401, "900905", Some("invalid_token")),
        ("/pizza/1.0.0/admin", Some("good"), 403, "900910", Some("scope=\"admin\"")),
        ("/pizza/1.0.0/nothing", Some("good"), 404, "404", None),
        ("/pizza/2.0.0/menu", Some("good"), 404, "404", None),
        ("/", None, 404, "404", None),
    ];
    // All on one connection: it stays usable after each error.
    for (path, token, status, code, challenge) in cases {
        let reply = client.get(path, token).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{path} with {token:?}");
        let told = reply.header("www-authenticate");
        match challenge {
            Some(part) => {
                assert!(told.is_some_and(|told| told.starts_with("OAuth2 realm=") && told.contains(part)), "{told:?}");
            }
            None => assert_eq!(told, None, "{path} with {token:?}"),
        }
    }
    client.send("DELETE /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str(), reply.header("allow")), (405, "405", Some("GET, POST")));
    client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAccept: application/xml\r\n\r\n").await;
    let reply = client.reply().await;
    assert!(reply.text().starts_with("<ams:fault xmlns:ams=\"http://wso2.org/apimanager/security\"><ams:code>900902<"));
    assert_eq!(client.get("/pizza/1.0.0/open", None).await.status, 200);
    assert_eq!(backend.calls(), 1, "none of the refused calls reached the backend");
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_though_it_was_remembered() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    for _ in 0..5 {
        assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    }
    assert_eq!(stage.keys.asked.load(Ordering::SeqCst), 1, "the verdict is remembered");
    stage.keys.set("good", Err(KeyRefusal::Invalid));
    stage.keys_changed();
    let reply = client.get("/pizza/1.0.0/menu", Some("good")).await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "900901"));
}

#[tokio::test]
async fn quotas_refuse_with_the_time_of_the_next_access_and_take_nothing_then() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let plan = stage.limit("limited", 3, 2);
    let mut client = stage.client().await;
    let reply = client.get("/pizza/1.0.0/menu", Some("limited")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("ratelimit-policy"), Some("\"Gold\";q=10;w=60, \"Small\";q=10;w=60"));
    assert!(reply.header("ratelimit").unwrap().starts_with("\"Gold\";r=2;t="), "{reply:?}");
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("limited")).await.status, 200);
    let reply = client.get("/pizza/1.0.0/menu", Some("limited")).await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "900803"));
    assert_eq!(*plan.left.lock().unwrap(), 1, "what the plan gave is given back");
    *plan.left.lock().unwrap() = 0;
    let reply = client.get("/pizza/1.0.0/menu", Some("limited")).await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "900804"));
    assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["nextAccessTime"], "2100-Jan-01 00:00:00+0000");
    assert_eq!(backend.calls(), 2);
    assert_eq!(stage.gateway.metrics().refused_quota, 2);
}

#[tokio::test]
async fn a_call_waits_for_a_grant_and_is_refused_when_none_comes() {
    let backend = Backend::start().await;
    let patient = Settings { grant_wait: stage::PATIENCE, ..settings() };
    let stage = Stage::new(patient);
    stage.deploy(api(backend.address));
    stage.keys.set("limited", Ok(KeyVerdict { plan: "Gold".to_owned(), ..verdict() }));
    let plan = stage.budgets.set("Gold", CounterLevel::Subscription, 0, true);
    let mut client = stage.client().await;
    let waiting = tokio::spawn(async move { client.get("/pizza/1.0.0/menu", Some("limited")).await });
    stage::until("the call waits", || stage.gateway.metrics().grant_waits == 1).await;
    *plan.left.lock().unwrap() = 1;
    plan.changed.notify_waiters();
    assert_eq!(waiting.await.unwrap().status, 200);

    let stage = Stage::with_apis([api(backend.address)]);
    stage.keys.set("limited", Ok(KeyVerdict { plan: "Gold".to_owned(), ..verdict() }));
    stage.budgets.set("Gold", CounterLevel::Subscription, 0, true);
    let reply = stage.client().await.get("/pizza/1.0.0/menu", Some("limited")).await;
    assert_eq!((reply.status, reply.code().as_str(), reply.header("retry-after")), (429, "900804", Some("1")));
}

#[tokio::test]
async fn lifecycle_and_transport_decide_before_credentials() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut changed = api(backend.address);
    changed.lifecycle = Lifecycle::Blocked;
    stage.deploy(changed.clone());
    let reply = stage.get("/pizza/1.0.0/menu").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "700700"));
    changed.lifecycle = Lifecycle::Prototyped;
    stage.deploy(changed.clone());
    assert_eq!(stage.client().await.get("/pizza/1.0.0/menu", None).await.status, 200);
    changed.has_http = false;
    stage.deploy(changed.clone());
    let reply = stage.get("/pizza/1.0.0/menu").await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "403"));
    assert!(reply.text().contains("Unsupported Transport [ http ]"));
    stage.undeploy(changed.id);
    assert_eq!(stage.get("/pizza/1.0.0/menu").await.status, 404);
}

#[tokio::test]
async fn contexts_of_tenants_and_default_versions_lead_to_their_api() {
    let backend = Backend::start().await;
    let mut default = api(backend.address);
    default.is_default_version = true;
    let mut other = api(backend.address);
    other.id = portcullis_model::ApiId::from_random([8; 16]);
    other.context = "/t/example.com/{version}/pizza".to_owned();
    other.version = "2".to_owned();
    other.endpoints.production = vec![Endpoint { url: format!("http://{}?key=1", backend.address), timeout_ms: None }];
    let stage = Stage::with_apis([default, other]);
    assert_eq!(stage.get("/pizza/menu").await.text(), "GET /base/menu 0");
    assert_eq!(stage.get("/pizza/1.0.0/menu").await.text(), "GET /base/menu 0");
    assert_eq!(stage.get("/t/example.com/2/pizza/%6denu?a=b").await.text(), "GET /%6denu?key=1&a=b 0");
    assert_eq!(stage.get("/t/example.com/pizza/menu").await.status, 404);
}

#[tokio::test]
async fn preflights_are_answered_and_readers_are_told_the_origin() {
    let backend = Backend::start().await;
    let mut restricted = api(backend.address);
    restricted.cors = Some(Cors {
        is_enabled: true,
        allow_origins: vec!["https://shop".to_owned()],
        allow_credentials: true,
        allow_headers: vec!["authorization".to_owned()],
        allow_methods: vec!["GET".to_owned()],
    });
    let stage = Stage::with_apis([restricted]);
    let mut client = stage.client().await;
    client.send("OPTIONS /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nOrigin: https://shop\r\n\r\n").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("access-control-allow-methods")), (200, Some("GET")));
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://shop"));
    client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nOrigin: https://evil\r\n\r\n").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (401, None));
    assert_eq!(backend.calls(), 0);
}

#[tokio::test]
async fn a_client_that_still_sends_when_its_call_is_refused_reads_why_and_goes_on() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    let body = " ".repeat(8 << 20);
    let head = format!("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    client.send(&head).await;
    client.send(&body).await;
    assert_eq!(client.reply().await.status, 404);
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
}

#[tokio::test]
async fn token_calls_go_to_the_key_manager_with_a_bounded_body() {
    let stage = Stage::with_apis([]);
    let mut client = stage.client().await;
    client.send("POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\ngrant=x").await;
    assert_eq!(client.reply().await.text(), "POST /token grant=x");
    client.send("POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 413);
}

#[tokio::test]
async fn https_serves_http_1_and_2_and_tells_the_backend() {
    let backend = Backend::start().await;
    let (stage, roots) = https_stage();
    stage.deploy(api(backend.address));
    stage.keys.set("good", Ok(verdict()));
    let address = stage.gateway.https_address().unwrap();
    for protocol in ["h2", "http/1.1"] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(tls);
        let request = http::Request::post("https://localhost/pizza/1.0.0/menu").header("host", "localhost");
        let request = request.header("authorization", "Bearer good");
        let request = request.body(http_body_util::Full::new(bytes::Bytes::from_static(b"hello"))).unwrap();
        let response = if protocol == "h2" {
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        assert_eq!(response.status(), 200, "{protocol}");
        let seen = backend.last();
        assert_eq!((seen.line.as_str(), &*seen.body), ("POST /base/menu", &b"hello"[..]));
        assert_eq!(seen.headers["x-forwarded-proto"], "https");
        assert_eq!(seen.headers["x-forwarded-host"], "localhost");
    }
}

#[tokio::test]
async fn https_backends_are_called_where_their_certificate_is_trusted() {
    let backend = Backend::start().await;
    let (inner, roots) = https_stage();
    inner.deploy(api(backend.address));
    let mut outer_api = api(backend.address);
    let port = inner.gateway.https_address().unwrap().port();
    outer_api.endpoints.production =
        vec![Endpoint { url: format!("https://localhost:{port}/pizza/1.0.0"), timeout_ms: None }];
    let trusting = |roots: rustls::RootCertStore| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    };
    let outer = Stage::new(Settings { upstream_tls: trusting(roots), ..settings() });
    outer.deploy(outer_api.clone());
    let mut client = outer.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/pizza/1.0.0/open", None).await.text(), "GET /base/open 0");
    }
    assert_eq!(outer.gateway.metrics().upstream_connects, 1);
    assert_eq!(backend.last().headers["x-forwarded-for"], "127.0.0.1, 127.0.0.1");
    let wary = Stage::new(Settings { upstream_tls: trusting(rustls::RootCertStore::empty()), ..settings() });
    wary.deploy(outer_api);
    let reply = wary.client().await.get("/pizza/1.0.0/open", None).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "101503"));
    assert_eq!(backend.calls(), 3);
}

#[tokio::test]
async fn many_clients_at_once_get_their_own_answers_and_a_revocation_reaches_every_worker() {
    let backend = Backend::start().await;
    let stage = Stage::new(Settings { workers: 3, ..settings() });
    stage.deploy(api(backend.address));
    stage.keys.set("good", Ok(verdict()));
    let address = stage.address();
    let clients: Vec<_> = (0..24)
        .map(|number| {
            tokio::spawn(async move {
                for round in 0..10 {
                    let mut client = stage::Client::to(address).await;
                    for call in 0..5 {
                        let id = format!("{number}-{round}-{call}");
                        let reply = client.get(&format!("/pizza/1.0.0/order/{id}"), Some("good")).await;
                        assert_eq!(reply.text(), format!("GET /base/order/{id} 0"));
                    }
                    // A call whose client does not wait for the answer.
                    client.send("GET /pizza/1.0.0/open HTTP/1.1\r\nHost: a\r\n\r\n").await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    stage.keys.set("good", Err(KeyRefusal::Invalid));
    stage.keys_changed();
    for _ in 0..24 {
        assert_eq!(stage.get("/pizza/1.0.0/menu").await.code(), "900901");
    }
    stage::until("every call has ended", || stage.gateway.metrics().requests_in_progress == 0).await;
    stage::until("every connection is closed", || stage.gateway.metrics().client_connections == 0).await;
}

fn https_stage() -> (Stage, rustls::RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let https = HttpsSettings { address: "127.0.0.1:0".parse().unwrap(), tls: Arc::new(tls) };
    (Stage::new(Settings { https: Some(https), ..settings() }), roots)
}

#[tokio::test]
async fn a_gateway_whose_state_may_be_too_old_serves_only_what_needs_no_key() {
    let backend = Backend::start().await;
    let freshness = portcullis_gateway::Freshness::not_yet();
    let stage = Stage::new(Settings { freshness: Arc::clone(&freshness), ..settings() });
    stage.deploy(api(backend.address));
    stage.keys.set("good", Ok(verdict()));
    let mut client = stage.client().await;
    let reply = client.get("/pizza/1.0.0/menu", Some("good")).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "900990"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(client.get("/pizza/1.0.0/open", None).await.status, 200, "nobody is judged by the state there");
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("forged")).await.status, 401);
    freshness.extend_to(portcullis_gateway::Freshness::now_ms() + 60_000);
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    assert_eq!(stage.gateway.metrics().refused_stale, 1);
}
