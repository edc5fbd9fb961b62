//! LLM providers: those that come with the program, and a tenant's own, changed in Admin and read by publishers everywhere;
//! and AI APIs, which are made of them.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::http::{Client, Reply, archive_form, multipart};
use harness::journey::{self, Wish, text};
use serde_json::{Value, json};

const ADMIN: &str = "/api/am/admin/v4/llm-providers";
const PUBLISHER: &str = "/api/am/publisher/v4/llm-providers";
const DEFINITION: &str = "openapi: 3.0.3\ninfo:\n  title: Own\n  version: 1.0.0\npaths: {}\n";

async fn get(client: &Client, path: &str) -> Value {
    client.get(path).await.expect("get").expect(200).json()
}

async fn send(client: &Client, verb: &str, path: &str, parts: &[(&str, Option<&str>, &str)]) -> Reply {
    let (body, content_type) = multipart(parts);
    client.send(verb, path, &[("content-type", &content_type)], body).await.expect("sent")
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let list = list["list"].as_array().expect("a list");
    list.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} is not in {list:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_added_in_admin_and_read_by_publishers_on_another_node() {
    let cluster = Cluster::start(3).await;
    let (admin, other) = (cluster.nodes[0].admin(), cluster.nodes[1].admin());
    let configurations = json!({
        "connectorType": "own_1.0.0", "authHeader": "X-Own", "metadata":
            [{"attributeName": "totalTokenCount", "inputSource": "payload", "attributeIdentifier": "$.usage.total"}],
    })
    .to_string();
    let form = |configurations| {
        vec![
            ("name", None, "Own"),
            ("apiVersion", None, "1.0.0"),
            ("description", None, "Of our own"),
            ("configurations", None, configurations),
            ("apiDefinition", Some("own.yaml"), DEFINITION),
            ("modelList", None, r#"["small", "large"]"#),
        ]
    };
    let wrong = send(&admin, "POST", ADMIN, &form("{\"metadata\": [{}]}")).await.expect(400).text();
    assert!(wrong.contains("configurations") && wrong.contains("attributeName"), "{wrong}");
    let reply = send(&admin, "POST", ADMIN, &form(&configurations)).await.expect(201);
    let (made, location) = (reply.json(), reply.header("location").to_owned());
    let id = text(&made, "id");
    assert_eq!(location, format!("{ADMIN}/{id}"));
    assert_eq!((&made["builtInSupport"], &made["modelList"]), (&json!(false), &json!(["small", "large"])));
    send(&admin, "POST", ADMIN, &form(&configurations)).await.expect(409);

    let seen = get(&other, &format!("{PUBLISHER}/{id}")).await;
    assert_eq!((&seen["configurations"], &seen["apiDefinition"]), (&json!(configurations), &json!(DEFINITION)));
    assert_eq!(get(&other, &format!("{PUBLISHER}/{id}/models")).await, json!(["small", "large"]));
    let endpoint = get(&other, &format!("{PUBLISHER}/{id}/endpoint-configuration")).await;
    assert_eq!(endpoint, json!({"authHeader": "X-Own"}));
    let definition = other.get(&format!("{PUBLISHER}/{id}/api-definition")).await.expect("get").expect(200);
    assert_eq!((definition.header("content-type"), &*definition.text()), ("application/yaml", DEFINITION));
    assert_eq!(get(&other, PUBLISHER).await["count"], 8);

    let changed = [("description", None, "Changed"), ("apiDefinition", Some("own.yaml"), DEFINITION)];
    let after = send(&other, "PUT", &location, &changed).await.expect(200).json();
    assert_eq!((&after["description"], &after["modelList"]), (&json!("Changed"), &json!(["small", "large"])));
    for client in [&admin, &other] {
        // The second is the retry of a caller that did not hear the answer.
        client.send("DELETE", &location, &[("idempotency-key", "one")], "").await.expect("delete").expect(200);
    }
    other.send("DELETE", &location, &[], "").await.expect("delete").expect(404);
    assert_eq!(get(&other, ADMIN).await["count"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_come_with_the_program_are_changed_and_not_deleted() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.nodes[0].admin();
    let list = get(&admin, ADMIN).await;
    for name in ["MistralAI", "OpenAI", "AzureOpenAI", "AWSBedrock", "Anthropic", "Gemini", "AzureAIFoundry"] {
        assert_eq!(named(&list, name)["builtInSupport"], true);
    }
    let path = format!("{ADMIN}/{}", text(named(&list, "Anthropic"), "id"));
    let before = get(&admin, &path).await;
    let refused = admin.send("DELETE", &path, &[], "").await.expect("delete").expect(403).text();
    assert!(refused.contains("comes with the program"), "{refused}");
    let changed = [
        ("apiDefinition", Some("a.yaml"), DEFINITION),
        ("modelList", None, r#"["newest"]"#),
        ("description", None, "is the program's"),
    ];
    for _ in 0..2 {
        let after = send(&admin, "PUT", &path, &changed).await.expect(200).json();
        assert_eq!((&after["modelList"], &after["builtInSupport"]), (&json!(["newest"]), &json!(true)));
        assert_eq!((&after["apiDefinition"], &after["description"]), (&json!(DEFINITION), &before["description"]));
    }
    assert_eq!(get(&admin, ADMIN).await["count"], 7);
    let taken = [
        ("name", None, "gemini"),
        ("apiVersion", None, "1.0.0"),
        ("configurations", None, "{}"),
        ("apiDefinition", Some("a.yaml"), DEFINITION),
    ];
    send(&admin, "POST", ADMIN, &taken).await.expect(409);
}

const APIS: &str = "/api/am/publisher/v4/apis";

/// The document of an AI API of a provider.
fn ai_api(name: &str, provider: &str, backend: &str) -> Value {
    // As text, as the original has it.
    let configuration = json!({"llmProviderName": provider, "llmProviderApiVersion": "1.0.0"}).to_string();
    json!({
        "name": name, "context": format!("/{name}"), "version": "1.0.0", "policies": ["AIGold"],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": backend}},
        "subtypeConfiguration": {"subtype": "AIAPI", "configuration": configuration},
    })
}

/// A call of the policy that asks one model after the other.
fn failover(models: [(&str, &str); 2]) -> Value {
    let [target, fallback] = models.map(|(model, endpoint)| json!({"model": model, "endpointId": endpoint}));
    let configs = json!({"production": {"targetModel": target, "fallbackModels": [fallback]}, "suspendDuration": "0"});
    // As the original's portal writes it.
    let configs = configs.to_string().replace('"', "'");
    json!({"request": [{"policyName": "modelFailover", "policyVersion": "v1", "parameters": {"failoverConfigs": configs}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ai_api_is_made_of_its_provider_and_asks_the_next_model_where_one_fails() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let (admin, backend) = (node.admin(), Backend::start("model").await);
    let refused = async |verb: &str, path: &str, body: &Value, said: &str| {
        let reply = admin.json(verb, path, body).await.expect("asked").expect(400).text();
        assert!(reply.contains(said), "{reply}");
    };
    refused("POST", APIS, &ai_api("chat", "Nobody", &backend.url()), "LLM provider Nobody 1.0.0").await;
    let with = |mut body: Value, field: &str, value: Value| {
        body[field] = value;
        body
    };
    let chat = ai_api("chat", "AWSBedrock", &backend.url());
    refused("POST", APIS, &with(chat.clone(), "policies", json!(["Gold"])), "no plan for AI APIs").await;
    refused("POST", APIS, &with(chat.clone(), "type", json!("WS")), "for APIs of HTTP").await;
    let policy = failover([("a", ""), ("b", "")]);
    let plain = with(with(chat.clone(), "subtypeConfiguration", Value::Null), "policies", json!([]));
    refused("POST", APIS, &with(plain, "apiPolicies", policy), "are for AI APIs").await;

    let made = admin.json("POST", APIS, &chat).await.expect("create").expect(201).json();
    assert_eq!((&made["subtypeConfiguration"], &made["egress"]), (&chat["subtypeConfiguration"], &json!(true)));
    let targets: Vec<&str> =
        made["operations"].as_array().expect("a list").iter().filter_map(|one| one["target"].as_str()).collect();
    assert!(targets.contains(&"/model/{modelId}/converse"), "the provider's definition: {targets:?}");
    let (id, path) = (text(&made, "id"), format!("{APIS}/{}", text(&made, "id")));
    assert_eq!(named(&get(&admin, APIS).await, "chat")["subtype"], "AIAPI");
    refused("PUT", &path, &with(made.clone(), "subtypeConfiguration", json!({"subtype": "DEFAULT"})), "cannot change")
        .await;

    let endpoints = format!("{path}/endpoints");
    let endpoint = async |name: &str, url: &str| {
        let proof = json!({"enabled": true, "type": "apikey", "apiKeyIdentifier": "x-key", "apiKeyValue": name,
            "apiKeyIdentifierType": "HEADER"});
        let body = json!({"name": name, "deploymentStage": "PRODUCTION", "endpointConfig": {"endpoint_type": "http",
            "production_endpoints": {"url": url}, "endpoint_security": {"production": proof}}});
        text(&admin.json("POST", &endpoints, &body).await.expect("endpoint").expect(201).json(), "id")
    };
    let gone = endpoint("gone", "http://127.0.0.1:1").await;
    let second = endpoint("second", &format!("{}/base", backend.url())).await;
    let asked =
        |fallback: &str| with(made.clone(), "apiPolicies", failover([("first:1", &gone), ("second:1", fallback)]));
    refused("PUT", &path, &asked("nowhere"), "the endpoint nowhere").await;
    admin.json("PUT", &path, &asked(&second)).await.expect("update").expect(200);
    let kept = admin.send("DELETE", &format!("{endpoints}/{second}"), &[], "").await.expect("delete").text();
    assert!(kept.contains("take it out of the policy"), "{kept}");

    journey::deploy(&admin, &id).await;
    let publish = format!("{APIS}/change-lifecycle?action=Publish&apiId={id}");
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    let shown = get(&admin, &format!("/api/am/devportal/v3/apis/{id}")).await;
    assert_eq!((&shown["subtype"], &shown["egress"]), (&json!("AIAPI"), &json!(true)));
    let url = backend.url();
    let wish = Wish { plan: "AIGold", ..Wish::new("chat", &url) };
    let published = journey::subscribe(node, &wish, id.clone()).await;
    let caller = node.gateway().with_bearer(&journey::token(node, &published).await);
    let call = "/chat/1.0.0/model/mine/converse";
    let seen = caller.json("POST", call, &json!({"messages": []})).await.expect("call").expect(200).json();
    assert_eq!((&seen["path"], &seen["headers"]["x-key"]), (&json!("/base/model/second:1/converse"), &json!("second")));

    let archive = admin.get(&format!("{APIS}/export?apiId={id}")).await.expect("export").expect(200);
    let (form, content_type) = archive_form(&archive.body);
    let import = format!("{APIS}/import?overwrite=true");
    admin.send("POST", &import, &[("content-type", content_type)], form).await.expect("import").expect(200);
    let after = get(&admin, &path).await;
    assert_eq!(after["subtypeConfiguration"], chat["subtypeConfiguration"]);
    assert!(text(&after["apiPolicies"]["request"][0]["parameters"], "failoverConfigs").contains(&second));
}
