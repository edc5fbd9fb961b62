//! Access logs: a line for each call, in which form, and where to.

use std::sync::Arc;

/// Where the lines of an access log go.
pub trait AccessLines: Send + Sync {
    /// Takes whole lines, and how many they are; `dropped` more calls had none for want of room. Does not wait: what there
    /// is no room for is dropped and counted.
    fn take(&self, lines: Vec<u8>, count: u64, dropped: u64);
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogForm {
    /// The Common Log Format of the NCSA's server.
    Common,
    /// That with referrer and user agent, as Apache and nginx call it "combined".
    Combined,
    /// One JSON object.
    Json,
}

/// What is logged of calls, and where to.
#[derive(Clone)]
pub struct AccessLog {
    /// Where the lines go.
    pub sink: Arc<dyn AccessLines>,
    /// Their form.
    pub form: AccessLogForm,
    /// Of a million calls so many have a line.
    pub sampled_per_million: u32,
}
