//! Where calls come from: what proxies say of it, and whose word counts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use portcullis_gateway::Settings;
use stage::{Backend, Client, Seen, Stage, api, settings, verdict};

const SPOKEN: &str = "GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer good\r\n\
                      X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public.example\r\n\r\n";

fn stage_with(settings: Settings, backend: &Backend) -> Stage {
    let stage = Stage::new(settings);
    stage.deploy(api(backend.address));
    stage.keys.set("good", Ok(verdict()));
    stage
}

fn trusting(has_proxy_protocol: bool) -> Settings {
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    Settings { trusted_proxies, has_proxy_protocol, ..settings() }
}

fn header(seen: &Seen, name: &str) -> String {
    seen.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn what_a_trusted_proxy_says_of_scheme_and_host_is_passed_on() {
    let backend = Backend::start().await;
    for (settings, scheme, host) in [(trusting(false), "https", "public.example"), (settings(), "http", "shop.example")]
    {
        let stage = stage_with(settings, &backend);
        let mut client = stage.client().await;
        client.send(SPOKEN).await;
        assert_eq!(client.reply().await.status, 200);
        let seen = backend.last();
        assert_eq!(
            (header(&seen, "x-forwarded-proto"), header(&seen, "x-forwarded-host")),
            (scheme.into(), host.into())
        );
        assert_eq!(header(&seen, "x-forwarded-for"), "203.0.113.7, 127.0.0.1");
    }
}

#[tokio::test]
async fn a_proxy_protocol_header_names_the_client_where_the_proxy_is_trusted() {
    let backend = Backend::start().await;
    let stage = stage_with(trusting(true), &backend);
    let call = "GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n";
    let mut client = stage.client().await;
    // In parts, as a slow network cuts it.
    client.send("PROXY TCP4 203.0.1").await;
    client.send(&format!("13.9 10.0.0.1 4711 80\r\n{call}")).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(header(&backend.last(), "x-forwarded-for"), "203.0.113.9");
    // The rest of the connection is the same client's.
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    assert_eq!(header(&backend.last(), "x-forwarded-for"), "203.0.113.9");
    // A connection without a header is refused: else who is told the way around the balancer chooses an address.
    let mut plain = stage.client().await;
    plain.send(call).await;
    assert_eq!(plain.until_closed().await, b"");
    // Of somebody who is not trusted it is not even looked for.
    let stranger = Settings { trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()], ..trusting(true) };
    let stage = stage_with(stranger, &backend);
    assert_eq!(stage.get("/pizza/1.0.0/menu").await.status, 200);
    let mut liar = Client::to(stage.address()).await;
    liar.send(&format!("PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n{call}")).await;
    assert!(String::from_utf8(liar.until_closed().await).unwrap().starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn the_older_fields_are_there_where_they_are_switched_on() {
    let backend = Backend::start().await;
    for (has_x_ratelimit, expected) in [(true, Some("2")), (false, None)] {
        let stage = stage_with(Settings { has_x_ratelimit, ..settings() }, &backend);
        stage.limit("good", 8, 3);
        let reply = stage.get("/pizza/1.0.0/menu").await;
        assert_eq!(reply.header("x-ratelimit-remaining"), expected, "of the limit with least left");
        assert_eq!(reply.header("x-ratelimit-limit"), expected.map(|_| "10"));
        assert!(reply.header("ratelimit").is_some_and(|text| text.starts_with("\"Gold\";r=7;t=")), "{reply:?}");
    }
}
