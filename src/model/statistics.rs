//! What is told of calls after they were answered: who called what, how often, how fast, with what outcome. Gateways
//! gather it, Analytics has it summed up in statdb. No credentials, no query, no body.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent::AgentFamily;
use crate::caller_network::SeenNetwork;
use crate::country::Country;
use crate::id::{ApiId, ApplicationId};
use crate::oauth::KeyType;
use crate::sketch::{PackedSketch, Sketch};
use crate::stray_call::StrayCall;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// What stands for everything beyond a bound.
pub const OTHER: &str = "(other)";
/// Milliseconds of a minute.
pub const MINUTE_MS: u64 = 60_000;
/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// An API that was called, as statistics name it: what they say stays true when the API is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CalledApi {
    /// The API; [`no_api`] where a call found none.
    pub id: ApiId,
    /// Its tenant.
    pub tenant: TenantDomain,
    /// Its provider.
    pub provider: Username,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its context with the version.
    pub context: String,
}

/// An application that called, as statistics name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CallingApplication {
    /// The application.
    pub id: ApplicationId,
    /// Its tenant.
    pub tenant: TenantDomain,
    /// Its owner.
    pub owner: Username,
    /// Its name.
    pub name: String,
}

/// Who called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerFacts {
    /// The application.
    pub application: CallingApplication,
    /// The end user, with the tenant.
    pub user: String,
    /// The name of the business plan.
    pub plan: String,
    /// The type of the key.
    pub key_type: KeyType,
}

/// Returns the id that stands for no API: of calls whose path led to none.
#[must_use]
pub fn no_api() -> ApiId {
    ApiId(uuid::Uuid::nil())
}

/// Calls that are alike, as one worker gathered them.
#[derive(Clone, Debug)]
pub struct Fact {
    /// The API; `None` where no API was found.
    pub api: Option<Arc<CalledApi>>,
    /// The verb and the template of the resource, where one was found.
    pub resource: Option<Arc<str>>,
    /// Who called, where that is known.
    pub caller: Option<Arc<CallerFacts>>,
    /// The backend that answered, or was the last that did not.
    pub destination: Option<Arc<str>>,
    /// What kind of program called.
    pub agent: AgentFamily,
    /// From which country; `None` where nobody looks.
    pub country: Option<Country>,
    /// The code of the fault that the gateway answered with; 0 for none.
    pub code: u32,
    /// Whether these are calls of many kinds, of which there are more than are told apart.
    pub is_other: bool,
    /// How many, and how large.
    pub tally: Tally,
    /// How long they took.
    pub times: Times,
}

/// What a worker gathered in a minute or a part of it.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// The minute, counted from 1970.
    pub minute: u32,
    /// The calls.
    pub facts: Vec<Fact>,
    /// From where applications called, as far as the worker has not told it today.
    pub networks: Vec<SeenNetwork>,
    /// Calls that led to no API, as far as there was room.
    pub strays: Vec<StrayCall>,
}

/// How many calls, how large, with what outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Calls.
    pub calls: u64,
    /// Calls by the first digit of the answer's status; index 0 holds those whose client went away before.
    pub classes: [u64; 6],
    /// Bytes of the requests' bodies, and of what clients send through WebSockets.
    pub request_bytes: u64,
    /// Bytes of the answers' bodies, and of what backends send through WebSockets.
    pub response_bytes: u64,
    /// Answers that were given again without asking a backend.
    pub cache_hits: u64,
    /// Messages of WebSockets, both ways.
    pub messages: u64,
    /// When the last one ended.
    pub last: Timestamp,
    /// How long they took, where that is kept.
    pub times: Option<Box<PackedTimes>>,
}

/// How long calls took until the head of their answer was there, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// In all.
    pub total: Sketch,
    /// At the backend; of calls that got there.
    pub upstream: Sketch,
    /// In the gateway.
    pub gateway: Sketch,
}

/// The same as it is stored and sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedTimes {
    /// In all.
    pub total: PackedSketch,
    /// At the backend.
    pub upstream: PackedSketch,
    /// In the gateway.
    pub gateway: PackedSketch,
}

impl Times {
    /// Adds those of other calls.
    pub fn merge(&mut self, other: &Self) {
        self.total.merge(&other.total);
        self.upstream.merge(&other.upstream);
        self.gateway.merge(&other.gateway);
    }

    /// Returns them as they are stored.
    #[must_use]
    pub fn pack(&self) -> PackedTimes {
        PackedTimes { total: self.total.pack(), upstream: self.upstream.pack(), gateway: self.gateway.pack() }
    }
}

impl PackedTimes {
    /// Adds those of other calls.
    pub fn merge(&mut self, other: &Self) {
        self.total.merge(&other.total);
        self.upstream.merge(&other.upstream);
        self.gateway.merge(&other.gateway);
    }

    /// Returns how many bytes they have.
    #[must_use]
    pub fn len(&self) -> usize {
        self.total.len() + self.upstream.len() + self.gateway.len()
    }

    /// Says whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Tally {
    /// Adds other calls.
    pub fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        let pairs = self.classes.iter_mut().zip(&other.classes);
        pairs.for_each(|(sum, more)| *sum = sum.saturating_add(*more));
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.cache_hits = self.cache_hits.saturating_add(other.cache_hits);
        self.messages = self.messages.saturating_add(other.messages);
        self.last = self.last.max(other.last);
        match (&mut self.times, &other.times) {
            (Some(times), Some(more)) => times.merge(more),
            (times @ None, Some(more)) => *times = Some(more.clone()),
            (_, None) => {}
        }
    }

    /// Says whether nothing was counted: neither calls nor what goes through a WebSocket after its call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls == 0 && self.messages == 0 && self.request_bytes == 0 && self.response_bytes == 0
    }

    /// Returns how many calls failed: with a status of 4xx or 5xx, or without any.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.classes[0].saturating_add(self.classes[4]).saturating_add(self.classes[5])
    }
}

/// By what calls are summed up. The order is that of the stored rows and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Aspect {
    /// All calls of an API; with their times.
    Whole,
    /// By node.
    Node,
    /// By resource; with their times.
    Resource,
    /// By application and business plan.
    Application,
    /// By application and user.
    User,
    /// By backend; with their times.
    Destination,
    /// By kind of the calling program.
    Agent,
    /// Calls that the gateway answered with a fault, by application and code; without those of the next.
    Fault,
    /// Calls that a quota or a deny policy turned away, by application and code.
    Throttled,
    /// By country, where that is known.
    Country,
}

impl Aspect {
    /// Every aspect, in order.
    pub const ALL: [Self; 10] = [
        Self::Whole,
        Self::Node,
        Self::Resource,
        Self::Application,
        Self::User,
        Self::Destination,
        Self::Agent,
        Self::Fault,
        Self::Throttled,
        Self::Country,
    ];

    /// Says whether its rows tell how long calls took.
    #[must_use]
    pub fn has_times(self) -> bool {
        matches!(self, Self::Whole | Self::Resource | Self::Destination)
    }
}

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// By what it sums up.
    pub aspect: Aspect,
    /// Of which API.
    pub api: ApiId,
    /// Of which application, where the aspect says so and it is known.
    pub application: Option<ApplicationId>,
    /// The node, resource, plan, user, backend, kind of program, code or country; [`OTHER`] beyond the bound.
    pub value: Arc<str>,
}

impl Subject {
    /// Returns what it counts as beyond the bound of values.
    #[must_use]
    pub fn other(&self) -> Self {
        Self { aspect: self.aspect, api: self.api, application: None, value: OTHER.into() }
    }

    /// Returns what it counts as where there are too many APIs too.
    #[must_use]
    pub fn other_api(&self) -> Self {
        Self { aspect: self.aspect, api: no_api(), application: None, value: OTHER.into() }
    }
}

/// Says whether a fault's code is one of those that quotas and deny policies turn calls away with.
#[must_use]
pub fn is_throttling_code(code: u32) -> bool {
    (900_800..=900_809).contains(&code)
}

/// Says whether a fault's code is one with which the gateway answers 4xx: something is wrong with the call. The others
/// tell of backends, of policies and of the gateway itself, and are answered 5xx.
#[must_use]
pub fn is_fault_of_caller(code: u32) -> bool {
    !matches!(code, 500..=599 | 900_801 | 900_900 | 900_990..=900_999 | 100_000..=399_999)
}

/// Returns why a call was turned away, in the original's word; `None` for codes that are none of these.
#[must_use]
pub fn throttling_reason(code: u32) -> Option<&'static str> {
    Some(match code {
        900_800 => "API_LIMIT_EXCEEDED",
        900_801 => "HARD_LIMIT_EXCEEDED",
        900_802 => "RESOURCE_LIMIT_EXCEEDED",
        900_803 => "APPLICATION_LIMIT_EXCEEDED",
        900_804 => "SUBSCRIPTION_LIMIT_EXCEEDED",
        900_805 => "REQUEST_BLOCKED",
        900_806 => "CUSTOM_POLICY_LIMIT_EXCEEDED",
        900_807 => "SUBSCRIPTION_BURST_LIMIT_EXCEEDED",
        900_808 => "EVENT_LIMIT_EXCEEDED",
        900_809 => "APPLICATION_BURST_LIMIT_EXCEEDED",
        _ => return None,
    })
}

/// What a subscription was used for, as the contracts tell it (`APIMonetizationUsage`): texts by name.
pub mod usage {
    use std::collections::BTreeMap;

    use super::Tally;

    /// Returns the properties.
    #[must_use]
    pub fn properties(usage: &Tally) -> BTreeMap<String, String> {
        let texts = [
            ("calls", usage.calls.to_string()),
            ("failedCalls", usage.failed().to_string()),
            ("requestBytes", usage.request_bytes.to_string()),
            ("responseBytes", usage.response_bytes.to_string()),
        ];
        texts.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    }
}
