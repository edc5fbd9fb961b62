//! What gateways carry that publishers and operators ask for by name, on real nodes: backends that policies name, clients that
//! dribble, and queries of GraphQL over WebSocket.

mod harness;

use futures_util::{SinkExt as _, StreamExt as _};
use harness::backend::Backend;
use harness::http::multipart;
use harness::journey::{self, Wish, text};
use harness::{Client, Cluster};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

const PUBLISHER: &str = "/api/am/publisher/v4";
const SPECIFICATION: &str = r#"{"category": "Mediation", "name": "toShop", "version": "v1", "displayName": "To the shop",
"description": "names the backend", "applicableFlows": ["request"], "supportedGateways": ["Synapse"],
"supportedApiTypes": ["HTTP"], "policyAttributes": [{"name": "shop", "displayName": "Shop", "type": "String", "required": true}]}"#;
const DEFINITION: &str = r#"<header name="To" value="{{shop}}/base"/>"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_names_the_backend_of_a_deployed_api_on_every_node() {
    let cluster = Cluster::start(3).await;
    let (first, second) = (Backend::start("first").await, Backend::start("second").await);
    let admin = cluster.nodes[1].admin();
    let files =
        [("policySpecFile", Some("s.json"), SPECIFICATION), ("synapsePolicyDefinitionFile", Some("d.j2"), DEFINITION)];
    let (body, content_type) = multipart(&files);
    let policies = format!("{PUBLISHER}/operation-policies");
    admin.send("POST", &policies, &[("content-type", &content_type)], body).await.expect("policy").expect(201);

    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &first.url())).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let path = format!("{PUBLISHER}/apis/{}", published.api);
    let mut api = admin.get(&path).await.expect("api").expect(200).json();
    api["endpointConfig"] = json!({
        "endpoint_type": "default", "production_endpoints": {"url": "default"}, "sandbox_endpoints": {"url": "default"},
        "allowed_addresses": ["nonsense"],
    });
    let refused = admin.json("PUT", &path, &api).await.expect("update").expect(400).text();
    assert!(refused.contains("endpointConfig.allowed_addresses[0]"), "{refused}");
    api["endpointConfig"]["allowed_addresses"] = json!([second.url()]);
    for operation in api["operations"].as_array_mut().expect("operations") {
        let shop = if operation["target"] == "/menu" { second.url() } else { first.url() };
        operation["operationPolicies"] =
            json!({"request": [{"policyName": "toShop", "policyVersion": "v1", "parameters": {"shop": shop}}]});
    }
    let updated = admin.json("PUT", &path, &api).await.expect("update").expect(200).json();
    assert_eq!(updated["endpointConfig"], api["endpointConfig"], "it is shown as it was sent");
    journey::deploy(&admin, &published.api).await;
    let menu = format!("{}/menu", published.path);
    for node in &cluster.nodes {
        let client = node.gateway().with_bearer(&token);
        let others = first.url();
        let reply = client.send("GET", &menu, &[("to", &others)], "").await.expect("call").expect(200).json();
        assert_eq!((text(&reply, "backend"), text(&reply, "path")), ("second".to_owned(), "/base/menu".to_owned()));
        assert!(reply["headers"].get("to").is_none(), "{reply}");
        let order = format!("{}/order/7", published.path);
        let refused = client.get(&order).await.expect("call").expect(403).json();
        assert_eq!(text(&refused, "code"), "900993");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dribbles_is_given_up_as_the_configuration_says() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[gateway]\nrequest_bytes_per_s = 1000\nbehind_max_ms = 1000\n");
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("slow").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let token = journey::token(node, &published).await;
    let mut stream = TcpStream::connect(format!("{}:8280", node.address)).await.expect("connect");
    let head = format!(
        "POST {}/order HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 100000\r\n\r\n",
        published.path
    );
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    let (mut reading, mut writing) = stream.into_split();
    let dribble = tokio::spawn(async move {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(50));
        while writing.write_all(b"x").await.is_ok() {
            beat.tick().await;
        }
    });
    let mut told = String::new();
    // Whoever still sends when the connection is closed may find it reset behind the answer.
    reading.read_to_string(&mut told).await.ok();
    dribble.await.expect("the connection is closed");
    assert!(told.starts_with("HTTP/1.1 408 ") && told.contains("\r\nconnection: close\r\n"), "{told}");
    let page = Client::plain(&format!("http://{}:9763", node.address)).get("/metrics").await.expect("metrics").text();
    assert!(page.contains("portcullis_gateway_clients_below_pace_total 1\n"), "{page}");
    node.gateway()
        .with_bearer(&token)
        .json("POST", &format!("{}/order", published.path), &json!({}))
        .await
        .expect("call")
        .expect(200);
}

const SDL: &str =
    "type Query { menu: [Dish!]! }\ntype Subscription { cooked: Dish secret: Dish }\ntype Dish { id: ID! }\n";

/// A backend that speaks graphql-transport-ws, as far as echoing goes; returns its address.
#[allow(clippy::result_large_err, reason = "the library's type")]
async fn kitchen() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let accepted = tokio_tungstenite::accept_hdr_async(stream, |_: &Request, mut response: Response| {
                    let name = "graphql-transport-ws".parse().expect("a value");
                    response.headers_mut().insert("sec-websocket-protocol", name);
                    Ok(response)
                });
                let Ok(mut socket) = accepted.await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}/graphql")
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_graphql_are_held_to_the_scopes_of_what_they_ask_for() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let properties = json!({
        "name": "shop", "context": "/shop", "version": "1.0.0", "policies": ["Unlimited"],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": kitchen().await}},
    });
    let (body, content_type) = multipart(&[
        ("type", None, "GRAPHQL"),
        ("file", Some("schema.graphql"), SDL),
        ("additionalProperties", None, &properties.to_string()),
    ]);
    let import = format!("{PUBLISHER}/apis/import-graphql-schema");
    let made = admin.send("POST", &import, &[("content-type", &content_type)], body).await.expect("import").expect(201);
    let api = text(&made.json(), "id");
    let path = format!("{PUBLISHER}/apis/{api}");
    let mut document = admin.get(&path).await.expect("api").expect(200).json();
    document["scopes"] =
        json!([{"scope": {"name": "chef", "displayName": "Chef", "description": "", "bindings": []}, "shared": false}]);
    for operation in document["operations"].as_array_mut().expect("operations") {
        if operation["target"] == "secret" {
            operation["scopes"] = json!(["chef"]);
        }
    }
    admin.json("PUT", &path, &document).await.expect("update").expect(200);
    journey::deploy(&admin, &api).await;
    let publish = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={api}");
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    let published = journey::subscribe(node, &Wish::new("shop", ""), api).await;
    let token = journey::token(node, &published).await;

    let address = format!("{}:8280", node.address);
    let mut request =
        format!("ws://{address}/shop/1.0.0?access_token={token}").into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a value"));
    let stream = TcpStream::connect(&address).await.expect("connect");
    let (mut socket, answer) = tokio_tungstenite::client_async(request, stream).await.expect("the handshake");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "graphql-transport-ws");
    let mut ask = async |id: &str, query: &str| -> Value {
        let question = json!({"id": id, "type": "subscribe", "payload": {"query": query}}).to_string();
        socket.send(Message::text(question)).await.expect("it is sent");
        loop {
            match socket.next().await.expect("an answer").expect("a frame") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                other => assert!(other.is_ping(), "{other:?}"),
            }
        }
    };
    assert_eq!(ask("1", "subscription { cooked { id } }").await["type"], "subscribe", "it was passed on");
    let refused = ask("2", "subscription { secret { id } }").await;
    assert_eq!((&refused["type"], &refused["payload"][0]["extensions"]["code"]), (&json!("error"), &json!(4002)));
    assert_eq!(ask("3", "{ menu { id } }").await["id"], "3");
}
