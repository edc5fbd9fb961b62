//! APIs of the type WEBSUB (W3C WebSub): what gateways take events by, and which callbacks of applications events of a
//! topic are handed on to. It neither calls anybody nor checks a signature.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Api, ApiKind};
use crate::id::{ApiId, ApplicationId};
use crate::sealed::Sealed;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;

/// The field of the REST contract that says how events are signed.
pub const FIELD: &str = "websubSubscriptionConfiguration";
/// The path below an API's context at which gateways take events, as in the original.
pub const RECEIVER: &str = "/webhooks_events_receiver_resource";
/// The header that carries signatures where nothing else is said.
pub const SIGNATURE_HEADER: &str = "x-hub-signature";
/// Webhooks of one topic.
pub const WEBHOOKS_PER_TOPIC_MAX: usize = 10_000;
/// Webhooks of one application at one API, whatever its plan says.
pub const WEBHOOKS_PER_APPLICATION_MAX: usize = 10_000;
/// Characters of a callback's address.
pub const CALLBACK_CHARS_MAX: usize = 2_048;
/// Bytes of a secret that a subscriber gives (W3C WebSub, 5.1: less than 200).
pub const SECRET_BYTES_MAX: usize = 199;
/// How long a subscription lasts where its subscriber does not say.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(10 * 86_400);
/// The longest lease; who asks for a longer one gets this.
pub const LEASE_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Bytes of an event.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// Events that a callback did not take in a row before it is left alone for a while.
pub const FAILURES_MAX: u32 = 3;
/// How long it is left alone for the first time; twice as long each time after that.
pub const SUSPENSION: Duration = Duration::from_secs(5 * 60);
/// The longest time.
pub const SUSPENSION_MAX: Duration = Duration::from_secs(86_400);

/// How the sources of events sign what they send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// HMAC with SHA-1, which the original's sources have.
    #[default]
    Sha1,
    /// HMAC with SHA-256.
    Sha256,
    /// HMAC with SHA-384.
    Sha384,
    /// HMAC with SHA-512.
    Sha512,
}

impl SigningAlgorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name in the REST contract.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
        }
    }

    /// The name before a signature (W3C WebSub, 7.1).
    #[must_use]
    pub fn as_method(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns the one that a contract's text names, with or without a hyphen.
    #[must_use]
    pub fn of_contract(text: &str) -> Option<Self> {
        let plain = text.replace('-', "").to_ascii_uppercase();
        Self::ALL.into_iter().find(|one| one.as_contract() == plain)
    }
}

/// What a gateway needs of an API of the type WEBSUB, besides what it needs of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebsubRules {
    /// What events are signed with, as it is kept; `None` where the API takes no events.
    pub secret: Option<Sealed>,
    /// How they are signed.
    pub algorithm: SigningAlgorithm,
    /// The header that carries the signature.
    pub header: String,
}

impl WebsubRules {
    /// Returns those of an API; `None` for an API of another type.
    #[must_use]
    pub fn of(api: &Api) -> Option<Self> {
        if api.kind != ApiKind::Websub {
            return None;
        }
        let fields: Value = serde_json::from_str(&api.other_fields).unwrap_or_default();
        let said = &fields[FIELD];
        let text = |name: &str| said[name].as_str().filter(|text| !text.is_empty());
        let is_on = said["enable"] == Value::Bool(true);
        Some(Self {
            secret: text("secret").filter(|_| is_on).and_then(Sealed::of_text),
            algorithm: text("signingAlgorithm").and_then(SigningAlgorithm::of_contract).unwrap_or_default(),
            header: text("signatureHeader").unwrap_or(SIGNATURE_HEADER).to_owned(),
        })
    }
}

/// Names one webhook: what an application has subscribed to, and where it wants it.
pub type WebhookKey = (ApiId, String, ApplicationId, String);

/// A webhook: a callback of an application that is subscribed to a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The API.
    pub api: ApiId,
    /// The topic, as the API has it: `/issues`.
    pub topic: String,
    /// The application.
    pub application: ApplicationId,
    /// The application's tenant.
    pub tenant: TenantDomain,
    /// The address that events are sent to.
    pub callback: String,
    /// The topic, as the subscriber named it.
    pub asked_topic: String,
    /// What the subscriber wants events signed with.
    pub secret: Option<Sealed>,
    /// When it was subscribed for the first time. Set by the state machine.
    pub subscribed_at: Timestamp,
    /// When the lease ends.
    pub expires_at: Timestamp,
    /// What became of the last event.
    pub delivery: Option<WebhookDelivery>,
}

/// What became of the last event for a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDelivery {
    /// When.
    pub at: Timestamp,
    /// How many events in a row the callback has not taken; 0 where it took the last one.
    pub failures: u32,
}

impl Webhook {
    /// Returns its name.
    #[must_use]
    pub fn key(&self) -> WebhookKey {
        (self.api, self.topic.clone(), self.application, self.callback.clone())
    }

    /// Says whether events are sent to it: its lease has not ended, and it is not left alone.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at > now && self.suspended_until().is_none_or(|until| until <= now)
    }

    /// Returns until when its callback is left alone after failures.
    #[must_use]
    pub fn suspended_until(&self) -> Option<Timestamp> {
        let delivery = self.delivery.filter(|delivery| delivery.failures >= FAILURES_MAX)?;
        let doublings = (delivery.failures - FAILURES_MAX).min(16);
        Some(delivery.at.after(SUSPENSION.saturating_mul(1 << doublings).min(SUSPENSION_MAX)))
    }

    /// The state of delivery in the REST contract: 0 where there was none, 1 where the callback took the last event, 2
    /// where it did not.
    #[must_use]
    pub fn delivery_status(&self) -> u8 {
        match self.delivery {
            None => 0,
            Some(WebhookDelivery { failures: 0, .. }) => 1,
            Some(_) => 2,
        }
    }
}

/// Returns the topic of an API that a subscriber means: with or without the slash in front.
#[must_use]
pub fn topic_of(asked: &str) -> String {
    if asked.starts_with('/') { asked.to_owned() } else { format!("/{asked}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_that_fails_is_left_alone_for_longer_each_time_up_to_a_day() {
        let mut webhook = Webhook {
            api: ApiId::from_random([1; 16]),
            topic: topic_of("issues"),
            application: ApplicationId::from_random([2; 16]),
            tenant: TenantDomain::super_tenant(),
            callback: "http://127.0.0.1/".to_owned(),
            asked_topic: "issues".to_owned(),
            secret: None,
            subscribed_at: Timestamp(0),
            expires_at: Timestamp(u64::MAX),
            delivery: None,
        };
        let mut minutes = |failures| {
            webhook.delivery = Some(WebhookDelivery { at: Timestamp(0), failures });
            webhook.suspended_until().map(|until| until.0 / 60_000)
        };
        assert_eq!([0, 2, 3, 4, 5].map(&mut minutes), [None, None, Some(5), Some(10), Some(20)]);
        assert_eq!([20, u32::MAX].map(&mut minutes), [Some(1440), Some(1440)]);
        assert!(!webhook.is_live(Timestamp(1)) && webhook.is_live(Timestamp(86_400_000)));
        assert_eq!(webhook.topic, "/issues");
    }

    #[test]
    fn algorithms_are_known_by_the_names_that_people_write() {
        for (text, known) in [("SHA1", "sha1"), ("sha-256", "sha256"), ("Sha512", "sha512")] {
            assert_eq!(SigningAlgorithm::of_contract(text).unwrap().as_method(), known);
        }
        assert_eq!(SigningAlgorithm::of_contract("MD5"), None);
    }
}
