//! The REST face of the Store: the DevPortal contract's paths, each a thin handler over a message.

mod answer;
mod api_keys;
mod apis;
mod application_archives;
mod applications;
pub(crate) mod assistant;
mod catalog;
mod comments;
pub(crate) mod designs;
mod documents;
pub(crate) mod keys;
mod me;
pub(crate) mod own;
pub(crate) mod query;
mod ratings;
mod sdks;
mod search;
mod secrets;
mod subscriptions;
pub(crate) mod visitor;

use axum::Router;
use axum::routing::{get, post};
use portcullis_actor::Address;
use portcullis_http::ApiError;

use crate::actor::{Asked, Request, Store};

/// What handlers ask the Store through.
#[derive(Clone)]
pub(crate) struct Face(pub(crate) Address<Store>);

impl Face {
    /// Asks the Store.
    pub(crate) async fn ask<R: Request>(&self, request: R) -> Result<R::Reply, ApiError> {
        let answer = self.0.ask(Asked(request)).await.map_err(|error| ApiError::from_fault(&error))?;
        answer.map_err(|error| ApiError::from_fault(&error))
    }
}

/// Returns the routes, without prefix.
pub(crate) fn routes(address: Address<Store>) -> Router {
    let routes = Router::new().merge(open_routes()).merge(opinion_routes()).merge(application_routes());
    routes.merge(key_routes()).merge(subscription_routes()).with_state(Face(address))
}

/// What anybody may read, and what is the caller's own.
fn open_routes() -> Router<Face> {
    Router::new()
        .route("/apis", get(apis::list))
        .route("/apis/{apiId}", get(apis::show))
        .route("/apis/{apiId}/swagger", get(apis::definition))
        .route("/apis/{apiId}/sdks/{language}", get(sdks::sdk))
        .route("/sdk-gen/languages", get(sdks::languages))
        .route("/apis/{apiId}/graphql-schema", get(designs::schema))
        .route("/apis/{apiId}/graphql-policies/complexity", get(designs::costs))
        .route("/apis/{apiId}/graphql-policies/complexity/types", get(designs::types))
        .route("/apis/{apiId}/async-api-specification", get(designs::asyncapi))
        .route("/apis/{apiId}/topics", get(designs::topics))
        .route("/apis/{apiId}/wsdl", get(designs::wsdl))
        .route("/apis/{apiId}/subscription-policies", get(apis::plans))
        .route("/apis/{apiId}/documents", get(documents::list))
        .route("/apis/{apiId}/documents/{documentId}", get(documents::show))
        .route("/apis/{apiId}/documents/{documentId}/content", get(documents::content))
        .route("/apis/{apiId}/thumbnail", get(documents::thumbnail))
        .route("/tags", get(catalog::tags))
        .route("/api-categories", get(catalog::categories))
        .route("/tenants", get(catalog::tenants))
        .route("/throttling-policies/{policyLevel}", get(catalog::policies))
        .route("/throttling-policies/{policyLevel}/{policyId}", get(catalog::policy))
        .route("/search", get(search::find))
        .route("/recommendations", get(catalog::recommendations))
        .route("/settings", get(catalog::settings))
        .route("/settings/application-attributes", get(catalog::application_attributes))
        .route("/key-managers", get(catalog::key_managers))
        .route("/me/change-password", post(me::change_password))
        .route("/me/organization-information", get(me::organization))
}

/// What people think of APIs.
fn opinion_routes() -> Router<Face> {
    Router::new()
        .route("/apis/{apiId}/comments", get(comments::list).post(comments::create))
        .route(
            "/apis/{apiId}/comments/{commentId}",
            get(comments::show).patch(comments::change).delete(comments::delete),
        )
        .route("/apis/{apiId}/comments/{commentId}/replies", get(comments::replies))
        .route("/apis/{apiId}/ratings", get(ratings::list))
        .route("/apis/{apiId}/user-rating", get(ratings::show).put(ratings::rate).delete(ratings::remove))
}

fn application_routes() -> Router<Face> {
    Router::new()
        .route("/applications", get(applications::list).post(applications::create))
        .route("/applications/export", get(application_archives::export))
        .route("/applications/import", post(application_archives::import))
        .route(
            "/applications/{applicationId}",
            get(applications::show).put(applications::update).delete(applications::delete),
        )
        .route("/applications/{applicationId}/reset-throttle-policy", post(applications::reset_quota))
}

fn key_routes() -> Router<Face> {
    Router::new()
        .route("/applications/{applicationId}/generate-keys", post(keys::generate))
        .route("/applications/{applicationId}/map-keys", post(keys::map))
        .route("/applications/{applicationId}/keys", get(keys::list))
        .route("/applications/{applicationId}/keys/{keyType}", get(keys::show).put(keys::update))
        .route("/applications/{applicationId}/keys/{keyType}/regenerate-secret", post(keys::regenerate_secret))
        .route("/applications/{applicationId}/keys/{keyType}/clean-up", post(keys::remove))
        .route("/applications/{applicationId}/keys/{keyType}/generate-token", post(keys::generate_token))
        .route("/applications/{applicationId}/api-keys/{keyType}/generate", post(api_keys::generate))
        .route("/applications/{applicationId}/api-keys/{keyType}/revoke", post(api_keys::revoke))
        .route("/applications/{applicationId}/oauth-keys", get(keys::list))
        .route(
            "/applications/{applicationId}/oauth-keys/{keyMappingId}",
            get(keys::show).put(keys::update).delete(keys::remove),
        )
        .route(
            "/applications/{applicationId}/oauth-keys/{keyMappingId}/regenerate-secret",
            post(keys::regenerate_secret),
        )
        .route("/applications/{applicationId}/oauth-keys/{keyMappingId}/secrets", get(secrets::list))
        .route("/applications/{applicationId}/oauth-keys/{keyMappingId}/generate-secret", post(secrets::generate))
        .route("/applications/{applicationId}/oauth-keys/{keyMappingId}/revoke-secret", post(secrets::revoke))
        .route("/applications/{applicationId}/oauth-keys/{keyMappingId}/clean-up", post(keys::remove))
        .route("/applications/{applicationId}/oauth-keys/{keyMappingId}/generate-token", post(keys::generate_token))
}

fn subscription_routes() -> Router<Face> {
    Router::new()
        .route("/subscriptions", get(subscriptions::list).post(subscriptions::create))
        .route("/webhooks/subscriptions", get(subscriptions::webhooks))
        .route("/subscriptions/multiple", post(subscriptions::create_several))
        .route(
            "/subscriptions/{subscriptionId}",
            get(subscriptions::show).put(subscriptions::update).delete(subscriptions::delete),
        )
        .route("/subscriptions/{subscriptionId}/usage", get(subscriptions::usage))
        .route("/subscriptions/{subscriptionId}/additionalInfo", get(subscriptions::additional_info))
}
