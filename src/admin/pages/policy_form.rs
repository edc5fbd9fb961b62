//! The form of a policy: the few fields that most policies have, and all of them as JSON.

use portcullis_http::ApiError;
use portcullis_model::PolicyLevel;
use portcullis_portal::Fields;
use serde_json::{Value, json};

/// A level: the word in paths, its name, and what its policies are for.
type Level = (PolicyLevel, &'static str, &'static str, &'static str);

/// The levels.
pub(super) const LEVELS: [Level; 4] = [
    (
        PolicyLevel::Subscription,
        "subscription",
        "Business plans",
        "What a subscriber chooses: the calls of an application to an API.",
    ),
    (
        PolicyLevel::Application,
        "application",
        "Application limits",
        "The calls of one user through one application, to all APIs together.",
    ),
    (
        PolicyLevel::Advanced,
        "advanced",
        "Limits of APIs and resources",
        "The calls of everybody to an API or to one of its resources.",
    ),
    (PolicyLevel::Custom, "custom", "Custom rules", "Limits by whatever a call has: rules with an expression."),
];

/// Returns the level of a word.
pub(super) fn level_of(word: &str) -> Result<Level, ApiError> {
    LEVELS.into_iter().find(|level| level.1 == word).ok_or_else(ApiError::no_such_path)
}

/// What a form shows of a policy.
pub(super) struct Sent {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) count: String,
    pub(super) length: String,
    pub(super) unit: String,
    pub(super) stops: bool,
    pub(super) json: String,
    /// Whether the limit is of another kind than calls, and so changed as JSON alone.
    pub(super) is_special: bool,
}

impl Sent {
    /// Returns the form of a new policy.
    pub(super) fn new(word: &str) -> Self {
        let mut sent = Self::of(&json!({
            "policyName": "",
            "defaultLimit": {
                "type": "REQUESTCOUNTLIMIT",
                "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 1000},
            },
            "stopOnQuotaReach": true,
        }));
        sent.is_special = word == "custom";
        sent
    }

    /// Returns the form of a policy as the contract has it.
    pub(super) fn of(body: &Value) -> Self {
        let limit = &body["defaultLimit"]["requestCount"];
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self {
            name: text(&body["policyName"]),
            description: body["description"].as_str().unwrap_or_default().to_owned(),
            is_special: !limit.is_object() || !body["keyTemplate"].is_null(),
            count: text(&limit["requestCount"]),
            length: text(&limit["unitTime"]),
            unit: text(&limit["timeUnit"]),
            stops: body["stopOnQuotaReach"].as_bool().unwrap_or(true),
            json: format!("{body:#}"),
        }
    }

    /// Returns the form as it was sent.
    pub(super) fn of_fields(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).to_owned();
        Self {
            name: text("policyName"),
            description: text("description"),
            count: text("count"),
            length: text("length"),
            unit: text("unit"),
            stops: fields.has("stops"),
            json: fields.raw("json").to_owned(),
            is_special: fields.text("act") == "json",
        }
    }
}

/// So many calls in such a time.
pub(super) struct Limit {
    count: i64,
    length: i64,
}

impl Limit {
    /// Reads it.
    pub(super) fn of(fields: &Fields) -> Result<Self, ApiError> {
        let number = |name: &str| {
            let text = fields.text(name);
            text.parse().map_err(|_| ApiError::bad_request(format!("{name}: must be a whole number, not `{text}`")))
        };
        Ok(Self { count: number("count")?, length: number("length")? })
    }

    /// Writes it, with the other fields of the form, over what the policy was before.
    pub(super) fn write(&self, fields: &Fields, mut before: Value) -> Value {
        before["policyName"] = fields.text("policyName").into();
        before["description"] = fields.text("description").into();
        before["stopOnQuotaReach"] = fields.has("stops").into();
        before["defaultLimit"] = json!({
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": {
                "timeUnit": fields.text("unit"),
                "unitTime": self.length,
                "requestCount": self.count,
            },
        });
        before
    }
}
