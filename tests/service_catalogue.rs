//! The service catalogue: services are announced, APIs are made from them and take their new definitions, and services move
//! as archives.

mod harness;

use harness::Cluster;
use harness::http::{Client, Reply, multipart};
use harness::journey::{definition, text};
use serde_json::{Value, json};

const CATALOGUE: &str = "/api/am/service-catalog/v1";
const PUBLISHER: &str = "/api/am/publisher/v4";

async fn send(client: &Client, verb: &str, path: &str, metadata: &Value, definition: &str) -> Reply {
    let (body, content_type) = multipart(&[
        ("serviceMetadata", None, &metadata.to_string()),
        ("definitionFile", Some("definition.yaml"), definition),
    ]);
    client.send(verb, path, &[("content-type", &content_type)], body).await.expect("service")
}

fn pizza() -> Value {
    json!({"name": "pizza", "version": "v1", "serviceUrl": "http://pizza:8080/v1", "definitionType": "OAS3", "description": "bakes"})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_made_from_a_service_and_follows_its_definition() {
    let cluster = Cluster::start(3).await;
    let (admin, other) = (cluster.nodes[0].admin(), cluster.nodes[2].admin());
    let all = format!("{CATALOGUE}/services");
    let made = send(&admin, "POST", &all, &pizza(), &definition("pizza")).await.expect(201).json();
    assert_eq!(
        (&made["serviceKey"], &made["usage"], &made["securityType"]),
        (&json!("pizza-v1"), &json!(0), &json!("NONE"))
    );
    send(&admin, "POST", &all, &pizza(), &definition("pizza")).await.expect(409);
    let mut wrong = pizza();
    wrong["definitionType"] = json!("RAML");
    assert!(send(&admin, "POST", &all, &wrong, &definition("x")).await.expect(400).text().contains("definitionType"));
    let mut wrong = pizza();
    wrong["name"] = json!("pasta");
    send(&admin, "POST", &all, &wrong, "no document").await.expect(400);
    let listed = other.get(&format!("{all}?key=pizza-v1&shrink=true")).await.expect("list").expect(200).json();
    assert_eq!((&listed["list"][0]["md5"], listed["list"][0].get("description")), (&made["md5"], None));
    // A part of a key or version finds it, several keys those that are named; the links lead to the same search.
    for (query, count) in [("key=pizza", 1), ("key=pizza-v1,other", 1), ("key=pizza,other", 0), ("version=v", 1)] {
        let found = other.get(&format!("{all}?{query}")).await.expect("list").expect(200).json();
        assert_eq!(found["count"], count, "{query}");
    }
    assert_eq!(other.get(&format!("{all}?definitionType=WSDL1")).await.expect("list").expect(200).json()["count"], 0);

    let mut twin = pizza();
    twin["serviceKey"] = json!("another key");
    send(&admin, "POST", &all, &twin, &definition("pizza")).await.expect(409);

    let wish = json!({"name": "Pizza", "context": "/pizza", "version": "1.0.0"});
    other
        .json("POST", &format!("{PUBLISHER}/apis/import-service?serviceKey=none"), &wish)
        .await
        .expect("none")
        .expect(404);
    let (body, content_type) = multipart(&[
        (
            "serviceMetadata",
            None,
            &json!({"name": "pasta", "version": "v1", "definitionType": "OAS3", "serviceUrl": "http://pasta"})
                .to_string(),
        ),
        ("definitionFile", Some("definition.yaml"), &definition("pasta")),
    ]);
    let sent = [("content-type", &*content_type), ("idempotency-key", "51ef")];
    let first = admin.send("POST", &all, &sent, body.clone()).await.expect("first").expect(201).json();
    let again = other.send("POST", &all, &sent, body).await.expect("again").expect(201).json();
    assert_eq!(again["id"], first["id"], "a retry is answered with what the first try made");
    let import = format!("{PUBLISHER}/apis/import-service?serviceKey=pizza-v1");
    let api = other.json("POST", &import, &wish).await.expect("import").expect(201).json();
    assert_eq!((&api["serviceInfo"]["key"], &api["serviceInfo"]["outdated"]), (&json!("pizza-v1"), &json!(false)));
    assert_eq!(api["endpointConfig"]["production_endpoints"]["url"], "http://pizza:8080/v1");
    let one = format!("{all}/{}", text(&made, "id"));
    let usage = admin.get(&format!("{one}/usage")).await.expect("usage").expect(200).json();
    assert_eq!((&usage["count"], &usage["list"][0]["name"]), (&json!(1), &json!("Pizza")));
    admin.send("DELETE", &one, &[], "").await.expect("delete").expect(409);

    let newer = definition("pizza").replace("/menu:", "/card:");
    let mut renamed = pizza();
    renamed["version"] = json!("v2");
    send(&admin, "PUT", &one, &renamed, &newer).await.expect(400);
    let changed = send(&admin, "PUT", &one, &pizza(), &newer).await.expect(200).json();
    assert!(changed["md5"] != made["md5"] && changed["usage"] == 1, "{changed}");
    assert_eq!(other.get(&format!("{one}/definition")).await.expect("definition").expect(200).text(), newer);
    let path = format!("{PUBLISHER}/apis/{}", text(&api, "id"));
    let seen = admin.get(&path).await.expect("api").expect(200).json();
    assert_eq!(seen["serviceInfo"]["outdated"], true, "{}", seen["serviceInfo"]);
    let api = other.send("PUT", &format!("{path}/reimport-service"), &[], "").await.expect("again").expect(200).json();
    assert!(api["operations"].to_string().contains("/card"), "{}", api["operations"]);
    assert_eq!(api["serviceInfo"]["outdated"], false, "{}", api["serviceInfo"]);
    other.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    for client in [&admin, &other] {
        let retry = [("idempotency-key", "51f0")];
        client.send("DELETE", &one, &retry, "").await.expect("delete").expect(204);
    }
    admin.send("DELETE", &one, &[], "").await.expect("gone").expect(404);
    other.get(&one).await.expect("gone").expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_moves_as_an_archive() {
    let (old, new) = (Cluster::start(1).await, Cluster::start(1).await);
    let (from, to) = (old.nodes[0].admin(), new.nodes[0].admin());
    send(&from, "POST", &format!("{CATALOGUE}/services"), &pizza(), &definition("pizza")).await.expect(201);
    let export = format!("{CATALOGUE}/services/export?name=pizza&version=v1");
    let archive = from.get(&export).await.expect("export").expect(200).body;
    let head = "--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"services.zip\"\r\n\r\n";
    let form = [head.as_bytes(), &archive, b"\r\n--XX--\r\n"].concat();
    let sent = [("content-type", "multipart/form-data; boundary=XX")];
    let import = format!("{CATALOGUE}/services/import");
    let list = to.send("POST", &import, &sent, form.clone()).await.expect("import").expect(200).json();
    assert_eq!((&list["count"], &list["list"][0]["key"]), (&json!(1), &json!("pizza-v1")));
    to.send("POST", &import, &sent, form.clone()).await.expect("again").expect(409);
    to.send("POST", &format!("{import}?overwrite=true"), &sent, form).await.expect("over").expect(200);
    // Whether somebody answers where a service is said to be.
    let check = |url: &str| format!("{PUBLISHER}/apis/validate-endpoint?endpointUrl={url}");
    let backend = harness::backend::Backend::start("production").await;
    let told =
        to.json("POST", &check(&format!("{}/menu", backend.url())), &json!({})).await.expect("check").expect(200);
    assert_eq!((&told.json()["statusCode"], &told.json()["error"]), (&json!(200), &json!(null)));
    let told = to.json("POST", &check("http://127.0.0.1:1/"), &json!({})).await.expect("check").expect(200).json();
    assert!(told["statusCode"] == 0 && told["error"].is_string(), "{told}");
    to.json("POST", &check("file:///etc/passwd"), &json!({})).await.expect("check").expect(400);
    let settings = to.get(&format!("{CATALOGUE}/settings")).await.expect("settings").expect(200).json();
    assert_eq!(settings["scopes"].as_array().map(Vec::len), Some(2));
}
