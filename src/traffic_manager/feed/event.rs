//! What the feed tells: throttle decisions, who is turned away, and usage, in the original's message shapes.

use portcullis_model::CounterKey;
use serde::Serialize;

/// The kinds that can be asked for.
pub(crate) const KINDS: [&str; 4] = ["decision", "usage", "blocking", "key-template"];

/// One message of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// A counter is used up, or has something again: the original's message on topic `throttleData`.
    Decision(Decision),
    /// So much was used of a counter since the last message about it.
    Usage(Usage),
    /// Somebody is turned away, or no longer.
    Blocking(Blocking),
    /// The key template of a custom rule came or went.
    KeyTemplate(KeyTemplate),
    /// The reader was too slow; the stream ends after this.
    Dropped(Dropped),
}

/// Somebody is turned away by a deny policy, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocking {
    /// `API`, `APPLICATION`, `IP`, `IPRANGE`, `USER` or `TENANT`.
    pub blocking_condition: &'static str,
    /// Who; of addresses JSON, as in the Admin contract.
    pub condition_value: String,
    /// `true` or `false`, as text like the original's.
    pub state: &'static str,
    /// The tenant that turns them away.
    pub tenant_domain: String,
    /// The deny policy's id.
    pub condition_id: String,
}

/// The key template of a custom rule came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyTemplate {
    /// The template: `$userId`.
    pub key_template_value: String,
    /// `add` or `remove`.
    pub key_template_state: &'static str,
}

/// A counter is used up, or has something again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The counter, in the original's form.
    pub throttle_key: String,
    /// `true` or `false`, as text like the original's.
    pub is_throttled: &'static str,
    /// When the window ends, in milliseconds since the epoch.
    pub expiry_time_stamp: u64,
    /// The policy's name.
    pub policy: String,
    /// The tenant.
    pub tenant_domain: String,
}

/// So much was used of a counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The counter, in the original's form.
    pub throttle_key: String,
    /// Used since the last message about it.
    pub used: u64,
    /// Used in all. It only grows, so a message that comes twice can be told.
    pub used_in_all: u64,
    /// The state machine's time, in milliseconds since the epoch.
    pub time_stamp: u64,
    /// The policy's name.
    pub policy: String,
    /// The tenant.
    pub tenant_domain: String,
}

/// The reader was too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dropped {
    /// Messages that it has missed.
    pub missed: u64,
}

impl Event {
    /// Returns the name of its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Decision(_) => "decision",
            Self::Usage(_) => "usage",
            Self::Blocking(_) => "blocking",
            Self::KeyTemplate(_) => "key-template",
            Self::Dropped(_) => "dropped",
        }
    }

    /// Returns what tells it from others, the same on every node and each time it is sent. Empty where nothing does.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Decision(one) => format!("{}@{}={}", one.throttle_key, one.expiry_time_stamp, one.is_throttled),
            Self::Usage(one) => format!("{}/{}#{}", one.throttle_key, one.policy, one.used_in_all),
            // The same may come again and mean a change; to hear it twice changes nothing.
            Self::Blocking(_) | Self::KeyTemplate(_) | Self::Dropped(_) => String::new(),
        }
    }

    /// Returns it as JSON.
    #[must_use]
    pub fn as_json(&self) -> String {
        // Texts and numbers can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns what a message says of a counter beside its key.
pub(super) fn texts(key: &CounterKey) -> (String, String) {
    (key.policy.clone(), key.tenant.to_string())
}
