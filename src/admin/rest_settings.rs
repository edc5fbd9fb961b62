//! `/settings` of the Admin v4 contract: what a client of it needs to know before it asks for anything else.

use axum::routing::get;
use axum::{Json, Router};
use portcullis_http::{ApiError, Signed};
use serde::Serialize;

/// The scopes of the Admin v4 contract.
const SCOPES: &[&str] = &[
    "openid",
    "apim:policies_import_export",
    "apim:admin",
    "apim:tier_view",
    "apim:tier_manage",
    "apim:admin_tier_view",
    "apim:admin_tier_manage",
    "apim:bl_view",
    "apim:bl_manage",
    "apim:mediation_policy_view",
    "apim:mediation_policy_create",
    "apim:app_owner_change",
    "apim:app_import_export",
    "apim:api_import_export",
    "apim:api_product_import_export",
    "apim:environment_manage",
    "apim:environment_read",
    "apim:monetization_usage_publish",
    "apim:api_workflow_approve",
    "apim:bot_data",
    "apim:tenantInfo",
    "apim:tenant_theme_manage",
    "apim:admin_operations",
    "apim:api_category",
    "apim:admin_settings",
    "apim:admin_alert_manage",
    "apim:api_workflow_view",
    "apim:scope_manage",
    "apim:role_manage",
    "apim:admin_application_view",
    "apim:keymanagers_manage",
    "apim:api_provider_change",
    "apim:llm_provider_manage",
    "apim:gov_policy_read",
    "apim:gov_policy_manage",
    "apim:gov_result_read",
    "apim:gov_rule_read",
    "apim:gov_rule_manage",
    "apim:organization_manage",
    "apim:organization_read",
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    scopes: &'static [&'static str],
    gateway_types: [&'static str; 1],
    #[serde(rename = "IsJWTEnabledForLoginTokens")]
    is_jwt_enabled_for_login_tokens: bool,
    org_access_control_enabled: bool,
    key_manager_configuration: [(); 0],
    gateway_configuration: [(); 0],
    analytics_enabled: bool,
    transaction_counter_enable: bool,
}

pub(crate) fn routes() -> Router {
    Router::new().route("/settings", get(settings))
}

async fn settings(signed: Signed) -> Result<Json<Settings>, ApiError> {
    signed.require(&["apim:admin", "apim:admin_settings"])?;
    Ok(Json(Settings {
        scopes: SCOPES,
        gateway_types: ["Regular"],
        is_jwt_enabled_for_login_tokens: false,
        org_access_control_enabled: true,
        key_manager_configuration: [],
        gateway_configuration: [],
        analytics_enabled: false,
        transaction_counter_enable: true,
    }))
}
