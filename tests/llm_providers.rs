//! LLM providers: those that come with the program, and a tenant's own, changed in Admin and read by publishers everywhere.

mod harness;

use harness::Cluster;
use harness::http::{Client, Reply, multipart};
use harness::journey::text;
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
