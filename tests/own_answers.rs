//! APIs that answer without a backend: mocks out of a definition's examples, and sequences.

mod harness;

use harness::Cluster;
use harness::http::{Client, Reply, multipart, multipart_of_bytes};
use harness::journey::{self, Wish, text};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";

fn definition() -> Value {
    json!({
        "openapi": "3.0.3",
        "info": {"title": "mocked", "version": "1.0.0"},
        "paths": {"/menu": {"get": {"responses": {
            "200": {"description": "the menu", "content": {
                "application/json": {"example": [{"name": "Margherita"}]},
                "application/xml": {"schema": {"type": "object", "xml": {"name": "menu"}, "properties": {"name": {"type": "string"}}}},
            }},
            "404": {"description": "none", "content": {"application/json": {"schema": {"type": "object", "properties": {
                "message": {"type": "string", "example": "no menu"},
            }}}}},
        }}}},
    })
}

async fn import(admin: &Client, properties: &Value) -> Reply {
    let (body, content_type) = multipart(&[
        ("file", Some("openapi.json"), &definition().to_string()),
        ("additionalProperties", None, &properties.to_string()),
    ]);
    let path = format!("{PUBLISHER}/apis/import-openapi");
    admin.send("POST", &path, &[("content-type", &content_type)], body).await.expect("import")
}

async fn publish(admin: &Client, api: &str) -> Reply {
    let path = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={api}");
    admin.send("POST", &path, &[], "").await.expect("publish")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_without_a_backend_answers_its_examples_on_every_node() {
    let cluster = Cluster::start(3).await;
    let admin = cluster.nodes[0].admin();
    let wish = json!({"name": "mocked", "context": "/mocked", "version": "1.0.0", "policies": ["Unlimited"]});
    let unknown = {
        let mut wish = wish.clone();
        wish["endpointImplementationType"] = json!("MAGIC");
        import(&admin, &wish).await.expect(400).text()
    };
    assert!(unknown.contains("MOCKED_OAS"), "{unknown}");
    let mut mocked = wish;
    mocked["endpointImplementationType"] = json!("MOCKED_OAS");
    let api = text(&import(&admin, &mocked).await.expect(201).json(), "id");
    let path = format!("{PUBLISHER}/apis/{api}");

    let generated = admin.get(&format!("{path}/generated-mock-scripts")).await.expect("scripts").expect(200).json();
    let script = &generated["list"][0];
    assert_eq!((&script["path"], &script["verb"]), (&json!("/menu"), &json!("GET")));
    let before = admin.get(&format!("{path}/swagger")).await.expect("definition").expect(200).text();
    assert!(!before.contains("x-mediation-script"), "asking for scripts writes none: {before}");
    let mut document = admin
        .send("POST", &format!("{path}/generate-mock-scripts"), &[], "")
        .await
        .expect("generate")
        .expect(200)
        .json();
    assert_eq!(document["paths"]["/menu"]["get"]["x-mediation-script"], script["content"]);

    journey::deploy(&admin, &api).await;
    publish(&admin, &api).await.expect(200);
    let token = {
        let application = journey::subscribe(&cluster.nodes[1], &Wish::new("mocked", ""), api.clone()).await;
        journey::token(&cluster.nodes[1], &application).await
    };
    for node in &cluster.nodes {
        let gateway = node.gateway().with_bearer(&token);
        let usual = gateway.get("/mocked/1.0.0/menu").await.expect("call").expect(200);
        assert_eq!((usual.json(), usual.header("content-type")), (json!([{"name": "Margherita"}]), "application/json"));
        let xml = gateway
            .send("GET", "/mocked/1.0.0/menu", &[("accept", "application/xml")], "")
            .await
            .expect("call")
            .expect(200);
        assert_eq!(xml.text(), "<menu><name>string</name></menu>");
        let none = gateway.get("/mocked/1.0.0/menu?responseCode=404").await.expect("call").expect(404);
        assert_eq!(none.json(), json!({"message": "no menu"}));
        gateway.get("/mocked/1.0.0/menu?responseCode=418").await.expect("call").expect(501);
        node.gateway().get("/mocked/1.0.0/menu").await.expect("call").expect(401);
    }

    // A script that does more than answer stays out, and one that was changed by hand is in force.
    let with_script = |document: &mut Value, script: &str| {
        document["paths"]["/menu"]["get"]["x-mediation-script"] = json!(script);
        multipart(&[("apiDefinition", None, &document.to_string())])
    };
    let put = async |(body, content_type): (String, String)| {
        let reply = admin.send("PUT", &format!("{path}/swagger"), &[("content-type", &content_type)], body).await;
        reply.expect("definition").expect(200)
    };
    put(with_script(&mut document, "mc.setProperty('HTTP_SC', '200');\nwhile (true) {}")).await;
    let revision =
        admin.json("POST", &format!("{path}/revisions"), &json!({})).await.expect("revision").expect(400).text();
    assert!(revision.contains("paths./menu.get.x-mediation-script") && revision.contains("line 2"), "{revision}");
    put(with_script(&mut document, "mc.setProperty('HTTP_SC', '202');\nmc.setPayloadJSON('{\"by\": \"hand\"}');"))
        .await;
    journey::deploy(&admin, &api).await;
    for node in &cluster.nodes {
        let reply = node.gateway().with_bearer(&token).get("/mocked/1.0.0/menu").await.expect("call").expect(202);
        assert_eq!(reply.json(), json!({"by": "hand"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_answers_in_the_place_of_a_backend_and_moves_with_its_api() {
    let (cluster, other) = (Cluster::start(1).await, Cluster::start(1).await);
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let wish = json!({"name": "sequenced", "context": "/sequenced", "version": "1.0.0", "policies": ["Unlimited"]});
    let api = text(&import(&admin, &wish).await.expect(201).json(), "id");
    let path = format!("{PUBLISHER}/apis/{api}/sequence-backend");
    let put = async |kind: &str, sequence: &str| {
        let (body, content_type) = multipart(&[("type", None, kind), ("sequence", Some("s.xml"), sequence)]);
        admin.send("PUT", &path, &[("content-type", &content_type)], body).await.expect("put")
    };
    let sequence = "<sequence name=\"own\"><property name=\"x-by\" value=\"sequence\" scope=\"transport\"/>\
                    <payloadFactory media-type=\"json\"><format>{\"from\": \"sequence\"}</format><args/></payloadFactory>\
                    <property name=\"HTTP_SC\" value=\"203\" scope=\"axis2\"/><respond/></sequence>";
    publish(&admin, &api).await.expect(400);
    let refused = put("PRODUCTION", "<sequence><class name=\"a.B\"/></sequence>").await.expect(400).text();
    assert!(refused.contains("`class`") && refused.contains("sequence: "), "{refused}");
    put("STAGING", sequence).await.expect(400);
    let changed = put("PRODUCTION", sequence).await.expect(200).json();
    assert_eq!(changed["endpointConfig"]["endpoint_type"], "sequence_backend");
    let listed = admin.get(&path).await.expect("list").expect(200).json();
    assert_eq!((&listed["count"], &listed["list"][0]["sequenceType"]), (&json!(1), &json!("PRODUCTION")));
    let content = admin.get(&format!("{path}/PRODUCTION/content")).await.expect("content").expect(200);
    assert_eq!((content.text().as_str(), content.header("content-type")), (sequence, "application/xml"));
    admin.get(&format!("{path}/SANDBOX/content")).await.expect("content").expect(404);

    journey::deploy(&admin, &api).await;
    publish(&admin, &api).await.expect(200);
    let application = journey::subscribe(node, &Wish::new("sequenced", ""), api.clone()).await;
    let token = journey::token(node, &application).await;
    let reply = node.gateway().with_bearer(&token).get("/sequenced/1.0.0/menu").await.expect("call").expect(203);
    assert_eq!((reply.json(), reply.header("x-by")), (json!({"from": "sequence"}), "sequence"));

    let archive = admin.get(&format!("{PUBLISHER}/apis/export?apiId={api}")).await.expect("export").expect(200).body;
    let new = other.nodes[0].admin();
    let (body, content_type) = multipart_of_bytes(&[("file", Some("api.zip"), &archive)]);
    let import = format!("{PUBLISHER}/apis/import");
    new.send("POST", &import, &[("content-type", &content_type)], body).await.expect("import").expect(200);
    let moved = format!("{PUBLISHER}/apis/{}/sequence-backend", imported(&new).await);
    assert_eq!(new.get(&moved).await.expect("list").expect(200).json()["list"][0]["sequence"], sequence);

    admin.send("DELETE", &format!("{path}/PRODUCTION"), &[], "").await.expect("delete").expect(200);
    admin.send("DELETE", &format!("{path}/PRODUCTION"), &[], "").await.expect("again").expect(404);
    journey::deploy(&admin, &api).await;
    node.gateway().with_bearer(&token).get("/sequenced/1.0.0/menu").await.expect("call").expect(403);
}

/// Returns the id of the API that was imported.
async fn imported(admin: &Client) -> String {
    let listed = admin.get(&format!("{PUBLISHER}/apis?query=name:sequenced")).await.expect("list").expect(200).json();
    text(&listed["list"][0], "id")
}
