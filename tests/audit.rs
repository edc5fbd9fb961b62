//! The audit: who did what, when, from where, on every node, without secrets, for administrators alone.

mod harness;

use harness::{Client, Cluster, until};
use serde_json::{Value, json};

const APPLICATIONS: &str = "/api/am/devportal/v3/applications";

async fn records(client: &Client, query: &str) -> Vec<Value> {
    let reply = client.get(&format!("/api/portcullis/v1/audit?{query}")).await.expect("an answer").expect(200);
    reply.json()["list"].as_array().expect("a list").clone()
}

async fn post(client: &Client, path: &str, body: &Value, status: u16) -> Value {
    client.json("POST", path, body).await.expect("an answer").expect(status).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_and_every_sign_in_is_told_on_every_node_with_who_and_from_where() {
    let cluster = Cluster::start(3).await;
    let (first, second, third) = (&cluster.nodes[0], &cluster.nodes[1], &cluster.nodes[2]);
    let admin = first.admin();
    let secret = "a very good password";
    let ann = json!({"userName": "ann", "password": secret});
    post(&admin, "/scim2/Users", &ann, 201).await;
    post(&admin, "/scim2/Groups", &json!({"displayName": "team"}), 201).await;
    post(&admin, "/scim2/Groups", &json!({"displayName": "team"}), 409).await;
    let tenant = json!({"domain": "shop.example", "owners": [{"username": "tom", "password": secret}]});
    post(&second.admin(), "/api/server/v1/tenants", &tenant, 201).await;

    // The same on a node that had no part in it.
    let made = until("the change is told", async || {
        records(&third.admin(), "action=CreateUser&user=admin").await.into_iter().find(|one| one["subject"] == "ann")
    })
    .await;
    assert_eq!(
        (&made["tenant"], &made["outcome"], &made["count"]),
        (&json!("carbon.super"), &json!("done"), &json!(1))
    );
    let origin = made["origin"].as_str().expect("an address");
    assert!(origin.starts_with("127."), "{origin}");
    let refused = records(&third.admin(), "action=CreateRole&outcome=refused").await;
    assert_eq!((refused.len(), &refused[0]["refused"]), (1, &json!("PC-1409")));
    assert_eq!(records(&third.admin(), &format!("subject=shop.example&origin={origin}")).await.len(), 1);

    // Sign-ins, good and bad; what was guessed is not in it, and nothing else that is secret.
    let guess = "not her password";
    for (password, status) in [(guess, 401), (guess, 401), (secret, 200)] {
        second.as_user("ann", password).get("/scim2/Me").await.expect("an answer").expect(status);
    }
    second.as_user("nobody", guess).get("/scim2/Me").await.expect("an answer").expect(401);
    until("the sign-ins are told", async || {
        let signed = records(&first.admin(), "action=SignIn&user=ann").await;
        let count = |refused: &Value| -> u64 {
            let of = signed.iter().filter(|one| one["refused"] == *refused);
            of.map(|one| one["count"].as_u64().unwrap_or_default()).sum()
        };
        let nobody = records(&first.admin(), "action=SignIn&user=nobody").await.len();
        (count(&Value::Null) == 1 && count(&json!("bad-password")) == 2 && nobody == 1).then_some(())
    })
    .await;
    let whole = admin.get("/api/portcullis/v1/audit?limit=10000&format=csv").await.expect("an answer").expect(200);
    assert!(whole.header("content-type").starts_with("text/csv"));
    let whole = whole.text();
    assert!(
        whole.starts_with("at,tenant,user,origin,action,subject,outcome,refused,count,index,request\r\n"),
        "{whole}"
    );
    for hidden in [secret, guess, "argon2", harness::PASSWORD] {
        assert!(!whole.contains(hidden), "{hidden} in {whole}");
    }

    // Whose it is to see: one's own tenant, as administrator; everything, as administrator of the first.
    let tom = second.as_user("tom@shop.example", secret);
    until("the tenant's own sign-in is told", async || {
        let seen = records(&tom, "limit=1000").await;
        assert!(seen.iter().all(|one| one["tenant"] == "shop.example"), "{seen:?}");
        (!seen.is_empty()).then_some(())
    })
    .await;
    let path = "/api/portcullis/v1/audit";
    tom.get(&format!("{path}?tenant=carbon.super")).await.expect("an answer").expect(403);
    second.as_user("ann", secret).get(path).await.expect("an answer").expect(403);
    first.anonymous().get(path).await.expect("an answer").expect(401);
    for wrong in ["limit=0", "limit=99999999", "outcome=maybe", "since=yesterday", "cursor=x"] {
        admin.get(&format!("{path}?{wrong}")).await.expect("an answer").expect(400);
    }

    // How long it is kept; pages lead through all of it.
    let retention = format!("{path}/retention");
    let put = async |client: &Client, body: Value, status: u16| {
        client.json("PUT", &retention, &body).await.expect("an answer").expect(status);
    };
    put(&admin, json!({"records": 10, "days": 30}), 400).await;
    put(&tom, json!({"records": 5000, "days": 30}), 403).await;
    put(&admin, json!({"records": 5000, "days": 30}), 200).await;
    let kept =
        third.admin().get(&format!("{retention}?consistency=linearizable")).await.expect("an answer").expect(200);
    assert_eq!(kept.json(), json!({"records": 5000, "days": 30}));
    let page = admin.get(&format!("{path}?limit=2")).await.expect("an answer").expect(200).json();
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let next = records(&admin, &format!("limit=2&cursor={cursor}")).await;
    let last = &page["list"][1];
    assert!(next[0]["index"].as_u64() <= last["index"].as_u64() && next[0] != *last, "{page} {next:?}");
    let exported = cluster.cli_ok(&[
        "audit",
        "export",
        "--format",
        "csv",
        "--server",
        &first.management_url(),
        "--data-dir",
        "n1",
    ]);
    assert!(exported.lines().count() > 5 && exported.contains("CreateTenant"), "{exported}");
    let listed =
        cluster.cli_ok(&["audit", "list", "--by", "admin", "--server", &first.management_url(), "--data-dir", "n1"]);
    assert!(listed.contains("CreateUser"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_request_is_in_the_leaders_log_and_in_the_audit_of_every_node() {
    let mut cluster = Cluster::empty();
    for number in 1..=3 {
        cluster.configure(number, "[log]\nlevel = \"info,portcullis_raft=debug\"\n");
    }
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    let (leader, second, third) = (&cluster.nodes[0], &cluster.nodes[1], &cluster.nodes[2]);
    let id = "a-request-at-the-second-node";
    let admin = second.admin();
    let headers = [("x-request-id", id), ("content-type", "application/json")];
    let team = json!({"displayName": "team"}).to_string();
    let made = admin.send("POST", "/scim2/Groups", &headers, team.clone()).await.expect("an answer").expect(201);
    assert_eq!(made.header("x-request-id"), id);
    admin.send("POST", "/scim2/Groups", &headers, team).await.expect("an answer").expect(409);
    let is_told = |line: &str| line.contains("a change comes from another node") && line.contains(id);
    until("the leader's log to tell of the request", async || leader.log().lines().any(is_told).then_some(())).await;
    let seen = until("the audit of another node", async || {
        Some(records(&third.admin(), &format!("request={id}")).await).filter(|seen| seen.len() == 2)
    })
    .await;
    assert!(seen.iter().all(|one| one["request"] == id && one["action"] == "CreateRole"), "{seen:?}");
    assert!(records(&third.admin(), "request=no-such-request").await.is_empty());
    let shown = cluster.cli_ok(&[
        "audit",
        "list",
        "--request",
        id,
        "-o",
        "json",
        "--server",
        &leader.management_url(),
        "--data-dir",
        "n1",
    ]);
    assert!(shown.contains("PC-1409"), "{shown}");
    // What goes through an actor is told too: an API at the Publisher, an application at the Store.
    let mut application = String::new();
    for (path, body, action) in [
        ("/api/am/publisher/v4/apis", json!({"name": "Pizza", "version": "1", "context": "/pizza"}), "CreateApi"),
        (APPLICATIONS, json!({"name": "phone", "throttlingPolicy": "Unlimited"}), "CreateApplication"),
        // The path of these stands below that of the application.
        ("/api-keys/PRODUCTION/generate", json!({"validityPeriod": 3600}), "CreateApiKey"),
        (
            "/client-registration/v0.17/register",
            json!({"callbackUrl": "https://one.example", "clientName": "one", "owner": "admin",
                "grantType": "client_credentials", "saasApp": true}),
            "PutClient",
        ),
        (
            "/api/identity/user/v1.0/me",
            json!({"user": {"username": "kim", "password": "a good password", "claims": []}, "properties": []}),
            "SignUpUser",
        ),
    ] {
        let path =
            if action == "CreateApiKey" { format!("{APPLICATIONS}/{application}{path}") } else { path.to_owned() };
        let id = format!("a-request-for-{action}");
        let headers = [("x-request-id", id.as_str()), ("content-type", "application/json")];
        let made = admin.send("POST", &path, &headers, body.to_string()).await.expect("an answer");
        assert!(matches!(made.status, 200 | 201), "{action}: {}", made.text());
        if action == "CreateApplication" {
            application = made.json()["applicationId"].as_str().expect("an id").to_owned();
        }
        let seen = records(&second.admin(), &format!("request={id}")).await;
        assert!(seen.iter().any(|one| one["action"] == action), "{action}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_often_locks_the_user_out_everywhere_for_a_while_and_an_administrator_lets_in_again() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[users]\nlock_out_failures = 3\nlock_out_s = 3600\n");
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let ann = json!({"userName": "ann", "password": "a good password"});
    let ann = post(&admin, "/scim2/Users", &ann, 201).await;
    let own = node.as_user("ann", "a good password");
    for _ in 0..3 {
        node.as_user("ann", "a guess").get("/scim2/Me").await.expect("an answer").expect(401);
    }
    own.get("/scim2/Me").await.expect("an answer").expect(401);
    until("it is told", async || {
        let told = records(&admin, "action=LockOutUser&subject=ann").await.len();
        let refused = records(&admin, "action=SignIn&user=ann").await;
        (told == 1 && refused.iter().any(|one| one["refused"] == "locked-out")).then_some(())
    })
    .await;
    let path = format!("/scim2/Users/{}", ann["id"].as_str().expect("an id"));
    let unlock = json!({"Operations": [{"op": "replace", "path": "active", "value": true}]});
    admin.json("PATCH", &path, &unlock).await.expect("an answer").expect(200);
    own.get("/scim2/Me").await.expect("an answer").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_at_a_gateway_is_noted_with_the_address_it_came_from() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = harness::backend::Backend::start("production").await;
    let url = backend.url();
    let admin = node.admin();
    let api = harness::journey::publish(node, &harness::journey::Wish::new("pizza", &url)).await;
    let path = format!("/api/am/publisher/v4/apis/{api}");
    let mut body = admin.get(&path).await.expect("get").expect(200).json();
    body["securityScheme"] = json!(["basic_auth", "oauth_basic_auth_api_key_mandatory"]);
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    harness::journey::deploy(&admin, &api).await;
    let menu = "/pizza/1.0.0/menu";
    node.gateway().with_basic("nobody-here", "a guess").get(menu).await.expect("a call").expect(401);
    node.gateway().with_basic("admin", harness::PASSWORD).get(menu).await.expect("a call").expect(200);
    until("the sign-ins are told with their address", async || {
        let of = |user: &str| format!("action=SignIn&user={user}&origin=127.0.0.1");
        let bad = records(&admin, &of("nobody-here")).await;
        let good = records(&admin, &of("admin")).await;
        (bad.len() == 1 && bad[0]["refused"] == "bad-password" && !good.is_empty()).then_some(())
    })
    .await;
}
