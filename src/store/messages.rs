//! The Store's public interface: every message, by noun. How one is answered is in the module of its noun.

use std::sync::Arc;

use axum::http::HeaderMap;
use portcullis_database::Idempotency;
use portcullis_http::contract::comment::{CommentChange, NewComment};
use portcullis_http::page::Page;
use portcullis_model::{
    Api, ApiId, ApiKeyId, ApplicationId, AssetId, CommentId, DocumentId, KeyMappingId, KeyType, PolicyLevel, Principal,
    RequestId, Role, SubscriptionId, TenantDomain, Username,
};

use crate::dto::api_key::GenerateApiKeyBody;
use crate::dto::application::ApplicationBody;
use crate::dto::key::{GenerateKeysBody, GenerateTokenBody, MapKeysBody, UpdateKeyBody};
use crate::dto::subscription::{SubscriptionBody, UpdateSubscriptionBody};
use crate::sdk::Language;

/// How fresh a read must be (`?consistency=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// The newest state if it can be had, else this node's.
    #[default]
    Unsaid,
    /// The newest state or an error.
    Linearizable,
    /// This node's state.
    Stale,
}

/// Somebody who looks around, signed in or not.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// The tenant whose Store it is.
    pub tenant: TenantDomain,
    /// Who it is, if somebody signed in.
    pub user: Option<Principal>,
    /// The roles held.
    pub roles: Arc<[Role]>,
}

/// Asks whose an API is, whoever may see it; `None` where there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskWhose {
    /// The API.
    pub api: ApiId,
}

/// Whose an API is.
#[derive(Clone, Debug)]
pub(crate) struct Whose {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The API.
    pub api: Arc<Api>,
}

impl Whose {
    /// Says whether applications of a tenant may subscribe.
    pub(crate) fn is_offered_to(&self, tenant: &TenantDomain) -> bool {
        self.api.is_offered_to(tenant)
    }
}

/// Asks whether a tenant has a Store that is open.
#[derive(Clone, Debug)]
pub(crate) struct IsOpen {
    /// The tenant.
    pub tenant: TenantDomain,
}

/// Somebody who signed in and works with applications and subscriptions.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    /// Who it is.
    pub principal: Principal,
    /// The roles held.
    pub roles: Arc<[Role]>,
    /// How a retry of the request is recognised.
    pub idempotency: Option<Idempotency>,
    /// How fresh what is read must be.
    pub consistency: Consistency,
    /// The address that the request came from.
    pub origin: Option<std::net::IpAddr>,
    /// The id of the request.
    pub request: Option<RequestId>,
}

impl Subscriber {
    /// Returns the user's name.
    pub(crate) fn username(&self) -> &Username {
        &self.principal.username
    }

    /// Returns the same person as a visitor of the own tenant's Store.
    pub(crate) fn as_visitor(&self) -> Visitor {
        let tenant = self.principal.tenant.clone();
        Visitor { tenant, user: Some(self.principal.clone()), roles: self.roles.clone() }
    }
}

/// In which order a list comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

/// Finds the APIs, products and documents a visitor may see.
pub(crate) struct FindAll {
    /// Who asks.
    pub visitor: Visitor,
    /// The search text.
    pub query: String,
    /// Which part.
    pub page: Page,
}

/// Lists the APIs a visitor may see.
pub(crate) struct ListApis {
    /// Who asks.
    pub visitor: Visitor,
    /// The search text.
    pub query: String,
    /// What to sort by.
    pub sort: ApiSort,
    /// In which direction.
    pub direction: Direction,
    /// Which part.
    pub page: Page,
}

/// What a list of APIs is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ApiSort {
    /// Name, then version.
    #[default]
    Name,
    /// When it was created.
    CreatedTime,
}

/// Shows one API.
pub(crate) struct GetApi {
    /// Who asks.
    pub visitor: Visitor,
    /// Which.
    pub api: ApiId,
}

/// Shows the definition of an API, with the gateway's addresses in it.
pub(crate) struct GetDefinition {
    /// Who asks.
    pub visitor: Visitor,
    /// Which.
    pub api: ApiId,
    /// The gateway environment whose addresses are meant; the first where none is named.
    pub environment: Option<String>,
}

/// Names APIs that users with like subscriptions have.
pub(crate) struct ListRecommendations {
    /// For whom.
    pub subscriber: Subscriber,
}

/// Counts the APIs that a visitor's list shows.
pub(crate) struct CountApis {
    /// Who asks.
    pub visitor: Visitor,
}

/// Writes a client of an API.
pub(crate) struct GetSdk {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
    /// In which language.
    pub language: Language,
}

/// Shows the schema of an API of GraphQL.
pub(crate) struct GetSchema {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
}

/// Shows what the fields of an API of GraphQL cost.
pub(crate) struct GetFieldCosts {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
}

/// Lists the types of the schema of an API of GraphQL, with their fields.
pub(crate) struct ListSchemaTypes {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
}

/// Shows the AsyncAPI document of an API, with the gateway's addresses in it.
pub(crate) struct GetAsyncapi {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
    /// The gateway environment whose addresses are meant; the first where none is named.
    pub environment: Option<String>,
}

/// Lists the topics of an API.
pub(crate) struct ListTopics {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
}

/// Shows the WSDL of an API, with the gateway's address in it.
pub(crate) struct GetWsdl {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
    /// The gateway environment whose address is meant; the first where none is named.
    pub environment: Option<String>,
}

/// Lists the plans of an API.
pub(crate) struct ListPlans {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
}

/// Lists the documents of an API that a visitor may see.
pub(crate) struct ListDocuments {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
    /// Which part.
    pub page: Page,
}

/// Shows one document, and what is in it.
pub(crate) struct GetDocument {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
    /// Which.
    pub document: DocumentId,
}

/// Shows the picture of an API.
pub(crate) struct GetThumbnail {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
}

/// Lists the comments on an API.
pub(crate) struct ListComments {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
    /// Whether the names of those who wrote them are asked for.
    pub with_names: bool,
}

/// Says something about an API.
pub(crate) struct AddComment {
    /// Who.
    pub subscriber: Subscriber,
    /// About which API.
    pub api: ApiId,
    /// The comment that this replies to.
    pub parent: Option<CommentId>,
    /// The comment.
    pub comment: NewComment,
}

/// Changes a comment.
pub(crate) struct ChangeComment {
    /// Who; only one's own are changed.
    pub subscriber: Subscriber,
    /// About which API.
    pub api: ApiId,
    /// Which.
    pub comment: CommentId,
    /// What is to change.
    pub change: CommentChange,
}

/// Deletes a comment, and the replies to it.
pub(crate) struct DeleteComment {
    /// Who.
    pub subscriber: Subscriber,
    /// About which API.
    pub api: ApiId,
    /// Which.
    pub comment: CommentId,
    /// Whether also those of others are deleted.
    pub is_of_any: bool,
}

/// Shows what subscribers think of an API.
pub(crate) struct ListRatings {
    /// Who asks.
    pub visitor: Visitor,
    /// Which API's.
    pub api: ApiId,
    /// Which part.
    pub page: Page,
}

/// Shows what a subscriber thinks of an API.
pub(crate) struct GetRating {
    /// Who.
    pub subscriber: Subscriber,
    /// Of which API.
    pub api: ApiId,
}

/// Says what a subscriber thinks of an API.
pub(crate) struct RateApi {
    /// Who.
    pub subscriber: Subscriber,
    /// Of which API.
    pub api: ApiId,
    /// 1 to 5 stars, or nothing any more.
    pub stars: Option<u8>,
}

/// Lists the tags of the APIs a visitor may see, with how many carry each.
pub(crate) struct ListTags {
    /// Who asks.
    pub visitor: Visitor,
    /// Which part.
    pub page: Page,
}

/// Lists the categories of the APIs a visitor may see.
pub(crate) struct ListCategories {
    /// Who asks.
    pub visitor: Visitor,
}

/// Lists the tenants.
pub(crate) struct ListTenants {
    /// Whether the active ones are meant; all are active.
    pub is_active: bool,
    /// Which part.
    pub page: Page,
}

/// Lists the policies of a level.
pub(crate) struct ListPolicies {
    /// Who asks: plans that may not be chosen are not listed.
    pub visitor: Visitor,
    /// Application or subscription.
    pub level: PolicyLevel,
    /// Which part.
    pub page: Page,
}

/// Shows one policy.
pub(crate) struct GetPolicy {
    /// Who asks.
    pub visitor: Visitor,
    /// Application or subscription.
    pub level: PolicyLevel,
    /// Its name or id.
    pub name: String,
}

/// Shows the settings of the Store.
pub(crate) struct GetSettings {
    /// Whose.
    pub tenant: TenantDomain,
}

/// Finds the look of a page.
pub(crate) struct FindLook {
    /// Whose Store it is.
    pub tenant: TenantDomain,
    /// The API that it is about, if it is about one.
    pub api: Option<ApiId>,
}

/// Returns a theme that is published.
pub(crate) struct GetLook {
    /// Whose.
    pub tenant: TenantDomain,
    /// Which.
    pub id: AssetId,
}

/// Finds out to which organization a user belongs.
pub(crate) struct GetOrganization {
    /// The user.
    pub user: Principal,
}

/// Lists the key managers.
pub(crate) struct ListKeyManagers {
    /// Whose.
    pub tenant: TenantDomain,
}

/// Has keys of another key manager call for an application.
pub(crate) struct MapKeys {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application.
    pub application: ApplicationId,
    /// Which keys.
    pub body: MapKeysBody,
}

/// Begins the quota of an application anew for one user.
pub(crate) struct ResetApplicationQuota {
    /// Whose application it is.
    pub subscriber: Subscriber,
    /// The application.
    pub application: ApplicationId,
    /// The user who calls; nobody said means the subscriber.
    pub user: Option<Username>,
}

/// Lists a subscriber's applications.
pub(crate) struct ListApplications {
    /// Whose.
    pub subscriber: Subscriber,
    /// Part of the name.
    pub query: String,
    /// What to sort by.
    pub sort: ApplicationSort,
    /// In which direction.
    pub direction: Direction,
    /// Which part.
    pub page: Page,
}

/// What a list of applications is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ApplicationSort {
    /// The name.
    #[default]
    Name,
    /// The application policy's name.
    Policy,
    /// The state.
    Status,
}

/// Registers an application.
pub(crate) struct CreateApplication {
    /// Who.
    pub subscriber: Subscriber,
    /// What it is to be.
    pub body: ApplicationBody,
}

/// Shows an application.
pub(crate) struct GetApplication {
    /// Who asks.
    pub subscriber: Subscriber,
    /// Which.
    pub application: ApplicationId,
}

/// Changes an application.
pub(crate) struct UpdateApplication {
    /// Who.
    pub subscriber: Subscriber,
    /// Which.
    pub application: ApplicationId,
    /// What it is to be.
    pub body: ApplicationBody,
    /// `If-Match`, if sent.
    pub condition: HeaderMap,
}

/// Deletes an application.
pub(crate) struct DeleteApplication {
    /// Who.
    pub subscriber: Subscriber,
    /// Which.
    pub application: ApplicationId,
    /// `If-Match`, if sent.
    pub condition: HeaderMap,
}

/// Writes an application as an archive.
pub(crate) struct ExportApplication {
    /// Who asks, who may have any application of the tenant.
    pub subscriber: Subscriber,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: Username,
    /// Whether its keys are in it, with their secrets.
    pub has_keys: bool,
    /// Whether it is written as JSON; else as YAML.
    pub is_json: bool,
}

/// Makes an application of an archive, or changes one.
pub(crate) struct ImportApplication {
    /// Who asks, who may do so for any owner in the tenant.
    pub subscriber: Subscriber,
    /// The archive.
    pub archive: Vec<u8>,
    /// Whose it is to be; nobody said means the one that the archive names, or the subscriber.
    pub owner: Option<Username>,
    /// Whether it is to be whose the archive names.
    pub keeps_owner: bool,
    /// Whether nothing is subscribed to.
    pub skips_subscriptions: bool,
    /// Whether the keys are left out.
    pub skips_keys: bool,
    /// Whether an application of the name is changed where there is one.
    pub updates: bool,
    /// Whether an API that has not the plan is subscribed to by another one of its.
    pub ignores_plans: bool,
}

/// Which keys of an application are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRef {
    /// Those with this mapping id.
    Mapping(KeyMappingId),
    /// Those of this key type.
    Type(KeyType),
}

/// Generates the keys of an application for a key type.
pub(crate) struct GenerateKeys {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// What they are to be.
    pub body: GenerateKeysBody,
}

/// Lists the keys of an application.
pub(crate) struct ListKeys {
    /// Who asks.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
}

/// Shows keys of an application.
pub(crate) struct GetKey {
    /// Who asks.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// Which.
    pub key: KeyRef,
}

/// Changes the grants, the callback and other settings of keys.
pub(crate) struct UpdateKey {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// Which.
    pub key: KeyRef,
    /// What they are to be.
    pub body: UpdateKeyBody,
}

/// Gives keys a new secret.
pub(crate) struct RegenerateSecret {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// Which.
    pub key: KeyRef,
}

/// Removes keys with their tokens.
pub(crate) struct RemoveKey {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// Which.
    pub key: KeyRef,
}

/// Issues a token to an application.
pub(crate) struct GenerateToken {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// With which keys.
    pub key: KeyRef,
    /// What it is to be.
    pub body: GenerateTokenBody,
}

/// Lists subscriptions of a subscriber's applications.
pub(crate) struct ListSubscriptions {
    /// Whose.
    pub subscriber: Subscriber,
    /// Only those to this API.
    pub api: Option<ApiId>,
    /// Only those of this application.
    pub application: Option<ApplicationId>,
    /// Which part.
    pub page: Page,
}

/// Lists the callbacks that a subscriber's applications have subscribed to topics.
pub(crate) struct ListWebhooks {
    /// Whose.
    pub subscriber: Subscriber,
    /// Only those at this API.
    pub api: Option<ApiId>,
    /// Only those of this application.
    pub application: Option<ApplicationId>,
}

/// Subscribes an application to an API.
pub(crate) struct CreateSubscription {
    /// Who.
    pub subscriber: Subscriber,
    /// What it is to be.
    pub body: SubscriptionBody,
}

/// Makes several subscriptions, or none.
pub(crate) struct CreateSubscriptions {
    /// Who.
    pub subscriber: Subscriber,
    /// What they are to be.
    pub bodies: Vec<SubscriptionBody>,
}

/// Shows a subscription.
pub(crate) struct GetSubscription {
    /// Who asks.
    pub subscriber: Subscriber,
    /// Which.
    pub subscription: SubscriptionId,
}

/// Shows how many calls were made by a subscription.
pub(crate) struct GetSubscriptionUsage {
    /// Who asks.
    pub subscriber: Subscriber,
    /// Which.
    pub subscription: SubscriptionId,
}

/// Changes the plan of a subscription.
pub(crate) struct UpdateSubscription {
    /// Who.
    pub subscriber: Subscriber,
    /// Which.
    pub subscription: SubscriptionId,
    /// What it is to be.
    pub body: UpdateSubscriptionBody,
}

/// Ends a subscription.
pub(crate) struct DeleteSubscription {
    /// Who.
    pub subscriber: Subscriber,
    /// Which.
    pub subscription: SubscriptionId,
    /// `If-Match`, if sent.
    pub condition: HeaderMap,
}

/// Sets one's own password.
pub(crate) struct ChangePassword {
    /// Who asks.
    pub by: Subscriber,
    /// The present password.
    pub current: String,
    /// The new one.
    pub new: String,
}

/// Issues an API key to an application.
pub(crate) struct GenerateApiKey {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application.
    pub application: ApplicationId,
    /// For production or sandbox.
    pub key_type: KeyType,
    /// What it is to be.
    pub body: GenerateApiKeyBody,
}

/// Revokes an API key that the caller shows.
pub(crate) struct RevokeApiKey {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// The key.
    pub apikey: String,
}

/// Lists the API keys of an application.
pub(crate) struct ListApiKeys {
    /// Who asks.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
}

/// Revokes an API key by its id.
pub(crate) struct DeleteApiKey {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// Which.
    pub key: ApiKeyId,
}
