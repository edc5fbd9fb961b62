//! The gateway: carries API calls. It routes, authenticates, limits and passes on, on one thread per core that shares
//! nothing with the others.
//!
//! It reads no database: routes come from the deployed projection by [`Gateway::hook`], keys from the Key Manager and
//! quotas from the Traffic Manager by their ports. It does not check what a publisher designed, and it keeps no state
//! that a restart would lose.

mod access_log;
mod alarm;
mod aside;
mod ask;
mod attempt;
mod authenticate;
mod body;
mod caching;
mod call;
mod call_id;
mod call_log;
mod caller;
mod certificate;
mod claims;
mod client;
mod client_tls;
mod clock;
mod connection;
mod control_frames;
mod cors;
mod credentials;
mod downstream;
mod dynamic;
mod ended_calls;
mod event_frames;
mod events;
mod forward;
mod freshness;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gateway;
mod gathering;
mod grpc;
mod handler;
mod health;
mod held;
mod host_certificates;
mod http1;
mod json_strings;
mod leftover;
mod limiter;
mod listener;
pub mod measure;
mod mediation;
mod meter;
mod metrics;
mod multiplexed;
mod oauth;
mod off_path;
mod onlookers;
mod outbox;
mod pace;
mod packing;
mod peer;
mod possession;
mod proof;
mod proxy_protocol;
mod quota;
mod refusal;
mod restriction;
mod route;
mod sampling;
mod seen_networks;
mod settings;
mod sharing;
mod soap;
mod soap_session;
mod stray_calls;
mod to_hand_on;
mod token_places;
mod told;
mod told_apart;
mod trace;
mod tuning;
mod upstream;
mod usage;
mod validation;
mod websocket;
mod worker;

pub use freshness::Freshness;
pub use gateway::{Gateway, StartError, start};
pub use listener::BindError;
pub use metrics::{AnsweredCalls, CallLabels, DecisionCounts, DurationCounts, LATENCY_BUCKETS, Metrics};
pub use onlookers::{CallSeen, Onlooker, Seen};
pub use settings::{ClientLimits, HttpsSettings, OnNoQuorum, Settings, StatisticsSettings, UpstreamLimits};
pub use tuning::Tuning;
