//! The statistics: what gateways gathered, summed up by minute, hour and day. Each batch counts once, however often it is
//! proposed; what is old, or more than is kept, goes. It knows nothing of who may see what.

mod networks;
pub mod reading;
mod take_in;

use std::sync::Arc;

use portcullis_model::statistics::{Aspect, CalledApi, CallingApplication, Subject, Tally};
use portcullis_model::{ApplicationId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use networks::note_networks;
pub use networks::{KnownNetwork, NETWORK_BATCH_MAX, NetworkBatch, NetworkBounds, NotedNetwork, UnseenNetwork};
pub(crate) use take_in::take_in;

/// Names of APIs, and of applications, that are kept; later ones are shown by their ids.
pub const NAMES_MAX: usize = 200_000;
/// Rows of one batch.
pub const BATCH_ROWS_MAX: usize = 512;

/// How long a row's time is. The order is that of the stored rows and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Span {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl Span {
    /// Every length, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Returns how many minutes it has.
    #[must_use]
    pub fn minutes(self) -> u32 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60,
            Self::Day => 1_440,
        }
    }

    /// Returns the first minute of the one that a minute is in.
    #[must_use]
    pub fn start_of(self, minute: u32) -> u32 {
        minute - minute % self.minutes()
    }
}

/// What a row sums up: the calls of a time about a subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SummaryKey {
    /// How long the time is.
    pub span: Span,
    /// Its first minute, counted from 1970.
    pub start: u32,
    /// What it is about.
    pub subject: Subject,
}

/// Which rows are counted together against the bound of values.
pub type Bucket = (Span, u32, Aspect);

/// The last batch that was taken from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsSource {
    /// Of which start of the node.
    pub boot: u64,
    /// Its number.
    pub sequence: u64,
}

/// Who called an API last, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAccess {
    /// When the last call ended.
    pub at: Timestamp,
    /// Whose application it was, where that is known.
    pub application: Option<ApplicationId>,
    /// Which user it was; empty where that is not known.
    pub user: Arc<str>,
}

/// What is kept. It comes with each batch, from the configuration of the node, which is to be the same on all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsBounds {
    /// Rows of one aspect and time; what comes beyond is summed up as other.
    pub values_max: u32,
    /// Rows in all; beyond them the oldest go, those of minutes first.
    pub rows_max: u32,
    /// For how many minutes rows of minutes, of hours and of days are kept.
    pub kept: [u32; 3],
}

/// What a node tells at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsBatch {
    /// The node.
    pub node: NodeId,
    /// Which start of it: a later one has a larger number.
    pub boot: u64,
    /// The batch's number within that start, from 1.
    pub sequence: u64,
    /// The minute in which the calls ended, counted from 1970.
    pub minute: u32,
    /// What is kept.
    pub bounds: StatisticsBounds,
    /// The calls by what they are about, without those by node.
    pub rows: Vec<(Subject, Tally)>,
    /// The APIs that the rows name.
    pub apis: Vec<CalledApi>,
    /// The applications that the rows name.
    pub applications: Vec<CallingApplication>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchReply {
    /// It was taken in.
    Applied,
    /// It was taken in before.
    AlreadyApplied,
    /// A later start of the node has told: this one's batches count no more.
    Stale {
        /// The later start.
        boot: u64,
    },
}
