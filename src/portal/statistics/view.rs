//! What a statistics page shows, as plain values, and how it asks for it.

use std::sync::Arc;

use portcullis_http::ApiError;
use portcullis_model::port::Identity;
use portcullis_model::{ApiId, ApplicationId, Timestamp, Username};

use crate::chart::{Bar, Health, Series};

/// Whose calls a page is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// All that the visitor may see.
    Everything,
    /// Those to an API.
    Api(ApiId),
    /// Those of an application. Who asks made sure that the visitor may see it.
    Application {
        /// The application.
        id: ApplicationId,
        /// Its owner.
        owner: Username,
    },
}

/// Which values are wanted as CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// The name of the report.
    pub report: String,
    /// From when on.
    pub from: Timestamp,
    /// To when.
    pub to: Timestamp,
}

/// Where the statistics come from. Asked at each view; it may look at many rows, so not on a thread that serves requests.
pub trait StatisticsSource: Send + Sync {
    /// Returns what a visitor may see; `None` where he may not see that.
    fn view(&self, visitor: &Identity, about: &About, range: Range) -> Option<StatisticsView>;

    /// Says whether one of some applications is known to have called: not at once, and `true` where it is not gathered.
    fn has_called(&self, applications: &[ApplicationId]) -> bool;

    /// Returns values as CSV; `None` where the visitor may not see them.
    ///
    /// # Errors
    /// 404 where there is no such report, 400 where it does not tell of what is asked for.
    fn csv(&self, visitor: &Identity, about: &About, values: &Values) -> Result<Option<String>, ApiError>;
}

/// A source that pages of several components share.
pub type Source = Arc<dyn StatisticsSource>;

/// How far back a page looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// An hour, by minutes.
    Hour,
    /// A day, by hours.
    #[default]
    Day,
    /// A week, by hours.
    Week,
    /// Thirty days, by days.
    Month,
}

impl Range {
    /// Every one, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Returns its name in addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// Returns the one of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.name() == name)
    }

    /// Returns how many minutes it has.
    #[must_use]
    pub fn minutes(self) -> u32 {
        match self {
            Self::Hour => 60,
            Self::Day => 1_440,
            Self::Week => 7 * 1_440,
            Self::Month => 30 * 1_440,
        }
    }
}

/// A page of statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatisticsView {
    /// The API's name and version; `None` for several.
    pub api: Option<String>,
    /// How far back it looks.
    pub range: Range,
    /// What the addresses of values as CSV end with: `from=…&to=…`.
    pub query: String,
    /// The times of the series, as they are written.
    pub times: Vec<String>,
    /// Requests, error rate, 95th percentile, throttled.
    pub numbers: Vec<Number>,
    /// Calls over time: by API, or by how they ended.
    pub traffic: Vec<Series>,
    /// How long calls took; empty where that is not kept.
    pub latency: Times,
    /// Calls that failed, by class.
    pub errors: Vec<Series>,
    /// Calls that a quota let through and turned away.
    pub throttling: Vec<Series>,
    /// How it did, part by part.
    pub health: Vec<Health>,
    /// The largest of something, by what.
    pub tops: Vec<Top>,
}

/// A number that stands for the whole, and how it went.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// What it is.
    pub name: &'static str,
    /// As it is written.
    pub value: String,
    /// Its way over time.
    pub series: Vec<f64>,
}

/// How long calls took over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// Percentiles in all, in milliseconds.
    pub total: Vec<Series>,
    /// The 95th percentile at the backend and in the gateway.
    pub split: Vec<Series>,
    /// Calls by how long they took, from fast to slow, at each time.
    pub heat: Vec<(String, Vec<u64>)>,
}

/// The largest of something.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// The part of the page it belongs to: `usage`, `errors` or `throttling`.
    pub part: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What the bars are about.
    pub what: &'static str,
    /// The report with all of them.
    pub report: &'static str,
    /// The bars.
    pub bars: Vec<Bar>,
}
