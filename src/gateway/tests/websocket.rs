//! WebSockets through the gateway, with a real client and a real backend on real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use portcullis_database::state::Generation;
use portcullis_gateway::{ClientLimits, Settings};
use portcullis_model::api::Security;
use portcullis_model::client_certificate::{CertificateDer, TrustedCertificate};
use portcullis_model::counter::CounterLevel;
use portcullis_model::id::PolicyId;
use portcullis_model::port::{KeyRefusal, KeyVerdict};
use portcullis_model::{
    ApiKind, DenyCondition, DenyPolicy, DeployedApi, EdgeSecurity, KeyType, Lifecycle, Operation, OperationAuth,
    TenantDomain, Timestamp, Username,
};
use stage::{PATIENCE, Stage, api, settings, until, verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

type Socket = WebSocketStream<TcpStream>;

const THROTTLED: &str = "Websocket frame throttled out";

/// A WebSocket API whose channels are `/chat/{room}` (with a scope to publish), `/open` and `/echo`.
fn chat(backend: SocketAddr) -> DeployedApi {
    let operation = |verb: &str, target: &str, auth: OperationAuth, scopes: &[&str]| Operation {
        verb: verb.to_owned(),
        target: target.to_owned(),
        auth,
        policy: "Unlimited".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    let mut api = api(backend);
    api.kind = ApiKind::Ws;
    api.operations = vec![
        operation("SUBSCRIBE", "/echo", OperationAuth::Any, &[]),
        operation("SUBSCRIBE", "/chat/{room}", OperationAuth::Any, &["read"]),
        operation("PUBLISH", "/chat/{room}", OperationAuth::Any, &["write"]),
        operation("SUBSCRIBE", "/open", OperationAuth::None, &[]),
    ];
    api.endpoints.production[0].url = format!("ws://{backend}/base");
    api
}

/// A backend that echoes messages, and says first which request it got. `bye` makes it close with 4321, `vanish` makes
/// it go without a word, `flood` makes it send 100 messages.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

#[allow(clippy::result_large_err, reason = "the library's type")]
async fn serve(stream: TcpStream) {
    let mut seen = String::new();
    let accepted = tokio_tungstenite::accept_hdr_async(stream, |request: &Request, response: Response| {
        let has_token = request.headers().contains_key("authorization");
        let forwarded = request.headers().get("x-forwarded-for").map_or("", |value| value.to_str().unwrap());
        seen = format!("{} {has_token} {forwarded}", request.uri());
        Ok(response)
    });
    let Ok(mut socket) = accepted.await else { return };
    socket.send(Message::text(seen)).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        match &message {
            Message::Text(text) if text.as_str() == "bye" => {
                let frame = CloseFrame { code: 4321.into(), reason: "enough".into() };
                socket.close(Some(frame)).await.ok();
            }
            Message::Text(text) if text.as_str() == "vanish" => return,
            Message::Text(text) if text.as_str() == "flood" => {
                for number in 0..100 {
                    socket.send(Message::text(format!("flood {number}"))).await.unwrap();
                }
            }
            Message::Text(_) | Message::Binary(_) => socket.send(message).await.unwrap(),
            _ => {}
        }
    }
}

async fn open(stage: &Stage, path: &str, token: Option<&str>) -> Result<Socket, Error> {
    let mut request = format!("ws://{}{path}", stage.address()).into_client_request().unwrap();
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let stream = TcpStream::connect(stage.address()).await.unwrap();
    let opened = tokio::time::timeout(PATIENCE, tokio_tungstenite::client_async(request, stream));
    opened.await.expect("no answer to the handshake").map(|(socket, _)| socket)
}

async fn open_echo(stage: &Stage) -> Socket {
    let mut socket = open(stage, "/pizza/1.0.0/echo", Some("good")).await.unwrap();
    assert!(text(&mut socket).await.starts_with("/base/echo"));
    socket
}

async fn next(socket: &mut Socket) -> Message {
    tokio::time::timeout(PATIENCE, socket.next()).await.expect("no message in time").unwrap().unwrap()
}

async fn text(socket: &mut Socket) -> String {
    match next(socket).await {
        Message::Text(text) => text.to_string(),
        other => panic!("not a text: {other:?}"),
    }
}

async fn closed_with(socket: &mut Socket) -> u16 {
    loop {
        match next(socket).await {
            Message::Close(frame) => return frame.expect("a close frame with a code").code.into(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("not closed: {other:?}"),
        }
    }
}

fn status_of(opened: Result<Socket, Error>) -> (u16, String) {
    match opened {
        Err(Error::Http(response)) => {
            let body: serde_json::Value = serde_json::from_slice(response.body().as_deref().unwrap()).unwrap();
            (response.status().as_u16(), body["code"].as_str().unwrap().to_owned())
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the handshake was accepted"),
    }
}

#[tokio::test]
async fn messages_of_all_kinds_pass_both_ways_and_the_token_stays_here() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    let mut socket = open(&stage, "/pizza/1.0.0/echo?a=1", Some("good")).await.unwrap();
    assert_eq!(text(&mut socket).await, "/base/echo?a=1 false 127.0.0.1");
    let mut from_query = open(&stage, "/pizza/1.0.0/echo?access_token=good&a=1", None).await.unwrap();
    assert_eq!(text(&mut from_query).await, "/base/echo?a=1 false 127.0.0.1");
    let large = vec![7; 3 << 20];
    for message in [Message::text("hi"), Message::text(""), Message::binary(vec![0, 159, 255]), Message::binary(large)]
    {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut socket).await, message);
    }
    socket.send(Message::Ping(vec![1, 2].into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong(vec![1, 2].into()), "the backend answers pings");
    assert_eq!(stage.gateway.metrics().websockets, 2);
    socket.send(Message::text("bye")).await.unwrap();
    assert_eq!(closed_with(&mut socket).await, 4321, "the backend's own code passes");
    from_query.close(None).await.unwrap();
    while let Some(Ok(_)) = from_query.next().await {}
    until("both are closed", || stage.gateway.metrics().websockets == 0).await;
}

#[tokio::test]
async fn a_handshake_is_refused_like_any_other_call() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    let scopes = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
    stage.keys.set("reader", Ok(KeyVerdict { scopes: scopes(&["read"]), ..verdict() }));
    stage.keys.set("both", Ok(KeyVerdict { scopes: scopes(&["read", "write"]), ..verdict() }));
    for (path, token, expected) in [
        ("/pizza/1.0.0/echo", None, (401, "900902")),
        ("/pizza/1.0.0/echo?access_token=forged", None, (401, "900901")),
        ("/pizza/1.0.0/echo", Some("forged"), (401, "900901")),
        ("/pizza/1.0.0/chat/7", Some("reader"), (403, "900910")),
        ("/pizza/1.0.0/nothing", Some("good"), (404, "404")),
    ] {
        let (status, code) = status_of(open(&stage, path, token).await);
        assert_eq!((status, code.as_str()), expected, "{path} {token:?}");
    }
    assert!(open(&stage, "/pizza/1.0.0/chat/7", Some("both")).await.is_ok());
    let mut anonymous = open(&stage, "/pizza/1.0.0/open", None).await.unwrap();
    assert!(text(&mut anonymous).await.starts_with("/base/open"));
    // A call that is no handshake is told what is spoken here.
    let reply = stage.get("/pizza/1.0.0/echo").await;
    assert_eq!((reply.status, reply.header("upgrade")), (426, Some("websocket")));
    // Nor has a handshake a body, which would be taken for frames.
    let mut client = stage.client().await;
    let handshake = "GET /pizza/1.0.0/open HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 2\r\n\r\nab";
    client.send(handshake).await;
    assert_eq!(client.reply().await.status, 400);
}

#[tokio::test]
async fn frames_beyond_the_quota_are_dropped_and_the_connection_stays() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    stage.keys.set("good", Ok(KeyVerdict { plan: "Gold".to_owned(), ..verdict() }));
    let plan = stage.budgets.set("Gold", CounterLevel::Subscription, 4, false);
    // The handshake takes one.
    let mut socket = open_echo(&stage).await;
    for number in 0..3 {
        socket.send(Message::text(format!("{number}"))).await.unwrap();
        assert_eq!(text(&mut socket).await, number.to_string());
    }
    socket.send(Message::text("lost")).await.unwrap();
    assert_eq!(text(&mut socket).await, THROTTLED);
    // A message in parts is dropped whole.
    let parts = [frame(0x01, b"lo"), frame(0x80, b"st")].concat();
    socket.get_mut().write_all(&parts).await.unwrap();
    assert_eq!(text(&mut socket).await, THROTTLED);
    *plan.left.lock().unwrap() = 1;
    socket.send(Message::text("found")).await.unwrap();
    assert_eq!(text(&mut socket).await, "found");
    assert_eq!(stage.gateway.metrics().refused_quota, 2);
    // Control frames cost nothing.
    socket.send(Message::Ping(vec![9].into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong(vec![9].into()));
}

/// A frame of a client, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test]
async fn a_frame_waits_for_a_grant_that_is_on_its_way() {
    let backend = echo().await;
    let stage = Stage::new(Settings { grant_wait: PATIENCE, ..settings() });
    stage.deploy(chat(backend));
    stage.keys.set("good", Ok(KeyVerdict { plan: "Gold".to_owned(), ..verdict() }));
    let plan = stage.budgets.set("Gold", CounterLevel::Subscription, 1, true);
    let mut socket = open_echo(&stage).await;
    socket.send(Message::text("patient")).await.unwrap();
    until("it waits", || stage.gateway.metrics().grant_waits > 0).await;
    *plan.left.lock().unwrap() = 1;
    plan.changed.notify_waiters();
    assert_eq!(text(&mut socket).await, "patient");
}

#[tokio::test]
async fn a_connection_ends_when_its_token_or_its_api_does() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    let mut idle = open_echo(&stage).await;
    let mut busy = open_echo(&stage).await;
    stage.keys.set("good", Err(KeyRefusal::Invalid));
    stage.keys_changed();
    busy.send(Message::text("late")).await.unwrap();
    assert_eq!(closed_with(&mut busy).await, 4001, "no frame passes after the token was revoked");
    assert_eq!(closed_with(&mut idle).await, 4001, "also where no frame comes");

    stage.keys.set("good", Ok(verdict()));
    let mut blocked = open_echo(&stage).await;
    stage.keys.set("good", Err(KeyRefusal::Blocked));
    stage.keys_changed();
    assert_eq!(closed_with(&mut blocked).await, 4002);

    stage.keys.set("good", Ok(verdict()));
    let mut of_blocked_api = open_echo(&stage).await;
    stage.deploy(DeployedApi { lifecycle: Lifecycle::Blocked, ..chat(backend) });
    assert_eq!(closed_with(&mut of_blocked_api).await, 4002);

    stage.deploy(chat(backend));
    let mut undeployed = open_echo(&stage).await;
    let mut kept = open_echo(&stage).await;
    // A new revision of the same API changes nothing for who is connected.
    stage.deploy(DeployedApi { is_default_version: true, ..chat(backend) });
    kept.send(Message::text("still here")).await.unwrap();
    assert_eq!(text(&mut kept).await, "still here");
    stage.undeploy(chat(backend).id);
    assert_eq!(closed_with(&mut undeployed).await, 1001);
}

#[tokio::test]
async fn a_connection_ends_when_its_caller_is_denied_and_follows_policies() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    stage.keys.set("good", Ok(KeyVerdict { plan: "Gold".to_owned(), ..verdict() }));
    let mut socket = open_echo(&stage).await;
    socket.send(Message::text("free")).await.unwrap();
    assert_eq!(text(&mut socket).await, "free");
    stage.budgets.set("Gold", CounterLevel::Subscription, 0, false);
    stage.change(|state| state.deployed.advance(Generation::Policies));
    socket.send(Message::text("limited")).await.unwrap();
    assert_eq!(text(&mut socket).await, THROTTLED);
    let (id, tenant) = (PolicyId::from_random([1; 16]), TenantDomain::super_tenant());
    let denial = DenyPolicy {
        id,
        tenant: tenant.clone(),
        condition: DenyCondition::Api("/pizza/1.0.0".to_owned()),
        is_active: true,
        expires_at: None,
        created_at: Timestamp(1),
        created_by: Username("admin".to_owned()),
    };
    stage.change(|state| {
        state.deployed.deny_policies.insert((tenant, id), Arc::new(denial));
        state.deployed.advance(Generation::Policies);
    });
    assert_eq!(closed_with(&mut socket).await, 4002);
}

#[tokio::test]
async fn a_connection_ends_when_its_token_expires() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let soon = Timestamp(u64::try_from(now.as_millis()).unwrap() + 1_500);
    stage.keys.set("good", Ok(KeyVerdict { expires_at: soon, ..verdict() }));
    let mut socket = open_echo(&stage).await;
    assert_eq!(closed_with(&mut socket).await, 4001);
}

#[tokio::test]
async fn a_connection_ends_with_the_certificate_that_must_be_there() {
    let backend = echo().await;
    let header = "x-client-cert";
    let stage = Stage::new(Settings {
        client_certificate_header: Some(header.parse().unwrap()),
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..settings()
    });
    stage.keys.set("good", Ok(verdict()));
    let made = rcgen::generate_simple_self_signed(vec!["client.example".to_owned()]).unwrap();
    let trust = |is_trusted: bool| {
        let one = TrustedCertificate {
            alias: "client".to_owned(),
            plan: "Gold".to_owned(),
            key_type: KeyType::Production,
            certificate: CertificateDer(made.cert.der().to_vec()),
        };
        let certificates = is_trusted.then_some(one).into_iter().collect();
        stage.change(|state| {
            let edge = EdgeSecurity { api_key_header: None, certificates };
            state.deployed.edge_security.insert(("Default".to_owned(), chat(backend).id), Arc::new(edge));
            state.deployed.advance(Generation::Routes);
            state.deployed.advance(Generation::Keys);
        });
    };
    for has_oauth2 in [false, true] {
        let security = Security {
            has_oauth2,
            has_api_key: false,
            has_basic_auth: false,
            has_mutual_tls: true,
            is_mutual_tls_mandatory: true,
            is_token_mandatory: has_oauth2,
        };
        stage.deploy(DeployedApi { security, ..chat(backend) });
        trust(true);
        let mut request = format!("ws://{}/pizza/1.0.0/echo", stage.address()).into_client_request().unwrap();
        let written = made.cert.pem().replace('\n', "%0A");
        request.headers_mut().insert(header, written.parse().unwrap());
        if has_oauth2 {
            request.headers_mut().insert("authorization", "Bearer good".parse().unwrap());
        }
        let stream = TcpStream::connect(stage.address()).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert!(text(&mut socket).await.starts_with("/base/echo"));
        // A change of the routes that leaves it alone does it no harm.
        trust(true);
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(text(&mut socket).await, "hello");
        trust(false);
        assert_eq!(closed_with(&mut socket).await, 4001, "beside a token: {has_oauth2}");
    }
}

#[tokio::test]
async fn a_backend_that_goes_or_refuses_is_told_to_the_client() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    let mut socket = open_echo(&stage).await;
    socket.send(Message::text("vanish")).await.unwrap();
    assert_eq!(closed_with(&mut socket).await, 1011);

    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    stage.deploy(chat(refusing.local_addr().unwrap()));
    for (answer, expected) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", (403, "101506")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (502, "101506")),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", (502, "101506")),
        ("nonsense\r\n\r\n", (502, "101506")),
        ("", (502, "101505")),
    ] {
        let answering = async {
            let (mut stream, _) = refusing.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (opened, ()) = tokio::join!(open(&stage, "/pizza/1.0.0/echo", Some("good")), answering);
        let (status, code) = status_of(opened);
        assert_eq!((status, code.as_str()), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_that_is_gone_frees_its_backend() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    let socket = open_echo(&stage).await;
    drop(socket);
    until("it is closed", || stage.gateway.metrics().websockets == 0).await;
}

#[tokio::test]
async fn a_client_that_gives_no_sign_of_life_is_let_go() {
    let backend = echo().await;
    let client = ClientLimits { websocket_idle_timeout: Duration::from_secs(2), ..ClientLimits::default() };
    let stage = Stage::new(Settings { client, ..settings() });
    stage.deploy(chat(backend));
    stage.keys.set("good", Ok(verdict()));
    let alive = open_echo(&stage).await;
    let mut dead = open_echo(&stage).await;
    // The one reads and so answers pings; of the other nothing is heard.
    let (mut write, mut read) = alive.split();
    let reading = tokio::spawn(async move { while let Some(Ok(_)) = read.next().await {} });
    until("one is closed", || stage.gateway.metrics().websockets == 1).await;
    assert!(matches!(next(&mut dead).await, Message::Ping(_)), "it was asked");
    assert_eq!(closed_with(&mut dead).await, 1001);
    write.send(Message::text("alive")).await.unwrap();
    assert!(!reading.is_finished());
}

#[tokio::test]
async fn draining_tells_clients_to_go_elsewhere() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    let mut socket = open_echo(&stage).await;
    let (cut_off, code) = tokio::join!(stage.gateway.drain(PATIENCE), closed_with(&mut socket));
    assert_eq!((cut_off, code), (0, 1001));
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    // Not masked; an unknown opcode; a message that was never begun.
    for bytes in [vec![0x81, 2, b'h', b'i'], frame(0x83, b""), frame(0x80, b"x")] {
        let mut socket = open_echo(&stage).await;
        socket.get_mut().write_all(&bytes).await.unwrap();
        assert_eq!(closed_with(&mut socket).await, 1002, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_backend_back_and_loses_nothing() {
    let backend = echo().await;
    let stage = Stage::with_apis([chat(backend)]);
    let mut socket = open_echo(&stage).await;
    for number in 0..50 {
        socket.feed(Message::binary(vec![number; 64 << 10])).await.unwrap();
        socket.send(Message::text("flood")).await.unwrap();
        let large = next(&mut socket).await;
        assert_eq!(large.into_data().len(), 64 << 10);
        for expected in 0..100 {
            assert_eq!(text(&mut socket).await, format!("flood {expected}"));
        }
    }
}

#[tokio::test]
async fn an_upgrade_that_an_http_api_does_not_know_is_an_ordinary_call() {
    let backend = stage::Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    for _ in 0..2 {
        client
            .send(
                "GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            )
            .await;
        assert_eq!(client.reply().await.status, 200);
        assert_eq!(backend.last().headers.get("upgrade"), None);
    }
}
