//! A call that has ended, as other systems are told of it. No credentials, no address, no query, no body.

use std::sync::Arc;

use crate::agent::AgentFamily;
use crate::country::Country;
use crate::statistics::{CalledApi, CallerFacts};
use crate::time::Timestamp;

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct CallEvent {
    /// When it ended.
    pub at: Timestamp,
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
    /// The status of the answer; 0 where the client went away before.
    pub status: u16,
    /// How long it took until the head of the answer was there, in microseconds.
    pub took_us: u64,
    /// How much of it the backend took; `None` where none was asked.
    pub upstream_us: Option<u64>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// Whether an answer was given again without asking a backend.
    pub is_from_cache: bool,
}
