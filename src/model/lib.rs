//! The nouns of API management and the rules they obey, as plain values.
//!
//! This crate does no I/O, knows no clock and names no framework: everything above it (the state machine, the
//! components, the gateway) meets in these types. Messages between components are not here; the port traits by which
//! a component asks another without knowing it are ([`port`]).

pub mod access_log;
pub mod agent;
pub mod alert;
pub mod api;
pub mod api_endpoint;
pub mod api_key;
pub mod api_sight;
pub mod application;
pub mod asset;
pub mod audit;
pub mod authorization;
pub mod backend_care;
pub mod backend_proof;
pub mod call_event;
pub mod call_log;
pub mod caller_network;
pub mod certificate;
pub mod claim_settings;
pub mod client_certificate;
pub mod cluster;
pub mod comment;
pub mod component;
pub mod counter;
pub mod country;
pub mod deny;
pub mod deployed;
pub mod document;
pub mod dynamic_endpoint;
pub mod edge_security;
pub mod endpoint_trust;
pub mod environment;
pub mod environment_properties;
pub mod facts;
pub mod fault;
pub mod gateway_policy;
pub mod graphql;
pub mod heading;
pub mod id;
pub mod identity_provider;
pub mod internal_key;
pub mod join_token;
pub mod key_manager;
pub mod lifecycle;
pub mod limit;
pub mod mediation;
pub mod membership;
pub mod mutant;
pub mod node;
pub mod oauth;
pub mod organization;
pub mod password_policy;
pub mod policy;
pub mod policy_rules;
pub mod port;
pub mod product;
pub mod refused;
mod rest_scope;
pub mod revision;
pub mod safekeeping;
pub mod sealed;
pub mod shared_scope;
pub mod sketch;
pub mod span;
pub mod statistics;
pub mod subscription;
pub mod task;
pub mod tenant;
pub mod tenant_config;
pub mod throttle;
pub mod time;
pub mod user;

pub use api::{Api, ApiKind, Endpoint, EndpointConfig, Operation, OperationAuth};
pub use api_key::{ApiKey, ApiKeyForm, KeyRestriction};
pub use application::{Application, ApplicationState, TokenType};
pub use audit::{AuditAction, AuditRecord, AuditRetention};
pub use backend_care::{BackendCare, EndpointCare};
pub use backend_proof::{BackendProof, BackendProofs};
pub use call_event::CallEvent;
pub use caller_network::{CallerNetwork, SeenNetwork};
pub use comment::{Comment, CommentPlace};
pub use component::{Component, Components};
pub use counter::{CounterKey, CounterLevel, LimitKey};
pub use deny::{DenyCondition, DenyPolicy};
pub use deployed::DeployedApi;
pub use document::{Content, Document, DocumentKind, DocumentSource, DocumentVisibility};
pub use edge_security::EdgeSecurity;
pub use environment::Environment;
pub use fault::{AtFault, Fault, Retry};
pub use id::{
    ApiId, ApiKeyId, ApplicationId, AssetId, ClientId, ClientSecretId, CommentId, DocumentId, EnvironmentId, HeadingId,
    IdentityProviderId, KeyManagerId, KeyMappingId, NodeId, PolicyId, RatingId, RevisionId, RoleId, ScopeId,
    SigningKeyId, SubscriptionId, TaskId, TenantId, UserId,
};
pub use join_token::{JoinSecret, NotAJoinToken};
pub use key_manager::KeyManager;
pub use lifecycle::{Lifecycle, LifecycleAction};
pub use mediation::Mediation;
pub use membership::{MembershipChange, MembershipPlan, NodeRole};
pub use node::{NodeAddresses, NodeRecord};
pub use oauth::{AccessToken, KeyType, OauthClient, TokenDigest};
pub use password_policy::PasswordPolicy;
pub use policy::{PolicyLevel, Quota, QuotaPolicy, QuotaUnit, TimeUnit, Window, WindowKind};
pub use policy_rules::PolicyRules;
pub use refused::Refused;
pub use revision::{Deployment, Revision};
pub use sealed::Sealed;
pub use shared_scope::SharedScope;
pub use subscription::{Subscription, SubscriptionState};
pub use tenant::{TenantDomain, TenantRecord};
pub use tenant_config::TenantConfig;
pub use time::Timestamp;
pub use user::{Principal, Role, RoleRecord, User, UserProfile, Username};
