//! Bounds on what callers of the key manager send. Each has a name and a reason.

use std::time::Duration;

/// Bytes of a form sent to an OAuth endpoint.
pub(crate) const FORM_BYTES_MAX: usize = 64 << 10;
/// Parameters of such a form.
pub(crate) const FORM_FIELDS_MAX: usize = 64;
/// Bytes of a registration request.
pub(crate) const REGISTRATION_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer passed on through a gateway.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Bytes of a token: a JSON Web Token with many scopes stays below.
pub(crate) const TOKEN_BYTES_MAX: usize = 12 << 10;
/// Scopes of one request.
pub(crate) const SCOPES_MAX: usize = 200;
/// Characters of one scope.
pub(crate) const SCOPE_CHARS_MAX: usize = 255;
/// Bytes of all scopes granted in one token, so that a token fits into a header.
pub(crate) const SCOPES_BYTES_MAX: usize = 4 << 10;
/// Characters of a client id.
pub(crate) const CLIENT_ID_CHARS_MAX: usize = 255;
/// Bytes of a client secret.
pub(crate) const CLIENT_SECRET_BYTES_MAX: usize = 2_048;
/// Characters of a client's name.
pub(crate) const CLIENT_NAME_CHARS_MAX: usize = 255;
/// Characters of a callback URL (a regular expression in the original, hence long).
pub(crate) const CALLBACK_CHARS_MAX: usize = 2_048;
/// Grant types of one client.
pub(crate) const GRANTS_MAX: usize = 20;
/// Characters of a grant type's name.
pub(crate) const GRANT_CHARS_MAX: usize = 255;
/// Bytes of a user name with its tenant.
pub(crate) const USERNAME_BYTES_MAX: usize = 512;
/// Bytes of a password: hashing longer ones would only burn time.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_024;
/// Seconds that a token lives at most, "never" included: the largest that clients with 32-bit numbers understand.
pub(crate) const VALIDITY_S_MAX: u64 = i32::MAX as u64;
/// Signature checks remembered.
pub(crate) const VERIFIED_TOKENS_MAX: usize = 20_000;
/// Password checks remembered.
pub(crate) const VERIFIED_PASSWORDS_MAX: usize = 10_000;
/// How long a password check is remembered.
pub(crate) const VERIFIED_PASSWORD_KEPT: Duration = Duration::from_secs(300);
/// Users whose failed sign-ins are counted.
pub(crate) const FAILURES_MAX: usize = 10_000;
/// Failed sign-ins of a user in a row before the next one must wait.
pub(crate) const FAILURES_FREE: u32 = 10;
/// Failed sign-ins from an address in a row before the next one must wait: several people may sit behind one.
pub(crate) const FAILURES_FREE_OF_ADDRESS: u32 = 50;
/// The longest that a sign-in must wait after failed ones.
pub(crate) const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(60);
/// After how long without one failed sign-ins are forgotten.
pub(crate) const FAILURES_FORGOTTEN: Duration = Duration::from_secs(900);
/// How long a sign-in waits for its turn to be checked.
pub(crate) const PASSWORD_TURN_WAIT: Duration = Duration::from_secs(5);
/// How long a question that this node cannot answer yet waits for the node to catch up with the cluster.
pub(crate) const CATCH_UP_WAIT: Duration = Duration::from_millis(500);
/// How often in a second this node catches up for such a question.
pub(crate) const CATCH_UPS_PER_SECOND: u64 = 50;
/// How old an opaque token may be to be looked for on the other nodes: older ones have long been applied here.
pub(crate) const FRESH_TOKEN: Duration = Duration::from_secs(60);
/// Settings of clients that are kept read.
pub(crate) const CLIENT_SETTINGS_MAX: usize = 20_000;
/// Resources that one token is for.
pub(crate) const RESOURCES_MAX: usize = 10;
/// Characters of a resource.
pub(crate) const RESOURCE_CHARS_MAX: usize = 2_048;
/// How long an assertion may be good for: an hour is what widespread clients write where nobody says otherwise.
pub(crate) const ASSERTION_LIFE_MAX: Duration = Duration::from_secs(3_600);
