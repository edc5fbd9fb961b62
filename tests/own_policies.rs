//! Operation policies of a tenant's own: uploaded, applied with parameters, in force on every node, and there for whom they
//! belong to.

mod harness;

use harness::backend::Backend;
use harness::http::{Client, Reply, multipart};
use harness::journey::{self, Wish, text};
use harness::{Cluster, Node};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const SPECIFICATION: &str = "category: Mediation\nname: stamp\nversion: v2\ndisplayName: Stamp\ndescription: Says who was here\npolicyAttributes:\n- name: who\n  required: true\n  type: String\n- name: how\n  defaultValue: politely\n  allowedValues: [politely, loudly]\napplicableFlows:\n- response\nsupportedGateways:\n- Synapse\nsupportedApiTypes:\n- HTTP\n";
const DEFINITION: &str = "<property name=\"x-stamp\" value=\"{{ who }} {{how}}\" scope=\"transport\"/>\n<property name=\"x-old\" action=\"remove\" scope=\"transport\"/>";

async fn upload(client: &Client, path: &str, specification: &str, definition: &str) -> Reply {
    let (body, content_type) = multipart(&[
        ("policySpecFile", Some("stamp.yaml"), specification),
        ("synapsePolicyDefinitionFile", Some("stamp.j2"), definition),
    ]);
    client.send("POST", path, &[("content-type", &content_type)], body).await.expect("upload")
}

async fn put(admin: &Client, path: &str, parameters: Value) -> Reply {
    let mut api = admin.get(path).await.expect("api").expect(200).json();
    let stamp = json!({"policyName": "stamp", "policyVersion": "v2", "parameters": parameters});
    api["apiPolicies"] = json!({"response": [stamp]});
    admin.json("PUT", path, &api).await.expect("update")
}

async fn stamp(node: &Node, token: &str, path: &str) -> String {
    let reply = node.gateway().with_bearer(token).get(&format!("{path}/menu")).await.expect("call").expect(200);
    reply.header("x-stamp").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_ones_own_is_in_force_where_it_is_applied_and_stays_when_it_is_deleted() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let (admin, other) = (cluster.nodes[0].admin(), cluster.nodes[2].admin());
    let all = format!("{PUBLISHER}/operation-policies");
    let made = upload(&admin, &all, SPECIFICATION, DEFINITION).await.expect(201);
    let policy = made.json();
    let one = format!("{all}/{}", text(&policy, "id"));
    assert_eq!(made.header("location"), one);
    assert_eq!((&policy["name"], &policy["isAPISpecific"]), (&json!("stamp"), &json!(false)));
    assert_eq!(other.get(&one).await.expect("read").expect(200).json(), policy);
    let listed = other.get(&format!("{all}?query=name:stamp")).await.expect("list").expect(200).json();
    assert_eq!(listed["count"], 1);
    upload(&admin, &all, SPECIFICATION, DEFINITION).await.expect(409);
    let refused = upload(&admin, &all, &SPECIFICATION.replace("stamp", "x"), "<script language=\"js\"/>").await;
    assert!(refused.expect(400).text().contains("`script`"));

    let url = backend.url();
    let pizza = journey::publish_and_subscribe(&cluster.nodes[1], &Wish::new("pizza", &url)).await;
    let path = format!("{PUBLISHER}/apis/{}", pizza.api);
    for (wrong, word) in
        [(json!({}), "who"), (json!({"who": "cyd", "how": "silently"}), "how"), (json!({"who": 1, "x": 2}), "x")]
    {
        assert!(put(&admin, &path, wrong).await.expect(400).text().contains(&format!("parameters.{word}")));
    }
    let body = put(&admin, &path, json!({"who": "cyd"})).await.expect(200).json();
    let applied = &body["apiPolicies"]["response"][0];
    assert_eq!((&applied["policyId"], &applied["parameters"]["how"]), (&policy["id"], &json!("politely")));
    assert!(!body.to_string().contains("addHeader"), "what it stands for is not shown: {body}");
    journey::deploy(&admin, &pizza.api).await;
    let token = journey::token(&cluster.nodes[0], &pizza).await;
    for node in &cluster.nodes {
        assert_eq!(stamp(node, &token, &pizza.path).await, "cyd politely");
    }
    other.send("DELETE", &one, &[], "").await.expect("delete").expect(200);
    other.send("DELETE", &one, &[], "").await.expect("again").expect(404);
    // The API has a copy of it, which goes on and can be set anew.
    put(&admin, &path, json!({"who": "eve", "how": "loudly"})).await.expect(200);
    journey::deploy(&admin, &pizza.api).await;
    assert_eq!(stamp(&cluster.nodes[1], &token, &pizza.path).await, "eve loudly");
    // What stands for much is not multiplied by how often it is applied.
    let long = DEFINITION.replace("{{how}}", &"x".repeat(30_000));
    upload(&admin, &all, SPECIFICATION, &long).await.expect(201);
    let mut api = admin.get(&path).await.expect("api").expect(200).json();
    let stamp = json!({"policyName": "stamp", "policyVersion": "v2", "parameters": {"who": "cyd"}});
    api["apiPolicies"] = json!({"response": vec![&stamp; 40]});
    let refused = admin.json("PUT", &path, &api).await.expect("update").expect(400).text();
    assert!(refused.contains("apiPolicies.response[34].policyName") && refused.contains("1048576 bytes"), "{refused}");
    api["apiPolicies"] = json!({"response": vec![&json!({}); 10_001]});
    let refused = admin.json("PUT", &path, &api).await.expect("update").expect(400).text();
    assert!(refused.contains("10001 policies"), "{refused}");
    let built_in = admin.get(&format!("{all}?query=name:addHeader")).await.expect("list").expect(200).json();
    let built_in = format!("{all}/{}", text(&built_in["list"][0], "id"));
    admin.send("DELETE", &built_in, &[], "").await.expect("delete").expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_an_api_is_that_apis_alone_and_a_common_one_moves_as_an_archive() {
    let (cluster, new) = (Cluster::start(1).await, Cluster::start(1).await);
    let admin = cluster.nodes[0].admin();
    let backend = Backend::start("production").await;
    let url = backend.url();
    let mut apis = Vec::new();
    for name in ["pizza", "pasta"] {
        apis.push(format!("{PUBLISHER}/apis/{}", journey::publish(&cluster.nodes[0], &Wish::new(name, &url)).await));
    }
    let of_pizza = format!("{}/operation-policies", apis[0]);
    let policy = upload(&admin, &of_pizza, SPECIFICATION, DEFINITION).await.expect(201).json();
    assert_eq!(policy["isAPISpecific"], true);
    let id = text(&policy, "id");
    admin.get(&format!("{}/operation-policies/{id}", apis[1])).await.expect("read").expect(404);
    admin.get(&format!("{PUBLISHER}/operation-policies/{id}")).await.expect("read").expect(404);
    put(&admin, &apis[1], json!({"who": "cyd"})).await.expect(400);
    put(&admin, &apis[0], json!({"who": "cyd"})).await.expect(200);
    let content = admin.get(&format!("{of_pizza}/{id}/content")).await.expect("content").expect(200);
    assert_eq!(content.header("content-type"), "application/zip");
    admin.send("DELETE", &format!("{of_pizza}/{id}"), &[], "").await.expect("delete").expect(200);

    let all = format!("{PUBLISHER}/operation-policies");
    upload(&admin, &all, SPECIFICATION, DEFINITION).await.expect(201);
    let path = format!("{all}/export?name=stamp&version=v2&format=JSON");
    let archive = admin.get(&path).await.expect("export").expect(200).body;
    // By the path of an API only what is that API's can be deleted, with a key for retries as without.
    let listed = admin.get(&format!("{all}?query=name:stamp")).await.expect("list").expect(200).json();
    let common = text(&listed["list"][0], "id");
    let of_pasta = upload(&admin, &format!("{}/operation-policies", apis[1]), SPECIFICATION, DEFINITION).await;
    let of_pasta = text(&of_pasta.expect(201).json(), "id");
    let retry = [("idempotency-key", "4a1d")];
    for strange in [&common, &of_pasta] {
        admin.send("DELETE", &format!("{of_pizza}/{strange}"), &retry, "").await.expect("strange").expect(404);
    }
    admin.get(&format!("{all}/{common}")).await.expect("common").expect(200);
    let path = format!("{}/operation-policies/{of_pasta}", apis[1]);
    admin.get(&path).await.expect("own").expect(200);
    for _ in 0..2 {
        admin.send("DELETE", &path, &[("idempotency-key", "4a1e")], "").await.expect("delete").expect(200);
    }
    let head = "--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"stamp.zip\"\r\n\r\n";
    let form = [head.as_bytes(), &archive, b"\r\n--XX--\r\n"].concat();
    let import = format!("{all}/import");
    let there = new.nodes[0].admin();
    let sent = [("content-type", "multipart/form-data; boundary=XX")];
    there.send("POST", &import, &sent, form.clone()).await.expect("import").expect(200);
    there.send("POST", &import, &sent, form).await.expect("import").expect(409);
    let listed = there.get(&format!("{all}?query=name:stamp")).await.expect("list").expect(200).json();
    assert_eq!(listed["list"][0]["policyAttributes"][0]["name"], "who");
}
