//! What users and groups share: who does it, passwords, names, and how a resource is found.

use portcullis_database::handle::View;
use portcullis_database::{Handle, Userdb, access};
use portcullis_model::{PasswordPolicy, Refused, TenantDomain, User, UserId, Username};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::schema::Resource;
use super::scim_call::{Action, ScimCall, ScimReply, Which};
use super::scim_error::ScimError;

/// Attempts at a change that others make impossible by changing the same thing.
pub(super) const ATTEMPTS: usize = 8;

/// How passwords are made.
#[derive(Clone, Copy, Debug)]
pub struct Passwords {
    /// Makes the stored form of a password. Slow: called on a thread for blocking work.
    pub hash: fn(&str) -> String,
    /// What a new one must be like.
    pub policy: PasswordPolicy,
}

/// Answers what is asked about users and groups.
pub(super) struct People {
    pub(super) handle: Handle<access::Admin>,
    pub(super) passwords: Passwords,
}

impl People {
    /// Answers one request.
    pub(super) async fn answer(&self, call: ScimCall) -> Result<ScimReply, ScimError> {
        let ScimCall { caller, base, resource, action, shape } = call;
        let about = About { caller, base, resource };
        let mut reply = match (resource, action) {
            (_, Action::Search(search)) => self.search(&about, search, &shape).await,
            (Resource::User, action) => self.answer_of_users(&about, action).await,
            (_, action) => self.answer_of_groups(&about, action).await,
        }?;
        if let Some(Value::Object(body)) = &mut reply.body {
            shape.cut(body);
        }
        Ok(reply)
    }

    /// Returns the stored form of a new password, or why it is not acceptable.
    pub(super) async fn hashed(&self, username: &str, password: String) -> Result<String, ScimError> {
        let wrong = |reason| ScimError::value(format!("password: {reason}."));
        self.passwords.policy.check(username, &password).map_err(wrong)?;
        let hash = self.passwords.hash;
        let work = tokio::task::spawn_blocking(move || hash(&password));
        work.await.map_err(|_| ScimError::new(503, None, "The password could not be hashed; try again."))
    }
}

/// Makes of a document as it is kept what it is to be.
pub(super) type Change<'a> = &'a (dyn Fn(&Map<String, Value>) -> Result<Map<String, Value>, ScimError> + Sync);

/// What a request is about.
pub(super) struct About {
    pub(super) caller: portcullis_database::Caller,
    pub(super) base: String,
    pub(super) resource: Resource,
}

impl About {
    pub(super) fn tenant(&self) -> &TenantDomain {
        &self.caller.principal.tenant
    }

    pub(super) fn location(&self, id: impl std::fmt::Display) -> String {
        location(&self.base, self.resource, id)
    }

    /// Returns the user who is meant.
    pub(super) fn user(&self, view: &View<access::Admin>, which: &Which) -> Result<Arc<User>, ScimError> {
        let people = view.read::<Userdb>();
        let found = match which {
            Which::Id(id) => id
                .parse::<UserId>()
                .ok()
                .and_then(|id| portcullis_database::people::user_by_id(people, self.tenant(), id)),
            Which::Caller => {
                portcullis_database::people::user(people, self.tenant(), &self.caller.principal.username).cloned()
            }
        };
        let name = || match which {
            Which::Id(id) => id.chars().take(100).collect::<String>(),
            Which::Caller => self.caller.principal.username.0.clone(),
        };
        found.ok_or_else(|| ScimError::not_found("user", &name()))
    }
}

/// Returns the address of a resource.
pub(super) fn location(base: &str, resource: Resource, id: impl std::fmt::Display) -> String {
    format!("{base}{}/{id}", resource.path())
}

/// Cuts the name of the original's first user store off, which its clients write before names.
pub(super) fn without_store(name: &str) -> &str {
    name.strip_prefix("PRIMARY/").unwrap_or(name)
}

/// Characters of a user name.
const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=100;

/// Refuses a name that no user may have. An address for e-mail is a name as good as any.
pub(crate) fn check_username(username: &Username) -> Result<(), Refused> {
    let name = &username.0;
    let is_plain = name.chars().all(|one| one.is_alphanumeric() || "._-@+".contains(one));
    let is_framed = name.starts_with('@') || name.ends_with('@');
    if is_plain && !is_framed && USERNAME_CHARS.contains(&name.chars().count()) {
        return Ok(());
    }
    let (min, max) = (USERNAME_CHARS.start(), USERNAME_CHARS.end());
    let wanted =
        format!("must be {min} to {max} letters, digits, dots, hyphens, underscores, + or @, such as ann@example.com");
    Err(Refused::invalid("username", wanted))
}
