//! What the Publisher can be asked: the one interface behind the REST paths, portal pages and anything else. Each
//! message says on whose behalf, and answers with a [`Seen`] or a [`Written`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use portcullis_database::state::LifecycleEvent;
use portcullis_database::{Caller, Idempotency};
use portcullis_http::contract::comment::{CommentChange, Comments, NewComment};
use portcullis_http::page::Page;
use portcullis_model::client_certificate::ClientCertificate;
use portcullis_model::endpoint_trust::EndpointCertificate;
use portcullis_model::heading::{Heading, HeadingKind};
use portcullis_model::monetization::Terms;
use portcullis_model::organization::Organization;
use portcullis_model::port::{Identity, Secret};
use portcullis_model::revision::Deployment;
use portcullis_model::task::Task;
use portcullis_model::{
    Api, ApiId, Application, AssetId, CommentId, Content, Document, DocumentId, Environment, HeadingId, KeyManager,
    KeyType, Lifecycle, LifecycleAction, NodeId, PolicyLevel, QuotaPolicy, RequestId, Revision, RevisionId, ScopeId,
    SharedScope, Subscription, SubscriptionId, SubscriptionState, TaskId, Timestamp,
};
use serde_json::{Map, Value};

use crate::dto::lifecycle::Checklist;
use crate::fault::PublisherError;

/// On whose behalf something is asked.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who asks.
    pub identity: Identity,
    /// How a retry of a write is recognised.
    pub idempotency: Option<Idempotency>,
    /// How fresh a read must be.
    pub consistency: Consistency,
    /// The id of the request.
    pub request: Option<RequestId>,
}

impl Asker {
    /// Returns the caller of a command.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::new(self.identity.principal.clone())
            .with_idempotency(self.idempotency.clone())
            .from_address(self.identity.origin)
            .of_request(self.request.clone())
    }
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Everything acknowledged anywhere before the read; this node's own state where the cluster has no leader.
    #[default]
    Preferred,
    /// Everything acknowledged anywhere before the read, or an error.
    Linearizable,
    /// This node's own state.
    Stale,
}

/// How long a write, or a read that insists, waits for this node to be up to date.
pub const READ_WAIT: Duration = Duration::from_secs(5);
/// How long a read waits for the same where it may be answered from this node's own state instead.
pub const PREFERRED_WAIT: Duration = Duration::from_secs(1);

/// What a read saw.
#[derive(Clone, Debug)]
pub struct Seen<T> {
    /// The answer.
    pub value: T,
    /// Up to which index of the log the state was applied.
    pub index: u64,
}

/// What a write left behind.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// The answer.
    pub value: T,
    /// The index of the log entry it became.
    pub index: u64,
    /// The nodes that may not act on it yet.
    pub unreached: Vec<NodeId>,
}

impl<T> Written<T> {
    /// Returns what this and another write left behind together.
    #[must_use]
    pub(crate) fn and(mut self, index: u64, unreached: Vec<NodeId>) -> Self {
        self.index = self.index.max(index);
        self.unreached.extend(unreached);
        self.unreached.sort_unstable();
        self.unreached.dedup();
        self
    }
}

/// An API, or one of its revisions, by an id.
#[derive(Clone, Debug)]
pub struct ApiView {
    /// The API, as it is or as it was in the revision.
    pub api: Arc<Api>,
    /// Its definition.
    pub definition: Arc<str>,
    /// The revision that the id meant, if it meant one.
    pub revision: Option<Arc<Revision>>,
    /// Whether it has a picture.
    pub has_thumbnail: bool,
    /// Whether a change of its state waits for a decision.
    pub waits: bool,
    /// Whether the service that it is made from is another by now than when it was taken over.
    pub is_service_outdated: bool,
    /// What the sources of its events sign them with, where it is of the type WEBSUB and that was looked up.
    pub websub_secret: Option<Secret>,
}

/// A revision with the deployments of it that wait for a decision.
#[derive(Clone, Debug)]
pub struct DeployedRevision {
    /// The revision.
    pub revision: Arc<Revision>,
    /// Those that wait.
    pub waiting: Vec<Deployment>,
}

/// An API in a list.
#[derive(Clone, Debug)]
pub struct ListedApi {
    /// The API.
    pub api: Arc<Api>,
    /// Whether it has a picture.
    pub has_thumbnail: bool,
}

/// A part of the APIs that a search found.
#[derive(Clone, Debug)]
pub struct ListedApis {
    /// How many it found.
    pub total: usize,
    /// Those of the part, in order.
    pub page: Vec<ListedApi>,
}

/// A part of what a search found.
#[derive(Clone, Debug)]
pub struct FoundAll {
    /// How much it found.
    pub total: usize,
    /// The part, in order.
    pub page: Vec<Found>,
}

/// What a search found.
#[derive(Clone, Debug)]
pub enum Found {
    /// An API or a product.
    Api {
        /// The API.
        api: Arc<Api>,
        /// Whether it has a picture.
        has_thumbnail: bool,
    },
    /// A document.
    Document {
        /// The API that it belongs to.
        api: Arc<Api>,
        /// The document.
        document: Arc<Document>,
    },
}

/// Who subscribed.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The user's name.
    pub name: String,
    /// The attributes of the profile.
    pub attributes: BTreeMap<String, Value>,
}

/// Whether the use of an API is billed, and how.
#[derive(Clone, Debug)]
pub struct MonetizationView {
    /// Whether it is.
    pub is_enabled: bool,
    /// What is said of it.
    pub properties: Value,
    /// Its plans, and what they cost; `None` for those that are free.
    pub plans: Vec<(String, Option<Terms>)>,
    /// When use was last told to whoever bills it.
    pub taken_at: Option<Timestamp>,
}

/// What a list of APIs is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiSearch {
    /// `name:`, `context:`, `version:`, `status:` … or plain words.
    pub query: String,
    /// By what it is sorted: `name`, `version`, `createdTime`, `updatedTime`, `status`.
    pub sort_by: Option<String>,
    /// Whether the order is turned round.
    pub is_descending: bool,
    /// Whether products are meant, not APIs.
    pub is_of_products: bool,
}

/// A subscription with its application.
#[derive(Clone, Debug)]
pub struct SubscriptionView {
    /// The subscription.
    pub subscription: Arc<Subscription>,
    /// The application.
    pub application: Option<Arc<Application>>,
    /// How many subscriptions the application has.
    pub subscription_count: usize,
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $type:ty),* $(,)? } -> $reply:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            /// On whose behalf.
            pub asker: Asker,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Message for $name {
            type Result = Result<$reply, PublisherError>;
        }
    )*};
}

mod archives;
mod designs;
mod kept;

pub use archives::{ExportApi, ExportProduct, ImportApi, ImportProduct, ImportedApi};
pub use designs::{
    DeleteSequence, GenerateMocks, GetMocks, GetSchemaTypes, ImportDesign, ListSequences, PutDesign, PutFieldCosts,
    PutSequence, PutTopics,
};
pub use kept::{
    DeleteApiEndpoint, DeleteAsset, DeleteGatewayPolicy, DeployGatewayPolicy, FunctionKey, GenerateInternalKey,
    GetEnvironmentProperties, GetFunctionKey, GetLinterRules, JudgeApis, ListApiEndpoints, ListAssets,
    ListExternalStores, ListPublications, PublishElsewhere, PutApiEndpoint, PutAsset, PutEnvironmentProperties,
    PutGatewayPolicy,
};

messages! {
    /// Creates an API from the fields of the REST contract, with a definition made for it.
    CreateApi {
        /// The fields.
        fields: Map<String, Value>,
    } -> Written<ApiView>;
    /// Creates an API from an OpenAPI document.
    ImportOpenapi {
        /// The document, JSON or YAML.
        text: String,
        /// Fields of the REST contract that go before what the document says.
        fields: Map<String, Value>,
    } -> Written<ApiView>;
    /// Creates an API product from operations of APIs.
    CreateProduct {
        /// The fields of the REST contract.
        fields: Map<String, Value>,
    } -> Written<ApiView>;
    /// Replaces what a publisher may change of a product, and puts it together anew.
    UpdateProduct {
        /// The product.
        id: String,
        /// The fields of the REST contract.
        fields: Map<String, Value>,
        /// When the product that the caller saw was last changed, if the caller insists on that one.
        expected: Option<Timestamp>,
    } -> Written<ApiView>;
    /// Says whether an API of a product is other than the product has it.
    IsOutdated {
        /// The product.
        id: String,
    } -> Seen<bool>;
    /// Returns an API, or a revision of one.
    GetApi {
        /// The id of either.
        id: String,
    } -> Seen<ApiView>;
    /// Returns a part of the APIs that a search finds, in order.
    ListApis {
        /// The search.
        search: ApiSearch,
        /// The part.
        page: Page,
    } -> Seen<ListedApis>;
    /// Replaces what a publisher may change of an API.
    UpdateApi {
        /// The API.
        id: String,
        /// The fields of the REST contract.
        fields: Map<String, Value>,
        /// When the API that the caller saw was last changed, if the caller insists on that one.
        expected: Option<Timestamp>,
    } -> Written<ApiView>;
    /// Deletes an API.
    DeleteApi {
        /// The API.
        id: String,
    } -> Written<()>;
    /// Creates another version of an API, with what this one has.
    CopyApi {
        /// The API.
        id: String,
        /// The new version.
        version: String,
        /// Whether it is to answer calls without a version.
        is_default_version: bool,
    } -> Written<ApiView>;
    /// Replaces an API's definition, and its operations and scopes with it.
    PutDefinition {
        /// The API.
        id: String,
        /// The document, JSON or YAML.
        text: String,
        /// When the API that the caller saw was last changed, if the caller insists on that one.
        expected: Option<Timestamp>,
    } -> Written<ApiView>;
    /// Says whether an API's name, context or version is taken.
    IsTaken {
        /// `name:`, `context:` or `version:` with a value.
        query: String,
    } -> Seen<bool>;
    /// Moves an API to another state of its life, and says whether that waits for a decision.
    ChangeLifecycle {
        /// The API.
        id: String,
        /// What to do.
        action: LifecycleAction,
        /// What goes with a publication.
        checklist: Checklist,
    } -> Written<(Lifecycle, bool)>;
    /// Takes back a change of an API's state that waits for a decision.
    CancelStateChange {
        /// The API.
        id: String,
    } -> Written<()>;
    /// Takes back a deployment that waits for a decision.
    CancelDeployment {
        /// The API.
        id: String,
        /// The revision.
        revision: RevisionId,
        /// The environment.
        environment: String,
    } -> Written<()>;
    /// Returns what happened in an API's life, oldest first.
    GetLifecycleHistory {
        /// The API.
        id: String,
    } -> Seen<Vec<Arc<LifecycleEvent>>>;
    /// Returns the revisions of an API, oldest first.
    ListRevisions {
        /// The API.
        id: String,
    } -> Seen<Vec<Arc<Revision>>>;
    /// Makes a revision of an API.
    CreateRevision {
        /// The API.
        id: String,
        /// What the publisher says about it.
        description: String,
    } -> Written<Arc<Revision>>;
    /// Deletes a revision and returns the others.
    DeleteRevision {
        /// The API.
        id: String,
        /// The revision.
        revision: RevisionId,
    } -> Written<Vec<Arc<Revision>>>;
    /// Returns the certificates that the tenant's backends are trusted by, in the order of their aliases.
    ListEndpointCertificates {} -> Seen<Vec<Arc<EndpointCertificate>>>;
    /// Returns the APIs with a backend that one of them is for.
    ListEndpointUsers {
        /// Its alias.
        alias: String,
    } -> Seen<Vec<Arc<Api>>>;
    /// Has backends trusted by a certificate, or replaces one.
    PutEndpointCertificate {
        /// Its alias.
        alias: String,
        /// For which backends a new one is; `None` to replace one.
        endpoint: Option<String>,
        /// The certificate: PEM, base64 or DER.
        certificate: Vec<u8>,
    } -> Written<Arc<EndpointCertificate>>;
    /// Has backends no longer trusted by a certificate.
    DeleteEndpointCertificate {
        /// Its alias.
        alias: String,
    } -> Written<()>;
    /// Returns the APIs, products and documents that a search finds, in order.
    FindAll {
        /// The search, as of APIs.
        query: String,
        /// The part that is wanted.
        page: Page,
    } -> Seen<FoundAll>;
    /// Returns the subscriptions that wait for a decision, those first that wait longest.
    ListSubscriptionTasks {} -> Seen<Vec<Arc<Task>>>;
    /// Decides about a subscription that waits.
    DecideSubscription {
        /// The task.
        id: TaskId,
        /// Whether it is to happen.
        is_approved: bool,
    } -> Written<()>;
    /// Changes the plan of a subscription.
    ChangePlan {
        /// The subscription.
        id: SubscriptionId,
        /// The plan's name.
        plan: String,
    } -> Written<Arc<Subscription>>;
    /// Returns who subscribed.
    GetSubscriber {
        /// The subscription.
        id: SubscriptionId,
    } -> Seen<Subscriber>;
    /// Returns the key managers beside the cluster's own.
    ListKeyManagers {} -> Seen<Vec<Arc<KeyManager>>>;
    /// Returns the gateway environments to which the asker may deploy.
    ListEnvironments {} -> Seen<Vec<Arc<Environment>>>;
    /// Changes whether the Store shows where an API is called in an environment.
    ChangeDeployment {
        /// The API.
        id: String,
        /// The environment's name.
        environment: String,
        /// Whether it is shown.
        is_displayed: bool,
    } -> Written<Arc<Revision>>;
    /// Deploys a revision.
    DeployRevision {
        /// The API.
        id: String,
        /// The revision.
        revision: RevisionId,
        /// Where to.
        deployments: Vec<Deployment>,
    } -> Written<DeployedRevision>;
    /// Takes a revision out of environments.
    UndeployRevision {
        /// The API.
        id: String,
        /// The revision.
        revision: RevisionMeant,
        /// Which environments; `None` for all.
        environments: Option<Vec<String>>,
    } -> Written<Arc<Revision>>;
    /// Makes an API what it was in a revision.
    RestoreRevision {
        /// The API.
        id: String,
        /// The revision.
        revision: RevisionId,
    } -> Written<ApiView>;
    /// Returns a part of the subscriptions to an API, or to all APIs of the tenant, oldest first, and how many there are.
    ListSubscriptions {
        /// The API.
        api: Option<String>,
        /// What the application's name, the subscriber, the plan or the state has in it, in small letters.
        query: Option<String>,
        /// Which part.
        page: Page,
    } -> Seen<(Vec<SubscriptionView>, usize)>;
    /// Returns how many calls were made by a subscription, as far as statistics are kept, and what they cost: texts by name.
    GetSubscriptionUsage {
        /// The subscription.
        id: SubscriptionId,
    } -> Seen<BTreeMap<String, String>>;
    /// Has the use of an API billed, or not any more.
    Monetize {
        /// The API.
        id: String,
        /// Whether it is billed.
        is_enabled: bool,
        /// What else is said of it; kept and not understood.
        properties: BTreeMap<String, String>,
    } -> Written<()>;
    /// Returns whether the use of an API is billed, and what its plans cost.
    GetMonetization {
        /// The API.
        id: String,
    } -> Seen<MonetizationView>;
    /// Returns what an API brings in: texts by name.
    GetRevenue {
        /// The API.
        id: String,
    } -> Seen<BTreeMap<String, String>>;
    /// Blocks or unblocks a subscription.
    SetSubscriptionState {
        /// The subscription.
        id: SubscriptionId,
        /// The state it is to have.
        state: SubscriptionState,
    } -> Written<SubscriptionView>;
    /// Returns the tenant's policies of a level, by name.
    ListPolicies {
        /// The level.
        level: PolicyLevel,
    } -> Seen<Vec<Arc<QuotaPolicy>>>;
    /// Says whether the tenant has a role of that name.
    HasRole {
        /// The name.
        role: String,
    } -> Seen<bool>;
    /// Returns the client certificates that an API trusts.
    ListClientCertificates {
        /// The API.
        id: String,
    } -> Seen<Vec<Arc<ClientCertificate>>>;
    /// Has an API trust a client certificate, or changes one that it trusts.
    PutClientCertificate {
        /// The API.
        id: String,
        /// What it is called.
        alias: String,
        /// Production or sandbox.
        key_type: KeyType,
        /// The business plan; kept where it is missing.
        plan: Option<String>,
        /// The certificate as it was sent; kept where it is missing.
        certificate: Option<Vec<u8>>,
        /// Whether the alias must be new.
        is_new: bool,
    } -> Written<Arc<ClientCertificate>>;
    /// Has an API no longer trust a client certificate.
    DeleteClientCertificate {
        /// The API.
        id: String,
        /// What it is called.
        alias: String,
        /// Production or sandbox.
        key_type: KeyType,
    } -> Written<()>;
    /// Returns the tenant's shared scopes, by name.
    ListSharedScopes {} -> Seen<Vec<Arc<SharedScope>>>;
    /// Creates a shared scope, or changes it for all APIs that have it.
    PutSharedScope {
        /// The scope; its tenant is the asker's.
        scope: SharedScope,
        /// Whether it must be new.
        is_new: bool,
    } -> Written<Arc<SharedScope>>;
    /// Deletes a shared scope that no API uses.
    DeleteSharedScope {
        /// The scope.
        id: ScopeId,
    } -> Written<()>;
    /// Returns the APIs that use a shared scope.
    ListScopeUsers {
        /// The scope's name.
        name: String,
    } -> Seen<Vec<Arc<Api>>>;
    /// Returns the documents of an API.
    ListDocuments {
        /// The API.
        id: String,
    } -> Seen<Vec<Arc<Document>>>;
    /// Adds a document to an API, or changes one.
    PutDocument {
        /// The document.
        document: Document,
        /// Whether it must be new.
        is_new: bool,
        /// When the document that the caller saw was last changed, if the caller insists on that one.
        expected: Option<Timestamp>,
    } -> Written<Arc<Document>>;
    /// Deletes a document.
    DeleteDocument {
        /// The API.
        id: String,
        /// The document.
        document: DocumentId,
    } -> Written<()>;
    /// Returns a document with what is in it, if that is here.
    GetDocumentContent {
        /// The API.
        id: String,
        /// The document.
        document: String,
    } -> Seen<(Arc<Document>, Option<Arc<Content>>)>;
    /// Says what is in a document.
    PutDocumentContent {
        /// The document.
        document: Arc<Document>,
        /// What is in it.
        content: Content,
        /// The file's name; nothing where it is none.
        file_name: String,
        /// Whether the caller insists on the document as it is here.
        insists: bool,
    } -> Written<Arc<Document>>;
    /// Returns an API's picture, if it has one.
    GetThumbnail {
        /// The API.
        id: String,
    } -> Seen<Option<Arc<Content>>>;
    /// Gives an API a picture.
    PutThumbnail {
        /// The API.
        id: String,
        /// The picture.
        thumbnail: Content,
    } -> Written<()>;
    /// Returns the comments on an API.
    ListComments {
        /// The API.
        id: String,
        /// Whether the names of those who wrote them are asked for.
        with_names: bool,
    } -> Seen<Comments>;
    /// Says something about an API.
    AddComment {
        /// The API.
        id: String,
        /// The comment that this replies to.
        parent: Option<CommentId>,
        /// The comment.
        comment: NewComment,
    } -> Written<(Comments, CommentId)>;
    /// Changes a comment that the asker wrote.
    ChangeComment {
        /// The API.
        id: String,
        /// The comment.
        comment: CommentId,
        /// What is to change.
        change: CommentChange,
    } -> Written<(Comments, CommentId)>;
    /// Deletes a comment that the asker wrote, or anybody's.
    DeleteComment {
        /// The API.
        id: String,
        /// The comment.
        comment: CommentId,
        /// Whether the asker may delete what others wrote.
        is_of_any: bool,
    } -> Written<()>;
    /// Returns the tenant's categories or labels, by name.
    ListHeadings {
        /// Which.
        kind: HeadingKind,
    } -> Seen<Vec<Arc<Heading>>>;
    /// Returns the labels of an API, by name.
    ListLabels {
        /// The API.
        id: String,
    } -> Seen<Vec<Arc<Heading>>>;
    /// Attaches labels to an API, or takes them from it, and returns those it has.
    LabelApi {
        /// The API.
        id: String,
        /// Labels it is to have.
        attach: Vec<HeadingId>,
        /// Labels it is not to have any more.
        detach: Vec<HeadingId>,
    } -> Written<Vec<Arc<Heading>>>;
    /// Returns the organization that the asker belongs to.
    GetOrganization {} -> Seen<Option<(AssetId, Organization)>>;
    /// Returns the tenants' domains that the asker may see.
    ListTenants {
        /// Whether the active ones are meant, or the others.
        is_active: bool,
    } -> Seen<Vec<String>>;
}

/// Which revision is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionMeant {
    /// The one of that id.
    Id(RevisionId),
    /// The one of that number.
    Number(u32),
}

/// Returns the id that a path or query names.
///
/// # Errors
/// Not found, where it is no id at all.
pub fn api_id(text: &str) -> Result<ApiId, PublisherError> {
    text.parse().map_err(|_| portcullis_model::Refused::not_found("API", text).into())
}
