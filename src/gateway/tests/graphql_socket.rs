//! Queries of GraphQL over WebSocket: each is read, and held to the scopes and policies of what it asks for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use portcullis_database::state::Generation;
use portcullis_model::counter::CounterLevel;
use portcullis_model::graphql::GraphqlRules;
use portcullis_model::policy::DataUnit;
use portcullis_model::port::KeyVerdict;
use portcullis_model::{ApiKind, DeployedApi, Operation, OperationAuth, PolicyLevel, Quota, QuotaPolicy};
use serde_json::{Value, json};
use stage::{PATIENCE, Stage, api, policy, until, verdict};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};

type Socket = WebSocketStream<TcpStream>;

const SDL: &str = "type Query { menu: [Dish!]! }\ntype Mutation { order(dish: ID!): Dish }\n\
    type Subscription { cooked(by: String): Dish  secret: Dish }\ntype Dish { id: ID! by: Chef }\n\
    type Chef { name: String dishes: [Dish!]! }\n";
const TRANSPORT: &str = "graphql-transport-ws";

fn graphql(backend: SocketAddr) -> DeployedApi {
    let operation = |verb: &str, target: &str, policy: &str, scopes: &[&str]| Operation {
        verb: verb.to_owned(),
        target: target.to_owned(),
        auth: OperationAuth::Any,
        policy: policy.to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    let mut api = api(backend);
    api.kind = ApiKind::Graphql;
    api.operations = vec![
        operation("QUERY", "menu", "Unlimited", &[]),
        operation("MUTATION", "order", "Unlimited", &["write"]),
        operation("SUBSCRIPTION", "cooked", "Rare", &[]),
        operation("SUBSCRIPTION", "secret", "Unlimited", &["admin"]),
    ];
    api.endpoints.production[0].url = format!("http://{backend}/graphql");
    api
}

/// A backend that says first which handshake it got, and echoes what it is sent. It chooses the first protocol offered.
#[allow(clippy::result_large_err, reason = "the library's type")]
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = json!({});
                let accepted =
                    tokio_tungstenite::accept_hdr_async(stream, |request: &Request, mut response: Response| {
                        let field = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap());
                        let offered = field("sec-websocket-protocol").unwrap_or_default();
                        seen = json!({
                            "target": request.uri().to_string(), "offered": offered,
                            "extensions": field("sec-websocket-extensions"), "authorization": field("authorization"),
                        });
                        let chosen = offered.split(',').next().unwrap_or_default();
                        response.headers_mut().insert("sec-websocket-protocol", chosen.parse().unwrap());
                        Ok(response)
                    });
                let Ok(mut socket) = accepted.await else { return };
                socket.send(Message::text(seen.to_string())).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn stage(scopes: &[&str]) -> Stage {
    let deployed = graphql(echo().await);
    let id = deployed.id;
    let stage = Stage::with_apis([deployed]);
    stage.put_policy(policy(PolicyLevel::Advanced, "Rare"), None);
    stage.change(|state| {
        let rules = GraphqlRules { schema: SDL.into(), costs: Vec::new() };
        state.deployed.graphql_rules.insert(("Default".to_owned(), id), Arc::new(rules));
        state.deployed.advance(Generation::Routes);
    });
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    stage.keys.set("good", Ok(KeyVerdict { scopes, ..verdict() }));
    stage
}

async fn open(stage: &Stage, query: &str, protocols: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://{}/pizza/1.0.0{query}", stage.address()).into_client_request().unwrap();
    if query.is_empty() {
        request.headers_mut().insert("authorization", "Bearer good".parse().unwrap());
    }
    if !protocols.is_empty() {
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    }
    request.headers_mut().insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
    let stream = TcpStream::connect(stage.address()).await.unwrap();
    let opened = tokio::time::timeout(PATIENCE, tokio_tungstenite::client_async(request, stream));
    opened.await.expect("no answer to the handshake").map(|(socket, _)| socket)
}

async fn heard(socket: &mut Socket) -> Value {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("no message in time").unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap_or(Value::String(text.to_string())),
            Message::Close(frame) => return json!({"closed": u16::from(frame.unwrap().code)}),
            _ => {}
        }
    }
}

async fn say(socket: &mut Socket, message: &Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

fn subscribe(id: &str, query: &str) -> Value {
    json!({"id": id, "type": "subscribe", "payload": {"query": query}})
}

#[tokio::test]
async fn what_a_query_asks_for_decides_whether_it_goes_on() {
    let stage = stage(&[]).await;
    let mut socket = open(&stage, "", &format!("other, {TRANSPORT}, graphql-ws")).await.unwrap();
    let handshake = heard(&mut socket).await;
    let expected = json!({
        "target": "/graphql", "offered": format!("{TRANSPORT}, graphql-ws"), "extensions": null, "authorization": null,
    });
    assert_eq!(handshake, expected, "nothing that could not be read is agreed on");
    let init = json!({"type": "connection_init", "payload": {"any": 1}});
    say(&mut socket, &init).await;
    assert_eq!(heard(&mut socket).await, init);
    for (id, query) in [("1", "subscription { cooked(by: \"ann\") { id } }"), ("2", "{ menu { id } }")] {
        let question = subscribe(id, query);
        say(&mut socket, &question).await;
        assert_eq!(heard(&mut socket).await, question);
    }
    // In two frames, and with members that nobody reads here.
    let text = json!({"id": "3", "type": "subscribe", "payload": {"query": "{ menu { id } }", "hidden": 1}, "x": 1});
    let text = text.to_string();
    let (first, second) = text.split_at(20);
    for (text, is_final, opcode) in [(first, false, 1_u8), (second, true, 0)] {
        use tokio_tungstenite::tungstenite::protocol::frame::Frame;
        use tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode;
        let frame = Frame::message(text.as_bytes().to_vec(), OpCode::from(opcode), is_final);
        socket.send(Message::Frame(frame)).await.unwrap();
    }
    assert_eq!(heard(&mut socket).await, subscribe("3", "{ menu { id } }"));
    // What the token has no scope for, and what the schema does not have, is answered and not passed on.
    for (id, query, code) in [
        ("4", "mutation { order(dish: 1) { id } }", 4002),
        ("5", "subscription { secret { id } }", 4002),
        ("6", "subscription { cooked { price } }", 4022),
        ("7", "nonsense", 4022),
    ] {
        say(&mut socket, &subscribe(id, query)).await;
        let told = heard(&mut socket).await;
        assert_eq!((&told["id"], &told["type"]), (&json!(id), &json!("error")), "{told}");
        assert_eq!(told["payload"][0]["extensions"]["code"], code, "{told}");
    }
    // The connection goes on, and ends with what is no message.
    say(&mut socket, &json!({"type": "ping"})).await;
    assert_eq!(heard(&mut socket).await, json!({"type": "ping"}));
    say(&mut socket, &json!({"type": "start", "id": "8", "payload": {"query": "mutation { order(dish: 1) { id } }"}}))
        .await;
    assert_eq!(heard(&mut socket).await, json!({"closed": 4005}));
    until("it has ended", || stage.gateway.metrics().websockets == 0).await;
}

#[tokio::test]
async fn the_older_protocol_is_read_by_its_own_words() {
    let stage = stage(&["write"]).await;
    let mut socket = open(&stage, "?access_token=good", "graphql-ws").await.unwrap();
    assert_eq!(heard(&mut socket).await["target"], "/graphql", "the token is not the backend's business");
    let start = |id: &str, query: &str| json!({"id": id, "type": "start", "payload": {"query": query}});
    let order = start("1", "mutation { order(dish: 1) { id } }");
    say(&mut socket, &order).await;
    assert_eq!(heard(&mut socket).await, order);
    say(&mut socket, &start("2", "subscription { secret { id } }")).await;
    let told = heard(&mut socket).await;
    assert_eq!((&told["id"], &told["type"], &told["payload"]["code"]), (&json!("2"), &json!("error"), &json!(4002)));
    say(&mut socket, &json!({"id": "1", "type": "stop"})).await;
    assert_eq!(heard(&mut socket).await, json!({"id": "1", "type": "stop"}));
    say(&mut socket, &subscribe("3", "{ menu { id } }")).await;
    assert_eq!(heard(&mut socket).await, json!({"closed": 4005}), "a message of the other protocol");
}

#[tokio::test]
async fn each_operation_asked_for_costs_what_its_policy_says() {
    let stage = stage(&[]).await;
    let rare = stage.budgets.set("Rare", CounterLevel::Resource, 1, false);
    let plan = stage.budgets.set("Plan", CounterLevel::Subscription, 100, false);
    stage.keys.set("good", Ok(KeyVerdict { plan: "Plan".to_owned(), ..verdict() }));
    let mut socket = open(&stage, "", TRANSPORT).await.unwrap();
    heard(&mut socket).await;
    let question = subscribe("1", "subscription { cooked { id } }");
    say(&mut socket, &question).await;
    assert_eq!(heard(&mut socket).await, question);
    assert_eq!(rare.left(), 0);
    say(&mut socket, &subscribe("2", "subscription { cooked { id } }")).await;
    let told = heard(&mut socket).await;
    assert_eq!((&told["id"], &told["payload"][0]["extensions"]["code"]), (&json!("2"), &json!(4003)), "{told}");
    // Others are not held to it.
    say(&mut socket, &subscribe("3", "{ menu { id } }")).await;
    assert_eq!(heard(&mut socket).await["id"], "3");
    assert!(plan.left() < 100);
    assert_eq!(stage.gateway.metrics().refused_quota, 1);
}

#[tokio::test]
async fn messages_that_ask_nothing_cost_events_and_bytes_and_end_with_the_quota() {
    let ping = json!({"type": "ping"});
    let bytes = ping.to_string().len() as u64;
    for (quota, cost) in [(Quota::Events(10), 1), (Quota::Bandwidth { amount: 1, unit: DataUnit::Mb }, bytes)] {
        let stage = stage(&[]).await;
        stage.keys.set("good", Ok(KeyVerdict { plan: "Plan".to_owned(), ..verdict() }));
        stage.put_policy(QuotaPolicy { quota, ..policy(PolicyLevel::Subscription, "Plan") }, None);
        let plan = stage.budgets.set("Plan", CounterLevel::Subscription, 10_000, false);
        let mut socket = open(&stage, "", TRANSPORT).await.unwrap();
        heard(&mut socket).await;
        let left = plan.left();
        say(&mut socket, &ping).await;
        assert_eq!(heard(&mut socket).await, ping);
        assert_eq!(left - plan.left(), 2 * cost, "there and back");
        *plan.left.lock().unwrap() = cost - 1;
        say(&mut socket, &ping).await;
        assert_eq!(heard(&mut socket).await, json!({"closed": 4003}));
        assert_eq!(stage.gateway.metrics().refused_quota, 1);
    }
}

#[tokio::test]
async fn a_handshake_without_a_known_protocol_or_a_token_is_refused() {
    let stage = stage(&[]).await;
    let status = |opened: Result<Socket, Error>| match opened {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(status(open(&stage, "", "").await), 400);
    assert_eq!(status(open(&stage, "", "soap").await), 400);
    assert_eq!(status(open(&stage, "?x=1", TRANSPORT).await), 401);
    assert_eq!(status(open(&stage, "?access_token=bad", TRANSPORT).await), 401);
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection() {
    let stage = stage(&[]).await;
    let mut socket = open(&stage, "", TRANSPORT).await.unwrap();
    heard(&mut socket).await;
    let large = |bytes: usize| json!({"type": "connection_init", "payload": {"x": "x".repeat(bytes)}});
    say(&mut socket, &large(60 << 10)).await;
    assert_eq!(heard(&mut socket).await, large(60 << 10));
    say(&mut socket, &large(70 << 10)).await;
    assert_eq!(heard(&mut socket).await, json!({"closed": 1009}));
}
