//! Further secrets of keys, as the original shows them.

use portcullis_http::time::rfc3339;
use portcullis_model::ClientSecretId;
use portcullis_model::authorization::ClientSecret;
use serde::{Deserialize, Serialize};

/// What a new secret is to be like.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerateSecretBody {
    /// The wish.
    #[serde(default)]
    pub additional_properties: Option<SecretWish>,
}

/// What a new secret is for, and how long it is good.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretWish {
    /// In its owner's words.
    #[serde(default)]
    pub description: Option<String>,
    /// In seconds; without an end where it is 0, negative or not there.
    #[serde(default)]
    pub expires_in: Option<i64>,
}

/// Which secret is to go.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevokeSecretBody {
    /// Its id.
    pub secret_id: String,
}

/// The further secrets of keys.
#[derive(Clone, Serialize)]
pub(crate) struct SecretListDto {
    /// How many.
    pub count: usize,
    /// Each.
    pub list: Vec<SecretRowDto>,
}

/// A further secret.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretRowDto {
    /// Its id.
    secret_id: String,
    /// The secret in clear: once, when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_value: Option<String>,
    /// What is known of it.
    additional_properties: SecretFacts,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretFacts {
    description: String,
    created_at: String,
    expires_at: Option<String>,
}

impl SecretRowDto {
    /// Describes a secret; `value` where it is shown.
    pub(crate) fn new(id: ClientSecretId, secret: &ClientSecret, value: Option<String>) -> Self {
        Self {
            secret_id: id.to_string(),
            secret_value: value,
            additional_properties: SecretFacts {
                description: secret.description.clone(),
                created_at: rfc3339(secret.created_at),
                expires_at: secret.expires_at.map(rfc3339),
            },
        }
    }
}
