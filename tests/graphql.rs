//! APIs of GraphQL: from a schema to calls, whose queries gateways read: scopes, policies and limits of size are those of
//! the operations asked for.

mod harness;

use harness::backend::Backend;
use harness::http::{Reply, multipart, send_on};
use harness::journey::{self, Wish, text};
use harness::receiver::{Received, Receiver};
use harness::{Client, Cluster};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const DEVPORTAL: &str = "/api/am/devportal/v3";
const PLANS: &str = "/api/am/admin/v4/throttling/policies/subscription";
const SDL: &str = "# the shop\ntype Query {\n  menu(first: Int): [Dish!]!\n  chef: Chef\n}\n\
    type Mutation {\n  order(dish: ID!): Dish\n}\ntype Subscription {\n  cooked: Dish\n}\n\
    type Dish {\n  id: ID!\n  price: Int\n  by: Chef\n}\ntype Chef {\n  name: String\n  dishes: [Dish!]!\n}\n";

async fn send(client: &Client, verb: &str, path: &str, parts: &[(&str, Option<&str>, &str)]) -> Reply {
    let (body, content_type) = multipart(parts);
    client.send(verb, path, &[("content-type", &content_type)], body).await.expect("a reply")
}

async fn import(admin: &Client, backend: &str, plan: &str) -> String {
    let properties = json!({
        "name": "shop", "context": "/shop", "version": "1.0.0", "policies": [plan],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": format!("{backend}/graphql")}},
    });
    let parts = [
        ("type", None, "GRAPHQL"),
        ("file", Some("schema.graphql"), SDL),
        ("additionalProperties", None, &properties.to_string()),
    ];
    let made = send(admin, "POST", &format!("{PUBLISHER}/apis/import-graphql-schema"), &parts).await.expect(201);
    let body = made.json();
    assert_eq!((&body["type"], &body["lifeCycleStatus"]), (&json!("GRAPHQL"), &json!("CREATED")));
    assert!(made.header("location").ends_with(&text(&body, "id")), "{:?}", made.header("location"));
    text(&body, "id")
}

fn operations(api: &Value) -> Vec<String> {
    let all = api["operations"].as_array().expect("operations").iter();
    all.map(|one| format!("{} {}", text(one, "verb"), text(one, "target"))).collect()
}

async fn publish(admin: &Client, api: &str) {
    journey::deploy(admin, api).await;
    let path = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={api}");
    admin.send("POST", &path, &[], "").await.expect("publish").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_becomes_an_api_and_its_revisions_keep_it() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Backend::start("shop").await;

    let validate = format!("{PUBLISHER}/apis/validate-graphql-schema");
    let wrong = send(&admin, "POST", &validate, &[("file", Some("a"), "type Query {\n  menu: Dish\n}")]).await;
    let wrong = wrong.expect(200).json();
    assert_eq!(wrong["isValid"], false);
    assert!(text(&wrong, "errorMessage").contains("line 2, column 9"), "{wrong}");
    let good = send(&admin, "POST", &validate, &[("file", Some("a"), SDL)]).await.expect(200).json();
    assert_eq!((&good["isValid"], &good["errorMessage"]), (&json!(true), &json!("")));
    assert_eq!(operations(&good["graphQLInfo"]).len(), 4, "{good}");
    let refused = json!({"name": "a", "context": "/a", "version": "1", "type": "GRAPHQL"});
    let refused = admin.json("POST", &format!("{PUBLISHER}/apis"), &refused).await.expect("create").expect(400);
    assert!(refused.text().contains("import-graphql-schema"), "{}", refused.text());

    let api = import(&admin, &backend.url(), "Unlimited").await;
    let path = format!("{PUBLISHER}/apis/{api}");
    let get = async |tail: &str| admin.get(&format!("{path}{tail}")).await.expect("get").expect(200).json();
    let mut body = get("").await;
    let wanted = ["QUERY menu", "QUERY chef", "MUTATION order", "SUBSCRIPTION cooked"];
    assert_eq!(operations(&body), wanted);
    let schema = get("/graphql-schema").await;
    assert_eq!((&schema["name"], &schema["schemaDefinition"]), (&json!("admin--shop1.0.0.graphql"), &json!(SDL)));
    let types = get("/graphql-policies/complexity/types").await;
    assert_eq!(types["typeList"][0], json!({"type": "Query", "fieldList": ["menu", "chef"]}));

    // Operations come from the schema; what clients may do with them is said beside it, and stays.
    body["operations"][0]["throttlingPolicy"] = json!("10KPerMin");
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    let mut fewer = body.clone();
    fewer["operations"].as_array_mut().expect("operations").pop();
    let fewer = admin.json("PUT", &path, &fewer).await.expect("update").expect(400);
    assert!(fewer.text().contains("SUBSCRIPTION cooked"), "{}", fewer.text());
    let complexity = json!({"list": [{"type": "Dish", "field": "price", "complexityValue": 9}]});
    let costs = format!("{path}/graphql-policies/complexity");
    admin.json("PUT", &costs, &complexity).await.expect("costs").expect(200);
    let unknown = json!({"list": [{"type": "Dish", "field": "none", "complexityValue": 9}]});
    admin.json("PUT", &costs, &unknown).await.expect("costs").expect(400);
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    assert_eq!(get("/graphql-policies/complexity").await, complexity, "an update of the API leaves costs alone");

    publish(&admin, &api).await;
    let revisions = get("/revisions").await;
    let revision = text(&revisions["list"][0], "id");
    let other = [("schemaDefinition", None, "type Query { menu: Int }")];
    send(&admin, "PUT", &format!("{path}/graphql-schema"), &other).await.expect(200);
    send(&admin, "PUT", &format!("{path}/graphql-schema"), &[("schemaDefinition", None, "type {")]).await.expect(400);
    let changed = get("").await;
    assert_eq!(operations(&changed), ["QUERY menu"]);
    assert_eq!(changed["operations"][0]["throttlingPolicy"], "10KPerMin");
    let restore = format!("{path}/restore-revision?revisionId={revision}");
    admin.send("POST", &restore, &[], "").await.expect("restore").expect(201);
    assert_eq!(get("/graphql-schema").await["schemaDefinition"], SDL);
    assert_eq!(operations(&get("").await), wanted);

    let seen = node.anonymous();
    let of_store =
        async |tail: &str| seen.get(&format!("{DEVPORTAL}/apis/{api}{tail}")).await.expect("get").expect(200);
    assert_eq!(of_store("/graphql-schema").await.text(), SDL);
    assert_eq!(of_store("/graphql-policies/complexity").await.json(), complexity);
    assert_eq!(of_store("/graphql-policies/complexity/types").await.json(), types);

    // Out of the cluster and in again.
    let archive = admin.get(&format!("{PUBLISHER}/apis/export?apiId={api}")).await.expect("export").expect(200);
    assert!(String::from_utf8_lossy(&archive.body).contains("shop-1.0.0/Definitions/schema.graphql"));
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    let mut form = b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n".to_vec();
    form.extend_from_slice(&archive.body);
    form.extend_from_slice(b"\r\n--x--\r\n");
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    admin.send("POST", &format!("{PUBLISHER}/apis/import"), &kind, form).await.expect("import").expect(200);
    let found = admin.get(&format!("{PUBLISHER}/apis?query=name:shop")).await.expect("find").expect(200).json();
    let path = format!("{PUBLISHER}/apis/{}", text(&found["list"][0], "id"));
    let again = admin.get(&path).await.expect("api").expect(200).json();
    assert_eq!(
        (operations(&again), &again["operations"][0]["throttlingPolicy"]),
        (wanted.map(str::to_owned).to_vec(), &json!("10KPerMin"))
    );
    let costs = admin.get(&format!("{path}/graphql-policies/complexity")).await.expect("costs").expect(200).json();
    assert_eq!(costs, complexity);
}

/// Asks the gateway and returns status and code.
async fn ask(client: &Client, body: Value) -> (u16, String, Reply) {
    let reply = client.json("POST", "/shop/1.0.0", &body).await.expect("a call");
    let code = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    (reply.status, code["code"].as_str().unwrap_or_default().to_owned(), reply)
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_let_pass_what_a_caller_may_ask_for_and_nothing_else() {
    let cluster = Cluster::start(2).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Backend::start("shop").await;
    let url = backend.url();
    let plan = json!({
        "policyName": "Narrow", "graphQLMaxDepth": 3, "graphQLMaxComplexity": 40,
        "defaultLimit": {"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 100_000}},
    });
    admin.json("POST", PLANS, &plan).await.expect("plan").expect(201);
    let api = import(&admin, &url, "Narrow").await;
    let path = format!("{PUBLISHER}/apis/{api}");
    let mut body = admin.get(&path).await.expect("api").expect(200).json();
    body["scopes"] =
        json!([{"scope": {"name": "orders", "displayName": "orders", "bindings": ["admin"]}, "shared": false}]);
    body["operations"][2]["scopes"] = json!(["orders"]);
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    publish(&admin, &api).await;
    let wish = Wish { plan: "Narrow", ..Wish::new("shop", &url) };
    let subscribed = journey::subscribe(node, &wish, api).await;
    let token = journey::token(node, &subscribed).await;

    for node in &cluster.nodes {
        let caller = node.gateway().with_bearer(&token);
        let (status, _, reply) = ask(&caller, json!({"query": "{ menu { id } }"})).await;
        assert_eq!(status, 200, "{}", reply.text());
        let seen = reply.json();
        assert_eq!((&seen["method"], &seen["path"]), (&json!("POST"), &json!("/graphql")));
        assert!(seen["bytes"].as_u64() > Some(10), "the body is passed on: {seen}");
        let by_get = caller.get("/shop/1.0.0/?query=%7Bchef%7Bname%7D%7D").await.expect("get").expect(200).json();
        assert_eq!(by_get["path"], "/graphql?query=%7Bchef%7Bname%7D%7D");
        let named = json!({"query": "query A { menu { id } } query B { chef { name } }", "operationName": "B"});
        assert_eq!(ask(&caller, named).await.0, 200);
        let introspection = json!({"query": "{ __schema { types { name } } }"});
        assert_eq!(ask(&caller, introspection.clone()).await.0, 200);

        let before = backend.count();
        let many = json!({"query": "query M($n: Int) { menu(first: $n) { id price } }", "variables": {"n": 50}});
        for (query, status, code) in [
            (json!({"query": "{ menu { nothing } }"}), 422, "900422"),
            (json!({"query": "{ menu { id }"}), 422, "900422"),
            (json!({"nothing": 1}), 422, "900422"),
            (json!([{"query": "{ menu { id } }"}]), 422, "900422"),
            (json!(["{ menu { id } }"]), 422, "900422"),
            (json!({"query": "query A { menu { id } } query B { chef { name } }"}), 422, "900422"),
            (json!({"query": "subscription { cooked { id } }"}), 422, "900422"),
            (json!({"query": "mutation { order(dish: 1) { id } }"}), 403, "900910"),
            (json!({"query": "mutation { ...F } fragment F on Mutation { order(dish: 1) { id } }"}), 403, "900910"),
            (json!({"query": "{ menu { by { dishes { id } } } }"}), 400, "900820"),
            (many, 400, "900821"),
        ] {
            let (is, its_code, reply) = ask(&caller, query.clone()).await;
            assert_eq!((is, its_code.as_str()), (status, code), "{query}: {}", reply.text());
        }
        let (_, _, deep) = ask(&caller, json!({"query": "{ menu { by { dishes { id } } } }"})).await;
        assert_eq!(deep.json()["description"], "[maximum query depth exceeded 4 > 3]");
        for client in [node.gateway(), node.gateway().with_bearer("none")] {
            assert_eq!(ask(&client, introspection.clone()).await.0, 401);
        }
        for target in ["/shop/1.0.0?query=%7Bchef%7Bname%7D%7D", "/shop/1.0.0?operationName=A"] {
            let both = caller.json("POST", target, &json!({"query": "{ menu { id } }"})).await.expect("a call");
            assert_eq!((both.status, &both.json()["code"]), (422, &json!("900422")), "{target}");
        }
        let twice = caller.get("/shop/1.0.0?query=%7Bchef%7Bname%7D%7D&query=%7B").await.expect("get");
        assert_eq!(twice.status, 422);
        let mutation = caller.get("/shop/1.0.0?query=mutation%7Border(dish:1)%7Bid%7D%7D").await.expect("get");
        assert_eq!((mutation.status, mutation.header("allow")), (405, "POST"));
        assert_eq!(caller.send("PUT", "/shop/1.0.0", &[], "x").await.expect("put").status, 405);
        assert_eq!(caller.get("/shop/1.0.0/menu").await.expect("get").status, 404);
        assert_eq!(backend.count(), before, "nothing of that reaches the backend");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_has_its_own_policy_and_may_be_open_to_all() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Backend::start("shop").await;
    let url = backend.url();
    let policy = json!({
        "policyName": "Two",
        "defaultLimit": {"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": "days", "unitTime": 1, "requestCount": 2}},
    });
    admin.json("POST", "/api/am/admin/v4/throttling/policies/advanced", &policy).await.expect("policy").expect(201);
    let api = import(&admin, &url, "Unlimited").await;
    let path = format!("{PUBLISHER}/apis/{api}");
    let mut body = admin.get(&path).await.expect("api").expect(200).json();
    body["operations"][0]["authType"] = json!("None");
    body["operations"][1]["throttlingPolicy"] = json!("Two");
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    publish(&admin, &api).await;
    let subscribed = journey::subscribe(node, &Wish::new("shop", &url), api).await;
    let caller = node.gateway().with_bearer(&journey::token(node, &subscribed).await);

    // Asked for by three names, it would be done three times: more than there is.
    let thrice = json!({"query": "{ chef { name } a: chef { name } ...F } fragment F on Query { b: chef { name } }"});
    let (status, code, reply) = ask(&caller, thrice).await;
    assert_eq!((status, code.as_str()), (429, "900802"), "{}", reply.text());

    let menu = json!({"query": "{ menu { id } }"});
    let chef = json!({"query": "{ chef { name } }"});
    let both = json!({"query": "{ menu { id } chef { name } }"});
    assert_eq!(ask(&node.gateway(), menu.clone()).await.0, 200, "open to all");
    assert_eq!(ask(&node.gateway(), both.clone()).await.0, 401, "what is beside it is not");
    assert_eq!(ask(&caller, chef.clone()).await.0, 200);
    assert_eq!(ask(&caller, both.clone()).await.0, 200);
    // Two calls were counted, one of them beside another operation.
    for query in [chef, both] {
        let (status, code, reply) = ask(&caller, query).await;
        assert_eq!((status, code.as_str()), (429, "900802"), "{}", reply.text());
    }
    assert_eq!(ask(&caller, menu).await.0, 200);
}

/// Returns what came to the backend since it was asked before; fails the test unless that is one call.
fn one_more(backend: &Receiver, before: &mut usize) -> Received {
    let all = backend.received();
    assert_eq!(all.len(), *before + 1, "one call comes to the backend");
    *before = all.len();
    all[*before - 1].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_read_what_gateways_have_checked() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Receiver::start().await;
    let api = import(&admin, &backend.url, "Unlimited").await;
    publish(&admin, &api).await;
    let subscribed = journey::subscribe(node, &Wish::new("shop", &backend.url), api).await;
    let caller = node.gateway().with_bearer(&journey::token(node, &subscribed).await);
    let mut before = 0;
    let menu = "{ menu { id } }";
    let query = json!({"query": menu});
    let body = query.to_string();
    const JSON: (&str, &str) = ("content-type", "application/json");
    const TARGET: &str = "/shop/1.0.0";

    // Members that only some readers know.
    let more = json!({
        "query": menu, "QUERY": "mutation { order(dish: 1) { id } }", "id": "1", "documentId": "1", "operationName": null,
        "variables": {"a": 1}, "extensions": {"trace": true},
    });
    caller.json("POST", TARGET, &more).await.expect("a call").expect(204);
    let came = one_more(&backend, &mut before);
    assert_eq!(came.json(), json!({"query": menu, "variables": {"a": 1}, "extensions": {"trace": true}}));
    // Headers about the body as it came, or that take away what says how to read it.
    for headers in [
        [JSON, ("connection", "content-type")],
        [JSON, ("content-digest", "sha-256=:AAAA:")],
        [("content-type", "application/json; charset=\"UTF-8\""), ("x", "y")],
    ] {
        caller.send("POST", &format!("{TARGET}?x=1"), &headers, body.clone()).await.expect("a call").expect(204);
        let came = one_more(&backend, &mut before);
        let kinds = came.headers.get_all("content-type").iter().count();
        assert_eq!(
            (kinds, came.header("content-type"), came.json()),
            (1, "application/json", query.clone()),
            "{headers:?}"
        );
        assert_eq!((came.header("content-digest"), came.target.as_str()), ("", "/graphql"));
    }
    let text = [("content-type", "application/graphql")];
    caller.send("POST", TARGET, &text, menu).await.expect("a call").expect(204);
    let came = one_more(&backend, &mut before);
    assert_eq!((came.json(), came.header("content-type")), (query.clone(), "application/json"));
    let target =
        format!("{TARGET}?id=1&query=%7B+menu+%7B+id+%7D+%7D&QUERY=x&variables=%7B%22a%22:1%7D&operationName=");
    caller.send("GET", &target, &[("content-type", "text/x")], "").await.expect("a call").expect(204);
    let came = one_more(&backend, &mut before);
    let wanted = "/graphql?query=%7B%20menu%20%7B%20id%20%7D%20%7D&variables=%7B%22a%22%3A1%7D";
    assert_eq!((came.target.as_str(), came.header("content-type")), (wanted, ""));

    for headers in [
        [("content-type", "application/json; charset=utf-7"), ("x", "y")],
        [JSON, JSON],
        [JSON, ("content-type", "application/graphql")],
    ] {
        let reply = caller.send("POST", TARGET, &headers, body.clone()).await.expect("a call");
        assert_eq!((reply.status, &reply.json()["code"]), (422, &json!("900422")), "{headers:?}");
    }
    let kind = http::HeaderValue::from_bytes(b"application/graphql\xff").expect("a value");
    let request = caller.request("POST", TARGET).header("content-type", kind).body(body.into()).expect("a request");
    let unreadable = send_on(&mut caller.connect().await.expect("a connection"), request).await.expect("a reply");
    assert_eq!(unreadable.status, 422, "{}", unreadable.text());
    for extensions in [json!({"persistedQuery": {"version": 1}}), json!({"PersistedQuery": null}), json!([1]), json!(1)]
    {
        let persisted = json!({"query": menu, "extensions": extensions});
        assert_eq!(ask(&caller, persisted).await.0, 422, "{extensions}");
    }
    for target in ["?QUERY=x", "?extensions=%7B%7D"] {
        let both = caller.json("POST", &format!("{TARGET}{target}"), &query).await.expect("a call");
        assert_eq!(both.status, 422, "{target}");
    }
    let persisted = format!("{TARGET}?query=%7Bmenu%7Bid%7D%7D&extensions=%7B%22persistedQuery%22:1%7D");
    assert_eq!(caller.get(&persisted).await.expect("a call").status, 422);
    assert_eq!(backend.received().len(), before, "nothing of that reaches the backend");
}
