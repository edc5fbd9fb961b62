//! Bounds on everything that comes from outside. Each has a name and a reason.

use std::time::Duration;

/// Characters in an API's name (REST contract).
pub const API_NAME_CHARS_MAX: usize = 60;
/// Characters in an API's context (REST contract).
pub const API_CONTEXT_CHARS_MAX: usize = 232;
/// Characters in an API's version (REST contract).
pub const API_VERSION_CHARS_MAX: usize = 30;
/// Characters in an API's description (REST contract).
pub const API_DESCRIPTION_CHARS_MAX: usize = 32_766;
/// Operations of one API: larger documents are split by their publishers long before this.
pub const API_OPERATIONS_MAX: usize = 5_000;
/// Revisions of one API at a time (the original's limit).
pub const API_REVISIONS_MAX: usize = 5;
/// Bytes of an API definition: the largest public OpenAPI documents are about 9 MiB.
pub const DEFINITION_BYTES_MAX: usize = 10 << 20;
/// Characters in an application's name (REST contract).
pub const APPLICATION_NAME_CHARS_MAX: usize = 100;
/// Characters in an application's description (REST contract).
pub const APPLICATION_DESCRIPTION_CHARS_MAX: usize = 512;
/// Bytes of one command in the log, and of one stored record.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// Bytes of a management request's body.
pub const MANAGEMENT_BODY_BYTES_MAX: usize = 12 << 20;
/// Bytes of the body of a management request of which nobody has signed in: a node that joins sends a few KiB, and
/// nobody unknown may have a node hold more.
pub const ANONYMOUS_BODY_BYTES_MAX: usize = 64 << 10;
/// Objects in one page of a list.
pub const PAGE_LIMIT_MAX: usize = 1_000;
/// Objects in one page of a list when the caller does not say (REST contract).
pub const PAGE_LIMIT_DEFAULT: usize = 25;
/// How long a management call may take, forwarding and commit included.
pub const MANAGEMENT_DEADLINE: Duration = Duration::from_secs(30);
/// How long a write waits for every live node to have applied it.
pub const FENCE_WAIT: Duration = Duration::from_secs(5);
/// How long the reply of a write with an idempotency key is kept.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Characters in an idempotency key.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Replies kept for idempotency keys; the oldest goes first.
pub const IDEMPOTENCY_REPLIES_MAX: usize = 100_000;
/// How long an opaque token is kept past its end, so that its holder hears "expired" (900903) and not "unknown".
pub const EXPIRED_TOKEN_KEPT: Duration = Duration::from_secs(3_600);
/// Tokens kept for one client at a time.
pub const TOKENS_PER_CLIENT_MAX: u64 = 100_000;
/// Self-contained tokens on the list of revoked ones.
pub const REVOKED_TOKENS_MAX: u64 = 1_000_000;
/// Authorization codes, device codes and pushed requests that wait at a time: minutes of the fastest sign-ins.
pub const PENDING_GRANTS_MAX: usize = 500_000;
/// Sign-ins in browsers at a time.
pub const SIGN_INS_MAX: usize = 1_000_000;
/// Consents that are remembered.
pub const CONSENTS_MAX: usize = 1_000_000;
/// How long a grant that was turned into a token is kept, so that a second use is noticed and revokes what it gave.
pub const SPENT_GRANT_KEPT: Duration = Duration::from_secs(600);
/// Secrets of one client at a time, beside the one that it was made with.
pub const CLIENT_SECRETS_MAX: usize = 10;
/// Issuers of assertions that are trusted, of all tenants.
pub const TRUSTED_ISSUERS_MAX: usize = 10_000;
/// Token-signing keys at a time, those that only check included.
pub const SIGNING_KEYS_MAX: usize = 24;
/// OAuth clients that one user may register by himself.
pub const CLIENTS_PER_OWNER_MAX: usize = 1_000;
/// Applications of one user: a person has a handful; the bound keeps a runaway script from filling the state.
pub const APPLICATIONS_PER_OWNER_MAX: usize = 10_000;
/// Scopes that the APIs of one tenant share.
pub const SHARED_SCOPES_MAX: usize = 2_000;
/// Tenants.
pub const TENANTS_MAX: usize = 10_000;
/// Users of all tenants.
pub const USERS_MAX: usize = 1_000_000;
/// Roles of one tenant.
pub const ROLES_PER_TENANT_MAX: usize = 10_000;
/// Roles of one user: all of them are looked at whenever the user signs in.
pub const ROLES_PER_USER_MAX: usize = 500;
/// Users whom one change gives or takes a role.
pub const MEMBERS_PER_CHANGE_MAX: usize = 10_000;
/// Bytes of a user's further attributes.
pub const PROFILE_BYTES_MAX: usize = 32 << 10;
