//! What surrounds APIs and applications in the contract: tags, categories, tenants, key managers, settings.

use portcullis_model::heading::Heading;
use portcullis_model::key_manager::KeyManager;
use serde::Serialize;
use serde_json::{Map, Value};

use super::key::RESIDENT_KEY_MANAGER;
use crate::settings::Settings;

/// A list without pages.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WholeList<T> {
    pub count: usize,
    pub list: Vec<T>,
}

impl<T> WholeList<T> {
    /// Makes the body.
    pub(crate) fn new(list: Vec<T>) -> Self {
        Self { count: list.len(), list }
    }
}

/// A tag and how many APIs carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TagDto {
    /// The tag.
    pub value: String,
    /// How many APIs carry it.
    pub count: usize,
}

/// A category that an API is filed under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CategoryDto {
    pub id: String,
    pub name: String,
    pub description: String,
}

impl From<&Heading> for CategoryDto {
    fn from(category: &Heading) -> Self {
        let Heading { id, name, description, .. } = category.clone();
        Self { id: id.to_string(), name, description }
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TenantDto {
    /// The domain.
    pub domain: String,
    /// `active`.
    pub status: &'static str,
}

/// An attribute that applications may have. None is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ApplicationAttributeDto {
    pub attribute: String,
}

/// A key manager.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyManagerDto {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub display_name: String,
    pub description: String,
    pub enabled: bool,
    pub available_grant_types: Vec<String>,
    pub token_endpoint: String,
    pub revoke_endpoint: String,
    pub user_info_endpoint: String,
    pub enable_token_generation: bool,
    pub enable_token_encryption: bool,
    pub enable_token_hashing: bool,
    pub enable_o_auth_app_creation: bool,
    pub enable_map_o_auth_consumer_apps: bool,
    pub application_configuration: Vec<Value>,
    pub alias: String,
    pub additional_properties: Map<String, Value>,
    pub token_type: String,
}

impl KeyManagerDto {
    /// Describes the key manager that is part of every cluster.
    pub(crate) fn resident(settings: &Settings) -> Self {
        let url = &settings.management_url;
        Self {
            // No other can have this name, so its id is its name.
            id: RESIDENT_KEY_MANAGER.to_owned(),
            name: RESIDENT_KEY_MANAGER.to_owned(),
            kind: "default".to_owned(),
            display_name: RESIDENT_KEY_MANAGER.to_owned(),
            description: "This is Resident Key Manager".to_owned(),
            enabled: true,
            available_grant_types: settings.grant_types.clone(),
            token_endpoint: format!("{url}/oauth2/token"),
            revoke_endpoint: format!("{url}/oauth2/revoke"),
            user_info_endpoint: format!("{url}/oauth2/userinfo"),
            enable_token_generation: true,
            enable_token_encryption: false,
            enable_token_hashing: false,
            enable_o_auth_app_creation: true,
            enable_map_o_auth_consumer_apps: false,
            application_configuration: Vec::new(),
            alias: format!("{url}/oauth2/token"),
            additional_properties: Map::new(),
            token_type: "DIRECT".to_owned(),
        }
    }
    /// Describes another key manager, whose keys can be mapped.
    pub(crate) fn other(one: &KeyManager) -> Self {
        let said: Map<String, Value> = serde_json::from_str(&one.other_fields).unwrap_or_default();
        let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let grants = said.get("availableGrantTypes").and_then(Value::as_array).into_iter().flatten();
        let display_name = Some(text("displayName")).filter(|name| !name.is_empty());
        Self {
            id: one.id.to_string(),
            name: one.name.clone(),
            kind: text("type"),
            display_name: display_name.unwrap_or_else(|| one.name.clone()),
            description: text("description"),
            enabled: one.is_enabled,
            available_grant_types: grants.filter_map(Value::as_str).map(str::to_owned).collect(),
            token_endpoint: one.token_url.clone().unwrap_or_default(),
            revoke_endpoint: text("revokeEndpoint"),
            user_info_endpoint: text("userInfoEndpoint"),
            enable_token_generation: one.token_url.is_some(),
            enable_token_encryption: false,
            enable_token_hashing: false,
            enable_o_auth_app_creation: one.registration_url.is_some(),
            enable_map_o_auth_consumer_apps: true,
            application_configuration: Vec::new(),
            alias: text("alias"),
            additional_properties: Map::new(),
            token_type: "DIRECT".to_owned(),
        }
    }
}

/// What a client of the Store may offer its users.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "the contract's independent switches")]
pub(crate) struct SettingsDto {
    pub grant_types: Vec<String>,
    pub scopes: Vec<&'static str>,
    pub application_sharing_enabled: bool,
    pub map_existing_auth_apps: bool,
    pub api_gateway_endpoint: String,
    pub monetization_enabled: bool,
    pub recommendation_enabled: bool,
    #[serde(rename = "IsUnlimitedTierPaid")]
    pub is_unlimited_tier_paid: bool,
    pub identity_provider: IdentityProviderDto,
    #[serde(rename = "IsAnonymousModeEnabled")]
    pub is_anonymous_mode_enabled: bool,
    #[serde(rename = "IsPasswordChangeEnabled")]
    pub is_password_change_enabled: bool,
    #[serde(rename = "IsJWTEnabledForLoginTokens")]
    pub is_jwt_enabled_for_login_tokens: bool,
    pub org_access_control_enabled: bool,
    pub api_chat_enabled: bool,
    pub ai_auth_token_provided: bool,
    pub marketplace_assistant_enabled: bool,
    pub org_wide_app_update_enabled: bool,
    pub password_policy_min_length: usize,
    /// There is none but that of a request's size.
    pub password_policy_max_length: Option<usize>,
    pub password_policy_pattern: Option<String>,
    pub user_store_password_pattern: Option<String>,
}

/// Where users sign in.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IdentityProviderDto {
    pub external: bool,
}

impl SettingsDto {
    /// Describes this Store.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            grant_types: settings.grant_types.clone(),
            scopes: vec![
                "apim:api_key",
                "apim:app_import_export",
                "apim:app_manage",
                "apim:store_settings",
                "apim:sub_alert_manage",
                "apim:sub_manage",
                "apim:subscribe",
                "openid",
            ],
            application_sharing_enabled: false,
            map_existing_auth_apps: false,
            api_gateway_endpoint: format!("{},{}", settings.gateway.http, settings.gateway.https),
            monetization_enabled: true,
            recommendation_enabled: true,
            is_unlimited_tier_paid: false,
            identity_provider: IdentityProviderDto { external: false },
            is_anonymous_mode_enabled: true,
            is_password_change_enabled: false,
            is_jwt_enabled_for_login_tokens: false,
            org_access_control_enabled: false,
            api_chat_enabled: settings.has_assistant,
            ai_auth_token_provided: settings.has_assistant,
            marketplace_assistant_enabled: settings.has_assistant,
            org_wide_app_update_enabled: false,
            password_policy_min_length: 0,
            password_policy_max_length: None,
            password_policy_pattern: None,
            user_store_password_pattern: None,
        }
    }
}
