//! API keys in the contract and in Portcullis' own API. What holds a key has no `Debug`.

use portcullis_model::{ApiKey, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::NumberOrText;

/// What is asked of a new API key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerateApiKeyBody {
    /// How long it lives, in seconds; -1, or nothing, for ever.
    pub validity_period: Option<NumberOrText>,
    /// From where it may be used, what it is called and made of.
    pub additional_properties: Option<Value>,
}

/// Which API key is to be revoked.
#[derive(Clone, Deserialize)]
pub(crate) struct RevokeApiKeyBody {
    /// The key.
    pub apikey: String,
}

/// A new API key.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewApiKeyDto {
    /// The key, which is not shown again.
    pub apikey: String,
    /// How long it lives, in seconds; -1 for ever.
    pub validity_time: i64,
    /// The id by which it is listed and revoked.
    pub key_id: String,
}

/// An API key as it is listed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeyDto {
    pub key_id: String,
    pub name: String,
    pub key_type: &'static str,
    pub form: &'static str,
    pub permitted_ip: Vec<String>,
    pub permitted_referer: Vec<String>,
    pub issued_by: String,
    pub issued_at: String,
    pub expires_at: Option<String>,
    pub is_expired: bool,
}

impl ApiKeyDto {
    /// Makes the body as of `now`.
    pub(crate) fn new(key: &ApiKey, now: Timestamp) -> Self {
        Self {
            key_id: key.id.to_string(),
            name: key.name.clone(),
            key_type: key.key_type.as_contract(),
            form: key.form.as_str(),
            permitted_ip: key.restriction.networks.clone(),
            permitted_referer: key.restriction.referrers.clone(),
            issued_by: key.issued_by.0.clone(),
            issued_at: rfc_3339(key.issued_at),
            expires_at: key.expires_at.map(rfc_3339),
            is_expired: key.expires_at.is_some_and(|ends_at| ends_at <= now),
        }
    }
}

fn rfc_3339(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |time| time.to_string())
}

/// The API keys of an application.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ApiKeyListDto {
    pub count: usize,
    pub list: Vec<ApiKeyDto>,
}
