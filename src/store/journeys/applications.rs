//! The life of an application, and what is refused.

use std::sync::atomic::Ordering;

use super::machine::Machine;

#[tokio::test]
async fn an_application_is_made_shown_changed_and_deleted() {
    let machine = Machine::start();
    let body = r#"{"name": "Shop", "throttlingPolicy": "50PerMin", "description": "Sells", "attributes": {"team": "a"},
        "applicationId": "ignored", "status": "", "keys": []}"#;
    let made = machine.sam("POST /applications", body).await.expect(201);
    let id = made.text("applicationId");
    assert_eq!(made.headers["location"], format!("/applications/{id}"));
    assert!(made.headers.contains_key("x-raft-index"));
    assert_eq!(
        (made.text("status"), made.text("tokenType"), made.text("owner")),
        ("APPROVED".to_owned(), "JWT".to_owned(), "sam".to_owned())
    );

    let shown = machine.sam(&format!("GET /applications/{id}"), "").await.expect(200);
    assert_eq!(shown.body, made.body);
    let change = r#"{"name": "Market", "throttlingPolicy": "Unlimited", "tokenType": "OAUTH"}"#;
    let stale = [("If-Match", "\"0123\"")];
    machine.send("sam", &format!("PUT /applications/{id}"), change, &stale).await.expect(412);
    let tag = [("If-Match", shown.headers["etag"].to_str().unwrap())];
    let changed = machine.send("sam", &format!("PUT /applications/{id}"), change, &tag).await.expect(200);
    assert_eq!((changed.text("name"), changed.text("tokenType")), ("Market".to_owned(), "OAUTH".to_owned()));
    machine.send("sam", &format!("DELETE /applications/{id}"), "", &tag).await.expect(412);

    let gone = machine.sam(&format!("DELETE /applications/{id}"), "").await.expect(200);
    assert_eq!(gone.headers["x-fence-unreached"], "3", "a delete says which node may not act on it yet");
    machine.sam(&format!("GET /applications/{id}"), "").await.expect(404);
    machine.sam(&format!("DELETE /applications/{id}"), "").await.expect(404);
}

#[tokio::test]
async fn applications_are_listed_for_their_owner_alone() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    machine.application("Bakery").await;
    let all = machine.sam("GET /applications?sortOrder=desc", "").await.expect(200);
    assert_eq!(all.body["list"][0]["name"], "Shop");
    assert_eq!(machine.sam("GET /applications?query=bAk", "").await.expect(200).body["count"], 1);
    for user in ["eve", "admin"] {
        assert_eq!(machine.send(user, "GET /applications", "", &[]).await.expect(200).body["count"], 0);
        machine.send(user, &format!("GET /applications/{id}"), "", &[]).await.expect(403);
        machine.send(user, &format!("DELETE /applications/{id}"), "", &[]).await.expect(403);
        machine.send(user, &format!("GET /applications/{id}/oauth-keys"), "", &[]).await.expect(403);
    }
}

#[tokio::test]
async fn bad_applications_are_refused_with_a_reason_and_change_nothing() {
    let machine = Machine::start();
    machine.application("Shop").await;
    let index = machine.cell.load().apimgt.applications.len();
    let long = "x".repeat(101);
    for (body, status, says) in [
        (r#"{"name": "sHoP", "throttlingPolicy": "Unlimited"}"#.to_owned(), 409, "exists already"),
        (r#"{"name": "A", "throttlingPolicy": "Platinum"}"#.to_owned(), 400, "there is no application policy Platinum"),
        (r#"{"name": "A"}"#.to_owned(), 400, "throttlingPolicy"),
        (r#"{"name": 7, "throttlingPolicy": "Unlimited"}"#.to_owned(), 400, "name: invalid type"),
        (r#"{"name": "", "throttlingPolicy": "Unlimited"}"#.to_owned(), 400, "1 to 100"),
        (format!(r#"{{"name": "{long}", "throttlingPolicy": "Unlimited"}}"#), 400, "1 to 100"),
        (r#"{"name": "A", "throttlingPolicy": "Unlimited", "tokenType": "SAML"}"#.to_owned(), 400, "tokenType"),
        (r#"{"name": "A", "throttlingPolicy": "Unlimited", "attributes": {"a": 1}}"#.to_owned(), 400, "attributes.a"),
        (r#"{"name": "A", "#.to_owned(), 400, "not valid JSON"),
    ] {
        let reply = machine.sam("POST /applications", &body).await.expect(status);
        assert!(reply.text("description").contains(says), "{body}: {}", reply.text("description"));
    }
    let no_type = machine.send("sam", "POST /applications", "", &[("content-type", "text/plain")]).await;
    assert_eq!(no_type.status, 415);
    assert_eq!(machine.cell.load().apimgt.applications.len(), index);
}

#[tokio::test]
async fn a_request_sent_again_with_its_key_acts_once() {
    let machine = Machine::start();
    let body = r#"{"name": "Shop", "throttlingPolicy": "Unlimited"}"#;
    let key = [("Idempotency-Key", "one")];
    let first = machine.send("sam", "POST /applications", body, &key).await.expect(201);
    let second = machine.send("sam", "POST /applications", body, &key).await.expect(201);
    assert_eq!(first.body, second.body);
    let path = format!("POST /applications/{}/generate-keys", first.text("applicationId"));
    let keys = r#"{"keyType": "PRODUCTION", "grantTypesToBeSupported": ["client_credentials"]}"#;
    let first = machine.send("sam", &path, keys, &[("Idempotency-Key", "two")]).await.expect(200);
    let second = machine.send("sam", &path, keys, &[("Idempotency-Key", "two")]).await.expect(200);
    assert_eq!(first.body, second.body, "the keys are those of the first request");
    machine.send("sam", &path, keys, &[("Idempotency-Key", "one")]).await.expect(422);
}

#[tokio::test]
async fn without_a_majority_this_node_still_shows_what_it_has_and_writes_say_that_they_cannot_be() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    machine.has_majority.store(false, Ordering::Relaxed);
    machine.sam(&format!("GET /applications/{id}"), "").await.expect(200);
    machine.sam(&format!("GET /applications/{id}?consistency=stale"), "").await.expect(200);
    machine.sam(&format!("GET /applications/{id}?consistency=linearizable"), "").await.expect(503);
    let refused = machine.sam(&format!("DELETE /applications/{id}"), "").await.expect(503);
    assert!(refused.headers.contains_key("retry-after"));
    machine.sam(&format!("GET /applications/{id}"), "").await.expect(200);
}
