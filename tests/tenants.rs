//! Tenants: everything of one is its own, its users sign in as `user@domain`, its APIs are below `/t/DOMAIN`, and
//! deactivated it is closed on every node when the answer comes.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Client, Cluster, until};
use serde_json::{Value, json};

const TENANTS: &str = "/api/server/v1/tenants";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const PLANS: &str = "/api/am/admin/v4/throttling/policies/application";

fn tenant(domain: &str) -> Value {
    json!({"domain": domain, "owners": [{"username": "tom", "password": "a good password", "email": "tom@example.com",
        "firstname": "Tom", "lastname": "T", "provisioningMethod": "inline-password"}]})
}

async fn post(client: &Client, path: &str, body: &Value, status: u16) -> Value {
    let reply = client.json("POST", path, body).await.expect("an answer").expect(status);
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}

/// Registers a client and gets a user's token that is good for the Publisher, below the path of the user's tenant.
async fn user_token(node: &harness::Node, domain: &str, name: &str, password: &str) -> String {
    let registration = json!({"callbackUrl": "https://client.example.com/callback", "clientName": "rest", "owner": name,
        "grantType": "password refresh_token", "saasApp": true});
    let path = format!("/t/{domain}/client-registration/v0.17/register");
    let made = post(&node.as_user(name, password), &path, &registration, 200).await;
    let client = node.anonymous().with_basic(&journey::text(&made, "clientId"), &journey::text(&made, "clientSecret"));
    let wish = format!("grant_type=password&username={name}&password={password}&scope=apim:api_view").replace(' ', "+");
    let token = format!("/t/{domain}/oauth2/token");
    let reply = client.send("POST", &token, &[FORM], wish).await.expect("an answer").expect(200);
    post(&node.admin(), &path, &registration, 401).await;
    journey::text(&reply.json(), "access_token")
}

async fn call(node: &harness::Node, path: &str, token: &str) -> u16 {
    node.gateway().with_bearer(token).get(path).await.expect("an answer").status
}

async fn set_active(admin: &Client, id: &str, is_active: bool) {
    let path = format!("{TENANTS}/{id}/lifecycle-status");
    admin.json("PUT", &path, &json!({"activated": is_active})).await.expect("an answer").expect(200);
}

async fn get(client: &Client, path: &str, status: u16) -> Value {
    let reply = client.get(path).await.expect("an answer").expect(status);
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_everything_of_its_own_and_is_closed_everywhere_when_it_is_deactivated() {
    let cluster = Cluster::start(3).await;
    let (first, second, third) = (&cluster.nodes[0], &cluster.nodes[1], &cluster.nodes[2]);
    let admin = first.admin();
    let made = post(&admin, TENANTS, &tenant("shop.example"), 201).await;
    post(&admin, TENANTS, &tenant("shop.example"), 409).await;
    post(&admin, TENANTS, &tenant("Shop.example"), 400).await;
    assert_eq!(get(&admin, &format!("{TENANTS}/domain/shop.example"), 200).await["id"], made["id"]);
    assert_eq!(get(&admin, TENANTS, 200).await["totalResults"], 2);

    // Its administrator signs in on any node, by the whole name or below the path; others' credentials do not go there.
    let tom = second.as_user("tom@shop.example", "a good password");
    assert_eq!(get(&tom, "/scim2/Me", 200).await["userName"], "tom");
    let below = third.as_user("tom", "a good password");
    let users = get(&below, "/t/shop.example/scim2/Users", 200).await;
    assert_eq!(users["totalResults"], 1, "the first tenant's users are not its own: {users}");
    let location = users["Resources"][0]["meta"]["location"].as_str().unwrap_or_default();
    assert!(location.contains("/t/shop.example/scim2/Users/"), "{location}");
    get(&admin, "/t/shop.example/scim2/Users", 401).await;
    get(&below, "/scim2/Users", 401).await;
    get(&admin, "/t/nothing.example/scim2/Users", 404).await;
    get(&tom, TENANTS, 403).await;
    let plans = get(&tom, "/api/am/admin/v4/throttling/policies/subscription", 200).await;
    assert!(plans.to_string().contains("AsyncWHGold") && plans.to_string().contains("Gold"), "{plans}");
    assert_eq!(get(&tom, "/api/am/admin/v4/tenant-info/tom", 200).await["tenantDomain"], "shop.example");

    // An API of its own, called below /t/DOMAIN on every node; the same context is free in the first tenant.
    let backend = Backend::start("tenants").await;
    let url = backend.url();
    let wish = Wish { as_user: Some(("tom@shop.example", "a good password")), ..Wish::new("goods", &url) };
    let theirs = journey::publish_and_subscribe(first, &wish).await;
    let ours = journey::publish_and_subscribe(first, &Wish::new("goods", &url)).await;
    let (their_token, our_token) = (journey::token(first, &theirs).await, journey::token(first, &ours).await);
    for node in &cluster.nodes {
        until("the tenant's API answers", async || {
            (call(node, "/t/shop.example/goods/1.0.0/menu", &their_token).await == 200).then_some(())
        })
        .await;
        assert_eq!(call(node, "/goods/1.0.0/menu", &our_token).await, 200);
        assert_eq!(call(node, "/goods/1.0.0/menu", &their_token).await, 403, "not subscribed");
    }
    assert_eq!(get(&tom, "/api/am/publisher/v4/apis", 200).await["count"], 1);
    let applications = async |client: &Client| get(client, "/api/am/devportal/v3/applications", 200).await.to_string();
    let (of_tom, of_admin) = (applications(&tom).await, applications(&admin).await);
    assert!(of_tom.contains(&theirs.application) && !of_tom.contains(&ours.application), "{of_tom}");
    assert!(of_admin.contains(&ours.application) && !of_admin.contains(&theirs.application), "{of_admin}");
    let plan = json!({"policyName": "Stall", "defaultLimit": {"type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 5}}});
    post(&tom, PLANS, &plan, 201).await;
    assert!(get(&tom, PLANS, 200).await.to_string().contains("Stall"));
    assert!(!get(&second.admin(), PLANS, 200).await.to_string().contains("Stall"));

    // A signed token calls as well, and a user's token is good for the REST APIs.
    let signed =
        Wish { as_user: Some(("tom@shop.example", "a good password")), token_type: "JWT", ..Wish::new("tools", &url) };
    let signed = journey::publish_and_subscribe(second, &signed).await;
    let signed_token = journey::token(second, &signed).await;
    let user_token = user_token(third, "shop.example", "tom", "a good password").await;
    for node in &cluster.nodes {
        until("the second API answers", async || {
            (call(node, "/t/shop.example/tools/1.0.0/menu", &signed_token).await == 200).then_some(())
        })
        .await;
        let own = node.anonymous().with_bearer(&user_token);
        get(&own, "/t/shop.example/api/am/publisher/v4/apis", 200).await;
        get(&own, "/t/carbon.super/api/am/publisher/v4/apis", 401).await;
        get(&own, PLANS, 401).await;
    }

    // Closed: no call, no sign-in, on no node, from the answer on; and open again as it was.
    let id = made["id"].as_str().unwrap_or_default();
    set_active(&admin, id, false).await;
    for node in &cluster.nodes {
        assert_eq!(call(node, "/t/shop.example/goods/1.0.0/menu", &their_token).await, 404);
        assert_eq!(call(node, "/t/shop.example/tools/1.0.0/menu", &signed_token).await, 404);
        get(&node.anonymous().with_bearer(&user_token), "/api/am/publisher/v4/apis", 401).await;
        let client = node.anonymous().with_basic(&theirs.client_id, &theirs.client_secret);
        let refused = client.send("POST", "/oauth2/token", &[FORM], "grant_type=client_credentials").await;
        refused.expect("an answer").expect(401);
        get(&node.as_user("tom@shop.example", "a good password"), "/scim2/Me", 401).await;
        assert_eq!(call(node, "/goods/1.0.0/menu", &our_token).await, 200, "the others are not concerned");
    }
    let in_store = "/t/shop.example/api/am/devportal/v3/apis";
    assert_eq!(get(&first.anonymous(), in_store, 200).await["count"], 0);
    let inactive = get(&admin, "/api/am/publisher/v4/tenants?state=inactive", 200).await;
    assert_eq!(inactive["list"][0]["domain"], "shop.example");
    set_active(&admin, id, true).await;
    for node in &cluster.nodes {
        assert_eq!(call(node, "/t/shop.example/goods/1.0.0/menu", &their_token).await, 200);
        assert_eq!(call(node, "/t/shop.example/tools/1.0.0/menu", &signed_token).await, 200);
    }
    assert_eq!(get(&first.anonymous(), in_store, 200).await["count"], 2);
    let of_first = format!("{TENANTS}/carbon.super/lifecycle-status");
    admin.json("PUT", &of_first, &json!({"activated": false})).await.expect("an answer").expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_open_to_another_tenant_is_called_from_there_until_that_tenant_is_closed() {
    let cluster = Cluster::start(3).await;
    let (first, second) = (&cluster.nodes[0], &cluster.nodes[1]);
    let admin = first.admin();
    let made = post(&admin, TENANTS, &tenant("shop.example"), 201).await;
    let tom = first.as_user("tom@shop.example", "a good password");
    let backend = Backend::start("commons").await;
    let url = backend.url();
    let open = journey::publish(first, &Wish::new("commons", &url)).await;
    let mine = json!({"name": "visitor", "throttlingPolicy": "Unlimited", "tokenType": "JWT"});
    let mine = journey::text(&post(&tom, "/api/am/devportal/v3/applications", &mine, 201).await, "applicationId");
    let keys = journey::generate_keys(&tom, &mine, "PRODUCTION").await;
    let subscription = json!({"applicationId": mine, "apiId": open, "throttlingPolicy": "Unlimited"});
    post(&tom, "/api/am/devportal/v3/subscriptions", &subscription, 404).await;
    let of_api = format!("/api/am/publisher/v4/apis/{open}");
    let mut api = get(&admin, &of_api, 200).await;
    api["subscriptionAvailability"] = json!("SPECIFIC_TENANTS");
    api["subscriptionAvailableTenants"] = json!(["shop.example"]);
    admin.json("PUT", &of_api, &api).await.expect("an answer").expect(200);
    until("the change is there", async || {
        let tom = first.as_user("tom@shop.example", "a good password");
        let made = tom.json("POST", "/api/am/devportal/v3/subscriptions", &subscription).await.expect("an answer");
        (made.status == 201).then_some(())
    })
    .await;
    let client =
        first.anonymous().with_basic(&journey::text(&keys, "consumerKey"), &journey::text(&keys, "consumerSecret"));
    let reply = client.send("POST", "/oauth2/token", &[FORM], "grant_type=client_credentials").await;
    let visitor = journey::text(&reply.expect("an answer").expect(200).json(), "access_token");
    for node in &cluster.nodes {
        until("the call from the other tenant passes", async || {
            (call(node, "/commons/1.0.0/menu", &visitor).await == 200).then_some(())
        })
        .await;
    }

    let id = journey::text(&made, "id");
    set_active(&second.admin(), &id, false).await;
    for node in &cluster.nodes {
        assert_eq!(call(node, "/commons/1.0.0/menu", &visitor).await, 401);
    }
    set_active(&admin, &id, true).await;
    for node in &cluster.nodes {
        assert_eq!(call(node, "/commons/1.0.0/menu", &visitor).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_a_tenant_says_which_roles_have_which_scopes_and_who_signs_up() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let config = "/api/am/admin/v4/tenant-config";
    let ann = json!({"user": {"username": "PRIMARY/ann", "password": "a good password", "claims": [
        {"uri": "http://wso2.org/claims/givenname", "value": "Ann"},
        {"uri": "http://wso2.org/claims/emailaddress", "value": "ann@example.com"},
        {"uri": "http://wso2.org/claims/shoe", "value": "41"}]}, "properties": []});
    let nobody = node.anonymous();
    let sign_up = "/api/identity/user/v1.0/me";
    post(&nobody, sign_up, &ann, 201).await;
    assert_eq!(post(&nobody, sign_up, &ann, 409).await["code"], 20_030);
    let weak = json!({"user": {"username": "bob", "password": "short"}});
    assert_eq!(post(&nobody, sign_up, &weak, 400).await["code"], 20_035);
    let own = node.as_user("ann", "a good password");
    let me = get(&own, "/scim2/Me", 200).await;
    assert_eq!(me["name"]["givenName"], "Ann");
    assert_eq!(me["urn:scim:schemas:extension:custom:User"]["shoe"], "41");

    // What roles may: Ann subscribes and does not see policies, until the mapping says so.
    let applications = "/api/am/devportal/v3/applications";
    get(&own, applications, 200).await;
    let policies = "/api/am/admin/v4/throttling/deny-policies";
    get(&own, policies, 403).await;
    let scopes = get(&admin, "/api/am/admin/v4/system-scopes", 200).await;
    assert!(scopes["count"].as_u64().unwrap() > 80, "{scopes}");
    let change = json!({"list": [{"name": "apim:bl_view", "roles": ["admin", "Internal/subscriber"]}]});
    let put = async |path: &str, body: &Value, status: u16| {
        admin.json("PUT", path, body).await.expect("an answer").expect(status);
    };
    put("/api/am/admin/v4/system-scopes", &change, 200).await;
    get(&own, policies, 200).await;
    put("/api/am/admin/v4/system-scopes", &json!({"list": [{"name": "apim:bl_view", "roles": ["nobody"]}]}), 400).await;
    put("/api/am/admin/v4/system-scopes", &json!({"list": [{"name": "apim:bl_view", "roles": ["admin"]}]}), 200).await;
    get(&own, policies, 403).await;
    let of_ann = "/api/am/admin/v4/system-scopes/YXBpbTpzdWJzY3JpYmU?username=ann";
    assert_eq!(get(&admin, of_ann, 200).await["name"], "apim:subscribe");

    // Another role counts as a subscriber's.
    post(&admin, "/scim2/Groups", &json!({"displayName": "partner"}), 201).await;
    let bob = json!({"userName": "bob", "password": "a good password"});
    let bob = post(&admin, "/scim2/Users", &bob, 201).await;
    let group =
        get(&admin, "/scim2/Groups?filter=displayName+eq+%22partner%22", 200).await["Resources"][0]["id"].clone();
    let join = json!({"Operations": [{"op": "add", "path": "members", "value": [{"value": bob["id"]}]}]});
    let path = format!("/scim2/Groups/{}", group.as_str().unwrap_or_default());
    admin.json("PATCH", &path, &join).await.expect("an answer").expect(200);
    let bob = node.as_user("bob", "a good password");
    get(&bob, applications, 403).await;
    let aliases = json!({"list": [{"role": "Internal/subscriber", "aliases": ["partner"]}]});
    put("/api/am/admin/v4/system-scopes/role-aliases", &aliases, 200).await;
    get(&bob, applications, 200).await;

    // The document as a whole: what nobody could take back is refused; sign-up can be switched off.
    let mut document = get(&admin, config, 200).await;
    assert_eq!(document["RoleMappings"]["Internal/subscriber"], "partner");
    document["SelfSignUp"]["EnableSignup"] = json!(false);
    put(config, &document, 200).await;
    post(&nobody, sign_up, &json!({"user": {"username": "cid", "password": "a good password"}}), 403).await;
    document["RESTAPIScopes"]["Scope"] = json!([]);
    put(config, &document, 400).await;
    put(config, &json!(7), 400).await;
    get(&own, config, 403).await;
    assert_eq!(get(&admin, "/api/am/admin/v4/tenant-config-schema", 200).await["type"], "object");
    for (path, status) in [
        ("/api/am/publisher/v4/roles/SW50ZXJuYWwvcHVibGlzaGVyCQ", 200),
        ("/api/am/publisher/v4/me/roles/SW50ZXJuYWwvcHVibGlzaGVyCQ", 200),
        ("/api/am/publisher/v4/me/roles/cGFydG5lcg", 404),
        ("/api/am/publisher/v4/tenants/carbon.super", 200),
        ("/api/am/publisher/v4/tenants/nothing.example", 404),
        ("/api/am/admin/v4/roles/SW50ZXJuYWwvcHVibGlzaGVyCQ", 200),
        ("/api/am/admin/v4/roles/bm90aGluZw", 404),
    ] {
        admin.send("HEAD", path, &[], "").await.expect("an answer").expect(status);
    }

    // A lost password: an administrator's code, once.
    let made = post(&admin, "/api/portcullis/v1/users/ann/reset-code", &json!({}), 200).await;
    let reset = "/api/identity/recovery/v0.9/set-password";
    let set = json!({"key": made["code"], "password": "another good one"});
    post(&nobody, reset, &json!({"key": "nonsense", "password": "another good one"}), 400).await;
    post(&nobody, reset, &set, 200).await;
    post(&nobody, reset, &set, 400).await;
    get(&node.as_user("ann", "another good one"), "/scim2/Me", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_scope_is_said_once_for_all_apis_and_its_roles_hold_in_tokens() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let scopes = "/api/am/publisher/v4/scopes";
    let body = |roles: &[&str]| json!({"name": "orders:read", "displayName": "Read", "description": "reads orders", "bindings": roles});
    let made = post(&admin, scopes, &body(&["admin"]), 201).await;
    let path = format!("{scopes}/{}", made["id"].as_str().unwrap_or_default());
    post(&admin, scopes, &body(&["admin"]), 409).await;
    post(&admin, scopes, &json!({"name": "a b"}), 400).await;
    post(&admin, scopes, &json!({"name": "other", "bindings": ["nobody"]}), 400).await;
    assert_eq!(get(&admin, scopes, 200).await["count"], 1);
    admin.send("HEAD", &format!("{scopes}/b3JkZXJzOnJlYWQ"), &[], "").await.expect("an answer").expect(200);
    admin.send("HEAD", &format!("{scopes}/bm90aGluZw"), &[], "").await.expect("an answer").expect(404);

    // An API that uses it: its roles are those of the shared scope, also after they change.
    let backend = Backend::start("scopes").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("orders", &url)).await;
    let of_api = format!("/api/am/publisher/v4/apis/{}", published.api);
    let mut api = get(&admin, &of_api, 200).await;
    let scope = json!({"shared": true, "scope": {"name": "orders:read", "bindings": ["admin"]}});
    api["scopes"] = json!([scope]);
    api["operations"][0]["scopes"] = json!(["orders:read"]);
    admin.json("PUT", &of_api, &api).await.expect("an answer").expect(200);
    let usage = get(&admin, &format!("{path}/usage"), 200).await;
    assert_eq!(usage["usedApiList"][0]["name"], "orders", "{usage}");
    let granted = async || -> String {
        let client = node.as_user(&published.client_id, &published.client_secret);
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = "grant_type=client_credentials&scope=orders:read";
        let reply = client.send("POST", "/oauth2/token", &form, body).await.expect("an answer").expect(200).json();
        reply["scope"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(granted().await, "orders:read");
    post(&admin, "/scim2/Groups", &json!({"displayName": "clerks"}), 201).await;
    admin.json("PUT", &path, &body(&["clerks"])).await.expect("an answer").expect(200);
    assert_eq!(granted().await, "default", "the application's owner is no clerk");
    admin.send("DELETE", &path, &[], "").await.expect("an answer").expect(409);
    api = get(&admin, &of_api, 200).await;
    assert_eq!(api["scopes"][0]["scope"]["bindings"], json!(["clerks"]));
    api["scopes"] = json!([]);
    api["operations"][0]["scopes"] = json!([]);
    admin.json("PUT", &of_api, &api).await.expect("an answer").expect(200);
    admin.send("DELETE", &path, &[], "").await.expect("an answer").expect(200);
    get(&admin, &path, 404).await;
}
