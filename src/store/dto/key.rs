//! Keys and tokens of applications in the contract. What holds a secret or a token has no `Debug`.

use portcullis_model::key_manager::MappedKey;
use portcullis_model::port::IssuedToken;
use portcullis_model::{KeyType, OauthClient};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The name of the key manager that is part of every cluster.
pub(crate) use portcullis_model::key_manager::RESIDENT_KEY_MANAGER;

/// The contract's words for key types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum KeyTypeWord {
    /// For the real thing.
    Production,
    /// For trying out.
    Sandbox,
}

impl From<KeyTypeWord> for KeyType {
    fn from(word: KeyTypeWord) -> Self {
        match word {
            KeyTypeWord::Production => Self::Production,
            KeyTypeWord::Sandbox => Self::Sandbox,
        }
    }
}

/// A number that callers send as a number or as text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a whole number, or one as text")]
pub(crate) enum NumberOrText {
    /// As a number.
    Number(i64),
    /// As text.
    Text(String),
}

/// What is asked of new keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerateKeysBody {
    /// Production or sandbox.
    pub key_type: KeyTypeWord,
    /// The key manager's name.
    pub key_manager: Option<String>,
    /// The grants they may use.
    pub grant_types_to_be_supported: Vec<String>,
    /// Where users are sent back to.
    pub callback_url: Option<String>,
    /// The scopes of the first token.
    pub scopes: Option<Vec<String>>,
    /// How long the first token lives, in seconds; -1 for as long as can be.
    pub validity_time: Option<NumberOrText>,
    /// Further settings: an object, or an object as text.
    pub additional_properties: Option<Value>,
}

/// Which keys of another key manager are to call for an application. Their secret is not needed and not read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MapKeysBody {
    /// The client id there.
    pub consumer_key: String,
    /// The key manager's name.
    pub key_manager: Option<String>,
    /// Production or sandbox.
    pub key_type: KeyTypeWord,
}

/// What keys are to become.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateKeyBody {
    /// The grants they may use; kept where it is missing.
    pub supported_grant_types: Option<Vec<String>>,
    /// Where users are sent back to; kept where it is missing.
    pub callback_url: Option<String>,
    /// Further settings; kept where they are missing.
    pub additional_properties: Option<Value>,
}

/// What is asked of a token.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerateTokenBody {
    /// The keys' secret, if the caller wants it checked.
    pub consumer_secret: Option<String>,
    /// How long it lives, in seconds.
    pub validity_period: Option<NumberOrText>,
    /// The scopes wanted.
    pub scopes: Option<Vec<String>>,
    /// A token to revoke first.
    pub revoke_token: Option<String>,
    /// The grant.
    pub grant_type: Option<TokenGrantWord>,
}

/// The contract's words for the grant of a token made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum TokenGrantWord {
    /// The application's own token.
    ClientCredentials,
    /// A token of another issuer in exchange.
    TokenExchange,
}

/// Keys of an application.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyDto {
    pub key_mapping_id: Option<String>,
    pub key_manager: String,
    pub consumer_key: String,
    pub consumer_secret: String,
    pub supported_grant_types: Vec<String>,
    pub callback_url: String,
    pub key_state: &'static str,
    pub key_type: Option<&'static str>,
    pub mode: &'static str,
    pub group_id: Option<String>,
    pub token: Option<TokenDto>,
    pub additional_properties: Map<String, Value>,
}

impl KeyDto {
    /// Makes the body; `secret` is the secret in clear.
    pub(crate) fn new(client: &OauthClient, secret: String, token: Option<TokenDto>) -> Self {
        Self {
            key_mapping_id: client.mapping.map(|mapping| mapping.id.to_string()),
            key_manager: RESIDENT_KEY_MANAGER.to_owned(),
            consumer_key: client.id.to_string(),
            consumer_secret: secret,
            supported_grant_types: client.grants.clone(),
            callback_url: client.callback_url.clone(),
            key_state: "COMPLETED",
            key_type: client.mapping.map(|mapping| mapping.key_type.as_contract()),
            mode: "CREATED",
            group_id: None,
            token,
            // What is stored was checked to be an object when it came in.
            additional_properties: serde_json::from_str(&client.other_fields).unwrap_or_default(),
        }
    }
}

impl KeyDto {
    /// Makes the body of a key of another key manager; `secret` is the secret in clear, empty where it is not known.
    pub(crate) fn mapped(key: &MappedKey, key_manager: &str, secret: String, token: Option<TokenDto>) -> Self {
        let registered = key.registered.as_ref();
        Self {
            key_mapping_id: Some(key.mapping.to_string()),
            key_manager: key_manager.to_owned(),
            consumer_key: key.client.to_string(),
            consumer_secret: secret,
            supported_grant_types: registered.map(|client| client.grants.clone()).unwrap_or_default(),
            callback_url: registered.map(|client| client.callback_url.clone()).unwrap_or_default(),
            key_state: "COMPLETED",
            key_type: Some(key.key_type.as_contract()),
            mode: if registered.is_some() { "CREATED" } else { "MAPPED" },
            group_id: None,
            token,
            additional_properties: Map::new(),
        }
    }
}

/// A list of keys.
#[derive(Clone, Serialize)]
pub(crate) struct KeyListDto {
    pub count: usize,
    pub list: Vec<KeyDto>,
}

impl KeyListDto {
    /// Makes the body.
    pub(crate) fn new(list: Vec<KeyDto>) -> Self {
        Self { count: list.len(), list }
    }
}

/// A token of an application.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenDto {
    pub access_token: String,
    pub token_scopes: Vec<String>,
    pub validity_time: u64,
}

impl From<IssuedToken> for TokenDto {
    fn from(token: IssuedToken) -> Self {
        Self { access_token: token.access_token, token_scopes: token.scopes, validity_time: token.expires_in_s }
    }
}

/// A new secret.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretDto {
    /// The client id.
    pub consumer_key: String,
    /// The secret in clear.
    pub consumer_secret: String,
}
