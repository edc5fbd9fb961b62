//! The life of a subscription, and what is refused.

use portcullis_model::{Api, Lifecycle, Subscription, SubscriptionState};
use std::sync::Arc;

use super::machine::Machine;
use super::nouns::api;

fn body(application: &str, api: u8, plan: &str) -> String {
    let api = super::nouns::api(api, "").id;
    format!(r#"{{"applicationId": "{application}", "apiId": "{api}", "throttlingPolicy": "{plan}"}}"#)
}

#[tokio::test]
async fn a_subscription_is_made_shown_changed_and_ended() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    let made = machine.sam("POST /subscriptions", &body(&id, 1, "Gold")).await.expect(201);
    let subscription = made.text("subscriptionId");
    assert_eq!(made.headers["location"], format!("/subscriptions/{subscription}"));
    assert_eq!((made.text("status"), made.text("throttlingPolicy")), ("UNBLOCKED".to_owned(), "Gold".to_owned()));
    assert_eq!(made.body["apiInfo"]["name"], "PizzaShack");
    assert_eq!(made.body["applicationInfo"]["subscriptionCount"], 1);
    machine.sam("POST /subscriptions", &body(&id, 1, "Bronze")).await.expect(409);

    let listed = machine.sam(&format!("GET /subscriptions?applicationId={id}"), "").await.expect(200);
    assert_eq!(listed.body["list"][0], machine.sam(&format!("GET /subscriptions/{subscription}"), "").await.body);
    let by_api = machine.sam(&format!("GET /subscriptions?apiId={}", api(1, "").id), "").await.expect(200);
    assert_eq!(by_api.body["pagination"]["total"], 1);
    machine.sam("GET /subscriptions", "").await.expect(400);

    let change = r#"{"throttlingPolicy": "Gold", "requestedThrottlingPolicy": "Bronze", "status": "UNBLOCKED"}"#;
    let changed = machine.sam(&format!("PUT /subscriptions/{subscription}"), change).await.expect(200);
    assert_eq!(changed.text("throttlingPolicy"), "Bronze");
    assert!(changed.headers.contains_key("x-fence-unreached"), "a change of plan holds everywhere");
    for wrong in [
        r#"{"throttlingPolicy": "Silver"}"#,
        r#"{"throttlingPolicy": "Gold", "status": "BLOCKED"}"#,
        r#"{"apiId": "x", "throttlingPolicy": "Gold"}"#,
        "{}",
    ] {
        machine.sam(&format!("PUT /subscriptions/{subscription}"), wrong).await.expect(400);
    }
    for line in ["GET", "DELETE"] {
        machine.send("eve", &format!("{line} /subscriptions/{subscription}"), "", &[]).await.expect(403);
    }
    machine.sam(&format!("DELETE /subscriptions/{subscription}"), "").await.expect(200);
    machine.sam(&format!("GET /subscriptions/{subscription}"), "").await.expect(404);
    machine.sam(&format!("DELETE /subscriptions/{subscription}"), "").await.expect(404);
}

#[tokio::test]
async fn bad_subscriptions_are_refused_and_change_nothing() {
    let machine = Machine::start();
    machine.put_api(Api { lifecycle: Lifecycle::Deprecated, ..api(3, "Old") });
    machine.put_api(Api { lifecycle: Lifecycle::Created, ..api(4, "Draft") });
    let id = machine.application("Shop").await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    for (body, status) in [
        (body(&id, 1, "Platinum"), 400),
        (body(&id, 1, "Silver"), 400),
        (body(&id, 3, "Gold"), 409),
        (body(&id, 4, "Gold"), 404),
        (body(&id, 9, "Gold"), 404),
        (body(nobody, 1, "Gold"), 404),
        (body("shop", 1, "Gold"), 400),
        (format!(r#"{{"applicationId": "{id}"}}"#), 400),
        ("[]".to_owned(), 400),
    ] {
        machine.sam("POST /subscriptions", &body).await.expect(status);
    }
    machine.send("eve", "POST /subscriptions", &body(&id, 1, "Gold"), &[]).await.expect(403);
    assert!(machine.cell.load().apimgt.subscriptions.is_empty());
}

#[tokio::test]
async fn several_subscriptions_are_made_together_or_not_at_all() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    let both = |plan| format!("[{}, {}]", body(&id, 1, "Gold"), body(&id, 2, plan));
    machine.sam("POST /subscriptions/multiple", &both("Silver")).await.expect(400);
    assert!(machine.cell.load().apimgt.subscriptions.is_empty());
    let made = machine.sam("POST /subscriptions/multiple", &both("Bronze")).await.expect(200);
    assert_eq!(made.body.as_array().unwrap().len(), 2);
    machine.sam("POST /subscriptions/multiple", "[]").await.expect(400);
}

#[tokio::test]
async fn a_blocked_subscription_shows_its_state_and_keeps_its_plan() {
    let machine = Machine::start();
    let id = machine.application("Shop").await;
    let made = machine.sam("POST /subscriptions", &body(&id, 1, "Gold")).await.expect(201);
    machine.change(|state| {
        let (id, one) = state.apimgt.subscriptions.get_min().cloned().unwrap();
        let blocked = Subscription { state: SubscriptionState::Blocked, ..Subscription::clone(&one) };
        state.apimgt.subscriptions.insert(id, Arc::new(blocked));
    });
    let path = format!("/subscriptions/{}", made.text("subscriptionId"));
    assert_eq!(machine.sam(&format!("GET {path}"), "").await.expect(200).text("status"), "BLOCKED");
    machine.sam(&format!("PUT {path}"), r#"{"throttlingPolicy": "Bronze"}"#).await.expect(409);
}
