//! Search over APIs, products and what documents say; and what publishers do with subscriptions.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::http::multipart;
use harness::journey::{self, Wish, text};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const STORE: &str = "/api/am/devportal/v3";

fn names(list: &Value) -> Vec<(String, String)> {
    let items = list["list"].as_array().unwrap_or_else(|| panic!("no list in {list}"));
    items.iter().map(|one| (text(one, "type"), text(one, "name"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_documents_say_is_found_by_those_who_may_read_them() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let pizza = journey::publish(node, &Wish::new("pizza", &url)).await;
    journey::publish(node, &Wish::new("pasta", &url)).await;
    let admin = node.admin();
    for (name, visibility, said) in [
        ("Guide", "API_LEVEL", "How a Margherita is baked"),
        ("Notes", "OWNER_ONLY", "The Margherita costs too little"),
    ] {
        let path = format!("{PUBLISHER}/apis/{pizza}/documents");
        let document = json!({"name": name, "type": "HOWTO", "sourceType": "MARKDOWN", "visibility": visibility});
        let made = admin.json("POST", &path, &document).await.expect("document").expect(201).json();
        let (body, content_type) = multipart(&[("inlineContent", None, said)]);
        let path = format!("{path}/{}/content", text(&made, "documentId"));
        admin.send("POST", &path, &[("content-type", &content_type)], body).await.expect("content").expect(200);
    }
    let product = json!({
        "name": "pizzaday", "context": "/pizzaday", "policies": ["Unlimited"],
        "apis": [{"apiId": pizza, "operations": [{"verb": "GET", "target": "/menu"}]}],
    });
    admin.json("POST", &format!("{PUBLISHER}/api-products"), &product).await.expect("product").expect(201);

    let find = async |query: &str| {
        names(&admin.get(&format!("{PUBLISHER}/search?query={query}")).await.expect("search").expect(200).json())
    };
    let pair = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
    assert_eq!(find("content:margherita").await, [pair("DOC", "Guide"), pair("DOC", "Notes")]);
    assert_eq!(find("name:pizza").await, [pair("API", "pizza"), pair("APIProduct", "pizzaday")]);
    assert_eq!(find("name:%22pizza%22").await, [pair("API", "pizza")]);
    assert_eq!(find("status:published").await, [pair("API", "pasta"), pair("API", "pizza")]);
    assert_eq!(find("nowhere").await, []);
    // What is no field is a custom property, which none has.
    assert_eq!(find("colour:red").await, []);

    let visitor = node.anonymous();
    let found = visitor.get(&format!("{STORE}/search?query=content:margherita&limit=1")).await.expect("search");
    let found = found.expect(200).json();
    assert_eq!((names(&found), found["pagination"]["total"].as_u64()), (vec![pair("DOC", "Guide")], Some(1)));
    assert_eq!(found["list"][0]["apiName"], "pizza");
    let found = visitor.get(&format!("{STORE}/search?query=piz")).await.expect("search").expect(200).json();
    assert_eq!(names(&found), [pair("API", "pizza")], "a product that is not published is not shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_decide_about_subscriptions_and_their_plans() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let admin = node.admin();
    for (name, roles) in [("pia", &["Internal/publisher", "Internal/creator"][..]), ("sam", &["Internal/subscriber"])] {
        let user = json!({"username": name, "password": "Enough-0f-it", "roles": roles});
        admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    }
    let (pia, sam) = (node.as_user("pia", "Enough-0f-it"), node.as_user("sam", "Enough-0f-it"));
    let wish = Wish { plan: "Gold", as_user: Some(("pia", "Enough-0f-it")), ..Wish::new("pizza", &url) };
    let api = journey::publish(node, &wish).await;
    let config = "/api/am/admin/v4/tenant-config".to_owned();
    let mut said = admin.get(&config).await.expect("config").expect(200).json();
    said["Workflows"] = json!({"SUBSCRIPTION_CREATION": "approval"});
    admin.json("PUT", &config, &said).await.expect("approval").expect(200);

    let application = json!({"name": "phone", "throttlingPolicy": "Unlimited"});
    let made = sam.json("POST", &format!("{STORE}/applications"), &application).await.expect("app").expect(201).json();
    let wanted = json!({"applicationId": text(&made, "applicationId"), "apiId": api, "throttlingPolicy": "Gold"});
    let made =
        sam.json("POST", &format!("{STORE}/subscriptions"), &wanted).await.expect("subscribe").expect(201).json();
    let subscription = text(&made, "subscriptionId");
    assert_eq!(made["status"], "ON_HOLD", "{made}");
    sam.get(&format!("{PUBLISHER}/workflows")).await.expect("no publisher").expect(403);
    let waiting = pia.get(&format!("{PUBLISHER}/workflows")).await.expect("waiting").expect(200).json();
    let task = text(&waiting["list"][0], "referenceId");
    assert_eq!(
        (&waiting["count"], &waiting["list"][0]["workflowType"]),
        (&json!(1), &json!("AM_SUBSCRIPTION_CREATION"))
    );
    pia.get(&format!("{PUBLISHER}/workflows/{task}")).await.expect("one").expect(200);
    let decide = format!("{PUBLISHER}/workflows/update-workflow-status?workflowReferenceId={task}");
    pia.json("POST", &decide, &json!({"status": "MAYBE"})).await.expect("neither").expect(400);
    pia.json("POST", &decide, &json!({"status": "APPROVED"})).await.expect("approve").expect(200);
    pia.json("POST", &decide, &json!({"status": "APPROVED"})).await.expect("again").expect(404);

    let plan = |plan: &str| {
        format!("{PUBLISHER}/subscriptions/change-business-plan?subscriptionId={subscription}&businessPlan={plan}")
    };
    pia.send("POST", &plan("Platinum"), &[], "").await.expect("no such plan").expect(400);
    let mut body = pia.get(&format!("{PUBLISHER}/apis/{api}")).await.expect("api").expect(200).json();
    body["policies"] = json!(["Gold", "Silver"]);
    pia.json("PUT", &format!("{PUBLISHER}/apis/{api}"), &body).await.expect("plans").expect(200);
    pia.send("POST", &plan("Silver"), &[], "").await.expect("change").expect(200);
    let now = sam.get(&format!("{STORE}/subscriptions/{subscription}")).await.expect("now").expect(200).json();
    assert_eq!((&now["throttlingPolicy"], &now["status"]), (&json!("Silver"), &json!("UNBLOCKED")));
    let info = pia.get(&format!("{PUBLISHER}/subscriptions/{subscription}/subscriber-info")).await.expect("info");
    assert_eq!(info.expect(200).json()["name"], "sam");

    let paths = pia.get(&format!("{PUBLISHER}/apis/{api}/resource-paths?limit=1")).await.expect("paths").expect(200);
    assert_eq!(paths.json()["list"][0], json!({"id": 1, "resourcePath": "/menu", "httpVerb": "GET"}));
    let managers = pia.get(&format!("{PUBLISHER}/key-managers")).await.expect("managers").expect(200).json();
    assert_eq!((&managers["count"], &managers["list"][0]["type"]), (&json!(1), &json!("default")));
}
