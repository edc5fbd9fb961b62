//! The limit of a throttling policy in the form of the Admin v4 contract, checked on the way in.

use portcullis_model::policy::{DataUnit, UNLIMITED};
use portcullis_model::{PolicyLevel, Quota, Refused, TimeUnit, Window};
use serde::{Deserialize, Serialize};

/// The longest window: ten years.
const WINDOW_MS_MAX: u64 = 10 * 365 * 86_400_000;
/// The largest amount of data: an exbibyte.
const BYTES_MAX: u64 = 1 << 60;

/// How much, of one of four types.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitBody {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_count: Option<AmountBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bandwidth: Option<AmountBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_count: Option<AmountBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ai_api_quota: Option<AmountBody>,
}

/// The amount of any type of limit; which fields a type has is decided by [`LimitBody::read`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AmountBody {
    time_unit: String,
    unit_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_token_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_token_count: Option<i64>,
}

impl LimitBody {
    /// Checks the limit and returns it; `place` is where it stands in the body.
    pub(crate) fn read(&self, level: PolicyLevel, place: &str) -> Result<(Quota, Window), Refused> {
        let (field, amount) = match self.kind.as_str() {
            "REQUESTCOUNTLIMIT" => ("requestCount", &self.request_count),
            "BANDWIDTHLIMIT" => ("bandwidth", &self.bandwidth),
            "EVENTCOUNTLIMIT" => ("eventCount", &self.event_count),
            "AIAPIQUOTALIMIT" if level == PolicyLevel::Subscription => ("aiApiQuota", &self.ai_api_quota),
            "AIAPIQUOTALIMIT" => {
                let reason = "AIAPIQUOTALIMIT is for subscription policies only";
                return Err(Refused::invalid(&format!("{place}.type"), reason));
            }
            other => {
                let reason = format!(
                    "`{other}` is not a type of limit; there are REQUESTCOUNTLIMIT, BANDWIDTHLIMIT, EVENTCOUNTLIMIT and AIAPIQUOTALIMIT"
                );
                return Err(Refused::invalid(&format!("{place}.type"), reason));
            }
        };
        let path = format!("{place}.{field}");
        let missing = || Refused::invalid(&path, format!("is missing, though the type is {}", self.kind));
        let amount = amount.as_ref().ok_or_else(missing)?;
        let window =
            Window { length: amount.length(&path)?, unit: time_unit(&format!("{path}.timeUnit"), &amount.time_unit)? };
        if window.millis() > WINDOW_MS_MAX {
            return Err(Refused::invalid(&format!("{path}.unitTime"), "a window may be ten years long at most"));
        }
        let quota = match field {
            "requestCount" => Quota::Requests(at_least_one(&path, "requestCount", amount.request_count)?),
            "bandwidth" => {
                let unit = data_unit(&path, amount.data_unit.as_deref())?;
                let count = at_least_one(&path, "dataAmount", amount.data_amount)?;
                if count.checked_mul(unit.bytes()).is_none_or(|bytes| bytes > BYTES_MAX) {
                    return Err(Refused::invalid(&format!("{path}.dataAmount"), "must be an exbibyte at most"));
                }
                Quota::Bandwidth { amount: count, unit }
            }
            "eventCount" => Quota::Events(at_least_one(&path, "eventCount", amount.event_count)?),
            _ => amount.ai_tokens(&path)?,
        };
        Ok((quota, window))
    }

    /// Returns what is limited, in the contract's words.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns a limit in the contract's form.
    pub(crate) fn of(quota: Quota, window: Window) -> Self {
        let signed = |count: u64| Some(i64::try_from(count).unwrap_or(i64::MAX));
        let some = |count: u64| if count == 0 || count == UNLIMITED { None } else { signed(count) };
        let base = AmountBody {
            time_unit: window.unit.as_contract().to_owned(),
            unit_time: i64::from(window.length),
            ..AmountBody::default()
        };
        let kind = |kind: &str| Self { kind: kind.to_owned(), ..Self::default() };
        match quota {
            Quota::Requests(count) => {
                let amount = AmountBody { request_count: signed(count), ..base };
                Self { request_count: Some(amount), ..kind("REQUESTCOUNTLIMIT") }
            }
            Quota::Bandwidth { amount, unit } => {
                let unit = match unit {
                    DataUnit::Kb => "KB",
                    DataUnit::Mb => "MB",
                    DataUnit::Gb => "GB",
                };
                let amount = AmountBody { data_amount: signed(amount), data_unit: Some(unit.to_owned()), ..base };
                Self { bandwidth: Some(amount), ..kind("BANDWIDTHLIMIT") }
            }
            Quota::Events(count) => {
                let amount = AmountBody { event_count: signed(count), ..base };
                Self { event_count: Some(amount), ..kind("EVENTCOUNTLIMIT") }
            }
            Quota::AiTokens { requests, total, prompt, completion } => {
                let amount = AmountBody {
                    request_count: signed(requests),
                    total_token_count: some(total),
                    prompt_token_count: some(prompt),
                    completion_token_count: some(completion),
                    ..base
                };
                Self { ai_api_quota: Some(amount), ..kind("AIAPIQUOTALIMIT") }
            }
        }
    }
}

impl AmountBody {
    fn length(&self, path: &str) -> Result<u32, Refused> {
        let length = u32::try_from(self.unit_time).ok().filter(|length| (1..=i32::MAX.unsigned_abs()).contains(length));
        length.ok_or_else(|| Refused::invalid(&format!("{path}.unitTime"), "must be 1 or more"))
    }

    /// Counts of tokens that are left out bound nothing.
    fn ai_tokens(&self, path: &str) -> Result<Quota, Refused> {
        let optional = |name: &str, count: Option<i64>, otherwise: u64| match count {
            None => Ok(otherwise),
            some => at_least_one(path, name, some),
        };
        Ok(Quota::AiTokens {
            requests: at_least_one(path, "requestCount", self.request_count)?,
            total: optional("totalTokenCount", self.total_token_count, UNLIMITED)?,
            prompt: optional("promptTokenCount", self.prompt_token_count, 0)?,
            completion: optional("completionTokenCount", self.completion_token_count, 0)?,
        })
    }
}

fn at_least_one(path: &str, name: &str, count: Option<i64>) -> Result<u64, Refused> {
    let invalid = |reason: &str| Refused::invalid(&format!("{path}.{name}"), reason);
    let count = count.ok_or_else(|| invalid("is missing"))?;
    u64::try_from(count).ok().filter(|count| *count >= 1).ok_or_else(|| invalid("must be 1 or more"))
}

/// Returns the unit of time that a text names; `field` is where the text is.
pub(crate) fn time_unit(field: &str, text: &str) -> Result<TimeUnit, Refused> {
    let unknown = || {
        let reason = format!("`{text}` is not a unit of time; there are sec, min, hour, day, week, month and year");
        Refused::invalid(field, reason)
    };
    TimeUnit::from_contract(text).ok_or_else(unknown)
}

fn data_unit(path: &str, text: Option<&str>) -> Result<DataUnit, Refused> {
    match text.unwrap_or_default().to_ascii_uppercase().as_str() {
        "KB" => Ok(DataUnit::Kb),
        "MB" => Ok(DataUnit::Mb),
        "GB" => Ok(DataUnit::Gb),
        _ => Err(Refused::invalid(&format!("{path}.dataUnit"), "must be KB, MB or GB")),
    }
}
