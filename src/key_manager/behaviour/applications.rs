//! Behaviour of the original's `applications`, `claim-dialects` and `oidc/scopes`.

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use portcullis_model::port::Identity;
use portcullis_model::{Principal, TenantDomain, TokenType, Username};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::world::{Node, SECRET, World, basic, sign_in_form};

/// Asks as a user of a tenant who has one scope.
async fn ask_as(node: &Node, (tenant, scope): (&str, &str), method: &str, path: &str, body: &Value) -> (u16, Value) {
    let principal = Principal { tenant: TenantDomain(tenant.to_owned()), username: Username("ann".to_owned()) };
    let scopes = [scope.to_owned()].into();
    let identity = Identity { principal, roles: [].into(), scopes, origin: None, is_token: false };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.extension(identity).body(Body::from(body.to_string())).unwrap();
    let response = node.faces.server_v1.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

const ADMIN: (&str, &str) = ("carbon.super", "apim:admin");

async fn ask(node: &Node, method: &str, path: &str, body: &Value) -> (u16, Value) {
    ask_as(node, ADMIN, method, path, body).await
}

async fn user_info(node: &Node, token: &str) -> Value {
    let request = Request::get("/oauth2/userinfo").header("authorization", format!("Bearer {token}"));
    node.send(request.body(Body::empty()).unwrap()).await.2
}

#[tokio::test]
async fn an_administrator_finds_a_client_by_its_id_and_says_what_it_is_told_about_users() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let by_id = format!("/applications?filter=clientId%20eq%20{}", world.client);
    let (status, found) = ask(&node, "GET", &by_id, &Value::Null).await;
    assert_eq!((status, &found["totalResults"]), (200, &json!(1)), "{found}");
    let path = format!("/applications/{}", found["applications"][0]["id"].as_str().unwrap());
    for (filter, count) in [("name%20sw%20pizza", 1), ("name%20co%20nothing", 0), ("clientId%20eq%20x", 0)] {
        let (_, found) = ask(&node, "GET", &format!("/applications?filter={filter}"), &Value::Null).await;
        assert_eq!(found["totalResults"], count, "{filter}");
    }
    assert_eq!(ask(&node, "GET", "/applications?filter=size%20eq%201", &Value::Null).await.0, 400);

    let (token, _) = node.token(&sign_in_form("openid")).await;
    assert_eq!(user_info(&node, &token).await["preferred_username"], "admin");
    let requested = json!({"claimConfiguration": {
        "dialect": "CUSTOM",
        "claimMappings": [{"applicationClaim": "login", "localClaim": {"uri": "http://wso2.org/claims/username"}}],
        "requestedClaims": [{"claim": {"uri": "http://wso2.org/claims/username"}}],
    }});
    assert_eq!(ask(&node, "PATCH", &path, &requested).await.0, 200);
    assert_eq!(user_info(&node, &token).await, json!({"sub": "admin@carbon.super", "login": "admin"}));
    let (_, shown) = ask(&node, "GET", &path, &Value::Null).await;
    let configuration = &shown["claimConfiguration"];
    assert_eq!((&configuration["dialect"], &configuration["role"]["mappings"]), (&json!("CUSTOM"), &json!([])));
    for wrong in [json!({"name": "x"}), json!({}), json!({"claimConfiguration": {"dialect": "X"}}), json!([])] {
        assert_eq!(ask(&node, "PATCH", &path, &wrong).await.0, 400, "{wrong}");
    }

    // Others see nothing of it.
    assert_eq!(ask_as(&node, ("shop.example", "apim:admin"), "GET", &path, &Value::Null).await.0, 404);
    assert_eq!(ask_as(&node, ("carbon.super", "apim:subscribe"), "GET", &path, &Value::Null).await.0, 403);
}

#[tokio::test]
async fn a_revoked_client_and_its_tokens_are_worth_nothing_until_it_has_another_secret() {
    for form in [TokenType::Jwt, TokenType::Opaque] {
        let world = World::new(form);
        let node = world.node();
        let oidc = format!("/applications/{}/inbound-protocols/oidc", world.client);
        let (token, refresh) = node.token(&sign_in_form("order")).await;
        node.validate(&token).await.unwrap();
        let (status, _) =
            ask_as(&node, ("shop.example", "apim:admin"), "POST", &format!("{oidc}/revoke"), &Value::Null).await;
        assert_eq!(status, 404);
        assert_eq!(ask(&node, "POST", &format!("{oidc}/revoke"), &Value::Null).await.0, 200);
        assert_eq!(ask(&node, "GET", &oidc, &Value::Null).await.1["state"], "REVOKED");
        node.validate(&token).await.unwrap_err();
        let credentials = "grant_type=client_credentials";
        assert_eq!(node.post("/oauth2/token", credentials).await.0, StatusCode::UNAUTHORIZED);

        let (status, renewed) = ask(&node, "POST", &format!("{oidc}/regenerate-secret"), &Value::Null).await;
        assert_eq!((status, &renewed["state"]), (200, &json!("ACTIVE")), "{renewed}");
        let secret = renewed["clientSecret"].as_str().unwrap();
        assert_ne!(basic("", secret), basic("", SECRET));
        assert_eq!(node.post("/oauth2/token", credentials).await.0, StatusCode::UNAUTHORIZED, "the old secret");
        // Tokens of the second of the revocation are worthless.
        world.wait(std::time::Duration::from_secs(2));
        let (status, _, _) = node.post_as(&world.client.0, secret, "/oauth2/token", credentials).await;
        assert_eq!(status, StatusCode::OK);
        node.validate(&token).await.unwrap_err();
        let again = format!("grant_type=refresh_token&refresh_token={}", refresh.unwrap());
        let (status, _, _) = node.post_as(&world.client.0, secret, "/oauth2/token", &again).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn dialects_and_scopes_say_which_claims_there_are() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let (_, dialects) = ask(&node, "GET", "/claim-dialects", &Value::Null).await;
    for dialect in dialects.as_array().unwrap() {
        let href = dialect["link"]["href"].as_str().unwrap().strip_prefix("/api/server/v1").unwrap();
        let (status, claims) = ask(&node, "GET", href, &Value::Null).await;
        let first = claims[0]["id"].as_str().unwrap();
        assert_eq!(status, 200, "{claims}");
        assert_eq!(ask(&node, "GET", &format!("{href}/{first}"), &Value::Null).await, (200, claims[0].clone()));
        assert_eq!(ask(&node, "GET", &format!("{href}/x"), &Value::Null).await.0, 404);
    }
    let (_, scopes) = ask(&node, "GET", "/oidc/scopes", &Value::Null).await;
    assert!(scopes.as_array().unwrap().len() > 3, "{scopes}");
    let (_, profile) = ask(&node, "GET", "/oidc/scopes/profile", &Value::Null).await;
    assert!(profile["claims"].to_string().contains("given_name"), "{profile}");
    assert_eq!(ask(&node, "GET", "/oidc/scopes/nothing", &Value::Null).await.0, 404);
    assert_eq!(ask_as(&node, ("carbon.super", "x"), "GET", "/oidc/scopes", &Value::Null).await.0, 403);
}

#[tokio::test]
async fn a_tenants_own_claim_is_told_under_its_own_name_by_its_own_scope() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    world.change(|state| {
        let key = (TenantDomain::super_tenant(), Username("admin".to_owned()));
        let user = state.user.users[&key].clone();
        let mut profile = portcullis_database::people::profile_of(&state.user, &user).as_ref().clone();
        profile.attributes = json!({"urn:scim:schemas:extension:custom:User": {"shoe": "41"}}).to_string();
        state.user.profiles.insert(key, std::sync::Arc::new(profile));
    });
    let local = json!({
        "claimURI": "http://wso2.org/claims/shoesize", "displayName": "Shoe size",
        "attributeMapping": [{"mappedAttribute": "shoe", "userstore": "PRIMARY"}],
    });
    assert_eq!(ask(&node, "POST", "/claim-dialects/local/claims", &local).await.0, 201);
    assert_eq!(ask(&node, "POST", "/claim-dialects/local/claims", &local).await.0, 409);
    let (_, dialects) = ask(&node, "GET", "/claim-dialects", &Value::Null).await;
    let oidc = format!("/claim-dialects/{}/claims", dialects[1]["id"].as_str().unwrap());
    let external = |mapped: &str| json!({"claimURI": "shoe_size", "mappedLocalClaimURI": mapped});
    assert_eq!(ask(&node, "POST", &oidc, &external("http://wso2.org/claims/nothing")).await.0, 404);
    assert_eq!(ask(&node, "POST", &oidc, &external("http://wso2.org/claims/shoesize")).await.0, 201);
    let scope = |name: &str, claims: &[&str]| json!({"name": name, "displayName": name, "claims": claims});
    assert_eq!(ask(&node, "POST", "/oidc/scopes", &scope("dress", &["nothing"])).await.0, 404);
    // A scope that means something else already cannot be given another meaning.
    for taken in ["order", "apim:admin", "openid"] {
        assert_eq!(ask(&node, "POST", "/oidc/scopes", &scope(taken, &["shoe_size"])).await.0, 409, "{taken}");
    }
    assert_eq!(ask(&node, "POST", "/oidc/scopes", &scope("dress", &["shoe_size"])).await.0, 201);

    let (token, _) = node.token(&sign_in_form("openid+dress")).await;
    assert_eq!(user_info(&node, &token).await["shoe_size"], "41");
    let (plain, _) = node.token(&sign_in_form("openid")).await;
    assert_eq!(user_info(&node, &plain).await.get("shoe_size"), None);
    assert_eq!(ask(&node, "PUT", "/oidc/scopes/dress", &scope("dress", &["nickname"])).await.0, 200);
    assert_eq!(user_info(&node, &token).await.get("shoe_size"), None);

    // A local claim that another stands for stays until that is gone.
    let (_, claims) = ask(&node, "GET", "/claim-dialects/local/claims", &Value::Null).await;
    let made = claims.as_array().unwrap().iter().find(|one| one["displayName"] == "Shoe size").unwrap();
    let path = format!("/claim-dialects/local/claims/{}", made["id"].as_str().unwrap());
    assert_eq!(ask(&node, "DELETE", &path, &Value::Null).await.0, 400);
    let (_, claims) = ask(&node, "GET", &oidc, &Value::Null).await;
    let made = claims.as_array().unwrap().iter().find(|one| one["claimURI"] == "shoe_size").unwrap();
    assert_eq!(ask(&node, "DELETE", &format!("{oidc}/{}", made["id"].as_str().unwrap()), &Value::Null).await.0, 204);
    assert_eq!(ask(&node, "DELETE", &path, &Value::Null).await.0, 204);

    let uri = json!({"dialectURI": "urn:ours"});
    assert_eq!(ask(&node, "POST", "/claim-dialects", &uri).await.0, 201);
    assert_eq!(ask(&node, "GET", "/claim-dialects", &Value::Null).await.1.as_array().unwrap().len(), 3);
    for fixed in ["local", dialects[1]["id"].as_str().unwrap()] {
        assert_eq!(ask(&node, "DELETE", &format!("/claim-dialects/{fixed}"), &Value::Null).await.0, 400);
    }
    // Another tenant has its own.
    let (_, other) = ask_as(&node, ("shop.example", "apim:admin"), "GET", "/claim-dialects", &Value::Null).await;
    assert_eq!(other.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_identity_provider_is_described_without_its_secret_ever_being_shown() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let property = |key: &str, value: &str| json!({"key": key, "value": value});
    let described = |token_url: &str| {
        json!({
            "name": "Partner", "idpIssuerName": "https://idp.example",
            "certificate": {"jwksUri": "https://idp.example/jwks"},
            "federatedAuthenticators": {"authenticators": [{"name": "OpenIDConnectAuthenticator", "isEnabled": true,
                "properties": [
                    property("ClientId", "portal"), property("ClientSecret", "s3cr3t"),
                    property("OAuth2AuthzEPUrl", "https://idp.example/authorize"), property("OAuth2TokenEPUrl", token_url),
                ]}]},
        })
    };
    for (wrong, told) in [
        (json!({"name": ""}), "name"),
        (described("http://idp.example/token"), "OAuth2TokenEPUrl"),
        (described(""), "OAuth2TokenEPUrl"),
    ] {
        let (status, body) = ask(&node, "POST", "/identity-providers", &wrong).await;
        assert!(status == 400 && body["description"].as_str().unwrap().contains(told), "{body}");
    }
    let (status, made) = ask(&node, "POST", "/identity-providers", &described("https://idp.example/token")).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/identity-providers/{}", made["id"].as_str().unwrap());
    let again = described("https://idp.example/token");
    assert_eq!(ask(&node, "POST", "/identity-providers", &again).await.0, 409);
    let roles = json!({"mappings": [{"idpRole": "cook", "localRole": "Internal/creator"}]});
    assert_eq!(ask(&node, "PUT", &format!("{path}/roles"), &roles).await.0, 200);
    assert_eq!(ask(&node, "GET", &format!("{path}/roles"), &Value::Null).await, (200, roles));
    let jit = json!({"isEnabled": true});
    assert_eq!(ask(&node, "PUT", &format!("{path}/provisioning/jit"), &jit).await.0, 200);
    let off = json!([{"operation": "REPLACE", "path": "/isEnabled", "value": false}]);
    let (status, changed) = ask(&node, "PATCH", &path, &off).await;
    assert_eq!((status, &changed["isEnabled"], &changed["provisioning"]["jit"]), (200, &json!(false), &jit));
    let (_, shown) = ask(&node, "GET", &path, &Value::Null).await;
    assert!(!shown.to_string().contains("s3cr3t") && shown["idpIssuerName"] == "https://idp.example", "{shown}");
    let (_, found) = ask(&node, "GET", "/identity-providers?filter=name%20sw%20Part", &Value::Null).await;
    assert_eq!(found["totalResults"], 1, "{found}");
    assert_eq!(ask_as(&node, ("shop.example", "apim:admin"), "GET", &path, &Value::Null).await.0, 404);
    assert_eq!(ask(&node, "DELETE", &path, &Value::Null).await.0, 204);
    assert_eq!(ask(&node, "GET", &path, &Value::Null).await.0, 404);
}
