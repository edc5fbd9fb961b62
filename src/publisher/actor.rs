//! The Publisher as an actor: gives each message to the registry, which does the work. It keeps nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{Actor, Context, Handler, ResponseFuture};
use portcullis_http::contract::comment::Comments;
use portcullis_model::api_endpoint::ApiEndpoint;
use portcullis_model::asset::Asset;
use portcullis_model::client_certificate::ClientCertificate;
use portcullis_model::endpoint_trust::EndpointCertificate;
use portcullis_model::external_store::ExternalStore;
use portcullis_model::heading::Heading;
use portcullis_model::mediation::own_answer::SequenceBackend;
use portcullis_model::organization::Organization;
use portcullis_model::{AssetId, CommentId, Content, Document};

use crate::external_stores::Publication;
use crate::fault::PublisherError;
use crate::governance::judge::Judgement;
use crate::messages::{
    AddComment, ApiView, CancelDeployment, CancelStateChange, ChangeComment, ChangeDeployment, ChangeLifecycle,
    ChangePlan, CopyApi, CreateApi, CreateProduct, CreateRevision, DecideSubscription, DeleteApi, DeleteApiEndpoint,
    DeleteAsset, DeleteClientCertificate, DeleteComment, DeleteDocument, DeleteEndpointCertificate,
    DeleteGatewayPolicy, DeleteRevision, DeleteSequence, DeleteSharedScope, DeployGatewayPolicy, DeployRevision,
    DeployedRevision, ExportApi, ExportProduct, FindAll, FoundAll, FunctionKey, GenerateInternalKey, GenerateMocks,
    GetApi, GetDocumentContent, GetEnvironmentProperties, GetFunctionKey, GetLifecycleHistory, GetLinterRules,
    GetMocks, GetMonetization, GetOrganization, GetRevenue, GetSchemaTypes, GetSubscriber, GetSubscriptionUsage,
    GetThumbnail, HasRole, ImportApi, ImportDesign, ImportOpenapi, ImportProduct, ImportedApi, IsOutdated, IsTaken,
    JudgeApis, LabelApi, ListApiEndpoints, ListApis, ListAssets, ListClientCertificates, ListComments, ListDocuments,
    ListEndpointCertificates, ListEndpointUsers, ListEnvironments, ListExternalStores, ListHeadings, ListKeyManagers,
    ListLabels, ListPolicies, ListPublications, ListRevisions, ListScopeUsers, ListSequences, ListSharedScopes,
    ListSubscriptionTasks, ListSubscriptions, ListTenants, ListedApis, MonetizationView, Monetize, PublishElsewhere,
    PutApiEndpoint, PutAsset, PutClientCertificate, PutDefinition, PutDesign, PutDocument, PutDocumentContent,
    PutEndpointCertificate, PutEnvironmentProperties, PutFieldCosts, PutGatewayPolicy, PutSequence, PutSharedScope,
    PutThumbnail, PutTopics, RestoreRevision, Seen, SetSubscriptionState, Subscriber, SubscriptionView,
    UndeployRevision, UpdateApi, UpdateProduct, Written,
};
use crate::registry::Registry;

/// The actor.
#[derive(Debug)]
pub struct Publisher {
    registry: Arc<Registry>,
}

impl Publisher {
    /// Makes the actor over a registry.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

impl Actor for Publisher {
    type Context = Context<Self>;
}

macro_rules! handlers {
    ($($message:ident => $method:ident -> $reply:ty;)*) => {$(
        impl Handler<$message> for Publisher {
            type Result = ResponseFuture<Result<$reply, PublisherError>>;

            fn handle(&mut self, message: $message, _context: &mut Context<Self>) -> Self::Result {
                let registry = Arc::clone(&self.registry);
                Box::pin(async move { registry.$method(message).await })
            }
        }
    )*};
}

handlers! {
    CreateApi => create_api -> Written<ApiView>;
    ImportOpenapi => import_openapi -> Written<ApiView>;
    ImportDesign => import_design -> Written<ApiView>;
    PutDesign => put_design -> Written<ApiView>;
    PutTopics => put_topics -> Written<ApiView>;
    PutFieldCosts => put_field_costs -> Written<ApiView>;
    GenerateMocks => generate_mocks -> Written<ApiView>;
    GetMocks => get_mocks -> Seen<Vec<(String, String, String)>>;
    ListSequences => list_sequences -> Seen<Vec<SequenceBackend>>;
    PutSequence => put_sequence -> Written<ApiView>;
    DeleteSequence => delete_sequence -> Written<()>;
    GetSchemaTypes => get_schema_types -> Seen<Vec<(String, Vec<String>)>>;
    CreateProduct => create_product -> Written<ApiView>;
    UpdateProduct => update_product -> Written<ApiView>;
    IsOutdated => is_outdated -> Seen<bool>;
    GetApi => get_api -> Seen<ApiView>;
    GetFunctionKey => get_function_key -> Seen<FunctionKey>;
    ListApis => list_apis -> Seen<ListedApis>;
    UpdateApi => update_api -> Written<ApiView>;
    DeleteApi => delete_api -> Written<()>;
    CopyApi => copy_api -> Written<ApiView>;
    PutDefinition => put_definition -> Written<ApiView>;
    IsTaken => is_taken -> Seen<bool>;
    ChangeLifecycle => change_lifecycle -> Written<(portcullis_model::Lifecycle, bool)>;
    CancelStateChange => cancel_state_change -> Written<()>;
    CancelDeployment => cancel_deployment -> Written<()>;
    GetLifecycleHistory => get_lifecycle_history -> Seen<Vec<Arc<portcullis_database::state::LifecycleEvent>>>;
    ListRevisions => list_revisions -> Seen<Vec<Arc<portcullis_model::Revision>>>;
    CreateRevision => create_revision -> Written<Arc<portcullis_model::Revision>>;
    DeleteRevision => delete_revision -> Written<Vec<Arc<portcullis_model::Revision>>>;
    ListEndpointCertificates => list_endpoint_certificates -> Seen<Vec<Arc<EndpointCertificate>>>;
    ListEndpointUsers => list_endpoint_users -> Seen<Vec<Arc<portcullis_model::Api>>>;
    PutEndpointCertificate => put_endpoint_certificate -> Written<Arc<EndpointCertificate>>;
    DeleteEndpointCertificate => delete_endpoint_certificate -> Written<()>;
    GetOrganization => get_organization -> Seen<Option<(AssetId, Organization)>>;
    ListExternalStores => list_external_stores -> Seen<Vec<ExternalStore>>;
    ListPublications => list_publications -> Seen<Vec<Publication>>;
    PublishElsewhere => publish_elsewhere -> Written<Vec<Publication>>;
    GetLinterRules => get_linter_rules -> Seen<Option<String>>;
    JudgeApis => judge_apis -> Seen<Judgement>;
    ListAssets => list_assets -> Seen<Vec<Arc<Asset>>>;
    PutAsset => put_asset -> Written<Arc<Asset>>;
    DeleteAsset => delete_asset -> Written<()>;
    ListApiEndpoints => list_api_endpoints -> Seen<Vec<ApiEndpoint>>;
    PutApiEndpoint => put_api_endpoint -> Written<ApiEndpoint>;
    DeleteApiEndpoint => delete_api_endpoint -> Written<()>;
    GenerateInternalKey => generate_internal_key -> Seen<String>;
    GetEnvironmentProperties => get_environment_properties -> Seen<BTreeMap<String, String>>;
    PutEnvironmentProperties => put_environment_properties -> Written<BTreeMap<String, String>>;
    PutGatewayPolicy => put_gateway_policy -> Written<Arc<Asset>>;
    DeployGatewayPolicy => deploy_gateway_policy -> Written<Vec<(String, bool)>>;
    DeleteGatewayPolicy => delete_gateway_policy -> Written<()>;
    FindAll => find_all -> Seen<FoundAll>;
    ListSubscriptionTasks => list_subscription_tasks -> Seen<Vec<Arc<portcullis_model::task::Task>>>;
    DecideSubscription => decide_subscription -> Written<()>;
    ChangePlan => change_plan -> Written<Arc<portcullis_model::Subscription>>;
    GetSubscriber => get_subscriber -> Seen<Subscriber>;
    ListKeyManagers => list_key_managers -> Seen<Vec<Arc<portcullis_model::KeyManager>>>;
    ExportApi => export_api -> Seen<(String, Vec<u8>)>;
    ImportApi => import_api -> Written<ImportedApi>;
    ExportProduct => export_product -> Seen<(String, Vec<u8>)>;
    ImportProduct => import_product -> Written<Vec<String>>;
    ListEnvironments => list_environments -> Seen<Vec<Arc<portcullis_model::Environment>>>;
    ChangeDeployment => change_deployment -> Written<Arc<portcullis_model::Revision>>;
    DeployRevision => deploy_revision -> Written<DeployedRevision>;
    UndeployRevision => undeploy_revision -> Written<Arc<portcullis_model::Revision>>;
    RestoreRevision => restore_revision -> Written<ApiView>;
    ListSubscriptions => list_subscriptions -> Seen<(Vec<SubscriptionView>, usize)>;
    GetSubscriptionUsage => subscription_usage -> Seen<BTreeMap<String, String>>;
    Monetize => monetize -> Written<()>;
    GetMonetization => get_monetization -> Seen<MonetizationView>;
    GetRevenue => get_revenue -> Seen<BTreeMap<String, String>>;
    SetSubscriptionState => set_subscription_state -> Written<SubscriptionView>;
    ListPolicies => list_policies -> Seen<Vec<Arc<portcullis_model::QuotaPolicy>>>;
    HasRole => has_role -> Seen<bool>;
    ListClientCertificates => list_client_certificates -> Seen<Vec<Arc<ClientCertificate>>>;
    PutClientCertificate => put_client_certificate -> Written<Arc<ClientCertificate>>;
    DeleteClientCertificate => delete_client_certificate -> Written<()>;
    ListSharedScopes => list_shared_scopes -> Seen<Vec<Arc<portcullis_model::SharedScope>>>;
    PutSharedScope => put_shared_scope -> Written<Arc<portcullis_model::SharedScope>>;
    DeleteSharedScope => delete_shared_scope -> Written<()>;
    ListScopeUsers => list_scope_users -> Seen<Vec<Arc<portcullis_model::Api>>>;
    ListTenants => list_tenants -> Seen<Vec<String>>;
    ListDocuments => list_documents -> Seen<Vec<Arc<Document>>>;
    PutDocument => put_document -> Written<Arc<Document>>;
    DeleteDocument => delete_document -> Written<()>;
    GetDocumentContent => get_document_content -> Seen<(Arc<Document>, Option<Arc<Content>>)>;
    PutDocumentContent => put_document_content -> Written<Arc<Document>>;
    GetThumbnail => get_thumbnail -> Seen<Option<Arc<Content>>>;
    PutThumbnail => put_thumbnail -> Written<()>;
    ListHeadings => list_headings -> Seen<Vec<Arc<Heading>>>;
    ListLabels => list_labels -> Seen<Vec<Arc<Heading>>>;
    LabelApi => label_api -> Written<Vec<Arc<Heading>>>;
    ListComments => list_comments -> Seen<Comments>;
    AddComment => add_comment -> Written<(Comments, CommentId)>;
    ChangeComment => change_comment -> Written<(Comments, CommentId)>;
    DeleteComment => delete_comment -> Written<()>;
}
