//! Subscriptions as the Publisher's contract has them.

use portcullis_model::{Application, Subscription};
use serde_json::{Value, json};

/// Writes a subscription with what the publisher may know of its application.
#[must_use]
pub fn write(subscription: &Subscription, application: Option<&Application>, subscription_count: usize) -> Value {
    json!({
        "subscriptionId": subscription.id.to_string(),
        "applicationInfo": {
            "applicationId": subscription.application.to_string(),
            "name": application.map(|one| one.name.as_str()),
            "subscriber": subscription.subscriber.0,
            "description": application.map(|one| one.description.as_str()),
            "subscriptionCount": subscription_count,
        },
        "throttlingPolicy": subscription.plan,
        "subscriptionStatus": subscription.state.as_contract(),
    })
}
