//! Keys of applications, from the first token to their removal.

use serde_json::json;

use super::machine::Machine;

const GENERATE: &str = r#"{"keyType": "PRODUCTION", "keyManager": "Resident Key Manager",
    "grantTypesToBeSupported": ["client_credentials", "password"], "callbackUrl": "https://example.com/cb",
    "scopes": ["am_application_scope", "default", "read"], "validityTime": "600",
    "additionalProperties": {"application_access_token_expiry_time": 120}}"#;

#[tokio::test]
async fn keys_are_generated_with_a_token_shown_changed_and_removed() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    let keys = machine.sam(&format!("POST /applications/{id}/generate-keys"), GENERATE).await.expect(200);
    let (mapping, client) = (keys.text("keyMappingId"), keys.text("consumerKey"));
    assert_eq!(keys.body["consumerSecret"], "secret0");
    assert_eq!(keys.body["keyState"], "COMPLETED");
    assert_eq!(keys.body["mode"], "CREATED");
    assert_eq!(
        keys.body["token"],
        json!({ "accessToken": format!("token-of-{client}-read"), "tokenScopes": ["read"], "validityTime": 600 })
    );
    machine.sam(&format!("POST /applications/{id}/generate-keys"), GENERATE).await.expect(409);
    let stored = machine.cell.load().apimgt.clients.values().next().unwrap().clone();
    assert_eq!((stored.token_validity_s, stored.name.as_str()), (Some(120), "sam_Shop_PRODUCTION"));

    for path in [format!("oauth-keys/{mapping}"), "keys/PRODUCTION".to_owned()] {
        let shown = machine.sam(&format!("GET /applications/{id}/{path}"), "").await.expect(200);
        assert_eq!((shown.text("consumerKey"), shown.text("consumerSecret")), (client.clone(), "secret0".to_owned()));
    }
    for path in ["oauth-keys", "keys"] {
        assert_eq!(machine.sam(&format!("GET /applications/{id}/{path}"), "").await.expect(200).body["count"], 1);
    }
    let change = r#"{"supportedGrantTypes": ["client_credentials"], "callbackUrl": ""}"#;
    let changed = machine.sam(&format!("PUT /applications/{id}/oauth-keys/{mapping}"), change).await.expect(200);
    assert_eq!(changed.body["supportedGrantTypes"], json!(["client_credentials"]));
    assert_eq!(changed.body["additionalProperties"]["application_access_token_expiry_time"], 120, "kept");

    let renewed =
        machine.sam(&format!("POST /applications/{id}/keys/PRODUCTION/regenerate-secret"), "").await.expect(200);
    assert_eq!(renewed.body, json!({ "consumerKey": client, "consumerSecret": "secret2" }));
    let again = machine.sam(&format!("GET /applications/{id}/keys/PRODUCTION"), "").await.expect(200);
    assert_eq!(again.body["consumerSecret"], "secret2");

    machine.sam(&format!("POST /applications/{id}/oauth-keys/{mapping}/clean-up"), "").await.expect(200);
    machine.sam(&format!("GET /applications/{id}/oauth-keys/{mapping}"), "").await.expect(404);
    machine.sam(&format!("POST /applications/{id}/generate-keys"), GENERATE).await.expect(200);
}

#[tokio::test]
async fn a_token_is_issued_only_with_the_grant_and_the_right_secret() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    let body = r#"{"keyType": "SANDBOX", "grantTypesToBeSupported": ["password"]}"#;
    let keys = machine.sam(&format!("POST /applications/{id}/generate-keys"), body).await.expect(200);
    assert_eq!(keys.body["token"], json!(null));
    let path = format!("/applications/{id}/oauth-keys/{}", keys.text("keyMappingId"));
    machine.sam(&format!("POST {path}/generate-token"), "{}").await.expect(400);
    machine.sam(&format!("PUT {path}"), r#"{"supportedGrantTypes": ["client_credentials"]}"#).await.expect(200);
    let body = r#"{"consumerSecret": "secret0", "validityPeriod": 60, "scopes": ["read"], "revokeToken": ""}"#;
    let token = machine.sam(&format!("POST {path}/generate-token"), body).await.expect(200);
    assert_eq!((&token.body["validityTime"], &token.body["tokenScopes"]), (&json!(60), &json!(["read"])));
    let wrong = r#"{"consumerSecret": "guess"}"#;
    machine.sam(&format!("POST {path}/generate-token"), wrong).await.expect(400);
    machine.sam(&format!("POST /applications/{id}/keys/PRODUCTION/generate-token"), "{}").await.expect(404);
}

#[tokio::test]
async fn bad_key_requests_are_refused_and_change_nothing() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    for (body, says) in [
        (r#"{"grantTypesToBeSupported": ["password"]}"#, "keyType"),
        (r#"{"keyType": "TEST", "grantTypesToBeSupported": ["password"]}"#, "keyType: unknown variant"),
        (r#"{"keyType": "SANDBOX", "grantTypesToBeSupported": []}"#, "at least one"),
        (r#"{"keyType": "SANDBOX", "grantTypesToBeSupported": ["magic"]}"#, "magic is no grant type"),
        (r#"{"keyType": "SANDBOX", "grantTypesToBeSupported": ["authorization_code"]}"#, "is required"),
        (r#"{"keyType": "SANDBOX", "grantTypesToBeSupported": ["password"], "callbackUrl": "here"}"#, "absolute URL"),
        (r#"{"keyType": "SANDBOX", "grantTypesToBeSupported": ["password"], "validityTime": "soon"}"#, "whole number"),
        (r#"{"keyType": "SANDBOX", "grantTypesToBeSupported": ["password"], "keyManager": "Okta"}"#, "Okta"),
    ] {
        let reply = machine.sam(&format!("POST /applications/{id}/generate-keys"), body).await.expect(400);
        assert!(reply.text("description").contains(says), "{body}: {}", reply.text("description"));
    }
    assert!(machine.cell.load().apimgt.clients.is_empty());
    machine.sam("POST /applications/00000000-0000-4000-8000-000000000000/generate-keys", GENERATE).await.expect(404);
    machine.send("eve", &format!("POST /applications/{id}/generate-keys"), GENERATE, &[]).await.expect(403);
}
