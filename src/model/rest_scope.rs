//! The scopes of the REST APIs and the roles that may have them where a tenant says nothing else: the original's tenant
//! configuration. The scopes of APIs are not here; they are part of the APIs.

const ADMIN: &str = "admin";
const CREATOR: &str = "Internal/creator";
const PUBLISHER: &str = "Internal/publisher";
const SUBSCRIBER: &str = "Internal/subscriber";
const DEVOPS: &str = "Internal/devops";

const ADMINS: &[&str] = &[ADMIN];
const CREATORS: &[&str] = &[ADMIN, CREATOR];
const PUBLISHERS: &[&str] = &[ADMIN, PUBLISHER];
const DESIGNERS: &[&str] = &[ADMIN, CREATOR, PUBLISHER];
const SUBSCRIBERS: &[&str] = &[ADMIN, SUBSCRIBER];
const OPERATORS: &[&str] = &[ADMIN, DEVOPS];
const EVERY_INTERNAL: &[&str] = &[ADMIN, CREATOR, PUBLISHER, SUBSCRIBER, DEVOPS];

/// Every scope that an operation of the REST contracts asks for, in order of name, with the roles that may have it.
pub(crate) const REST_SCOPES: &[(&str, &[&str])] = &[
    ("apim:admin", ADMINS),
    ("apim:admin_alert_manage", ADMINS),
    ("apim:admin_application_view", ADMINS),
    ("apim:admin_operations", ADMINS),
    ("apim:admin_settings", ADMINS),
    ("apim:admin_tier_manage", ADMINS),
    ("apim:admin_tier_view", ADMINS),
    ("apim:api_category", ADMINS),
    ("apim:api_create", CREATORS),
    ("apim:api_definition_view", DESIGNERS),
    ("apim:api_delete", CREATORS),
    ("apim:api_generate_key", DESIGNERS),
    ("apim:api_import_export", OPERATORS),
    ("apim:api_key", SUBSCRIBERS),
    ("apim:api_list_view", DESIGNERS),
    ("apim:api_manage", ADMINS),
    ("apim:api_mediation_policy_manage", CREATORS),
    ("apim:api_product_import_export", OPERATORS),
    ("apim:api_provider_change", ADMINS),
    ("apim:api_publish", PUBLISHERS),
    ("apim:api_view", DESIGNERS),
    ("apim:api_workflow_approve", ADMINS),
    ("apim:api_workflow_view", ADMINS),
    ("apim:app_import_export", OPERATORS),
    ("apim:app_manage", SUBSCRIBERS),
    ("apim:app_owner_change", ADMINS),
    ("apim:bl_manage", ADMINS),
    ("apim:bl_view", ADMINS),
    ("apim:bot_data", ADMINS),
    ("apim:client_certificates_add", CREATORS),
    ("apim:client_certificates_manage", CREATORS),
    ("apim:client_certificates_update", CREATORS),
    ("apim:client_certificates_view", CREATORS),
    ("apim:comment_manage", DESIGNERS),
    ("apim:comment_view", DESIGNERS),
    ("apim:comment_write", DESIGNERS),
    ("apim:common_operation_policy_manage", CREATORS),
    ("apim:common_operation_policy_view", DESIGNERS),
    ("apim:dcr:app_manage", EVERY_INTERNAL),
    ("apim:document_create", CREATORS),
    ("apim:document_manage", DESIGNERS),
    ("apim:environment_manage", ADMINS),
    ("apim:environment_read", ADMINS),
    ("apim:ep_certificates_add", CREATORS),
    ("apim:ep_certificates_manage", CREATORS),
    ("apim:ep_certificates_update", CREATORS),
    ("apim:ep_certificates_view", CREATORS),
    ("apim:gateway_policy_manage", PUBLISHERS),
    ("apim:gateway_policy_view", DESIGNERS),
    ("apim:gov_policy_manage", ADMINS),
    ("apim:gov_policy_read", DESIGNERS),
    ("apim:gov_result_read", DESIGNERS),
    ("apim:gov_rule_manage", ADMINS),
    ("apim:gov_rule_read", DESIGNERS),
    ("apim:keymanagers_manage", ADMINS),
    ("apim:llm_provider_manage", ADMINS),
    ("apim:llm_provider_read", DESIGNERS),
    ("apim:mediation_policy_create", CREATORS),
    ("apim:mediation_policy_manage", CREATORS),
    ("apim:mediation_policy_view", CREATORS),
    ("apim:monetization_usage_publish", PUBLISHERS),
    ("apim:organization_manage", ADMINS),
    ("apim:organization_read", ADMINS),
    ("apim:policies_import_export", OPERATORS),
    ("apim:pub_alert_manage", PUBLISHERS),
    ("apim:publisher_organization_read", DESIGNERS),
    ("apim:publisher_settings", DESIGNERS),
    ("apim:role_manage", ADMINS),
    ("apim:scope_manage", ADMINS),
    ("apim:shared_scope_manage", PUBLISHERS),
    ("apim:store_settings", SUBSCRIBERS),
    ("apim:sub_alert_manage", SUBSCRIBERS),
    ("apim:sub_manage", SUBSCRIBERS),
    ("apim:subscribe", SUBSCRIBERS),
    ("apim:subscription_approval_manage", PUBLISHERS),
    ("apim:subscription_approval_view", PUBLISHERS),
    ("apim:subscription_block", PUBLISHERS),
    ("apim:subscription_manage", PUBLISHERS),
    ("apim:subscription_view", DESIGNERS),
    ("apim:tenantInfo", ADMINS),
    ("apim:tenant_theme_manage", ADMINS),
    ("apim:threat_protection_policy_create", CREATORS),
    ("apim:threat_protection_policy_manage", CREATORS),
    ("apim:tier_manage", ADMINS),
    ("apim:tier_view", DESIGNERS),
    ("internal_group_mgt_create", ADMINS),
    ("internal_group_mgt_delete", ADMINS),
    ("internal_group_mgt_list", ADMINS),
    ("internal_group_mgt_update", ADMINS),
    ("internal_group_mgt_view", ADMINS),
    ("internal_role_mgt_create", ADMINS),
    ("internal_role_mgt_delete", ADMINS),
    ("internal_role_mgt_list", ADMINS),
    ("internal_role_mgt_update", ADMINS),
    ("internal_role_mgt_view", ADMINS),
    ("internal_user_mgt_create", ADMINS),
    ("internal_user_mgt_delete", ADMINS),
    ("internal_user_mgt_list", ADMINS),
    ("internal_user_mgt_update", ADMINS),
    ("internal_user_mgt_view", ADMINS),
    ("service_catalog:service_view", DESIGNERS),
    ("service_catalog:service_write", CREATORS),
];

/// Returns the roles that may have a scope of the REST APIs where a tenant says nothing else; `None` for another scope.
pub(crate) fn default_roles(scope: &str) -> Option<&'static [&'static str]> {
    let place = REST_SCOPES.binary_search_by(|(name, _)| (*name).cmp(scope)).ok()?;
    REST_SCOPES.get(place).map(|(_, roles)| *roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_so_that_each_scope_is_found() {
        assert!(REST_SCOPES.is_sorted_by(|one, next| one.0 < next.0));
    }
}
