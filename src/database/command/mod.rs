//! Commands: every change of the state, one file each, with frozen numbers.
//!
//! A number is never used for anything else. A command whose fields change gets a new number and the old one stays, so
//! that old logs replay. An unknown number means that a newer node wrote the entry: the node stops with a clear
//! message and never skips. `tests/` freezes the list.

use portcullis_model::limit::{IDEMPOTENCY_KEPT, IDEMPOTENCY_REPLIES_MAX};
use portcullis_model::mutant::{self, Mutant};
use portcullis_model::{Principal, Refused, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

use crate::access::Component;
use crate::audit;
use crate::codec::{self, CodecError};
use crate::entry::{Entry, Opened, Outcome};
use crate::kept_api_keys;
use crate::kept_tokens;
use crate::level;
use crate::pending;
use crate::state::{KeptReply, State};
use crate::webhooks;

/// A change of the state.
pub trait Command: Numbered + Serialize + DeserializeOwned + Send + 'static {
    /// What it replies.
    type Reply: Serialize + DeserializeOwned + Send + 'static;

    /// Whether its answer waits until every live node has applied it (the fence).
    const EVERYWHERE: bool = false;

    /// Says what it is about, for the audit: names and ids, never a secret.
    fn subject(&self) -> String {
        String::new()
    }

    /// Changes the state. Deterministic: depends on `self`, `state` and `moment` alone. Where it refuses, it has
    /// changed nothing: check first, then write.
    ///
    /// # Errors
    /// The refusal, which is a value of the log like any reply.
    fn apply(self, state: &mut State, moment: &Moment) -> Result<Self::Reply, Refused>;
}

/// Says that component `C` may submit the command: implemented with a `where` clause that names what it writes.
#[diagnostic::on_unimplemented(
    message = "component `{C}` may not submit `{Self}`",
    note = "the command's file says what it writes; the access matrix is in src/database/access.rs and docs/access-matrix.md"
)]
pub trait SubmittedBy<C: Component> {}

/// The frozen number of a command; given by the list below.
pub trait Numbered {
    /// The number.
    const NUMBER: u16;
    /// The name.
    const NAME: &'static str;
}

/// The circumstances under which a command is applied: the same on every node.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The state machine's clock.
    pub now: Timestamp,
    /// The entry's index in the log.
    pub index: u64,
    /// Random bytes that the proposer drew.
    pub random: [u8; 32],
    /// On whose behalf.
    pub principal: Principal,
}

/// An entry that cannot be applied at all: the node must stop.
#[derive(Debug, thiserror::Error)]
pub enum CannotApply {
    /// A newer version wrote it.
    #[error("entry {index} holds command {number}, which this version does not know: run the version that wrote it")]
    UnknownCommand {
        /// The entry's index.
        index: u64,
        /// The command's number.
        number: u16,
    },
    /// The cluster was raised to a feature level that this version does not know.
    #[error(
        "with entry {index} the cluster has feature level {level}; this version knows up to {known}: run the version that \
         the other nodes run"
    )]
    LevelTooNew {
        /// The entry's index.
        index: u64,
        /// The level.
        level: u32,
        /// The highest level that this version knows.
        known: u32,
    },
    /// The entry is damaged.
    #[error("entry {index} holds a damaged {command}")]
    Damaged {
        /// The entry's index.
        index: u64,
        /// The command.
        command: &'static str,
        /// What is wrong with it.
        #[source]
        cause: CodecError,
    },
}

#[cfg(test)]
mod publisher_tests;
#[cfg(test)]
pub(crate) mod store_fixture;

macro_rules! commands {
    ($($number:literal => $module:ident :: $name:ident),* $(,)?) => {
        $(mod $module;)*
        $(pub use $module::*;)*

        $(impl Numbered for $module::$name {
            const NUMBER: u16 = $number;
            const NAME: &'static str = stringify!($name);
        })*

        /// Number and name of every command, in the order of the numbers.
        pub const COMMANDS: &[(u16, &str)] = &[$(($number, stringify!($name))),*];

        /// Whether the answer to a command waits until every live node has applied it, by the command's name.
        pub const FENCED: &[(&str, bool)] =
            &[$((stringify!($name), <$module::$name as Command>::EVERYWHERE)),*];

        fn dispatch(number: u16, payload: &[u8], state: &mut State, moment: &Moment) -> Result<Run, CannotApply> {
            match number {
                $($number => run::<$module::$name>(payload, state, moment),)*
                number => Err(CannotApply::UnknownCommand { index: moment.index, number }),
            }
        }
    };
}

// 1–19 cluster, 20–39 publisher, 40–59 store, 60–79 key manager, 80–89 policies, 90–99 users, 100–109 traffic manager,
// 110–119 keys and certificates at the edge, 120–126 tenants, the audit, shared scopes, clients, 130–133 identity
// providers, claims, 150–169 what belongs to APIs, what they are filed under, whose they are, what waits for a decision,
// 170–179 environments, what publishers entrust to gateways,
// 180–188 statistics, 189–191 what is particular to an environment.
commands! {
    1 => bootstrap::Bootstrap,
    2 => admit_node::AdmitNode,
    3 => remove_node::RemoveNode,
    4 => create_join_token::CreateJoinToken,
    5 => revoke_join_token::RevokeJoinToken,
    6 => update_node::UpdateNode,
    7 => set_node_condition::SetNodeCondition,
    8 => change_membership::ChangeMembership,
    9 => change_plan::ChangePlan,
    10 => record_certificate::RecordCertificate,
    11 => begin_rotation::BeginRotation,
    12 => advance_rotation::AdvanceRotation,
    13 => raise_feature_level::RaiseFeatureLevel,
    20 => create_api::CreateApi,
    21 => update_api::UpdateApi,
    22 => put_definition::PutDefinition,
    23 => delete_api::DeleteApi,
    24 => create_revision::CreateRevision,
    25 => delete_revision::DeleteRevision,
    26 => deploy_revision::DeployRevision,
    27 => undeploy_revision::UndeployRevision,
    28 => change_lifecycle::ChangeLifecycle,
    29 => restore_revision::RestoreRevision,
    30 => set_subscription_state::SetSubscriptionState,
    40 => create_application::CreateApplication,
    41 => update_application::UpdateApplication,
    42 => delete_application::DeleteApplication,
    43 => create_subscription::CreateSubscription,
    44 => update_subscription::UpdateSubscription,
    45 => delete_subscription::DeleteSubscription,
    46 => put_application_client::PutApplicationClient,
    47 => replace_client_secret::ReplaceClientSecret,
    48 => remove_application_client::RemoveApplicationClient,
    49 => create_subscriptions::CreateSubscriptions,
    60 => issue_token::IssueToken,
    61 => revoke_token::RevokeToken,
    62 => put_client::PutClient,
    63 => delete_client::DeleteClient,
    64 => put_signing_key::PutSigningKey,
    65 => rotate_refresh_token::RotateRefreshToken,
    70 => keep_grant::KeepGrant,
    71 => grant_token::GrantToken,
    72 => open_sign_in::OpenSignIn,
    73 => close_sign_in::CloseSignIn,
    74 => decide_device::DecideDevice,
    75 => put_client_secret::PutClientSecret,
    76 => remove_client_secret::RemoveClientSecret,
    77 => rotate_signing_key::RotateSigningKey,
    78 => retire_signing_key::RetireSigningKey,
    79 => set_trusted_issuer::SetTrustedIssuer,
    80 => put_policy::PutPolicy,
    81 => delete_policy::DeletePolicy,
    82 => put_throttle_policy::PutThrottlePolicy,
    83 => create_deny_policy::CreateDenyPolicy,
    84 => update_deny_policy::UpdateDenyPolicy,
    85 => delete_deny_policy::DeleteDenyPolicy,
    87 => seed_policies::SeedPolicies,
    90 => put_user::PutUser,
    91 => create_user::CreateUser,
    92 => update_user::UpdateUser,
    93 => delete_user::DeleteUser,
    94 => create_role::CreateRole,
    95 => change_role::ChangeRole,
    96 => delete_role::DeleteRole,
    97 => lock_out_user::LockOutUser,
    98 => create_tenant::CreateTenant,
    99 => set_tenant_active::SetTenantActive,
    100 => report_usage::ReportUsage,
    101 => state_usage::StateUsage,
    102 => reset_counters::ResetCounters,
    110 => create_api_key::CreateApiKey,
    111 => revoke_api_key::RevokeApiKey,
    112 => put_client_certificate::PutClientCertificate,
    113 => delete_client_certificate::DeleteClientCertificate,
    114 => put_key_manager::PutKeyManager,
    115 => delete_key_manager::DeleteKeyManager,
    116 => map_key::MapKey,
    117 => unmap_key::UnmapKey,
    120 => put_tenant_config::PutTenantConfig,
    121 => note_sign_ins::NoteSignIns,
    122 => set_audit_retention::SetAuditRetention,
    123 => put_shared_scope::PutSharedScope,
    124 => delete_shared_scope::DeleteSharedScope,
    125 => revoke_client::RevokeClient,
    126 => renew_client_secret::RenewClientSecret,
    130 => put_identity_provider::PutIdentityProvider,
    131 => delete_identity_provider::DeleteIdentityProvider,
    132 => admit_user::AdmitUser,
    133 => put_claim_settings::PutClaimSettings,
    150 => put_document::PutDocument,
    151 => delete_document::DeleteDocument,
    152 => put_document_content::PutDocumentContent,
    153 => put_thumbnail::PutThumbnail,
    154 => add_comment::AddComment,
    155 => change_comment::ChangeComment,
    156 => delete_comment::DeleteComment,
    157 => rate_api::RateApi,
    158 => put_heading::PutHeading,
    159 => delete_heading::DeleteHeading,
    160 => label_api::LabelApi,
    161 => copy_belongings::CopyBelongings,
    162 => change_application_owner::ChangeApplicationOwner,
    163 => change_api_provider::ChangeApiProvider,
    164 => decide_task::DecideTask,
    165 => cancel_task::CancelTask,
    166 => sign_up_user::SignUpUser,
    170 => put_environment::PutEnvironment,
    171 => delete_environment::DeleteEnvironment,
    172 => change_deployment::ChangeDeployment,
    173 => put_endpoint_certificate::PutEndpointCertificate,
    174 => delete_endpoint_certificate::DeleteEndpointCertificate,
    175 => create_product::CreateProduct,
    176 => put_asset::PutAsset,
    177 => delete_asset::DeleteAsset,
    178 => note_stray_calls::NoteStrayCalls,
    180 => take_statistics::TakeStatistics,
    181 => note_networks::NoteNetworks,
    182 => put_webhook::PutWebhook,
    183 => remove_webhook::RemoveWebhook,
    184 => note_deliveries::NoteDeliveries,
    189 => put_gateway_policy::PutGatewayPolicy,
    190 => delete_gateway_policy::DeleteGatewayPolicy,
    191 => put_environment_properties::PutEnvironmentProperties,
    195 => set_call_log::SetCallLog,
}

/// What a command brought about, and what it is about.
type Run = (Result<Vec<u8>, Refused>, String);

fn run<X: Command>(payload: &[u8], state: &mut State, moment: &Moment) -> Result<Run, CannotApply> {
    let damaged = |cause| CannotApply::Damaged { index: moment.index, command: X::NAME, cause };
    let command: X = codec::decode(payload).map_err(damaged)?;
    let subject = if audit::notes(X::NUMBER) { command.subject() } else { String::new() };
    let result = match command.apply(state, moment) {
        Ok(reply) => Ok(codec::encode(&reply).map_err(damaged)?),
        Err(refused) => Err(refused),
    };
    Ok((result, subject))
}

/// Applies an entry to the state: moves the clock, answers repeats of a request from the replies kept, runs the
/// command. The same on every node.
///
/// # Errors
/// Where the entry cannot be applied at all; the node must stop then.
pub fn apply(state: &mut State, index: u64, entry: &Entry) -> Result<Outcome, CannotApply> {
    let mut now = state.now().max(entry.proposed_at);
    if mutant::is(Mutant::ClockInApply) {
        now = now.max(Timestamp(mutant::own_clock_ms()));
    }
    state.system.clock.insert((), now);
    state.applied_index = index;
    drop_old_replies(state, now);
    kept_tokens::drop_ended(state, now);
    pending::drop_ended(state, now);
    kept_api_keys::drop_ended(state, now);
    webhooks::drop_ended(state, now);
    let kept_as = entry.idempotency.as_ref().map(|one| (entry.principal.to_string(), one.key.clone()));
    if let (Some(kept_as), Some(idempotency)) = (&kept_as, &entry.idempotency)
        && let Some(kept) = state.system.replies.get(kept_as)
        && !mutant::is(Mutant::ForgetReplies)
    {
        let is_same = kept.request == idempotency.request;
        let result = if is_same { kept.outcome.clone() } else { Err(Refused::IdempotencyMismatch) };
        return Ok(Outcome { index, result });
    }
    let moment = Moment { now, index, random: entry.random, principal: entry.principal.clone() };
    let Some(Opened { number, origin, request, payload }) = entry.opened() else {
        return Err(CannotApply::UnknownCommand { index, number: entry.command });
    };
    let (result, subject) = dispatch(number, payload, state, &moment)?;
    audit::note(state, &moment, audit::Act { command: number, origin, request, subject }, &result);
    let level = state.feature_level();
    if level > level::HIGHEST {
        return Err(CannotApply::LevelTooNew { index, level, known: level::HIGHEST });
    }
    if let (Some(kept_as), Some(idempotency)) = (kept_as, &entry.idempotency) {
        keep_reply(state, now, kept_as, idempotency.request, result.clone());
    }
    Ok(Outcome { index, result })
}

fn keep_reply(
    state: &mut State,
    now: Timestamp,
    (principal, key): (String, String),
    request: [u8; 32],
    outcome: Result<Vec<u8>, Refused>,
) {
    let expires_at = now.after(IDEMPOTENCY_KEPT);
    state.system.reply_ends.insert((expires_at, principal.clone(), key.clone()), ());
    state.system.replies.insert((principal, key), Arc::new(KeptReply { request, outcome, expires_at }));
}

/// Drops the replies whose time is over, and the oldest beyond the bound; a few at a time, so that no entry is slow.
fn drop_old_replies(state: &mut State, now: Timestamp) {
    const AT_ONCE: usize = 16;
    for _ in 0..AT_ONCE {
        let Some((oldest, ())) = state.system.reply_ends.get_min().cloned() else { return };
        if oldest.0 > now && state.system.replies.len() <= IDEMPOTENCY_REPLIES_MAX {
            return;
        }
        state.system.reply_ends.remove(&oldest);
        state.system.replies.remove(&(oldest.1, oldest.2));
    }
}
