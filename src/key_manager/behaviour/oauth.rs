//! The OAuth endpoints and the registration of clients, as their callers see them.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use portcullis_database::Apimgtdb;
use portcullis_model::port::{Credentials, KeyRefusal};
use portcullis_model::{SigningKeyId, TenantDomain, TokenType, User, Username};
use serde_json::{Value, json};

use super::world::{PASSWORD, SECRET, World, basic, sign_in_form};

const OWN: &str = "grant_type=client_credentials";
const DCR: &str = "/client-registration/v0.17/register";

#[tokio::test]
async fn a_token_reply_has_the_fields_of_the_rfc_and_nobody_keeps_it() {
    let world = World::new(TokenType::Opaque);
    let (status, headers, body) = world.node().post("/oauth2/token", OWN).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&headers["cache-control"], &headers["pragma"]),
        (&"no-store".parse().unwrap(), &"no-cache".parse().unwrap())
    );
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3_600);
    assert_eq!(body["scope"], "default");
}

#[tokio::test]
async fn a_wrong_secret_or_client_gets_401_invalid_client() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    for (id, secret) in
        [(world.client.0.as_str(), "wrong"), ("nobody", SECRET), ("", ""), (world.client.0.as_str(), "")]
    {
        let (status, headers, body) = node.post_as(id, secret, "/oauth2/token", OWN).await;
        assert_eq!((status, &body["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")), "{id}");
        assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    }
    let form = format!("{OWN}&client_id={}&client_secret={SECRET}", world.client);
    let in_body = |form: String| {
        Request::post("/oauth2/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
    };
    assert_eq!(node.send(in_body(form.clone()).unwrap()).await.0, StatusCode::OK);
    assert_eq!(node.send(in_body(OWN.to_owned()).unwrap()).await.0, StatusCode::UNAUTHORIZED);
    let (status, _, body) = node.post("/oauth2/token", &form).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "not both ways at once");
}

#[tokio::test]
async fn bad_requests_get_the_error_codes_of_the_rfc() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let many_scopes = (0..300).map(|n| format!("s{n}")).collect::<Vec<_>>().join("+");
    for (form, error) in [
        ("", "invalid_request"),
        ("grant_type=", "invalid_request"),
        ("grant_type=client_credentials&grant_type=password", "invalid_request"),
        ("grant_type=magic", "unsupported_grant_type"),
        ("grant_type=password&username=admin", "invalid_request"),
        ("grant_type=password&username=admin&password=wrong", "invalid_grant"),
        ("grant_type=refresh_token&refresh_token=unknown", "invalid_grant"),
        ("grant_type=client_credentials&scope=%22", "invalid_scope"),
        (&format!("grant_type=client_credentials&scope={many_scopes}"), "invalid_scope"),
    ] {
        let (status, _, body) = node.post("/oauth2/token", form).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!(error)), "{form}");
    }
    let (status, ..) = node.post("/oauth2/token", &"a".repeat(65 << 10)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _, body) = node.json_as(&world.client.0, "POST", "/oauth2/token", &json!({})).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")));
}

#[tokio::test]
async fn a_token_carries_only_the_scopes_that_roles_back() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let asked = "order+bake+look+unknown+apim:admin+apim:nonsense+device_7";
    let (_, _, body) = node.post("/oauth2/token", &sign_in_form(asked)).await;
    assert_eq!(body["scope"], "order look apim:admin device_7");
    let (_, _, body) = node.post("/oauth2/token", &format!("{OWN}&scope={asked}")).await;
    assert_eq!(body["scope"], "order look device_7", "an application's own token does not act as its owner");
    let (_, _, body) = node.post("/oauth2/token", &format!("{OWN}&scope=bake")).await;
    assert_eq!(body["scope"], "default");
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_second_use_revokes_the_family() {
    for form in [TokenType::Opaque, TokenType::Jwt] {
        let world = World::new(form);
        let node = world.node();
        let (first, refresh) = node.token(&sign_in_form("order+look")).await;
        let unrelated = node.token(&sign_in_form("order")).await.0;
        let spend = format!("grant_type=refresh_token&refresh_token={}", refresh.unwrap());
        let (status, _, body) = node.post("/oauth2/token", &format!("{spend}&scope=bake")).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_scope")));
        let (second, next) = node.token(&spend).await;
        assert_eq!(node.validate(&second).await.unwrap().scopes, ["order", "look"]);
        assert!(node.validate(&first).await.is_ok(), "the token before lives on until its own end");
        let (status, _, body) = node.post("/oauth2/token", &spend).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
        for token in [&first, &second] {
            assert_eq!(node.validate(token).await.unwrap_err(), KeyRefusal::Invalid, "{form:?}");
        }
        let spend = format!("grant_type=refresh_token&refresh_token={}", next.unwrap());
        assert_eq!(node.post("/oauth2/token", &spend).await.0, StatusCode::BAD_REQUEST);
        assert!(node.validate(&unrelated).await.is_ok());
        let view = node.view();
        assert_eq!((view.read::<Apimgtdb>().tokens.len(), view.read::<Apimgtdb>().token_families.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_refresh_token_ends_and_can_be_revoked() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let (token, refresh) = node.token(&sign_in_form("order")).await;
    let refresh = refresh.unwrap();
    assert_eq!(node.post("/oauth2/revoke", &format!("token={refresh}")).await.0, StatusCode::OK);
    assert_eq!(node.validate(&token).await.unwrap_err(), KeyRefusal::Invalid, "what came with it goes too");
    assert_eq!(node.post("/oauth2/revoke", &format!("token={refresh}")).await.0, StatusCode::OK, "twice does no harm");
    let (token, refresh) = node.token(&sign_in_form("order")).await;
    world.wait(Duration::from_secs(7_201));
    assert_eq!(node.validate(&token).await.unwrap_err(), KeyRefusal::Expired);
    node.post("/oauth2/revoke", &format!("token={token}")).await;
    let spend = format!("grant_type=refresh_token&refresh_token={}", refresh.unwrap());
    assert_eq!(
        node.post("/oauth2/token", &spend).await.0,
        StatusCode::BAD_REQUEST,
        "an ended token takes its refresh token along"
    );
    let (_, refresh) = node.token(&sign_in_form("order")).await;
    world.wait(Duration::from_secs(84_601));
    let (status, _, body) =
        node.post("/oauth2/token", &format!("grant_type=refresh_token&refresh_token={}", refresh.unwrap())).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
}

#[tokio::test]
async fn clients_and_administrators_may_ask_what_a_token_is() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let (token, refresh) = node.token(&sign_in_form("order")).await;
    let ask = format!("token={token}");
    for (id, secret) in [(world.client.0.as_str(), SECRET), ("admin", PASSWORD)] {
        let (status, _, body) = node.post_as(id, secret, "/oauth2/introspect", &ask).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!((&body["active"], &body["scope"]), (&json!(true), &json!("order")));
        assert_eq!((&body["username"], &body["client_id"]), (&json!("admin@carbon.super"), &json!(world.client.0)));
        assert_eq!(body["exp"].as_u64().unwrap() - body["iat"].as_u64().unwrap(), 3_600);
    }
    let (_, _, body) = node.post("/oauth2/introspect", &format!("token={}", refresh.unwrap())).await;
    assert_eq!((&body["active"], &body["token_type"]), (&json!(true), &json!("refresh_token")));
    assert_eq!(node.post_as("admin", "wrong", "/oauth2/introspect", &ask).await.0, StatusCode::UNAUTHORIZED);
    node.post("/oauth2/revoke", &ask).await;
    let (_, _, body) = node.post("/oauth2/introspect", &ask).await;
    assert_eq!(body, json!({ "active": false }));
}

#[tokio::test]
async fn user_info_needs_a_users_token_with_openid() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let ask = async |token: &str| {
        let request = Request::get("/oauth2/userinfo").header("authorization", format!("Bearer {token}"));
        node.send(request.body(Body::empty()).unwrap()).await
    };
    let (_, _, body) = ask(&node.token(&sign_in_form("openid")).await.0).await;
    assert_eq!((&body["sub"], &body["preferred_username"]), (&json!("admin@carbon.super"), &json!("admin")));
    assert_eq!(ask(&node.token(&sign_in_form("order")).await.0).await.0, StatusCode::FORBIDDEN);
    let (status, headers, _) = ask("made-up").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(headers["www-authenticate"].to_str().unwrap().contains("invalid_token"));
}

#[tokio::test]
async fn a_client_registers_reads_changes_and_deletes_itself() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let dcr = json!({
        "callbackUrl": "www.example.com", "clientName": "rest_api_publisher", "owner": "admin",
        "grantType": "client_credentials password refresh_token", "saasApp": true,
    });
    let (status, _, made) = node.json_as("admin", "POST", DCR, &dcr).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let (id, secret) = (made["clientId"].as_str().unwrap(), made["clientSecret"].as_str().unwrap());
    assert_eq!((&made["appOwner"], &made["isSaasApplication"]), (&json!("admin"), &json!(true)));
    let details: Value = serde_json::from_str(made["jsonString"].as_str().unwrap()).unwrap();
    assert_eq!(details["grant_types"], "client_credentials password refresh_token");

    let (_, _, again) = node.json_as("admin", "POST", DCR, &dcr).await;
    assert_eq!(again, made, "the same name is the same client");

    let (_, _, body) = node.post_as(id, secret, "/oauth2/token", &sign_in_form("apim:api_view+apim:api_create")).await;
    assert_eq!(body["scope"], "apim:api_view apim:api_create");
    let token = body["access_token"].as_str().unwrap();
    let identity = node.faces.authentication.authenticate(Credentials::Bearer(token)).await.unwrap();
    assert!(identity.has_any(&["apim:api_create"]) && !identity.has_any(&["apim:admin"]));
    assert_eq!(node.validate(token).await.unwrap_err(), KeyRefusal::NotSubscribed);

    let path = format!("{DCR}/{id}");
    let changed = json!({ "clientName": "renamed", "grantType": "client_credentials", "tokenType": "OAUTH" });
    assert_eq!(node.json_as("admin", "PUT", &path, &changed).await.0, StatusCode::OK);
    let (_, _, read) = node.json_as("admin", "GET", &path, &json!({})).await;
    assert_eq!(
        (&read["clientName"], &read["tokenType"], &read["clientSecret"]),
        (&json!("renamed"), &json!("OAUTH"), &json!(secret))
    );
    let (status, _, body) = node.post_as(id, secret, "/oauth2/token", &sign_in_form("apim:api_view")).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("unauthorized_client")));

    assert_eq!(node.json_as("admin", "DELETE", &path, &json!({})).await.0, StatusCode::NO_CONTENT);
    assert!(node.faces.authentication.authenticate(Credentials::Bearer(token)).await.is_err());
    assert_eq!(node.json_as("admin", "GET", &path, &json!({})).await.0, StatusCode::NOT_FOUND);
    assert!(node.view().read::<Apimgtdb>().client_names.is_empty());
}

#[tokio::test]
async fn registration_refuses_strangers_and_bad_fields() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let nobody = Request::post(DCR).header("content-type", "application/json").body(Body::from("{}")).unwrap();
    assert_eq!(node.send(nobody).await.0, StatusCode::UNAUTHORIZED);
    let of_an_application = format!("{DCR}/{}", world.client);
    assert_eq!(node.json_as("admin", "DELETE", &of_an_application, &json!({})).await.0, StatusCode::NOT_FOUND);
    for bad in [
        json!({}),
        json!({ "clientName": "" }),
        json!({ "clientName": 7 }),
        json!({ "clientName": "x".repeat(256) }),
        json!({ "clientName": "x", "grantType": "" }),
        json!({ "clientName": "x", "tokenType": "PAPER" }),
        json!({ "clientName": "x", "owner": "stranger" }),
        json!({ "clientName": "x", "callbackUrl": "u".repeat(3_000) }),
    ] {
        let (status, _, body) = node.json_as("admin", "POST", DCR, &bad).await;
        assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!(400)), "{bad} {body}");
    }
}

#[tokio::test]
async fn everything_that_discovery_lists_is_served() {
    let world = World::new(TokenType::Jwt);
    let node = world.node();
    let get = async |path: &str| node.send(Request::get(path).body(Body::empty()).unwrap()).await;
    for path in ["/.well-known/oauth-authorization-server", "/oauth2/token/.well-known/openid-configuration"] {
        let (_, _, metadata) = get(path).await;
        assert_eq!(metadata["issuer"], "https://localhost:9443/oauth2/token");
        let listed =
            metadata.as_object().unwrap().iter().filter(|(key, _)| key.ends_with("_endpoint") || *key == "jwks_uri");
        for (key, url) in listed {
            let path = url.as_str().unwrap().strip_prefix("https://localhost:9443").unwrap();
            assert_ne!(get(path).await.0, StatusCode::NOT_FOUND, "{key}");
        }
    }
    let (_, _, keys) = get("/oauth2/jwks").await;
    let key = &keys["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
        (&json!("EC"), &json!("P-256"), &json!("ES256"), &json!("sig"))
    );
    assert!(key["kid"].as_str().unwrap().parse::<SigningKeyId>().is_ok());
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_gateway_offers_the_token_endpoint() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let call = async |path: &str| {
        let request = Request::post(path)
            .header("authorization", basic(&world.client.0, SECRET))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from_static(OWN.as_bytes()))
            .unwrap();
        node.faces.oauth.call(request).await
    };
    let response = call("/token").await;
    assert_eq!(response.status(), StatusCode::OK);
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert!(node.validate(body["access_token"].as_str().unwrap()).await.is_ok());
    let pages = call("/authorize?client_id=x").await;
    assert_eq!(pages.status(), StatusCode::TEMPORARY_REDIRECT, "pages and their cookies live on one origin");
    assert_eq!(pages.headers()["location"], "https://localhost:9443/oauth2/authorize?client_id=x");
    assert_eq!(call("/client-registration/v0.17/register").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_client_serves_users_of_another_tenant_only_if_it_says_so() {
    let world = World::new(TokenType::Opaque);
    let node = world.node();
    let tenant = TenantDomain("example.com".to_owned());
    world.change(|state| {
        let admin = state.user.users[&(TenantDomain::super_tenant(), Username("admin".to_owned()))].as_ref().clone();
        state.user.tenants.insert(tenant.clone(), state.now());
        state
            .user
            .users
            .insert((tenant.clone(), admin.username.clone()), User { tenant: tenant.clone(), ..admin }.into());
    });
    let form = sign_in_form("apim:subscribe").replace("username=admin", "username=admin%40example.com");
    for (name, is_saas, expected) in [("narrow", false, StatusCode::BAD_REQUEST), ("wide", true, StatusCode::OK)] {
        let dcr = json!({ "clientName": name, "grantType": "password", "saasApp": is_saas });
        let (_, _, made) = node.json_as("admin", "POST", DCR, &dcr).await;
        let (id, secret) = (made["clientId"].as_str().unwrap(), made["clientSecret"].as_str().unwrap());
        let (status, _, body) = node.post_as(id, secret, "/oauth2/token", &form).await;
        assert_eq!(status, expected, "{body}");
        if let Some(token) = body["access_token"].as_str() {
            let identity = node.faces.authentication.authenticate(Credentials::Bearer(token)).await.unwrap();
            assert_eq!(identity.principal.tenant, tenant);
        }
    }
}
