//! The way of an API from its definition to a call, and of a product made of it, by commands alone.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::journey;
use serde_json::{Value, json};

/// Runs a command against the second node; returns what it printed.
fn run(cluster: &Cluster, line: &[&str]) -> String {
    let url = cluster.nodes[1].management_url();
    let arguments: Vec<&str> = line.iter().copied().chain(["--server", &url, "--data-dir", "n1"]).collect();
    cluster.cli_ok(&arguments)
}

/// Runs a command that is refused; returns its exit code and what it said.
fn refused(cluster: &Cluster, line: &[&str]) -> (Option<i32>, String) {
    let url = cluster.nodes[1].management_url();
    let arguments: Vec<&str> = line.iter().copied().chain(["--server", &url, "--data-dir", "n1"]).collect();
    let output = cluster.cli(&arguments);
    assert!(!output.status.success(), "{line:?}");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn json_of(cluster: &Cluster, line: &[&str]) -> Value {
    let line: Vec<&str> = line.iter().copied().chain(["-o", "json"]).collect();
    serde_json::from_str(&run(cluster, &line)).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_a_product_and_a_subscription_are_made_shown_changed_and_deleted_by_commands() {
    let cluster = Cluster::start(2).await;
    let (ovens, pots) = (Backend::start("ovens").await, Backend::start("pots").await);
    for (name, backend) in [("pizza", &ovens), ("pasta", &pots)] {
        std::fs::write(cluster.path(&format!("{name}.yaml")), journey::definition(name)).expect("a file");
        let (file, context, url) = (format!("{name}.yaml"), format!("/{name}"), backend.url());
        let create = ["api", "create", name, "--context-path", &context, "--definition", &file, "--endpoint", &url];
        let create = [&create[..], &["--plan", "Gold"]].concat();
        // What would be sent is shown, and nothing is there afterwards.
        let shown: Value = serde_json::from_str(&run(&cluster, &[&create[..], &["--dry-run"]].concat())).expect("JSON");
        assert_eq!((&shown["name"], &shown["policies"]), (&json!(name), &json!(["Gold"])));
        assert_eq!(refused(&cluster, &["api", "show", name]).0, Some(3));
        run(&cluster, &create);
    }
    let pizza = json_of(&cluster, &["api", "show", "/pizza/1.0.0"]);
    assert_eq!(pizza["operations"].as_array().expect("operations").len(), 3, "{pizza}");
    for named in ["pizza", "pizza:1.0.0", pizza["id"].as_str().expect("an id")] {
        assert_eq!(run(&cluster, &["api", "show", named, "-o", "name"]).trim(), pizza["id"]);
    }

    run(&cluster, &["api", "deploy", "pizza", "--description", "first"]);
    run(&cluster, &["api", "publish", "pizza"]);
    run(&cluster, &["app", "create", "phone", "--policy", "50PerMin", "--description", "in pockets"]);
    let phone = json_of(&cluster, &["app", "show", "phone"]);
    assert_eq!((&phone["throttlingPolicy"], &phone["description"]), (&json!("50PerMin"), &json!("in pockets")));
    let no_plan = refused(&cluster, &["subscription", "create", "pizza", "phone", "--plan", "Silver"]);
    assert!(no_plan.1.contains("Silver"), "{no_plan:?}");
    run(&cluster, &["subscription", "create", "pizza", "phone", "--plan", "Gold"]);

    // Another version makes the name ambiguous, and the command says what there is.
    let url = ovens.url();
    let second = ["api", "create", "pizza", "--context-path", "/pizza", "--version", "2.0.0", "--endpoint", &url];
    run(&cluster, &second);
    let (code, said) = refused(&cluster, &["api", "show", "pizza"]);
    assert!(code == Some(1) && said.contains("pizza:1.0.0") && said.contains("pizza:2.0.0"), "{said}");
    run(&cluster, &["api", "delete", "pizza:2.0.0", "--yes"]);

    // A product of one whole API and of one operation of the other.
    let parts = ["--api", "pizza", "--api", "pasta:1.0.0=GET /order/{orderId}"];
    let conflict = [&["product", "create", "meal", "--context-path", "/meal", "--plan", "Gold"][..], &parts].concat();
    let (_, said) = refused(&cluster, &conflict);
    assert!(said.contains("/order/{orderId}"), "{said}");
    let parts = ["--api", "pizza=GET /menu", "--api", "pasta:1.0.0=GET /order/{orderId}"];
    let create = [&["product", "create", "meal", "--context-path", "/meal", "--plan", "Gold"][..], &parts].concat();
    run(&cluster, &[&create[..], &["--dry-run"]].concat());
    assert_eq!(json_of(&cluster, &["product", "list"])["count"], 0);
    run(&cluster, &create);
    run(&cluster, &["product", "deploy", "meal"]);
    run(&cluster, &["product", "publish", "meal"]);
    let meal = json_of(&cluster, &["product", "show", "/meal/1.0.0"]);
    assert_eq!((&meal["state"], &meal["apis"][1]["name"]), (&json!("PUBLISHED"), &json!("pasta")));
    let subscription = json_of(&cluster, &["sub", "create", "/meal/1.0.0", "phone", "--plan", "Gold"]);
    let id = subscription["subscriptionId"].as_str().expect("an id");

    // Gateways act on it.
    let store = cluster.nodes[0].admin();
    let application = phone["applicationId"].as_str().expect("an id");
    let keys = journey::generate_keys(&store, application, "PRODUCTION").await;
    let token = journey::token_of(
        &cluster.nodes[0],
        (&journey::text(&keys, "consumerKey"), &journey::text(&keys, "consumerSecret")),
    )
    .await;
    let call = async |node: usize| {
        let gateway = cluster.nodes[node].gateway().with_bearer(&token);
        gateway.get("/meal/1.0.0/order/7").await.expect("an answer")
    };
    assert_eq!(call(0).await.expect(200).json()["backend"], "pots");
    run(&cluster, &["subscription", "block", id, "--dry-run"]);
    call(1).await.expect(200);
    run(&cluster, &["subscription", "block", id, "--keys", "production"]);
    assert_eq!(json_of(&cluster, &["sub", "show", id])["status"], "PROD_ONLY_BLOCKED");
    call(0).await.expect(401);
    run(&cluster, &["subscription", "unblock", id]);
    call(0).await.expect(200);
    run(&cluster, &["product", "block", "meal"]);
    call(1).await.expect(503);
    run(&cluster, &["product", "publish", "meal"]);
    call(1).await.expect(200);

    // Publishers see those of an API; developers those of an application.
    let of_product = run(&cluster, &["subscription", "list", "--api", "meal", "-o", "name"]);
    assert_eq!(of_product.trim(), id);
    assert_eq!(run(&cluster, &["subscription", "list", "--app", "phone", "-o", "name"]).lines().count(), 2);
    let table = run(&cluster, &["subscription", "list", "--app", "phone"]);
    assert!(table.contains("pizza:1.0.0") && table.contains("Gold"), "{table}");

    // What is in use stays; without anybody to ask, nothing is deleted without --yes.
    assert_eq!(refused(&cluster, &["product", "delete", "meal"]).0, Some(2));
    assert_eq!(refused(&cluster, &["product", "delete", "meal", "--yes"]).0, Some(5));
    run(&cluster, &["subscription", "delete", id, "--yes"]);
    call(1).await.expect(403);
    assert_eq!(refused(&cluster, &["subscription", "show", id]).0, Some(3));
    run(&cluster, &["product", "delete", "meal", "--yes"]);
    assert_eq!(json_of(&cluster, &["product", "list"])["count"], 0);

    // A product that a file says finds its APIs by their names.
    let mut of_file = meal.clone();
    for part in of_file["apis"].as_array_mut().expect("apis") {
        part["apiId"] = json!("of another cluster");
    }
    std::fs::write(cluster.path("meal.json"), of_file.to_string()).expect("a file");
    run(&cluster, &["product", "create", "-f", "meal.json"]);
    assert_eq!(json_of(&cluster, &["product", "show", "meal"])["apis"], meal["apis"]);
    run(&cluster, &["app", "delete", "phone", "--yes"]);
    assert_eq!(json_of(&cluster, &["app", "list"])["count"], 0);
}
