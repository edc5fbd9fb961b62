//! Tokens of another OAuth 2 server at the gateway: the other server is a cluster of its own, found by discovery.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::{Cluster, Node};
use serde_json::{Value, json};

const ADMIN: &str = "/api/am/admin/v4/key-managers";

/// Starts a cluster whose nodes trust the authority of another cluster, and tell backends who calls.
async fn trusting(other: &Node, size: usize) -> Cluster {
    let mut cluster = Cluster::empty();
    for number in 1..=size {
        cluster.configure(number, "[gateway]\nbackend_jwt_header = \"X-JWT-Assertion\"\n");
    }
    cluster.bootstrap().await;
    for _ in 1..size {
        cluster.join().await;
    }
    cluster.wait_for_voters(size).await;
    for node in &cluster.nodes {
        node.terminate().await;
        node.run_with(&[("SSL_CERT_FILE", &other.data_dir.join("tls/ca.pem"))]);
        node.wait_ready().await;
    }
    cluster
}

/// Registers the key manager of another cluster as `Theirs`; returns its path.
async fn register(node: &Node, idp: &Node, fields: Value) -> String {
    let mut wish = json!({
        "name": "Theirs",
        "type": "custom",
        "issuer": "https://theirs.example",
        "introspectionEndpoint": format!("{}/oauth2/introspect", idp.management_url()),
        "clientRegistrationEndpoint": format!("{}/oauth2/register", idp.management_url()),
        "tokenEndpoint": format!("{}/oauth2/token", idp.management_url()),
        "additionalProperties": {"Username": "admin", "Password": harness::PASSWORD},
    });
    wish.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    let made = node.admin().json("POST", ADMIN, &wish).await.expect("register").expect(201).json();
    assert_eq!(made["additionalProperties"], json!({"Username": "admin"}), "secrets are not shown");
    format!("{ADMIN}/{}", text(&made, "id"))
}

async fn map(node: &Node, application: &str, client: &str) -> Value {
    let path = format!("/api/am/devportal/v3/applications/{application}/map-keys");
    let mapping = json!({"consumerKey": client, "keyManager": "Theirs", "keyType": "PRODUCTION"});
    node.admin().json("POST", &path, &mapping).await.expect("map").expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_about_tokens_that_say_nothing_themselves() {
    let elsewhere = Cluster::start(1).await;
    let idp = &elsewhere.nodes[0];
    let cluster = trusting(idp, 1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    let theirs = journey::publish_and_subscribe(idp, &Wish::new("theirs", &url)).await;
    let (first, second) = (journey::token(idp, &theirs).await, journey::token(idp, &theirs).await);
    assert!(!first.contains('.'), "opaque: {first}");
    let call = async |token: &str| node.gateway().with_bearer(token).get(&menu).await.expect("call");
    let code = async |token: &str| call(token).await.json()["code"].as_str().unwrap_or_default().to_owned();

    let mapping = json!([{"remoteClaim": "client_id", "localClaim": "http://theirs.example/client"}]);
    let path = register(node, idp, json!({"claimMapping": mapping})).await;
    assert_eq!(code(&first).await, "900908", "good, but mapped to no application");
    map(node, &published.application, &theirs.client_id).await;
    let reply = call(&first).await.expect(200).json();
    let assertion = text(&reply["headers"], "x-jwt-assertion");
    let assertion = portcullis_jose::Unverified::parse(&assertion).expect("signed");
    let claims: Value = assertion.claims_unchecked().expect("claims");
    assert_eq!(claims["http://theirs.example/client"], theirs.client_id, "{claims}");
    assert_eq!(claims["http://wso2.org/claims/usertype"], "APPLICATION", "{claims}");
    assert_eq!(code("nobody-issued-this").await, "900901");

    // Which tokens are theirs may be said; others are not shown to them.
    let mut body = node.admin().get(&path).await.expect("get").expect(200).json();
    for (pattern, status) in [("other-[a-z]+", 401), (".{20,}", 200)] {
        body["tokenValidation"] = json!([{"type": "REFERENCE", "enable": true, "value": pattern}]);
        node.admin().json("PUT", &path, &body).await.expect("update").expect(200);
        call(&first).await.expect(status);
    }
    for (is_enabled, status) in [(false, 401), (true, 200)] {
        body["enabled"] = json!(is_enabled);
        node.admin().json("PUT", &path, &body).await.expect("update").expect(200);
        call(&first).await.expect(status);
    }
    // What was said is believed for a while; about what was not said nothing is assumed.
    idp.terminate().await;
    call(&first).await.expect(200);
    assert_eq!(call(&second).await.expect(500).json()["code"], "900900");
    // The cluster's own tokens are nobody else's business, also when they are good no more.
    let own = journey::token(node, &published).await;
    call(&own).await.expect(200);
    let client = node.anonymous().with_basic(&published.client_id, &published.client_secret);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    client.send("POST", "/oauth2/revoke", &form, format!("token={own}")).await.expect("revoke").expect(200);
    assert_eq!(call(&own).await.expect(401).json()["code"], "900901");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_registered_server_are_accepted_for_the_keys_that_are_mapped() {
    let elsewhere = Cluster::start(1).await;
    let idp = &elsewhere.nodes[0];
    let cluster = trusting(idp, 3).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    // What the other server issues: to a client of an application there.
    let theirs = Wish { token_type: "JWT", ..Wish::new("theirs", &url) };
    let theirs = journey::publish_and_subscribe(idp, &theirs).await;
    let token = journey::token(idp, &theirs).await;
    // Calls every node; returns the code of the refusal, which is the same everywhere.
    let call = async |status: u16| {
        let mut codes = Vec::new();
        for node in &cluster.nodes {
            let reply = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(status);
            codes.push(reply.json()["code"].as_str().unwrap_or_default().to_owned());
        }
        codes.dedup();
        codes.join(", ")
    };
    assert_eq!(call(401).await, "900901", "nobody knows the server yet");

    let admin = node.admin();
    let well_known = format!("{}/oauth2/token/.well-known/openid-configuration", idp.management_url());
    let (form, content_type) = harness::http::multipart(&[("url", None, &well_known), ("type", None, "Portcullis")]);
    let found = admin.send("POST", &format!("{ADMIN}/discover"), &[("content-type", &content_type)], form).await;
    let found = found.expect("discover").expect(200).json();
    assert_eq!(found["valid"], true, "{found}");
    let mut wish = found["value"].clone();
    wish["name"] = json!("Theirs");
    // The document names addresses of another host than the test's.
    wish["certificates"]["value"] = json!(format!("{}/oauth2/jwks", idp.management_url()));
    let made = admin.json("POST", ADMIN, &wish).await.expect("register").expect(201).json();
    let path = format!("{ADMIN}/{}", text(&made, "id"));
    admin.json("POST", ADMIN, &wish).await.expect("register").expect(409);
    assert_eq!(call(403).await, "900908", "good, but mapped to no application");

    let store = format!("/api/am/devportal/v3/applications/{}", published.application);
    let mapping = json!({"consumerKey": theirs.client_id, "keyManager": "Theirs", "keyType": "PRODUCTION"});
    let mapped = admin.json("POST", &format!("{store}/map-keys"), &mapping).await.expect("map").expect(200).json();
    assert_eq!((&mapped["mode"], &mapped["keyManager"]), (&json!("MAPPED"), &json!("Theirs")));
    call(200).await;
    let listed = admin.get(&format!("{store}/oauth-keys")).await.expect("list").expect(200).json();
    assert_eq!(listed["count"], 2, "{listed}");
    let forged = format!("{}A", &token[..token.len() - 1]);
    let forged = if forged == token { format!("{}Q", &token[..token.len() - 1]) } else { forged };
    node.gateway().with_bearer(&forged).get(&menu).await.expect("call").expect(401);

    // Switched off, its tokens are refused when the answer comes; switched on, they are good again.
    let mut body = admin.get(&path).await.expect("get").expect(200).json();
    for (is_enabled, status) in [(false, 401), (true, 200)] {
        body["enabled"] = json!(is_enabled);
        admin.json("PUT", &path, &body).await.expect("update").expect(200);
        call(status).await;
    }
    let key = format!("{store}/oauth-keys/{}", text(&mapped, "keyMappingId"));
    admin.send("DELETE", &key, &[], "").await.expect("unmap").expect(200);
    assert_eq!(call(403).await, "900908");
    admin.json("POST", &format!("{store}/map-keys"), &mapping).await.expect("map").expect(200);
    call(200).await;
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    call(401).await;
    admin.get(&path).await.expect("get").expect(404);
    // Its own tokens go on as before.
    let own = journey::token(node, &published).await;
    node.gateway().with_bearer(&own).get(&menu).await.expect("call").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_at_another_server_and_deleted_there_with_the_application() {
    let mut elsewhere = Cluster::empty();
    // Where it is as its clients know it.
    let idp_url = format!("https://{}:9443", elsewhere.address(1));
    elsewhere.configure(1, &format!("[oauth]\npublic_url = \"{idp_url}\"\n"));
    elsewhere.bootstrap().await;
    let idp = &elsewhere.nodes[0];
    let cluster = trusting(idp, 1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    let store = format!("/api/am/devportal/v3/applications/{}", published.application);
    let admin = node.admin();
    let generate = async |fields: Value| {
        let mut wish =
            json!({"keyType": "PRODUCTION", "keyManager": "Theirs", "grantTypesToBeSupported": ["client_credentials"]});
        wish.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        admin.json("POST", &format!("{store}/generate-keys"), &wish).await.expect("generate")
    };
    generate(json!({})).await.expect(400);
    let path = register(node, idp, json!({"issuer": format!("{idp_url}/oauth2/token")})).await;
    // The keys of the application here stay as they are.
    let keys = generate(json!({})).await.expect(200).json();
    assert_eq!((&keys["mode"], &keys["keyManager"]), (&json!("CREATED"), &json!("Theirs")), "{keys}");
    generate(json!({})).await.expect(409);
    let refused = generate(json!({"keyType": "SANDBOX", "callbackUrl": "regexp=(https://a|https://b)"})).await;
    assert!(refused.expect(400).text().contains("callbackUrl"));
    let (client, secret) = (text(&keys, "consumerKey"), text(&keys, "consumerSecret"));
    let there = |client: &str, secret: &str| {
        let signed_in = idp.anonymous().with_basic(client, secret);
        async move {
            let form = [("content-type", "application/x-www-form-urlencoded")];
            signed_in.send("POST", "/oauth2/token", &form, "grant_type=client_credentials").await.expect("token")
        }
    };
    let token = text(&there(&client, &secret).await.expect(200).json(), "access_token");
    for token in [token, text(&keys["token"], "accessToken")] {
        node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    }
    let key = format!("{store}/oauth-keys/{}", text(&keys, "keyMappingId"));
    let shown = admin.get(&key).await.expect("show").expect(200).json();
    assert_eq!((text(&shown, "consumerKey"), text(&shown, "consumerSecret")), (client.clone(), secret.clone()));
    let more =
        admin.json("POST", &format!("{key}/generate-token"), &json!({})).await.expect("token").expect(200).json();
    node.gateway().with_bearer(&text(&more, "accessToken")).get(&menu).await.expect("call").expect(200);
    admin.json("POST", &format!("{key}/regenerate-secret"), &json!({})).await.expect("regenerate").expect(409);

    // With the key goes its client there; with the application go those of all its keys.
    admin.send("DELETE", &key, &[], "").await.expect("remove").expect(200);
    there(&client, &secret).await.expect(401);
    let again = generate(json!({"keyType": "SANDBOX"})).await.expect(200).json();
    let (client, secret) = (text(&again, "consumerKey"), text(&again, "consumerSecret"));
    there(&client, &secret).await.expect(200);
    admin.send("DELETE", &store, &[], "").await.expect("delete").expect(200);
    harness::until("the client to be deleted", async || (there(&client, &secret).await.status == 401).then_some(()))
        .await;
    // What it refuses is told; where it does not answer, that is.
    let refused = json!({"additionalProperties": {"Username": "admin", "Password": "wrong"}});
    let mut body = admin.get(&path).await.expect("get").expect(200).json();
    body.as_object_mut().expect("an object").extend(refused.as_object().expect("an object").clone());
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    let other = json!({"name": "other", "throttlingPolicy": "Unlimited"});
    let other = admin.json("POST", "/api/am/devportal/v3/applications", &other).await.expect("make").expect(201).json();
    let generate = format!("/api/am/devportal/v3/applications/{}/generate-keys", text(&other, "applicationId"));
    let wish =
        json!({"keyType": "PRODUCTION", "keyManager": "Theirs", "grantTypesToBeSupported": ["client_credentials"]});
    let refused = admin.json("POST", &generate, &wish).await.expect("generate").expect(400).text();
    assert!(refused.contains("Theirs refuses"), "{refused}");
    idp.terminate().await;
    admin.json("POST", &generate, &wish).await.expect("generate").expect(503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_manager_of_all_tenants_is_the_first_tenants_and_its_tokens_call_for_another() {
    let elsewhere = Cluster::start(1).await;
    let idp = &elsewhere.nodes[0];
    let cluster = trusting(idp, 1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let (name, password) = ("tom@shop.example", "a good password");
    let tenant = json!({"domain": "shop.example", "owners": [{"username": "tom", "password": password,
        "email": "tom@example.com", "firstname": "Tom", "lastname": "T", "provisioningMethod": "inline-password"}]});
    admin.json("POST", "/api/server/v1/tenants", &tenant).await.expect("tenant").expect(201);
    let tom = node.as_user(name, password);
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { as_user: Some((name, password)), ..Wish::new("goods", &url) };
    let published = journey::publish_and_subscribe(node, &wish).await;
    let theirs = journey::publish_and_subscribe(idp, &Wish::new("theirs", &url)).await;
    let token = journey::token(idp, &theirs).await;
    let code = async || {
        let reply = node.gateway().with_bearer(&token).get("/t/shop.example/goods/1.0.0/menu").await.expect("call");
        if reply.status == 200 { "200".to_owned() } else { text(&reply.json(), "code") }
    };

    const GLOBAL: &str = "/api/am/admin/v4/global-key-managers";
    let body = json!({
        "name": "Theirs", "type": "custom", "issuer": "https://theirs.example",
        "introspectionEndpoint": format!("{}/oauth2/introspect", idp.management_url()),
        "additionalProperties": {"Username": "admin", "Password": harness::PASSWORD},
    });
    tom.json("POST", GLOBAL, &body).await.expect("refused").expect(403);
    // Whoever says so of his own has one of his own.
    let mut own = body.clone();
    own["global"] = json!(true);
    let own = admin.json("POST", ADMIN, &own).await.expect("own").expect(201).json();
    let own = text(&own, "id");
    assert_eq!(code().await, "900901");
    admin.json("PUT", &format!("{GLOBAL}/{own}"), &body).await.expect("not global").expect(404);
    admin.send("DELETE", &format!("{GLOBAL}/{own}"), &[], "").await.expect("not global").expect(404);
    admin.send("DELETE", &format!("{ADMIN}/{own}"), &[], "").await.expect("delete").expect(200);

    let made = admin.json("POST", GLOBAL, &body).await.expect("global").expect(201);
    let id = text(&made.json(), "id");
    let path = format!("{GLOBAL}/{id}");
    assert_eq!((made.header("location"), &made.json()["global"]), (&*path, &json!(true)));
    for (client, list, count) in [(&tom, ADMIN, 2), (&admin, ADMIN, 2), (&admin, GLOBAL, 1)] {
        let list = client.get(list).await.expect("list").expect(200).json();
        let named = list["list"].as_array().and_then(|list| list.iter().find(|one| one["name"] == "Theirs").cloned());
        assert_eq!((&list["count"], &named.expect("Theirs")["isGlobal"]), (&json!(count), &json!(true)));
    }
    tom.get(GLOBAL).await.expect("list").expect(403);
    for client in [&tom, &admin] {
        let changed = client.json("PUT", &format!("{ADMIN}/{id}"), &body).await.expect("not own");
        assert_eq!(changed.status, 403, "{}", changed.text());
        client.send("DELETE", &format!("{ADMIN}/{id}"), &[], "").await.expect("not own").expect(403);
    }

    assert_eq!(code().await, "900908", "good, but mapped to no application");
    let store = format!("/api/am/devportal/v3/applications/{}", published.application);
    let mapping = json!({"consumerKey": theirs.client_id, "keyManager": "Theirs", "keyType": "PRODUCTION"});
    tom.json("POST", &format!("{store}/map-keys"), &mapping).await.expect("map").expect(200);
    assert_eq!(code().await, "200");
    let used = tom.get(&format!("{ADMIN}/{id}/app-usages")).await.expect("usage").expect(200).json();
    assert_eq!((&used["applicationCount"], &used["applications"][0]["owner"]), (&json!(1), &json!("tom")), "{used}");
    let used = tom.get(&format!("{ADMIN}/{id}/api-usages")).await.expect("usage").expect(200).json();
    assert_eq!((&used["apiCount"], &used["apis"][0]["keyManagerEntry"]), (&json!(1), &json!("all")), "{used}");
    let used = admin.get(&format!("{ADMIN}/{id}/app-usages")).await.expect("usage").expect(200).json();
    assert_eq!(used["applicationCount"], 0, "another tenant's");
    let resident = tom.get(&format!("{ADMIN}/Resident%20Key%20Manager/app-usages")).await.expect("usage").expect(200);
    assert_eq!(resident.json()["applicationCount"], 1);
    tom.get(&format!("{ADMIN}/nobody/app-usages")).await.expect("usage").expect(404);

    let mut disabled = body.clone();
    disabled["enabled"] = json!(false);
    admin.json("PUT", &path, &disabled).await.expect("disable").expect(200);
    assert_eq!(code().await, "900901", "in force when it answers");
    admin.json("PUT", &path, &body).await.expect("enable").expect(200);
    assert_eq!(code().await, "200");
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    assert_eq!(code().await, "900901");
    admin.get(&path).await.expect("gone").expect(404);
}
