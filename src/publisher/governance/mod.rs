//! Governance (Governance v1): rulesets that say what APIs must be like, policies that say which of them hold for which APIs
//! and what becomes of an API that does not keep to them, and how far the tenant's APIs do. What APIs are like is found out
//! when it is asked for; nothing of it is stored.

mod defaults;
pub(crate) mod judge;
mod policy;
mod rest;
mod results;
mod ruleset;
mod spectral;

use axum::Router;
use axum::routing::get;
use portcullis_actor::Address;

use crate::actor::Publisher;

/// Returns the routes, without prefix.
pub(crate) fn routes(publisher: Address<Publisher>) -> Router {
    Router::new()
        .route("/rulesets", get(rest::list_rulesets).post(rest::create_ruleset))
        .route("/rulesets/{rulesetId}", get(rest::show_ruleset).put(rest::update_ruleset).delete(rest::delete_ruleset))
        .route("/rulesets/{rulesetId}/content", get(rest::ruleset_content))
        .route("/rulesets/{rulesetId}/usage", get(rest::ruleset_usage))
        .route("/policies", get(rest::list_policies).post(rest::create_policy))
        .route("/policies/{policyId}", get(rest::show_policy).put(rest::update_policy).delete(rest::delete_policy))
        .route("/policy-adherence", get(results::policies))
        .route("/policy-adherence/summary", get(results::policies_summary))
        .route("/policy-adherence/{policyId}", get(results::policy))
        .route("/artifact-compliance/api", get(results::apis))
        .route("/artifact-compliance/api/summary", get(results::apis_summary))
        .route("/artifact-compliance/api/{apiId}", get(results::api))
        .route("/artifact-compliance/api/{apiId}/ruleset-validation-results/{rulesetId}", get(results::ruleset))
        .with_state(publisher)
}
