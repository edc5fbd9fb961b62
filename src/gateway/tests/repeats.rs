//! Clients and backends say the same again and again on a connection: what is remembered of it never stands for something
//! else that is said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::atomic::Ordering;

use http::Response;
use http_body_util::Full;
use portcullis_model::id::ApiId;
use portcullis_model::port::KeyRefusal;
use portcullis_model::{DeployedApi, Lifecycle};
use stage::{Backend, Client, PATIENCE, Reply, Stage, api};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn call(client: &mut Client, path: &str, fields: &str) -> Reply {
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    client.reply().await
}

#[tokio::test]
async fn each_request_is_taken_by_its_own_fields() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    let good = "Authorization: Bearer good\r\n";
    for (fields, status, colour) in [
        (format!("{good}X-Colour: red\r\n"), 200, "red"),
        (format!("{good}X-Colour: red\r\n"), 200, "red"),
        (format!("{good}X-Colour: red\r\n"), 200, "red"),
        (format!("{good}X-Colour: blue\r\n"), 200, "blue"),
        (format!("{good}X-Colour: blue\r\n"), 200, "blue"),
        (good.to_owned(), 200, ""),
        ("X-Colour: red\r\n".to_owned(), 401, ""),
        ("X-Colour: red\r\n".to_owned(), 401, ""),
        ("Authorization: Bearer evil\r\n".to_owned(), 401, ""),
        (format!("X-Colour: red\r\n{good}"), 200, "red"),
        (format!("X-Colour: red\r\n{good}"), 200, "red"),
        (format!("X-Colour: red\r\n{good}X-Colour: blue\r\n"), 200, "red"),
    ] {
        let reply = call(&mut client, "/pizza/1.0.0/menu", &fields).await;
        assert_eq!(reply.status, status, "{fields:?}");
        if status == 200 {
            assert_eq!(backend.last_field("x-colour"), colour, "{fields:?}");
            assert_eq!(backend.last_field("authorization"), "");
        }
    }
}

#[tokio::test]
async fn what_goes_on_of_the_same_fields_goes_by_where_it_goes() {
    let (backend, other) = (Backend::start().await, Backend::start().await);
    let pasta = DeployedApi { id: ApiId::from_random([8; 16]), context: "/pasta".to_owned(), ..api(other.address) };
    let stage = Stage::with_apis([api(backend.address), pasta]);
    let mut client = stage.client().await;
    let fields = "Authorization: Bearer good\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n";
    // The operation that asks for no key leaves it to the backend.
    for (path, seen, key) in [
        ("/pizza/1.0.0/open", &backend, "Bearer good"),
        ("/pizza/1.0.0/open", &backend, "Bearer good"),
        ("/pizza/1.0.0/open", &backend, "Bearer good"),
        ("/pizza/1.0.0/menu", &backend, ""),
        ("/pizza/1.0.0/menu", &backend, ""),
        ("/pasta/1.0.0/menu", &other, ""),
        ("/pasta/1.0.0/open", &other, "Bearer good"),
        ("/pizza/1.0.0/menu", &backend, ""),
    ] {
        assert_eq!(call(&mut client, path, fields).await.status, 200);
        let told = ["authorization", "x-hop", "x-end", "x-forwarded-host"].map(|name| seen.last_field(name));
        assert_eq!(told, [key, "", "2", "a"], "{path}");
    }
}

#[tokio::test]
async fn each_request_goes_where_its_own_first_line_says() {
    let (backend, other) = (Backend::start().await, Backend::start().await);
    let pasta = DeployedApi { id: ApiId::from_random([8; 16]), context: "/pasta".to_owned(), ..api(other.address) };
    let stage = Stage::with_apis([api(backend.address), pasta.clone()]);
    let mut client = stage.client().await;
    let lines: Vec<(&str, Option<&Backend>)> = vec![
        ("/pizza/1.0.0/menu", Some(&backend)),
        ("/pizza/1.0.0/menu?a=1", Some(&backend)),
        ("/pizza/1.0.0/menu?a=2", Some(&backend)),
        ("/pizza/1.0.0/%6denu", Some(&backend)),
        ("/pizza/1.0.0/nothing", None),
        ("/pasta/1.0.0/menu", Some(&other)),
        ("/pizza/1.0.0/menu", Some(&backend)),
    ];
    for (path, seen) in lines.iter().flat_map(|line| [line; 4]) {
        let reply = call(&mut client, path, "Authorization: Bearer good\r\n").await;
        assert_eq!(reply.status, if seen.is_some() { 200 } else { 404 }, "{path}");
        if let Some(seen) = seen {
            let (_, rest) = path.split_once("/1.0.0").unwrap();
            assert_eq!(seen.last().line, format!("GET /base{rest}"));
        }
    }
    // The same path with another verb.
    let head = "Host: a\r\nAuthorization: Bearer good\r\n\r\n";
    for (line, status) in [("PUT /pizza/1.0.0/menu HTTP/1.1", 405), ("GET /pizza/1.0.0/menu HTTP/1.1", 200)] {
        for _ in 0..3 {
            client.send(&format!("{line}\r\n{head}")).await;
            assert_eq!(client.reply().await.status, status, "{line}");
        }
    }
    // From the next revision on, the path leads elsewhere.
    stage.deploy(DeployedApi { endpoints: pasta.endpoints.clone(), ..api(backend.address) });
    for _ in 0..3 {
        let calls = other.calls();
        assert_eq!(call(&mut client, "/pizza/1.0.0/menu", "Authorization: Bearer good\r\n").await.status, 200);
        assert_eq!(other.calls(), calls + 1);
    }
    stage.deploy(DeployedApi { lifecycle: Lifecycle::Blocked, ..api(backend.address) });
    assert_eq!(call(&mut client, "/pizza/1.0.0/menu", "Authorization: Bearer good\r\n").await.status, 503);
}

#[tokio::test]
async fn the_same_fields_have_bodies_of_the_same_length_each_with_its_own_content() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    for content in ["first", "other", "third"] {
        let head =
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 5\r\n\r\n";
        client.send(&format!("{head}{content}")).await;
        assert_eq!(client.reply().await.status, 200);
        assert_eq!(backend.last().body, content);
    }
}

#[tokio::test]
async fn a_token_that_is_said_again_is_judged_anew_when_anything_has_changed() {
    let backend = Backend::start().await;
    let pizza = api(backend.address);
    let other = DeployedApi {
        id: ApiId::from_random([8; 16]),
        context: "/pasta".to_owned(),
        authorization_header: Some("X-Pasta".to_owned()),
        ..pizza.clone()
    };
    let stage = Stage::with_apis([pizza.clone(), other]);
    let mut client = stage.client().await;
    let good = "Authorization: Bearer good\r\n";
    for _ in 0..3 {
        assert_eq!(call(&mut client, "/pizza/1.0.0/menu", good).await.status, 200);
    }
    assert_eq!(stage.keys.asked.load(Ordering::SeqCst), 1);
    // Another API looks for its token elsewhere.
    assert_eq!(call(&mut client, "/pasta/1.0.0/menu", good).await.status, 401);
    assert_eq!(call(&mut client, "/pizza/1.0.0/menu", good).await.status, 200);
    // And so does the same one from its next revision on.
    stage.deploy(DeployedApi { authorization_header: Some("X-Pizza".to_owned()), ..pizza.clone() });
    assert_eq!(call(&mut client, "/pizza/1.0.0/menu", good).await.status, 401);
    stage.deploy(pizza);
    assert_eq!(call(&mut client, "/pizza/1.0.0/menu", good).await.status, 200);
    stage.keys.set("good", Err(KeyRefusal::Invalid));
    stage.keys_changed();
    assert_eq!(call(&mut client, "/pizza/1.0.0/menu", good).await.status, 401);
}

#[tokio::test]
async fn each_answer_tells_what_is_left_after_it() {
    // The fields of an answer without a body are told by a map, those of others by their lines.
    let backend = Backend::answering(|seen| {
        let status = if seen.line.ends_with("nothing") { 204 } else { 200 };
        Response::builder().status(status).body(Full::from(if status == 200 { "menu" } else { "" })).unwrap()
    })
    .await;
    let stage = Stage::with_apis([api(backend.address)]);
    let plan = stage.limit("good", 12, 200);
    let mut client = stage.client().await;
    for (of_plan, of_application, asks_for) in [
        (11, 199, ""),
        (10, 198, ""),
        (9, 197, ""),
        (8, 196, ""),
        (10, 195, "?nothing"),
        (11, 194, ""),
        (12, 193, "?nothing"),
        (7, 192, ""),
        (100_000, 191, ""),
        (0, 190, ""),
    ] {
        *plan.left.lock().unwrap() = of_plan + 1;
        let path = format!("/pizza/1.0.0/menu{asks_for}");
        let reply = call(&mut client, &path, "Authorization: Bearer good\r\n").await;
        assert_eq!(reply.status, if asks_for.is_empty() { 200 } else { 204 });
        let told = reply.header("ratelimit").unwrap();
        let numbers: Vec<&str> = told.split(";r=").skip(1).map(|text| text.split(';').next().unwrap()).collect();
        assert_eq!(numbers, [of_plan.to_string(), of_application.to_string()], "{told}");
        assert_eq!(reply.header("ratelimit-policy"), Some("\"Gold\";q=10;w=60, \"Small\";q=10;w=60"));
    }
}

#[tokio::test]
async fn ids_of_requests_are_those_that_clients_give_or_new_ones() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    let mut seen = Vec::new();
    for given in ["", "", "X-Request-Id: mine\r\n", "X-Request-Id: mine\r\n", "", ""] {
        let fields = format!("Authorization: Bearer good\r\n{given}");
        let reply = call(&mut client, "/pizza/1.0.0/menu", &fields).await;
        let id = reply.header("x-request-id").unwrap().to_owned();
        assert_eq!(backend.last_field("x-request-id"), id);
        assert_eq!(id == "mine", !given.is_empty());
        if given.is_empty() {
            assert!(!seen.contains(&id), "an id is given once");
            seen.push(id);
        }
    }
}

#[tokio::test]
async fn each_answer_is_passed_on_by_its_own_lines() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::with_apis([api(listener.local_addr().unwrap())]);
    let mut client = stage.client().await;
    let mut backend: Option<TcpStream> = None;
    for (fields, body, passed_on) in [
        ("X-A: 1\r\nContent-Length: 2\r\nX-B: 2\r\n", "ab", "X-A: 1\r\nX-B: 2\r\n"),
        ("X-A: 1\r\nContent-Length: 2\r\nX-B: 2\r\n", "cd", "X-A: 1\r\nX-B: 2\r\n"),
        ("X-A: 1\r\nContent-Length: 3\r\nX-B: 2\r\n", "efg", "X-A: 1\r\nX-B: 2\r\n"),
        ("X-A: 1\r\nX-B: 2\r\nContent-Length: 2\r\n", "ab", "X-A: 1\r\nX-B: 2\r\n"),
        ("X-A: 11\r\nX-B: 2\r\nContent-Length: 2\r\n", "ab", "X-A: 11\r\nX-B: 2\r\n"),
        ("Keep-Alive: 5\r\nX-B: 2\r\nContent-Length: 2\r\n", "ab", "X-B: 2\r\n"),
        ("Content-Length: 2\r\n", "ab", ""),
        ("Content-Length: 2\r\nX-C: 3\r\n", "ab", "X-C: 3\r\n"),
        ("Content-Length: 2\r\nX-C: 3\r\n", "ab", "X-C: 3\r\n"),
    ] {
        client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n").await;
        let mut stream = match backend.take() {
            Some(stream) => stream,
            None => tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap().0,
        };
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
        }
        stream.write_all(format!("HTTP/1.1 200 OK\r\nDate: d\r\n{fields}\r\n{body}").as_bytes()).await.unwrap();
        let reply = client.reply().await;
        assert_eq!(reply.body, body.as_bytes(), "{fields:?}");
        let lines = reply.head.strip_prefix("HTTP/1.1 200 OK\r\nDate: d\r\n").unwrap();
        assert!(lines.starts_with(&format!("{passed_on}x-request-id: ")), "{fields:?} became {lines:?}");
        backend = Some(stream);
    }
}
