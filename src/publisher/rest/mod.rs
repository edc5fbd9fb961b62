//! The REST paths of Publisher v4: thin handlers that read a request, ask the actor and write the contract's answer.
//! Status codes, bodies and scopes are the contract's; nothing is decided here.

pub(crate) mod answer;
mod api_endpoints;
pub(crate) mod apis;
mod approvals;
mod archives;
mod asyncapi;
mod certificates;
pub(crate) mod comments;
pub(crate) mod definitions;
pub(crate) mod documents;
mod endpoint_certificates;
mod endpoints;
mod environment_properties;
mod functions;
mod gateway_policies;
mod graphql;
mod headings;
pub(crate) mod internal_keys;
pub(crate) mod lifecycle;
mod linter;
mod llm_providers;
mod mocks;
mod monetization;
pub(crate) mod operation_policies;
mod organizations;
pub(crate) mod policies;
mod products;
pub(crate) mod request;
mod resource_paths;
mod resource_policies;
pub(crate) mod revisions;
mod scopes;
mod search;
mod sequences;
mod services;
mod settings;
pub(crate) mod subscriptions;
mod themes;
pub(crate) mod thumbnails;
mod wsdl;

use axum::Router;
use axum::routing::{get, head, post, put};
use portcullis_actor::Address;

use crate::actor::Publisher;
use crate::external_stores;

/// Returns the routes, without prefix.
pub fn routes(publisher: Address<Publisher>) -> Router {
    Router::new()
        .route("/apis", get(apis::list).post(apis::create))
        .route("/apis/import-openapi", post(definitions::import))
        .route("/apis/validate-openapi", post(definitions::validate))
        .route("/apis/import-service", post(services::import))
        .route("/apis/validate-endpoint", post(endpoints::validate))
        .route("/apis/export", get(archives::export))
        .route("/apis/import", post(archives::import))
        .route("/apis/validate", post(apis::is_taken))
        .route("/apis/copy-api", post(apis::copy))
        .route("/apis/change-lifecycle", post(lifecycle::change))
        .route("/apis/{apiId}", get(apis::read).put(apis::update).delete(apis::delete))
        .route("/apis/{apiId}/swagger", get(definitions::read).put(definitions::replace))
        .route("/apis/{apiId}/reimport-service", put(services::reimport))
        .route("/apis/{apiId}/lifecycle-state", get(lifecycle::state))
        .route("/apis/{apiId}/lifecycle-state/pending-tasks", axum::routing::delete(lifecycle::cancel))
        .route(
            "/apis/{apiId}/cancel-revision-workflow/{revisionId}/{envName}",
            axum::routing::delete(revisions::cancel),
        )
        .route("/apis/{apiId}/lifecycle-history", get(lifecycle::history))
        .route("/apis/{apiId}/revisions", get(revisions::list).post(revisions::create))
        .route("/apis/{apiId}/revisions/{revisionId}", get(revisions::read).delete(revisions::delete))
        .route("/apis/{apiId}/deployments", get(revisions::deployments))
        .route("/apis/{apiId}/deployments/{deploymentId}", put(revisions::change_deployment))
        .route("/apis/{apiId}/deploy-revision", post(revisions::deploy))
        .route("/apis/{apiId}/undeploy-revision", post(revisions::undeploy))
        .route("/apis/{apiId}/restore-revision", post(revisions::restore))
        .route("/apis/{apiId}/client-certificates", get(certificates::list).post(certificates::add))
        .route(
            "/apis/{apiId}/client-certificates/{alias}",
            get(certificates::show).put(certificates::update).delete(certificates::delete),
        )
        .route("/apis/{apiId}/client-certificates/{alias}/content", get(certificates::content))
        .route("/apis/{apiId}/client-certs/{keyType}", get(certificates::list).post(certificates::add))
        .route(
            "/apis/{apiId}/client-certs/{keyType}/{alias}",
            get(certificates::show).put(certificates::update).delete(certificates::delete),
        )
        .route("/apis/{apiId}/client-certs/{keyType}/{alias}/content", get(certificates::content))
        .route("/apis/{apiId}/subscription-policies", get(policies::of_api))
        .route("/apis/{apiId}/documents", get(documents::list).post(documents::create))
        .route("/apis/{apiId}/documents/validate", post(documents::is_taken))
        .route(
            "/apis/{apiId}/documents/{documentId}",
            get(documents::read).put(documents::update).delete(documents::delete),
        )
        .route("/apis/{apiId}/documents/{documentId}/content", get(documents::content).post(documents::put_content))
        .route(
            "/apis/{apiId}/environments/{envId}/keys",
            get(environment_properties::read).put(environment_properties::update),
        )
        .route("/apis/{apiId}/generate-key", post(internal_keys::generate))
        .route("/apis/{apiId}/endpoints", get(api_endpoints::list).post(api_endpoints::create))
        .route(
            "/apis/{apiId}/endpoints/{endpointId}",
            get(api_endpoints::read).put(api_endpoints::update).delete(api_endpoints::delete),
        )
        .route("/apis/{apiId}/amznResourceNames", get(functions::list))
        .route("/apis/{apiId}/thumbnail", get(thumbnails::read).put(thumbnails::put))
        .route("/apis/{apiId}/api-themes", get(themes::list).post(themes::upload))
        .route("/apis/{apiId}/api-themes/{id}", axum::routing::delete(themes::delete))
        .route("/apis/{apiId}/api-themes/{id}/content", get(themes::content))
        .route("/apis/{apiId}/api-themes/{id}/status", post(themes::change_status))
        .route("/apis/{apiId}/comments", get(comments::list).post(comments::create))
        .route(
            "/apis/{apiId}/comments/{commentId}",
            get(comments::read).patch(comments::change).delete(comments::delete),
        )
        .route("/apis/{apiId}/comments/{commentId}/replies", get(comments::replies))
        .route(
            "/apis/{apiId}/operation-policies",
            get(operation_policies::list_of_api).post(operation_policies::upload_to_api),
        )
        .route(
            "/apis/{apiId}/operation-policies/{operationPolicyId}",
            get(operation_policies::read_of_api).delete(operation_policies::delete_of_api),
        )
        .route("/apis/{apiId}/operation-policies/{operationPolicyId}/content", get(operation_policies::content_of_api))
        .route("/operation-policies", get(operation_policies::list).post(operation_policies::upload))
        .route("/operation-policies/export", get(operation_policies::export))
        .route("/operation-policies/import", post(operation_policies::import))
        .route(
            "/operation-policies/{operationPolicyId}",
            get(operation_policies::read).delete(operation_policies::delete),
        )
        .route("/operation-policies/{operationPolicyId}/content", get(operation_policies::content))
        .route("/gateway-policies", get(gateway_policies::list).post(gateway_policies::create))
        .route(
            "/gateway-policies/{gatewayPolicyMappingId}",
            get(gateway_policies::read).put(gateway_policies::update).delete(gateway_policies::delete),
        )
        .route("/gateway-policies/{gatewayPolicyMappingId}/deploy", post(gateway_policies::deploy))
        .route("/endpoint-certificates", get(endpoint_certificates::list).post(endpoint_certificates::add))
        .route(
            "/endpoint-certificates/{alias}",
            get(endpoint_certificates::show).put(endpoint_certificates::update).delete(endpoint_certificates::delete),
        )
        .route("/endpoint-certificates/{alias}/content", get(endpoint_certificates::content))
        .route("/endpoint-certificates/{alias}/usage", get(endpoint_certificates::usage))
        .route("/llm-providers", get(llm_providers::list))
        .route("/llm-providers/{llmProviderId}", get(llm_providers::read))
        .route("/llm-providers/{llmProviderId}/api-definition", get(llm_providers::definition))
        .route("/llm-providers/{llmProviderId}/endpoint-configuration", get(llm_providers::endpoint_configuration))
        .route("/llm-providers/{llmProviderId}/models", get(llm_providers::models))
        .route("/linter-custom-rules", get(linter::rules))
        .route("/search", get(search::find))
        .route("/workflows", get(approvals::list))
        .route("/workflows/update-workflow-status", post(approvals::decide))
        .route("/workflows/{externalWorkflowRef}", get(approvals::show))
        .route("/subscriptions/change-business-plan", post(approvals::change_plan))
        .route("/subscriptions/{subscriptionId}/subscriber-info", get(approvals::subscriber))
        .route("/key-managers", get(approvals::key_managers))
        .route("/apis/{apiId}/resource-paths", get(resource_paths::list))
        .route("/apis/{apiId}/resource-policies", get(resource_policies::list))
        .route(
            "/apis/{apiId}/resource-policies/{resourcePolicyId}",
            get(resource_policies::show).put(resource_policies::replace),
        )
        .route("/apis/{apiId}/monetize", post(monetization::monetize))
        .route("/apis/{apiId}/monetization", get(monetization::show))
        .route("/apis/{apiId}/revenue", get(monetization::revenue))
        .route("/subscriptions", get(subscriptions::list))
        .route("/subscriptions/{subscriptionId}/usage", get(subscriptions::usage))
        .route("/subscriptions/block-subscription", post(subscriptions::block))
        .route("/subscriptions/unblock-subscription", post(subscriptions::unblock))
        .route("/throttling-policies/streaming/subscription", get(policies::streaming))
        .route("/throttling-policies/{policyLevel}", get(policies::list))
        .route("/throttling-policies/{policyLevel}/{policyName}", get(policies::read))
        .route("/settings", get(settings::read))
        .route("/api-categories", get(headings::categories))
        .route("/labels", get(headings::labels))
        .route("/apis/{apiId}/labels", get(headings::of_api))
        .route("/apis/{apiId}/attach-labels", post(headings::attach))
        .route("/apis/{apiId}/detach-labels", post(headings::detach))
        .route("/scopes", get(scopes::list).post(scopes::create))
        .route("/scopes/{scopeId}", get(scopes::read).put(scopes::change).delete(scopes::delete).head(scopes::is_there))
        .route("/scopes/{scopeId}/usage", get(scopes::usage))
        .route("/organizations", get(organizations::list))
        .route("/me/organization-information", get(organizations::own))
        .route("/tenants", get(settings::tenants))
        .route("/tenants/{tenantDomain}", head(settings::has_tenant))
        .route("/me/roles/{roleId}", head(settings::holds_role))
        .route("/roles/{roleId}", head(settings::has_role))
        .merge(products::routes())
        .merge(design_routes())
        .merge(external_stores::routes())
        .with_state(publisher)
}

/// Definitions in other languages than OpenAPI.
fn design_routes() -> Router<Address<Publisher>> {
    Router::new()
        .route("/apis/validate-graphql-schema", post(graphql::validate))
        .route("/apis/import-graphql-schema", post(graphql::import))
        .route("/apis/{apiId}/graphql-schema", get(graphql::schema).put(graphql::replace))
        .route("/apis/{apiId}/graphql-policies/complexity", get(graphql::costs).put(graphql::put_costs))
        .route("/apis/{apiId}/graphql-policies/complexity/types", get(graphql::types))
        .route("/apis/validate-asyncapi", post(asyncapi::validate))
        .route("/apis/import-asyncapi", post(asyncapi::import))
        .route("/apis/{apiId}/asyncapi", get(asyncapi::show).put(asyncapi::replace))
        .route("/apis/{apiId}/topics", put(asyncapi::put_topics))
        .route("/apis/{apiId}/generate-mock-scripts", post(mocks::generate))
        .route("/apis/{apiId}/generated-mock-scripts", get(mocks::generated))
        .route("/apis/{apiId}/sequence-backend", get(sequences::list).put(sequences::put))
        .route("/apis/{apiId}/sequence-backend/{type}", axum::routing::delete(sequences::delete))
        .route("/apis/{apiId}/sequence-backend/{type}/content", get(sequences::content))
        .route("/apis/validate-wsdl", post(wsdl::validate))
        .route("/apis/import-wsdl", post(wsdl::import))
        .route("/apis/{apiId}/wsdl", get(wsdl::show).put(wsdl::replace))
        .route("/apis/{apiId}/wsdl-info", get(wsdl::info))
}

#[cfg(test)]
mod tests;
