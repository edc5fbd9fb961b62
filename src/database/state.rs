//! The state: four databases, the counters, the deployed projection and the cluster's own records, in persistent maps.
//!
//! Cloning a [`State`] costs a few dozen reference counts, whatever its size: a reader holds a consistent copy as long
//! as it likes, and a snapshot is a clone that is written out while writes go on.

use std::sync::Arc;

use portcullis_model::RequestId;
use portcullis_model::application::Application;
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::audit::{AuditRecord, AuditRetention};
use portcullis_model::authorization::{
    ClientRevocation, ClientSecret, Consent, PendingGrant, SignIn, TokenDetails, TrustedIssuer,
};
use portcullis_model::call_log::CallLog;
use portcullis_model::certificate::{NextAuthority, NodeCertificate};
use portcullis_model::claim_settings::ClaimSettings;
use portcullis_model::client_certificate::ClientCertificate;
use portcullis_model::comment::Comment;
use portcullis_model::document::{Content, Document};
use portcullis_model::endpoint_trust::{EndpointCertificate, EndpointTrust};
use portcullis_model::environment::Environment;
use portcullis_model::graphql::GraphqlRules;
use portcullis_model::heading::{Heading, HeadingKind};
use portcullis_model::id::{
    ApiId, ApiKeyId, ApplicationId, AssetId, ClientId, ClientSecretId, CommentId, DocumentId, EnvironmentId, HeadingId,
    KeyManagerId, KeyMappingId, NodeId, RevisionId, ScopeId, SigningKeyId, SubscriptionId, TaskId, UserId,
};
use portcullis_model::key_manager::{KeyManager, MappedKey};
use portcullis_model::mediation::Flows;
use portcullis_model::membership::{Drained, MembershipPlan};
use portcullis_model::oauth::{AccessToken, KeyType, OauthClient, SigningKey};
use portcullis_model::policy::{PolicyLevel, QuotaPolicy};

use portcullis_model::identity_provider::{FederatedUser, IdentityProvider};
use portcullis_model::policy_rules::{CustomRule, PolicyRules};
use portcullis_model::product::ProductPart;
use portcullis_model::shared_scope::SharedScope;
use portcullis_model::statistics::{CalledApi, CallingApplication, Tally};
use portcullis_model::stray_call::StrayCall;
use portcullis_model::task::Task;
use portcullis_model::tenant::TenantRecord;
use portcullis_model::tenant_config::TenantConfig;
use portcullis_model::throttle::PolicySource;
use portcullis_model::user::{Role, RoleRecord, User, UserProfile, Username};
use portcullis_model::websub::{Webhook, WebhookKey, WebsubRules};
use portcullis_model::{
    Api, ApiKey, CallerNetwork, DenyPolicy, DeployedApi, EdgeSecurity, IdentityProviderId, Mediation, NodeRecord,
    PolicyId, Revision, Subscription, TenantDomain, Timestamp, TokenDigest,
};
use serde::{Deserialize, Serialize};

pub use crate::counters::Counters;
use crate::level;
use crate::statistics::{Bucket, KnownNetwork, LastAccess, StatisticsSource, SummaryKey, UnseenNetwork};
use crate::table::{TableFiller, TableVisitor, tables};

/// One of the original's databases: a part of the state that the access matrix names.
pub trait Database: Send + Sync + 'static {
    /// Its name in the matrix.
    const NAME: &'static str;
    /// Returns this part of the state.
    fn of(state: &State) -> &Self;
}

macro_rules! databases {
    ($($part:ident $name:literal $field:ident),*) => {$(
        impl Database for $part {
            const NAME: &'static str = $name;
            fn of(state: &State) -> &Self {
                &state.$field
            }
        }
    )*};
}

databases!(Apimgtdb "apimgtdb" apimgt, Userdb "userdb" user, Regdb "regdb" reg, Statdb "statdb" stat);

tables! {
    /// APIs, applications, subscriptions, keys, tokens and policies.
    pub struct Apimgtdb {
        /// APIs.
        100 apis: ApiId => Arc<Api>,
        /// The version-filled context of each API, unique: whose it is.
        101 contexts: (TenantDomain, String) => ApiId,
        /// Name and version per tenant: whose they are.
        102 api_names: (TenantDomain, String, String) => ApiId,
        /// Revisions by API and number.
        103 revisions: (ApiId, u32) => Arc<Revision>,
        /// Which API and number a revision id means.
        104 revision_ids: RevisionId => (ApiId, u32),
        /// Lifecycle events by API and order.
        105 lifecycle_events: (ApiId, u64) => Arc<LifecycleEvent>,
        /// Which version of an API answers calls without a version, per tenant and name.
        106 served_defaults: (TenantDomain, String) => ApiId,
        /// Applications.
        110 applications: ApplicationId => Arc<Application>,
        /// Tenant, owner and lower-case name of each application, unique: whose it is.
        111 application_names: (TenantDomain, Username, String) => ApplicationId,
        /// Subscriptions.
        120 subscriptions: SubscriptionId => Arc<Subscription>,
        /// Application and API of each subscription, unique.
        121 subscriptions_by_application: (ApplicationId, ApiId) => SubscriptionId,
        /// API and application of each subscription.
        122 subscriptions_by_api: (ApiId, ApplicationId) => SubscriptionId,
        /// Subscriptions of each API in the order in which they were made.
        123 subscriptions_by_time: (ApiId, Timestamp, SubscriptionId) => (),
        /// OAuth clients by client id (consumer key).
        130 clients: ClientId => Arc<OauthClient>,
        /// The client that serves an application and key type.
        131 key_mappings: (ApplicationId, KeyType) => ClientId,
        /// Which client a key mapping id means.
        132 key_mapping_ids: KeyMappingId => ClientId,
        /// Clients registered by themselves, by tenant, owner and name, unique: which client it is.
        133 client_names: (TenantDomain, Username, String) => ClientId,
        /// Tokens kept: every opaque one, and those with a refresh token.
        140 tokens: TokenDigest => Arc<AccessToken>,
        /// The access token that holds the live refresh token of each family (all tokens from one sign-in).
        141 refresh_tokens: TokenDigest => TokenDigest,
        /// When tokens end, so that dead ones are dropped in order.
        142 token_ends: (Timestamp, TokenDigest) => (),
        /// Tokens revoked before their end (self-contained ones, by the digest of what is signed in them), until they end.
        143 revoked_tokens: TokenDigest => Timestamp,
        /// When entries of `revoked_tokens` may be dropped.
        144 revoked_token_ends: (Timestamp, TokenDigest) => (),
        /// Tokens of each client, so that they go with it.
        145 tokens_by_client: (ClientId, TokenDigest) => (),
        /// Token-signing keys.
        146 signing_keys: SigningKeyId => Arc<SigningKey>,
        /// Access tokens of each family, so that they go together.
        147 token_families: (TokenDigest, TokenDigest) => (),
        /// How many tokens are kept for each client.
        148 token_counts: ClientId => u64,
        /// Throttling policies.
        150 policies: (TenantDomain, PolicyLevel, String) => Arc<QuotaPolicy>,
        /// The rules of those policies that have any but the default ones.
        151 policy_rules: (TenantDomain, PolicyLevel, String) => Arc<PolicyRules>,
        /// Deny policies.
        152 deny_policies: (TenantDomain, PolicyId) => Arc<DenyPolicy>,
        /// Sets of default policies that were seeded, so that none is seeded twice.
        153 policy_seeds: u32 => Timestamp,
        /// API keys by the digest of their text.
        160 api_keys: TokenDigest => Arc<ApiKey>,
        /// The API keys of each application.
        161 api_keys_by_application: (ApplicationId, ApiKeyId) => TokenDigest,
        /// When API keys end, so that dead ones are dropped in order.
        162 api_key_ends: (Timestamp, TokenDigest) => (),
        /// Client certificates that APIs trust, by alias.
        163 client_certificates: (ApiId, String) => Arc<ClientCertificate>,
        /// Key managers beside the cluster's own.
        164 key_managers: (TenantDomain, KeyManagerId) => Arc<KeyManager>,
        /// Clients of other key managers that call for applications.
        165 mapped_keys: (KeyManagerId, ClientId) => Arc<MappedKey>,
        /// The mapped keys of each application.
        166 mapped_keys_by_application: (ApplicationId, KeyMappingId) => (KeyManagerId, ClientId),
        /// Authorization codes, device codes and pushed requests, by digest.
        170 pending_grants: TokenDigest => Arc<PendingGrant>,
        /// When they may be dropped.
        171 pending_grant_ends: (Timestamp, TokenDigest) => (),
        /// Sign-ins in browsers, by the digest of the cookie.
        172 sign_ins: TokenDigest => Arc<SignIn>,
        /// When they end.
        173 sign_in_ends: (Timestamp, TokenDigest) => (),
        /// What users let clients have without being asked again.
        174 consents: (TenantDomain, Username, ClientId) => Arc<Consent>,
        /// Further facts about tokens kept.
        175 token_details: TokenDigest => Arc<TokenDetails>,
        /// Further secrets of clients.
        176 client_secrets: (ClientId, ClientSecretId) => Arc<ClientSecret>,
        /// When signing keys begin to sign that do not from the moment they were made.
        177 signing_starts: SigningKeyId => Timestamp,
        /// What users type for a device: which request it is.
        178 user_codes: String => TokenDigest,
        /// The one token of a client, user and scopes, where clients are to have one at a time.
        179 sole_tokens: SoleTokenKey => TokenDigest,
        /// Whose assertions about users a tenant takes.
        180 trusted_issuers: (TenantDomain, String) => Arc<TrustedIssuer>,
        /// Scopes that APIs share.
        190 shared_scopes: (TenantDomain, ScopeId) => Arc<SharedScope>,
        /// Clients that were revoked, and when.
        191 revoked_clients: ClientId => ClientRevocation,
        /// Comments on APIs.
        192 comments: (ApiId, CommentId) => Arc<Comment>,
        /// What users think of APIs: 1 to 5.
        193 ratings: (ApiId, TenantDomain, Username) => u8,
        /// The sum of the ratings of an API, and how many there are.
        194 rating_sums: ApiId => (u64, u64),
        /// Categories and labels.
        195 headings: (TenantDomain, HeadingKind, HeadingId) => Arc<Heading>,
        /// The labels of each API.
        196 api_labels: (ApiId, HeadingId) => (),
        /// What waits for a decision.
        197 tasks: (TenantDomain, TaskId) => Arc<Task>,
        /// Gateway environments beside the one that every tenant has.
        211 environments: (TenantDomain, EnvironmentId) => Arc<Environment>,
        /// Certificates that backends are trusted by, by alias.
        212 endpoint_certificates: (TenantDomain, String) => Arc<EndpointCertificate>,
        /// What tenants keep besides APIs.
        213 assets: (AssetKind, TenantDomain, AssetId) => Arc<Asset>,
        /// Callbacks that applications have subscribed to topics of APIs of the type WEBSUB.
        214 webhooks: WebhookKey => Arc<Webhook>,
        /// The same by application.
        215 webhooks_by_application: (ApplicationId, ApiId, String, String) => (),
        /// When their leases end.
        216 webhook_ends: (Timestamp, WebhookKey) => (),
    }
}

tables! {
    /// Users, roles and tenants.
    pub struct Userdb {
        /// Tenants and when they were created.
        200 tenants: TenantDomain => Timestamp,
        /// Users.
        201 users: (TenantDomain, Username) => Arc<User>,
        /// Roles.
        202 roles: (TenantDomain, Role) => (),
        /// What is known of users beside what signing in needs.
        203 profiles: (TenantDomain, Username) => Arc<UserProfile>,
        /// Which user an id means.
        204 user_ids: (TenantDomain, UserId) => Username,
        /// What is known of roles beside their names.
        205 role_records: (TenantDomain, Role) => Arc<RoleRecord>,
        /// What is known of tenants beside their domains.
        206 tenant_records: TenantDomain => Arc<TenantRecord>,
        /// The configuration of tenants that put one.
        207 tenant_configs: TenantDomain => Arc<TenantConfig>,
        /// Servers at which users sign in.
        208 identity_providers: (TenantDomain, IdentityProviderId) => Arc<IdentityProvider>,
        /// Which user somebody is whom one of them vouches for, by the name it knows them by.
        209 federated_users: (TenantDomain, IdentityProviderId, String) => Arc<FederatedUser>,
        /// The claims of tenants that changed them.
        210 claim_settings: TenantDomain => Arc<ClaimSettings>,
    }
}

tables! {
    /// The registry: documents and other content that belongs to APIs.
    pub struct Regdb {
        /// API definitions (OpenAPI documents), as their publishers wrote them.
        300 definitions: ApiId => Arc<str>,
        /// Documents of APIs.
        301 documents: (ApiId, DocumentId) => Arc<Document>,
        /// What is in them, where that is here.
        302 document_contents: (ApiId, DocumentId) => Arc<Content>,
        /// Pictures of APIs.
        303 thumbnails: ApiId => Arc<Content>,
    }
}

tables! {
    /// Statistics.
    pub struct Statdb {
        /// Calls summed up by time and by what they are about.
        400 summaries: SummaryKey => Arc<Tally>,
        /// The last batch taken from each node.
        401 sources: NodeId => StatisticsSource,
        /// How many rows there are of a time and aspect.
        402 bucket_rows: Bucket => u32,
        /// The APIs that rows name; they stay when the API is gone.
        403 apis: ApiId => Arc<CalledApi>,
        /// The applications that rows name.
        404 applications: ApplicationId => Arc<CallingApplication>,
        /// Who called each API last.
        405 last_access: ApiId => Arc<LastAccess>,
        /// From where each application has called lately.
        406 caller_networks: (ApplicationId, CallerNetwork) => KnownNetwork,
        /// The same by the day of the last call.
        407 network_days: (u32, ApplicationId, CallerNetwork) => (),
        /// How many those of each application are; of one that has called nothing lately, none.
        408 network_counts: ApplicationId => u32,
        /// From where applications have just begun to call, by when.
        409 unseen_networks: (Timestamp, ApplicationId, CallerNetwork) => UnseenNetwork,
        /// Calls that led to no API, by when, at which node, and a number there.
        410 stray_calls: (Timestamp, NodeId, u64) => Arc<StrayCall>,
    }
}

tables! {
    /// What gateways serve: derived from the databases by the commands that deploy, kept in the state so that a
    /// snapshot holds it.
    pub struct Deployed {
        /// Deployed APIs by environment.
        600 apis: (String, ApiId) => Arc<DeployedApi>,
        /// Throttling policies in force.
        601 policies: (TenantDomain, PolicyLevel, String) => Arc<QuotaPolicy>,
        /// `routes`: how often the deployed APIs changed; `keys`: how often something that a gateway may have cached
        /// about a key changed (revoked, blocked, deleted, plan changed); `policies`.
        602 generations: Generation => u64,
        /// The rules of the policies in force.
        603 policy_rules: (TenantDomain, PolicyLevel, String) => Arc<PolicyRules>,
        /// Deny policies, also those that are switched off or over.
        604 deny_policies: (TenantDomain, PolicyId) => Arc<DenyPolicy>,
        /// What of the security of deployed APIs differs from the defaults, by environment.
        605 edge_security: (String, ApiId) => Arc<EdgeSecurity>,
        /// Operation policies of the deployed APIs that have any, by environment.
        609 mediations: (String, ApiId) => Arc<Mediation>,
        /// Tenants that are not active: none of their APIs is served.
        610 closed_tenants: TenantDomain => (),
        /// The definitions against which gateways check calls, of deployed APIs whose publishers want that.
        620 checked_definitions: (String, ApiId) => Arc<str>,
        /// By what the backends of tenants are trusted beside what the system trusts.
        621 endpoint_trust: TenantDomain => Arc<EndpointTrust>,
        /// Where the operations of deployed products go, by environment.
        622 product_parts: (String, ApiId) => Arc<Vec<ProductPart>>,
        /// The schemas of deployed APIs of the type GRAPHQL and what their fields cost, by environment.
        623 graphql_rules: (String, ApiId) => Arc<GraphqlRules>,
        /// What deployed APIs of the type WEBSUB take events by, by environment.
        624 websub_rules: (String, ApiId) => Arc<WebsubRules>,
        /// How much gateways log of the calls of APIs of which they log any more than their settings say.
        626 call_logs: ApiId => Arc<CallLog>,
        /// What is applied to all APIs of a tenant in an environment.
        627 gateway_policies: (TenantDomain, String) => Arc<Flows>,
    }
}

/// Whose one token it is: the client's, for a user or for itself, with these scopes in order.
pub type SoleTokenKey = (ClientId, Option<(TenantDomain, Username)>, String);

/// What a generation counts the changes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Generation {
    /// Deployed APIs.
    Routes,
    /// What a gateway may have cached about keys: revoked, blocked, deleted, plan changed.
    Keys,
    /// Throttling policies and deny policies.
    Policies,
}

impl Deployed {
    /// Returns how often `what` changed.
    #[must_use]
    pub fn generation(&self, what: Generation) -> u64 {
        self.generations.get(&what).copied().unwrap_or(0)
    }

    /// Returns a deployed API; of one that is deployed in several environments the row of the first.
    #[must_use]
    pub fn api(&self, id: ApiId) -> Option<&Arc<DeployedApi>> {
        let mut from = (String::new(), ApiId::from_random([0; 16]));
        // By skipping from one environment to the next: there are few of them, and many APIs in each.
        while let Some(((environment, _), _)) = self.apis.range(from.clone()..).next() {
            if let Some(found) = self.apis.get(&(environment.clone(), id)) {
                return Some(found);
            }
            from.0 = format!("{environment}\0");
        }
        None
    }

    /// Returns the deny policies.
    pub fn denials(&self) -> impl Iterator<Item = &DenyPolicy> {
        self.deny_policies.values().map(AsRef::as_ref)
    }

    /// Returns the custom rules in force, with their policies.
    pub fn custom_rules(&self) -> impl Iterator<Item = (&QuotaPolicy, &CustomRule)> {
        let first = (TenantDomain::super_tenant(), PolicyLevel::Custom, String::new());
        let of_level =
            self.policies.range(first..).take_while(|(key, _)| key.0.is_super() && key.1 == PolicyLevel::Custom);
        of_level.filter_map(|(key, policy)| {
            let rule = self.policy_rules.get(key)?.custom.as_ref()?;
            Some((policy.as_ref(), rule))
        })
    }

    /// Notes that `what` changed.
    pub fn advance(&mut self, what: Generation) {
        let next = self.generation(what) + 1;
        self.generations.insert(what, next);
    }
}

impl PolicySource for Deployed {
    fn policy(&self, tenant: &TenantDomain, level: PolicyLevel, name: &str) -> Option<&QuotaPolicy> {
        self.policies.get(&(tenant.clone(), level, name.to_owned())).map(AsRef::as_ref)
    }

    fn rules(&self, tenant: &TenantDomain, level: PolicyLevel, name: &str) -> Option<&PolicyRules> {
        self.policy_rules.get(&(tenant.clone(), level, name.to_owned())).map(AsRef::as_ref)
    }
}

tables! {
    /// The cluster's own records.
    pub struct System {
        /// The one row of cluster-wide facts.
        500 cluster: () => Arc<ClusterFacts>,
        /// Every node ever admitted.
        501 nodes: NodeId => Arc<NodeRecord>,
        /// Join tokens by digest.
        502 join_tokens: TokenDigest => Arc<JoinToken>,
        /// Replies kept for idempotency keys, by principal and key.
        503 replies: (String, String) => Arc<KeptReply>,
        /// When replies may be dropped.
        504 reply_ends: (Timestamp, String, String) => (),
        /// The state machine's clock, which only moves forward.
        505 clock: () => Timestamp,
        /// Nodes that are to get no traffic.
        510 drained_nodes: NodeId => Arc<Drained>,
        /// Nodes that go as soon as another has taken their place, and that other.
        511 replacements: NodeId => NodeId,
        /// Changes of the membership that are planned, and the plan's version.
        512 membership_plan: () => Arc<MembershipPlan>,
        /// How old the state may be, in milliseconds, by which a gateway that promises this serves protected APIs.
        513 staleness_bounds: NodeId => u64,
        /// The authority that is to take the present one's place, while a rotation is under way.
        515 next_authority: () => Arc<NextAuthority>,
        /// The certificate that each node uses, as it said itself.
        516 node_certificates: NodeId => Arc<NodeCertificate>,
        /// Who did what, by the index of the entry and a number within it.
        520 audit: (u64, u32) => Arc<AuditRecord>,
        /// How long that is kept, where it was set.
        521 audit_retention: () => AuditRetention,
        /// The ids of the requests that did it, where they are known, by the same.
        411 audit_requests: (u64, u32) => RequestId,
    }
}

/// Facts about the cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// The cluster's id; no two clusters share one.
    pub id: uuid::Uuid,
    /// The name people read.
    pub name: String,
    /// When it was bootstrapped.
    pub created_at: Timestamp,
    /// The feature level all nodes understand.
    pub feature_level: u32,
    /// The certificate authority's certificate, PEM.
    pub ca_certificate: String,
    /// The certificate authority's private key, PKCS #8 PEM.
    pub ca_key: portcullis_model::Sealed,
    /// The highest node id given out.
    pub node_ids_given: u64,
}

/// A token with which nodes join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The digest of the token's secret.
    pub digest: TokenDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many nodes may still join with it.
    pub uses_left: u32,
}

/// The reply of a write that carried an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReply {
    /// The SHA-256 of the request that the key was first used with.
    pub request: [u8; 32],
    /// The outcome.
    pub outcome: Result<Vec<u8>, portcullis_model::Refused>,
    /// When it may be dropped.
    pub expires_at: Timestamp,
}

/// An event in an API's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleEvent {
    /// The state before; `None` when the API was created.
    pub from: Option<portcullis_model::Lifecycle>,
    /// The state after.
    pub to: portcullis_model::Lifecycle,
    /// Who did it.
    pub user: Username,
    /// When.
    pub at: Timestamp,
}

/// The whole replicated state. `clone` is cheap.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// APIs, applications, subscriptions, keys, tokens, policies.
    pub apimgt: Apimgtdb,
    /// Users, roles, tenants.
    pub user: Userdb,
    /// Documents.
    pub reg: Regdb,
    /// Statistics.
    pub stat: Statdb,
    /// Throttle counters and grants.
    pub counters: Counters,
    /// What gateways serve.
    pub deployed: Deployed,
    /// Nodes, join tokens, replies.
    pub system: System,
    /// The index of the last entry applied.
    pub applied_index: u64,
}

impl State {
    /// Returns the state machine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.system.clock.get(&()).copied().unwrap_or_default()
    }

    /// Returns the feature level that every node of the cluster understands.
    #[must_use]
    pub fn feature_level(&self) -> u32 {
        self.system.cluster.get(&()).map_or(level::FIRST, |facts| facts.feature_level)
    }

    /// Shows every table to `visitor`.
    ///
    /// # Errors
    /// What the visitor reports.
    pub fn visit<T: TableVisitor>(&self, visitor: &mut T) -> Result<(), T::Error> {
        self.apimgt.visit(visitor)?;
        self.user.visit(visitor)?;
        self.reg.visit(visitor)?;
        self.stat.visit(visitor)?;
        self.counters.visit(visitor)?;
        self.deployed.visit(visitor)?;
        self.system.visit(visitor)
    }

    /// Has `filler` fill every table.
    ///
    /// # Errors
    /// What the filler reports.
    pub fn fill<T: TableFiller>(&mut self, filler: &mut T) -> Result<(), T::Error> {
        self.apimgt.fill(filler)?;
        self.user.fill(filler)?;
        self.reg.fill(filler)?;
        self.stat.fill(filler)?;
        self.counters.fill(filler)?;
        self.deployed.fill(filler)?;
        self.system.fill(filler)
    }
}
