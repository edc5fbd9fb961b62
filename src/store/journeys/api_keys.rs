//! API keys of applications, from the first to the last that is revoked.

use serde_json::json;

use super::machine::Machine;

#[tokio::test]
async fn keys_are_issued_listed_and_revoked_by_their_text_and_by_their_id() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    let body = r#"{"validityPeriod": 3600, "additionalProperties":
        {"permittedIP": "10.0.0.0/8", "permittedReferer": "https://a/*", "keyName": "phone"}}"#;
    let first = machine.sam(&format!("POST /applications/{id}/api-keys/PRODUCTION/generate"), body).await.expect(200);
    assert_eq!((first.text("apikey"), &first.body["validityTime"]), ("key0".to_owned(), &json!(3600)));
    // The contract lets the body be left out.
    let second = machine.sam(&format!("POST /applications/{id}/api-keys/SANDBOX/generate"), "").await.expect(200);
    assert_eq!(second.body["validityTime"], -1);

    let listed = machine.sam(&format!("GET /own/applications/{id}/api-keys"), "").await.expect(200);
    assert_eq!(listed.body["count"], 2);
    let shown = &listed.body["list"][0];
    assert_eq!(
        (&shown["name"], &shown["keyType"], &shown["form"]),
        (&json!("phone"), &json!("PRODUCTION"), &json!("jwt"))
    );
    assert_eq!((&shown["permittedIp"], &shown["expiresAt"]), (&json!(["10.0.0.0/8"]), &json!("2100-01-01T01:00:00Z")));
    assert!(!listed.body.to_string().contains("key0"), "a key is shown once: {}", listed.body);

    let revoke = format!("POST /applications/{id}/api-keys/PRODUCTION/revoke");
    for _ in 0..2 {
        let revoked = machine.sam(&revoke, r#"{"apikey": "key0"}"#).await.expect(200);
        assert_eq!(revoked.headers["x-fence-unreached"], "3", "the answer says who has not heard of it");
    }
    let key = second.text("keyId");
    machine.sam(&format!("DELETE /own/applications/{id}/api-keys/{key}"), "").await.expect(200);
    machine.sam(&format!("DELETE /own/applications/{id}/api-keys/{key}"), "").await.expect(404);
    assert!(machine.cell.load().apimgt.api_keys.is_empty());
}

#[tokio::test]
async fn bad_requests_and_other_peoples_applications_are_refused() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    let generate = format!("POST /applications/{id}/api-keys/PRODUCTION/generate");
    for (body, says) in [
        (r#"{"validityPeriod": 0}"#, "validityPeriod"),
        (r#"{"validityPeriod": "soon"}"#, "validityPeriod"),
        (r#"{"additionalProperties": {"permittedIP": "here"}}"#, "permittedIP"),
        ("[", "JSON"),
    ] {
        let reply = machine.sam(&generate, body).await.expect(400);
        assert!(reply.text("description").contains(says), "{body}: {}", reply.text("description"));
    }
    machine.sam(&format!("POST /applications/{id}/api-keys/TEST/generate"), "{}").await.expect(400);
    machine.send("eve", &generate, "{}", &[]).await.expect(403);
    machine.send("eve", &format!("GET /own/applications/{id}/api-keys"), "", &[]).await.expect(403);
    machine.send("", &generate, "{}", &[]).await.expect(401);
    machine
        .sam("POST /applications/00000000-0000-4000-8000-000000000000/api-keys/PRODUCTION/generate", "{}")
        .await
        .expect(404);

    let other = machine.application("Other").await;
    let key = machine.sam(&generate, "{}").await.expect(200).text("apikey");
    let body = json!({ "apikey": key }).to_string();
    machine.sam(&format!("POST /applications/{other}/api-keys/PRODUCTION/revoke"), &body).await.expect(400);
    machine.send("eve", &format!("POST /applications/{id}/api-keys/PRODUCTION/revoke"), &body, &[]).await.expect(403);
    for bad in [r#"{"apikey": ""}"#, r#"{"apikey": "a b"}"#, "{}"] {
        machine.sam(&format!("POST /applications/{id}/api-keys/PRODUCTION/revoke"), bad).await.expect(400);
    }
    assert_eq!(machine.cell.load().apimgt.api_keys.len(), 1);
}
