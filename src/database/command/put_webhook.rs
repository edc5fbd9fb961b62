use portcullis_model::policy::PolicyLevel;
use portcullis_model::websub::{
    CALLBACK_CHARS_MAX, LEASE_MAX, SECRET_BYTES_MAX, WEBHOOKS_PER_APPLICATION_MAX, WEBHOOKS_PER_TOPIC_MAX, Webhook,
};
use portcullis_model::{ApiKind, Refused, SubscriptionState};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::webhooks;

/// Bytes that sealing adds to a secret.
const SEAL_BYTES: usize = 28;

/// Subscribes a callback of an application to a topic of an API, or has its subscription last longer. The application is
/// subscribed to the API, whose plan bounds how many callbacks it may have there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutWebhook {
    /// The webhook; since when there is one is set here, and what became of events stays.
    pub webhook: Webhook,
}

impl<C: Component> SubmittedBy<C> for PutWebhook where C: Writes<Apimgtdb> {}

impl Command for PutWebhook {
    type Reply = ();

    fn subject(&self) -> String {
        self.webhook.topic.clone()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut webhook = self.webhook;
        check(&webhook)?;
        let database = &state.apimgt;
        let api = database.apis.get(&webhook.api).filter(|api| api.kind == ApiKind::Websub);
        let api = api.ok_or_else(|| Refused::not_found("API of the type WEBSUB", webhook.api))?;
        let id = database.subscriptions_by_application.get(&(webhook.application, webhook.api));
        let subscription = id.and_then(|id| database.subscriptions.get(id));
        let Some(subscription) = subscription.filter(|one| one.state == SubscriptionState::Unblocked) else {
            return Err(Refused::NotAllowed { reason: "the application is not subscribed to the API".to_owned() });
        };
        let before = database.webhooks.get(&webhook.key());
        if before.is_none() {
            let of_application = webhooks::of_application(database, webhook.application, Some(webhook.api)).count();
            let rules = (api.tenant.clone(), PolicyLevel::Subscription, subscription.plan.clone());
            let allowed = state.deployed.policy_rules.get(&rules).map_or(0, |rules| rules.subscriber_count as usize);
            if allowed > 0 && of_application >= allowed {
                let what = format!("callbacks that the plan {} allows", subscription.plan);
                return Err(Refused::LimitReached { what, max: allowed as u64 });
            }
            let of_topic = webhooks::of_topic(database, webhook.api, &webhook.topic).count();
            let bounds = [
                (of_application, WEBHOOKS_PER_APPLICATION_MAX, "callbacks of an application at an API"),
                (of_topic, WEBHOOKS_PER_TOPIC_MAX, "callbacks of a topic"),
            ];
            if let Some((_, max, what)) = bounds.into_iter().find(|(are, max, _)| are >= max) {
                return Err(Refused::LimitReached { what: what.to_owned(), max: max as u64 });
            }
        }
        webhook.subscribed_at = before.map_or(moment.now, |before| before.subscribed_at);
        // A callback that has just answered is not left alone any more.
        webhook.delivery = before.and_then(|before| before.delivery).filter(|delivery| delivery.failures == 0);
        webhook.expires_at = webhook.expires_at.min(moment.now.after(LEASE_MAX));
        webhooks::keep(state, webhook);
        Ok(())
    }
}

fn check(webhook: &Webhook) -> Result<(), Refused> {
    for (field, text) in [("callback", &webhook.callback), ("topic", &webhook.topic), ("topic", &webhook.asked_topic)] {
        let chars = text.chars().count();
        if chars == 0 || chars > CALLBACK_CHARS_MAX {
            let reason = format!("must have 1 to {CALLBACK_CHARS_MAX} characters, not {chars}");
            return Err(Refused::invalid(field, reason));
        }
    }
    if webhook.secret.as_ref().is_some_and(|secret| secret.0.len() > SECRET_BYTES_MAX + SEAL_BYTES) {
        return Err(Refused::invalid("secret", format!("may have at most {SECRET_BYTES_MAX} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_model::websub::{FAILURES_MAX, WebhookDelivery};
    use portcullis_model::{PolicyRules, Principal, Timestamp};

    use super::super::store_fixture::{Fixture, api, application, subscription};
    use super::super::{CreateApplication, CreateSubscription, DeleteSubscription, NoteDeliveries, RemoveWebhook};
    use super::*;

    fn fixture() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.publish(portcullis_model::Api { kind: ApiKind::Websub, ..api(7) });
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        fixture.apply(CreateSubscription { subscription: subscription(3, 1, 7, "Gold"), owned_by: None }).unwrap();
        fixture
    }

    fn put(callback: &str, expires_at: u64) -> PutWebhook {
        let webhook = Webhook {
            api: api(7).id,
            topic: "/issues".to_owned(),
            application: application(1, "Shop").id,
            tenant: api(7).tenant,
            callback: callback.to_owned(),
            asked_topic: "issues".to_owned(),
            secret: None,
            subscribed_at: Timestamp(0),
            expires_at: Timestamp(expires_at),
            delivery: None,
        };
        PutWebhook { webhook }
    }

    #[test]
    fn a_plan_bounds_the_callbacks_and_one_that_is_there_may_last_longer() {
        let mut fixture = fixture();
        let key = (api(7).tenant, PolicyLevel::Subscription, "Gold".to_owned());
        let rules = PolicyRules { subscriber_count: 2, ..PolicyRules::default() };
        fixture.state.deployed.policy_rules.insert(key, Arc::new(rules));
        fixture.apply(put("http://a/", u64::MAX)).unwrap();
        fixture.apply(put("http://b/", u64::MAX)).unwrap();
        let refused = fixture.apply(put("http://c/", u64::MAX));
        assert!(matches!(refused, Err(Refused::LimitReached { max: 2, .. })), "{refused:?}");
        fixture.apply(put("http://b/", u64::MAX)).unwrap();
        let kept = &fixture.state.apimgt;
        assert_eq!((kept.webhooks.len(), kept.webhook_ends.len(), kept.webhooks_by_application.len()), (2, 2, 2));
        assert!(kept.webhooks.values().all(|one| one.expires_at.0 < u64::MAX), "no lease is for ever");
        fixture.apply(RemoveWebhook { key: put("http://b/", 0).webhook.key() }).unwrap();
        fixture.apply(put("http://c/", u64::MAX)).unwrap();
    }

    #[test]
    fn failures_are_counted_until_the_callback_takes_an_event() {
        let mut fixture = fixture();
        fixture.apply(put("http://a/", u64::MAX)).unwrap();
        let key = put("http://a/", 0).webhook.key();
        let mut note = |at, is_taken| {
            fixture.apply(NoteDeliveries { notes: vec![(key.clone(), Timestamp(at), is_taken)] }).unwrap();
            fixture.state.apimgt.webhooks[&key].delivery.unwrap()
        };
        assert_eq!(note(1, false).failures, 1);
        assert_eq!(note(2, false), WebhookDelivery { at: Timestamp(2), failures: 2 });
        assert_eq!(note(3, true), WebhookDelivery { at: Timestamp(3), failures: 0 });
    }

    #[test]
    fn events_that_were_under_way_do_not_have_a_callback_left_alone_for_longer() {
        let mut fixture = fixture();
        fixture.apply(put("http://a/", u64::MAX)).unwrap();
        let key = put("http://a/", 0).webhook.key();
        let failed = |ats: &[u64]| {
            let notes = ats.iter().map(|at| (key.clone(), Timestamp(*at), false)).collect();
            NoteDeliveries { notes }
        };
        // All but the first three are of one outage; what was noted late counts as little as what is noted early.
        fixture.apply(failed(&[1, 2, 3, 4, 5, 2, 600])).unwrap();
        fixture.apply(failed(&[7, 8])).unwrap();
        let suspended = WebhookDelivery { at: Timestamp(3), failures: FAILURES_MAX };
        assert_eq!(fixture.state.apimgt.webhooks[&key].delivery, Some(suspended));
        // Once it is tried again, another failure has it left alone for longer, and a success for no longer.
        let until = fixture.state.apimgt.webhooks[&key].suspended_until().unwrap();
        let mut note = |is_taken| {
            let moment = Moment { now: until, index: 100, random: [0; 32], principal: Principal::system() };
            let note = NoteDeliveries { notes: vec![(key.clone(), until, is_taken)] };
            note.apply(&mut fixture.state, &moment).unwrap();
            fixture.state.apimgt.webhooks[&key].delivery.unwrap().failures
        };
        assert_eq!((note(false), note(false), note(true)), (FAILURES_MAX + 1, FAILURES_MAX + 1, 0));
    }

    #[test]
    fn webhooks_go_with_the_subscription_and_at_the_end_of_their_lease() {
        let mut fixture = fixture();
        fixture.apply(put("http://a/", u64::MAX)).unwrap();
        let now = fixture.state.now();
        fixture.apply(put("http://b/", now.0 + 60_000)).unwrap();
        webhooks::drop_ended(&mut fixture.state, Timestamp(now.0 + 60_000));
        assert_eq!(fixture.state.apimgt.webhooks.len(), 1);
        let id = subscription(3, 1, 7, "Gold").id;
        fixture.apply(DeleteSubscription { id, owned_by: None }).unwrap();
        let kept = &fixture.state.apimgt;
        assert!(kept.webhooks.is_empty() && kept.webhook_ends.is_empty() && kept.webhooks_by_application.is_empty());
        let refused = fixture.apply(put("http://a/", u64::MAX));
        assert!(matches!(refused, Err(Refused::NotAllowed { .. })), "{refused:?}");
    }
}
