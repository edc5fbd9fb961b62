//! Governance: rulesets judge APIs on every node, and a policy that blocks keeps those back that do not keep to it.

mod harness;

use harness::Cluster;
use harness::http::{Client, Reply, multipart};
use harness::journey::{self, Wish, definition, text};
use serde_json::{Value, json};

const GOVERNANCE: &str = "/api/am/governance/v1";
const PUBLISHER: &str = "/api/am/publisher/v4";
const RULES: &str = "rules:\n  summaries:\n    severity: error\n    message: '{{path}} needs a summary'\n    given: $.paths[*][get,post]\n    then:\n      field: summary\n      function: truthy\n  titled:\n    given: $.info\n    then:\n      field: title\n      function: truthy\n";

async fn put_rules(client: &Client, verb: &str, path: &str, rules: &str) -> Reply {
    let (body, content_type) = multipart(&[
        ("name", None, "Summaries"),
        ("description", None, "What operations have"),
        ("rulesetContent", Some("rules.yaml"), rules),
        ("ruleType", None, "API_DEFINITION"),
        ("artifactType", None, "REST_API"),
        ("provider", None, "pizza shack"),
    ]);
    client.send(verb, path, &[("content-type", &content_type)], body).await.expect("ruleset")
}

async fn get(client: &Client, path: &str) -> Value {
    client.get(path).await.expect("get").expect(200).json()
}

/// Imports an API without deploying it.
async fn import(admin: &Client, document: &str) -> String {
    let properties = json!({"name": "pizza", "context": "/pizza", "version": "1.0.0", "policies": ["Unlimited"],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": "http://127.0.0.1:1"}}});
    let (body, content_type) =
        multipart(&[("file", Some("openapi.yaml"), document), ("additionalProperties", None, &properties.to_string())]);
    let path = format!("{PUBLISHER}/apis/import-openapi");
    let made = admin.send("POST", &path, &[("content-type", &content_type)], body).await.expect("import").expect(201);
    text(&made.json(), "id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_blocks_keeps_an_api_back_until_it_keeps_to_the_rules() {
    let cluster = Cluster::start(3).await;
    let (admin, other) = (cluster.nodes[0].admin(), cluster.nodes[2].admin());
    let rulesets = format!("{GOVERNANCE}/rulesets");
    let refused = put_rules(&admin, "POST", &rulesets, &RULES.replace("truthy", "oasSchema")).await.expect(400).text();
    assert!(refused.contains("summaries") && refused.contains("oasSchema"), "{refused}");
    let ruleset = put_rules(&admin, "POST", &rulesets, RULES).await.expect(201).json();
    assert_eq!(ruleset["description"], "What operations have");
    assert!(text(&ruleset, "createdTime").ends_with('Z'), "{ruleset}");
    let ruleset = text(&ruleset, "id");
    put_rules(&admin, "POST", &rulesets, RULES).await.expect(409);
    let mut policy = json!({
        "name": "Summaries at last", "description": "Is blocked for", "labels": ["GLOBAL"], "rulesets": [ruleset],
        "governableStates": ["API_CREATE", "API_DEPLOY", "API_PUBLISH"],
        "actions": [{"state": "API_CREATE", "ruleSeverity": "ERROR", "type": "BLOCK"}],
    });
    let policies = format!("{GOVERNANCE}/policies");
    assert!(
        admin.json("POST", &policies, &policy).await.expect("policy").expect(400).text().contains("actions[0].type")
    );
    policy["actions"] = json!([{"state": "API_DEPLOY", "ruleSeverity": "ERROR", "type": "BLOCK"}]);
    let made = admin.json("POST", &policies, &policy).await.expect("policy").expect(201).json();
    assert_eq!(get(&other, &format!("{rulesets}/{ruleset}/usage")).await, json!([made["id"]]));
    admin.send("DELETE", &format!("{rulesets}/{ruleset}"), &[], "").await.expect("used").expect(400);

    let api = import(&other, &definition("pizza")).await;
    let page = get(&admin, &format!("{policies}?query=label:GLOBAL&limit=1")).await;
    assert_eq!(page["pagination"]["next"], "/policies?limit=1&offset=1&query=label%3AGLOBAL", "{page}");
    let revision = json!({"description": "first"});
    let path = format!("{PUBLISHER}/apis/{api}");
    let revision =
        other.json("POST", &format!("{path}/revisions"), &revision).await.expect("revision").expect(201).json();
    let deploy = format!("{path}/deploy-revision?revisionId={}", text(&revision, "id"));
    let places = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
    let refused = other.json("POST", &deploy, &places).await.expect("deploy").expect(400).text();
    assert!(refused.contains("paths./menu.get.summary needs a summary"), "{refused}");

    let of_api = format!("{GOVERNANCE}/artifact-compliance/api/{api}");
    let judged = get(&other, &of_api).await;
    assert_eq!((&judged["status"], &judged["info"]["name"]), (&json!("NON-COMPLIANT"), &json!("pizza")));
    let result = get(&admin, &format!("{of_api}/ruleset-validation-results/{ruleset}")).await;
    assert_eq!(
        (&result["status"], result["violatedRules"].as_array().map(Vec::len)),
        (&json!("FAILED"), Some(3)),
        "{result}"
    );
    assert_eq!(result["followedRules"][0]["name"], "titled");
    let adherence = get(&admin, &format!("{GOVERNANCE}/policy-adherence/{}", text(&made, "id"))).await;
    assert_eq!(
        (&adherence["status"], &adherence["evaluatedArtifacts"][0]["status"]),
        (&json!("VIOLATED"), &json!("NON-COMPLIANT"))
    );

    let better = definition("pizza").replace("      responses:", "      summary: what it does\n      responses:");
    let (body, content_type) = multipart(&[("apiDefinition", None, &better)]);
    other
        .send("PUT", &format!("{path}/swagger"), &[("content-type", &content_type)], body)
        .await
        .expect("put")
        .expect(200);
    // What is deployed is judged: the revision still has the definition that it was made with.
    other.json("POST", &deploy, &places).await.expect("the former revision").expect(400);
    let newer = json!({"description": "second"});
    let newer = other.json("POST", &format!("{path}/revisions"), &newer).await.expect("revision").expect(201).json();
    let deploy = format!("{path}/deploy-revision?revisionId={}", text(&newer, "id"));
    other.json("POST", &deploy, &places).await.expect("deploy").expect(200);
    let adherence = get(&admin, &format!("{GOVERNANCE}/policy-adherence/{}", text(&made, "id"))).await;
    assert_eq!(adherence["status"], "FOLLOWED");
    let one = format!("{policies}/{}", text(&made, "id"));
    policy["name"] = json!("Summaries");
    admin.json("PUT", &one, &policy).await.expect("change").expect(200);
    let changed = get(&other, &one).await;
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Summaries"), &json!("Is blocked for")));
    for (path, key) in [(one, "one"), (format!("{rulesets}/{ruleset}"), "two")] {
        for client in [&other, &admin] {
            // The second is the retry of a caller that did not hear the answer.
            client.send("DELETE", &path, &[("idempotency-key", key)], "").await.expect("delete").expect(204);
        }
        other.send("DELETE", &path, &[], "").await.expect("delete").expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_rulesets_and_a_policy_from_the_start_which_tell_and_block_nothing() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let rulesets = get(&admin, &format!("{GOVERNANCE}/rulesets?query=ruleType:API_DEFINITION")).await;
    assert_eq!((&rulesets["count"], &rulesets["list"][0]["createdBy"]), (&json!(1), &json!("system")));
    let one = format!("{GOVERNANCE}/rulesets/{}", text(&rulesets["list"][0], "id"));
    assert!(admin.get(&format!("{one}/content")).await.expect("content").expect(200).text().starts_with("aliases:"));
    admin.send("DELETE", &one, &[], "").await.expect("delete").expect(403);
    let policies =
        get(&admin, &format!("{GOVERNANCE}/policies?query=name:WSO2%20API%20Management%20Best%20Practices")).await;
    assert_eq!(policies["count"], 1);
    let empty = get(&admin, &format!("{GOVERNANCE}/policy-adherence/summary")).await;
    assert_eq!(empty, json!({"total": 1, "followed": 0, "violated": 0, "unApplied": 1}));
    journey::publish(node, &Wish::new("pizza", "http://127.0.0.1:1")).await;
    let summary = get(&admin, &format!("{GOVERNANCE}/artifact-compliance/api/summary")).await;
    assert_eq!((&summary["total"], &summary["nonCompliant"]), (&json!(1), &json!(1)));
    let listed = get(&admin, &format!("{GOVERNANCE}/artifact-compliance/api")).await;
    assert_eq!(listed["list"][0]["policyAdherenceSummary"]["violated"], 1);
    assert_eq!(get(&admin, &format!("{GOVERNANCE}/policy-adherence")).await["list"][0]["status"], "VIOLATED");
}
