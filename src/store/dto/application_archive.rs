//! An application in an archive of the original's command-line client.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::application::TokenTypeWord;
use super::key::KeyTypeWord;

/// What is in an archive.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArchivedApplication {
    /// The application.
    pub application_info: ArchivedInfo,
    /// What it is subscribed to.
    #[serde(default, rename = "subscribedAPIs")]
    pub subscribed_apis: Vec<ArchivedSubscription>,
}

/// The application itself. What else is there only says what was.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArchivedInfo {
    pub name: String,
    pub throttling_policy: String,
    pub description: Option<String>,
    pub token_type: Option<TokenTypeWord>,
    pub groups: Option<Vec<String>>,
    pub attributes: Option<BTreeMap<String, String>>,
    pub owner: Option<String>,
    pub keys: Option<Vec<ArchivedKey>>,
}

/// Keys, with their secret in base64.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArchivedKey {
    pub key_manager: Option<String>,
    pub consumer_key: Option<String>,
    pub consumer_secret: Option<String>,
    pub supported_grant_types: Option<Vec<String>>,
    pub callback_url: Option<String>,
    pub key_type: KeyTypeWord,
    pub additional_properties: Option<Value>,
}

/// A subscription.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArchivedSubscription {
    pub api_id: ArchivedApi,
    pub throttling_policy: String,
}

/// Which API is meant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArchivedApi {
    pub provider_name: String,
    pub api_name: String,
    pub version: String,
}
