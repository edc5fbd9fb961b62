//! Users, groups and roles by SCIM, as an identity system or a script of the original's users manages them.

mod harness;

use harness::{Client, Cluster, Reply};
use serde_json::{Value, json};

const CUSTOM: &str = "urn:scim:schemas:extension:custom:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn send(client: &Client, verb: &str, path: &str, body: &Value) -> Reply {
    client.json(verb, &format!("/scim2{path}"), body).await.expect("an answer")
}

async fn get(client: &Client, path: &str) -> Reply {
    client.get(&format!("/scim2{path}")).await.expect("an answer")
}

async fn delete(client: &Client, path: &str) -> Reply {
    client.send("DELETE", &format!("/scim2{path}"), &[], "").await.expect("an answer")
}

fn id(of: &Value) -> String {
    of["id"].as_str().unwrap_or_else(|| panic!("no id in {of}")).to_owned()
}

/// Finds the one resource that a filter names.
async fn one(client: &Client, path: &str, filter: &str) -> Value {
    let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    let found = get(client, &format!("{path}?filter={filter}")).await.expect(200).json();
    assert_eq!(found["totalResults"], 1, "{found}");
    found["Resources"][0].clone()
}

#[allow(clippy::needless_pass_by_value, reason = "made where it is passed")]
fn operations(operations: Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_lives_from_creation_to_deletion_and_signs_in_on_every_node_in_between() {
    let cluster = Cluster::start(3).await;
    let (first, second, third) = (&cluster.nodes[0], &cluster.nodes[1], &cluster.nodes[2]);
    let admin = first.admin();
    let kim = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "userName": "PRIMARY/kim@example.com", "password": "a good password",
        "name": {"givenName": "Kim", "familyName": "Lee"},
        "emails": ["kim@home.org", {"type": "work", "value": "kim@work.org", "primary": true}],
        "phoneNumbers": [{"type": "mobile", "value": "+33 6"}],
        ENTERPRISE: {"organization": "Acme"}, CUSTOM: {"country": "FR"},
    });
    let made = send(&admin, "POST", "/Users", &kim).await.expect(201);
    let location = made.header("location").to_owned();
    let user = made.json();
    assert_eq!(user["userName"], "kim@example.com");
    assert_eq!(user[ENTERPRISE]["organization"], "Acme");
    assert_eq!(user[CUSTOM]["country"], "FR");
    assert_eq!(user["emails"][0], json!({"value": "kim@home.org"}));
    assert!(user.get("password").is_none() && !user.to_string().contains("argon2"), "{user}");
    assert!(location.ends_with(&format!("/scim2/Users/{}", id(&user))), "{location}");
    send(&admin, "POST", "/Users", &kim).await.expect(409);

    // Signs in at once on another node, and sees and changes what is her own, and nothing else.
    let own = second.as_user("kim@example.com", "a good password");
    assert_eq!(get(&own, "/Me").await.expect(200).json()["id"], user["id"]);
    get(&own, "/Users").await.expect(403);
    let rename = operations(json!([{"op": "replace", "path": "displayName", "value": "Kim"}]));
    assert_eq!(send(&own, "PATCH", "/Me", &rename).await.expect(200).json()["displayName"], "Kim");
    delete(&own, "/Me").await.expect(403);

    // A role by group membership: what it allows is allowed everywhere when the answer comes.
    let group = one(&admin, "/Groups", "displayName eq \"Internal/publisher\"").await;
    let scopes = "/api/am/publisher/v4/apis";
    third.as_user("kim@example.com", "a good password").get(scopes).await.expect("an answer").expect(403);
    let join = operations(json!([{"op": "add", "value": {"members": [{"value": id(&user), "display": "kim"}]}}]));
    let joined = send(&admin, "PATCH", &format!("/Groups/{}", id(&group)), &join).await.expect(200).json();
    assert!(joined["members"].as_array().unwrap().iter().any(|member| member["value"] == user["id"]), "{joined}");
    third.as_user("kim@example.com", "a good password").get(scopes).await.expect("an answer").expect(200);
    let leave = operations(json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", id(&user))}]));
    send(&admin, "PATCH", &format!("/Groups/{}", id(&group)), &leave).await.expect(200);
    third.as_user("kim@example.com", "a good password").get(scopes).await.expect("an answer").expect(403);

    // Another password, and locked.
    let path = format!("/Users/{}", id(&user));
    let password = operations(json!([{"op": "replace", "value": {"password": "another good one"}}]));
    send(&admin, "PATCH", &path, &password).await.expect(200);
    get(&second.as_user("kim@example.com", "a good password"), "/Me").await.expect(401);
    get(&second.as_user("kim@example.com", "another good one"), "/Me").await.expect(200);
    let lock = operations(json!([{"op": "replace", "path": "active", "value": false}]));
    assert_eq!(send(&admin, "PATCH", &path, &lock).await.expect(200).json()["active"], false);
    get(&third.as_user("kim@example.com", "another good one"), "/Me").await.expect(401);

    // Gone, and made again: somebody else.
    delete(&admin, &path).await.expect(204);
    get(&admin, &path).await.expect(404);
    let again = send(&admin, "POST", "/Users", &kim).await.expect(201).json();
    assert_ne!(again["id"], user["id"]);
    assert_eq!(again["active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_sorted_and_paged_and_versions_guard_against_lost_changes() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.nodes[0].admin();
    for (name, title) in [("ann", "b"), ("bob", "a"), ("cid", "c")] {
        let user = json!({"userName": name, "password": "a good password", "title": title,
            "emails": [{"value": format!("{name}@example.com"), "type": "work"}]});
        send(&admin, "POST", "/Users", &user).await.expect(201);
    }
    let names = async |query: &str| -> (u64, Vec<String>) {
        let found = get(&admin, &format!("/Users?{query}")).await.expect(200).json();
        let names =
            found["Resources"].as_array().unwrap().iter().map(|user| user["userName"].as_str().unwrap().to_owned());
        (found["totalResults"].as_u64().unwrap(), names.collect())
    };
    let list = |total: u64, names: &[&str]| (total, names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(names("sortBy=title").await, list(4, &["bob", "ann", "cid", "admin"]));
    assert_eq!(names("sortBy=title&sortOrder=descending&startIndex=2&count=2").await, list(4, &["cid", "ann"]));
    assert_eq!(names("filter=emails+co+%22example%22+and+not+(userName+sw+%22c%22)").await, list(2, &["ann", "bob"]));
    assert_eq!(names("startIndex=-3&count=1").await, list(4, &["admin"]));
    assert_eq!(names("count=0").await, list(4, &[]));
    assert_eq!(names("startIndex=99").await, list(4, &[]));
    let search = json!({"filter": "userName eq bob", "attributes": ["userName", "emails.value"]});
    let found = send(&admin, "POST", "/Users/.search", &search).await.expect(200).json();
    let keys: Vec<&String> = found["Resources"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["schemas", "id", "userName", "emails"]);
    assert_eq!(found["Resources"][0]["emails"], json!([{"value": "bob@example.com"}]));

    let bob = one(&admin, "/Users", "userName eq \"bob\"").await;
    let path = format!("/scim2/Users/{}", id(&bob));
    let tag = bob["meta"]["version"].as_str().unwrap();
    let change = operations(json!([{"op": "add", "path": "nickName", "value": "B"}])).to_string();
    let header = |name: &'static str, value: &str| {
        [(name, value.to_owned()), ("content-type", "application/scim+json".to_owned())]
    };
    let with = async |verb: &str, name: &'static str, value: &str, body: &str| {
        let headers = header(name, value);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        admin.send(verb, &path, &headers, body.to_owned()).await.expect("an answer")
    };
    with("GET", "if-none-match", tag, "").await.expect(304);
    let changed = with("PATCH", "if-match", tag, &change).await.expect(200);
    assert_ne!(changed.header("etag"), tag);
    with("PATCH", "if-match", tag, &change).await.expect(412);
    with("DELETE", "if-match", tag, "").await.expect(412);
    with("GET", "if-none-match", tag, "").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_roles_and_the_last_administrator_stays() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.nodes[0].admin();
    let listed = get(&admin, "/Groups?excludedAttributes=members").await.expect(200).json();
    let names: Vec<&str> =
        listed["Resources"].as_array().unwrap().iter().map(|group| group["displayName"].as_str().unwrap()).collect();
    for name in ["admin", "Internal/creator", "Internal/everyone", "Internal/publisher", "Internal/subscriber"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "failOnErrors": 2,
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "ann", "data": {"userName": "ann", "password": "a good password"}},
            {"method": "POST", "path": "/Groups", "bulkId": "team", "data": {"displayName": "team", "members": [{"value": "bulkId:ann"}]}},
            {"method": "POST", "path": "/Groups", "bulkId": "again", "data": {"displayName": "team"}},
            {"method": "PATCH", "path": "/v2/Roles/bulkId:nobody", "data": {}},
            {"method": "DELETE", "path": "/Users/bulkId:ann"},
        ],
    });
    let done = send(&admin, "POST", "/Bulk", &bulk).await.expect(200).json();
    let statuses: Vec<&str> =
        done["Operations"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["201", "201", "409", "409"], "the second failure ends it: {done}");

    let team = one(&admin, "/v2/Roles", "displayName eq \"team\"").await;
    assert_eq!(team["users"][0]["display"], "ann");
    let renamed = json!({"displayName": "crew", "users": []});
    let renamed = send(&admin, "PUT", &format!("/v2/Roles/{}", id(&team)), &renamed).await.expect(200).json();
    assert_eq!((renamed["id"].clone(), renamed.get("users")), (team["id"].clone(), None));
    let ann = one(&admin, "/Users", "userName eq \"ann\"").await;
    assert!(!ann["groups"].to_string().contains("crew"), "{ann}");
    delete(&admin, &format!("/Groups/{}", id(&team))).await.expect(204);
    let again = send(&admin, "POST", "/Groups", &json!({"displayName": "crew"})).await.expect(201).json();
    assert_ne!(again["id"], team["id"]);

    let role = one(&admin, "/Groups", "displayName eq \"admin\"").await;
    let nobody = operations(json!([{"op": "remove", "path": "members"}]));
    let refused = send(&admin, "PATCH", &format!("/Groups/{}", id(&role)), &nobody).await.expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("administrator"), "{refused}");
    delete(&admin, &format!("/Groups/{}", id(&role))).await.expect(409);
    let user = one(&admin, "/Users", "userName eq \"admin\"").await;
    delete(&admin, &format!("/Users/{}", id(&user))).await.expect(409);
    let lock = operations(json!([{"op": "replace", "path": "active", "value": false}]));
    send(&admin, "PATCH", &format!("/Users/{}", id(&user)), &lock).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_in_the_form_of_scim() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let user = |more: Value| {
        let mut user = json!({"userName": "ann", "password": "a good password"});
        user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        user
    };
    for (verb, path, body, status, kind) in [
        ("POST", "/Users", json!({"password": "a good password"}), 400, "invalidValue"),
        ("POST", "/Users", user(json!({"userName": "a b"})), 400, "invalidValue"),
        ("POST", "/Users", user(json!({"password": "short"})), 400, "invalidValue"),
        ("POST", "/Users", user(json!({"emails": [{"value": "nobody"}]})), 400, "invalidValue"),
        ("POST", "/Users", user(json!({"shoe": 41})), 400, "invalidSyntax"),
        ("POST", "/Users", user(json!({"title": "x".repeat(9_000)})), 400, "invalidValue"),
        ("POST", "/Groups", json!({"displayName": "x", "members": [{"value": "nobody"}]}), 400, "invalidValue"),
        ("POST", "/Groups", json!({"displayName": " "}), 400, "invalidValue"),
        ("PATCH", "/Users/nobody", operations(json!([])), 404, ""),
        ("POST", "/Users/.search", json!({"filter": "userName is \"x\""}), 400, "invalidFilter"),
        ("POST", "/Bulk", json!({"Operations": 1}), 400, "invalidSyntax"),
    ] {
        let error = send(&admin, verb, path, &body).await.expect(status);
        assert_eq!(error.header("content-type"), "application/scim+json");
        let error = error.json();
        assert_eq!(error["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
        assert_eq!(
            (error["status"].as_str(), error["scimType"].as_str().unwrap_or_default()),
            (Some(status.to_string().as_str()), kind),
            "{error}"
        );
    }
    for body in ["", "{", "[]", "\u{0}"] {
        let headers = [("content-type", "application/scim+json")];
        admin.send("POST", "/scim2/Users", &headers, body).await.expect("an answer").expect(400);
    }
    let large = json!({"userName": "x".repeat(2 << 20)});
    send(&admin, "POST", "/Users", &large).await.expect(413);
    let nobody = node.anonymous();
    assert_eq!(get(&nobody, "/Users").await.expect(401).json()["status"], "401");
    get(&nobody, "/ServiceProviderConfig").await.expect(200);
    let schemas = get(&nobody, "/Schemas").await.expect(200).json();
    assert_eq!(schemas["totalResults"], 5);
    get(&nobody, &format!("/Schemas/{ENTERPRISE}")).await.expect(200);
    get(&nobody, "/ResourceTypes/User").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_are_managed_by_commands_and_users_change_their_own_password() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let server = node.management_url();
    let on = |words: &[&str]| {
        let mut all = words.to_vec();
        all.extend(["--server", &server, "--data-dir", "n1"]);
        cluster.cli(&all)
    };
    let run = |words: &[&str]| {
        let done = on(words);
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("UTF-8")
    };
    let file = cluster.path("ann.txt");
    std::fs::write(&file, "a good password\n").expect("the file");
    let file = file.to_str().expect("UTF-8");
    let create = ["user", "create", "ann", "--email", "ann@example.com", "--given-name", "Ann", "--role"];
    let refused = on(&[&create[..], &["nothing", "--new-password-file", file]].concat());
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
    run(&[&create[..], &["Internal/subscriber", "--new-password-file", file]].concat());
    assert_eq!(run(&["user", "list", "-o", "name"]), "admin\nann\n");
    run(&["role", "create", "team"]);
    run(&["role", "grant", "team", "ann", "admin"]);
    let shown: Value = serde_json::from_str(&run(&["role", "show", "team", "-o", "json"])).expect("JSON");
    assert_eq!(shown["members"].as_array().map(Vec::len), Some(2));
    run(&["role", "revoke", "team", "admin"]);
    assert!(run(&["role", "list"]).contains("ann"));

    // Her own password, of which she must know the present one.
    let change = async |password: &str, body: Value| {
        let client = node.as_user("ann", password);
        client.json("POST", "/api/am/devportal/v3/me/change-password", &body).await.expect("an answer")
    };
    let wrong = json!({"currentPassword": "not it at all", "newPassword": "another good one"});
    change("a good password", wrong).await.expect(400);
    let weak = json!({"currentPassword": "a good password", "newPassword": "short"});
    change("a good password", weak).await.expect(400);
    let right = json!({"currentPassword": "a good password", "newPassword": "another good one"});
    change("a good password", right.clone()).await.expect(200);
    change("a good password", right).await.expect(401);
    get(&node.as_user("ann", "another good one"), "/Me").await.expect(200);

    run(&["user", "disable", "ann"]);
    get(&node.as_user("ann", "another good one"), "/Me").await.expect(401);
    run(&["user", "enable", "ann"]);
    run(&["user", "update", "ann", "--display-name", "Ann A."]);
    assert!(run(&["user", "show", "ann"]).contains("Ann A."));
    assert_eq!(on(&["user", "delete", "ann"]).status.code(), Some(2), "nobody confirmed it");
    run(&["user", "delete", "ann", "--yes"]);
    assert_eq!(on(&["user", "show", "ann"]).status.code(), Some(3));
    run(&["role", "delete", "team", "--yes"]);
    let printed = on(&["user", "create", "bob"]);
    assert!(String::from_utf8_lossy(&printed.stderr).contains("is not shown again"));
}
