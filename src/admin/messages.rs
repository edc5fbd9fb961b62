//! What Admin can be asked: its public interface. The REST faces and the portals ask nothing else.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use http::HeaderMap;
use portcullis_database::state::JoinToken;
use portcullis_database::{Caller, Committed};
use portcullis_model::cluster::{ClusterStatus, JoinGrant, JoinRequest};
use portcullis_model::key_manager::KeyManager;
use portcullis_model::{
    CounterLevel, DenyPolicy, KeyManagerId, KeyType, PolicyId, PolicyLevel, PolicyRules, QuotaPolicy, QuotaUnit, Role,
    TenantDomain, Timestamp, TokenDigest, User, Username, WindowKind,
};

use crate::admin_error::AdminError;
pub use crate::membership_messages::{
    ApplyPlan, ChangeMembership, DrainNode, RevertPlan, ShowPlan, StageChange, TransferLeadership,
};

/// Asks how the cluster stands.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "ClusterStatus")]
pub struct DescribeCluster;

/// Asks for the digest of this node's state.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<StateDigest, AdminError>")]
pub struct DigestState;

/// The digest of a node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateDigest {
    /// The index of the last entry applied: digests of two nodes are compared at the same index.
    pub applied_index: u64,
    /// The SHA-256.
    pub digest: [u8; 32],
}

/// Makes a join token.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<NewJoinToken>, AdminError>")]
pub struct CreateJoinToken {
    /// Who asks. A retry makes another token: the secret of the first is nowhere to be had again.
    pub caller: Caller,
    /// How long it may be used; 1 minute to 30 days.
    pub lives: Duration,
    /// How many nodes may join with it; 1 to 100.
    pub uses: u32,
}

/// A join token that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJoinToken {
    /// What the operator pastes.
    pub text: String,
    /// The digest of the secret.
    pub digest: TokenDigest,
    /// The addresses in it.
    pub addresses: Vec<SocketAddr>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Asks for the join tokens that may still be used, oldest first.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<Arc<JoinToken>>")]
pub struct ListJoinTokens;

/// Makes a join token useless.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub struct RevokeJoinToken {
    /// Who asks.
    pub caller: Caller,
    /// The first 16 hexadecimal characters of the digest, which lists show as the id.
    pub id: String,
}

/// Admits a node that shows a join token. Nobody is signed in: the secret is the proof.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<JoinGrant, AdminError>")]
pub struct Join(pub JoinRequest);

/// A policy with its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuledPolicy {
    /// The policy.
    pub policy: Arc<QuotaPolicy>,
    /// Its rules.
    pub rules: Arc<PolicyRules>,
}

/// Asks for the policies of a tenant and level, by name.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<RuledPolicy>")]
pub struct ListPolicies {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The level.
    pub level: PolicyLevel,
}

/// Asks for one policy.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<RuledPolicy, AdminError>")]
pub struct GetPolicy {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The level.
    pub level: PolicyLevel,
    /// The id.
    pub id: PolicyId,
}

/// Creates a policy.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<RuledPolicy>, AdminError>")]
pub struct CreatePolicy {
    /// Who asks.
    pub caller: Caller,
    /// The policy; its id is drawn and its version set on the way.
    pub policy: QuotaPolicy,
    /// Its rules.
    pub rules: PolicyRules,
}

/// Replaces a policy. Its name stays.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<RuledPolicy>, AdminError>")]
pub struct ChangePolicy {
    /// Who asks.
    pub caller: Caller,
    /// The id.
    pub id: PolicyId,
    /// What it is to be.
    pub policy: QuotaPolicy,
    /// Its rules.
    pub rules: PolicyRules,
}

/// Asks for the deny policies of a tenant, oldest first.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Arc<DenyPolicy>>")]
pub struct ListDenyPolicies {
    /// The tenant.
    pub tenant: TenantDomain,
}

/// Creates a deny policy.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<Arc<DenyPolicy>>, AdminError>")]
pub struct CreateDenyPolicy {
    /// Who asks.
    pub caller: Caller,
    /// The deny policy; its id is drawn on the way.
    pub policy: DenyPolicy,
}

/// Switches a deny policy on or off, or sets when it ends.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<Arc<DenyPolicy>>, AdminError>")]
pub struct ChangeDenyPolicy {
    /// Who asks.
    pub caller: Caller,
    /// The id.
    pub id: PolicyId,
    /// Whether it is to be in force; `None` leaves that.
    pub is_active: Option<bool>,
    /// When it is to end, the inner `None` for never; `None` leaves that.
    pub expires_at: Option<Option<Timestamp>>,
}

/// Deletes a deny policy.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub struct DeleteDenyPolicy {
    /// Who asks.
    pub caller: Caller,
    /// The id.
    pub id: PolicyId,
}

/// Deletes a policy that nothing uses.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub struct DeletePolicy {
    /// Who asks.
    pub caller: Caller,
    /// The level.
    pub level: PolicyLevel,
    /// The id.
    pub id: PolicyId,
}

/// Asks which limits a call would meet.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<TestedCall, AdminError>")]
pub struct TestCall {
    /// The tenant whose API is called.
    pub tenant: TenantDomain,
    /// The API: its id, NAME:VERSION, or its context with the version.
    pub api: String,
    /// The environment in which it is deployed.
    pub environment: String,
    /// The verb, in capitals.
    pub verb: String,
    /// The path below the context, or the template.
    pub path: String,
    /// The application that calls, by id or name; `None` for a call without a token.
    pub application: Option<String>,
    /// The end user; `None` for the application's owner.
    pub user: Option<Username>,
    /// The type of key.
    pub key_type: KeyType,
    /// The client's address.
    pub client: IpAddr,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The query, without the question mark.
    pub query: String,
    /// The token's claims.
    pub claims: Vec<(String, String)>,
}

/// The limits that a call would meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestedCall {
    /// The deny policy that would turn it away before.
    pub denied_by: Option<PolicyId>,
    /// The limits, in the order in which they are asked.
    pub limits: Vec<LimitStanding>,
}

/// A limit that a call would meet, and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStanding {
    /// The level.
    pub level: CounterLevel,
    /// The policy's name.
    pub policy: String,
    /// The counter's key as the original writes it.
    pub key: String,
    /// The counter.
    pub counter: String,
    /// What it counts.
    pub unit: QuotaUnit,
    /// The limit per window.
    pub limit: u64,
    /// The window's length.
    pub window_ms: u64,
    /// How windows follow each other.
    pub kind: WindowKind,
    /// What is left in the cluster, as far as reported.
    pub remaining: u64,
    /// When the open window ends; `None` where none is open.
    pub resets_at: Option<Timestamp>,
}

/// Asks for the users of a tenant, by name.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Arc<User>>")]
pub struct ListUsers {
    /// The tenant.
    pub tenant: TenantDomain,
}

/// Creates a user of the caller's tenant.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<Arc<User>>, AdminError>")]
pub struct CreateUser {
    /// Who asks.
    pub caller: Caller,
    /// The name.
    pub username: Username,
    /// The password.
    pub password: Password,
    /// The roles; each must exist.
    pub roles: Vec<Role>,
    /// The address for notices; may be empty.
    pub email: String,
}

/// Changes what a user of the caller's tenant may do.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub struct ChangeUser {
    /// Who asks.
    pub caller: Caller,
    /// The user.
    pub username: Username,
    /// What is to change.
    pub change: UserChange,
}

/// A change of what a user may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// The user gets a role.
    Grant(Role),
    /// The user loses a role.
    Revoke(Role),
    /// The user cannot sign in any more, or can again.
    Lock(bool),
    /// The user is deleted.
    Delete,
}

/// Sets the password of a user of the caller's tenant.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub struct SetPassword {
    /// Who asks.
    pub caller: Caller,
    /// The user.
    pub username: Username,
    /// The new password.
    pub password: Password,
}

/// A password in clear, on its way to being hashed; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Lists the key managers that are for all tenants, oldest first.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Arc<KeyManager>>")]
pub struct ListGlobalKeyManagers;

/// Lists the key managers that a tenant has for itself beside the cluster's own, oldest first.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Arc<KeyManager>>")]
pub struct ListKeyManagers {
    /// Whose.
    pub tenant: TenantDomain,
}

/// Registers a key manager, or changes one.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<Arc<KeyManager>>, AdminError>")]
pub struct PutKeyManager {
    /// Who asks.
    pub caller: Caller,
    /// What it is to be.
    pub key_manager: KeyManager,
    /// Whether it must be new.
    pub is_new: bool,
}

/// Deletes a key manager.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub struct DeleteKeyManager {
    /// Who asks.
    pub caller: Caller,
    /// Which.
    pub id: KeyManagerId,
}
