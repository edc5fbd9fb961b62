//! Users by SCIM: how a user is shown, and how what clients send becomes a command.

use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Committed, SubmitError, Userdb, command, organizations, people};
use portcullis_http::time::rfc3339;
use portcullis_model::organization::named_in;
use portcullis_model::{Refused, Role, Timestamp, User, UserProfile, Username};
use serde_json::{Map, Value, json};

use super::document;
use super::patch;
use super::people::{ATTEMPTS, About, Change, People, check_username, location, without_store};
use super::schema::{CUSTOM, ENTERPRISE, Resource, USER};
use super::scim_call::{Action, ScimReply, Which};
use super::scim_error::ScimError;

/// Characters of an address for e-mail (RFC 5321).
const EMAIL_CHARS_MAX: usize = 254;

/// What of a user's document is not kept in the attributes.
struct Parts {
    username: Option<String>,
    password: Option<String>,
    is_active: Option<bool>,
    email: String,
    attributes: String,
}

impl Parts {
    /// Takes a document apart that is in the form in which it is kept.
    fn of(mut document: Map<String, Value>) -> Result<Self, ScimError> {
        let text = |value: Value| value.as_str().map(str::to_owned);
        let username = document.remove("userName").and_then(text).map(|name| without_store(&name).to_owned());
        let password = document.remove("password").and_then(text);
        let is_active = document.remove("active").and_then(|value| value.as_bool());
        let email = preferred_email(&document).unwrap_or_default();
        check_email(&email)?;
        Ok(Self { username, password, is_active, email, attributes: Value::Object(document).to_string() })
    }
}

/// Returns the primary address, or the first.
fn preferred_email(document: &Map<String, Value>) -> Option<String> {
    let emails = document.get("emails")?.as_array()?;
    let primary = emails.iter().find(|one| one["primary"] == true).or_else(|| emails.first())?;
    primary["value"].as_str().map(str::to_owned)
}

fn check_email(email: &str) -> Result<(), ScimError> {
    let has_both_sides = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    let is_plain = !email.contains(|one: char| one.is_whitespace() || one.is_control());
    if email.is_empty() || (has_both_sides && is_plain && email.len() <= EMAIL_CHARS_MAX) {
        return Ok(());
    }
    Err(ScimError::value(format!(
        "emails: must be addresses such as ann@example.com, at most {EMAIL_CHARS_MAX} characters."
    )))
}

/// Returns a user's document as it is kept: what clients can change.
pub(super) fn kept(user: &User, profile: &UserProfile) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("userName".to_owned(), user.username.0.clone().into());
    if let Ok(Value::Object(attributes)) = serde_json::from_str(&profile.attributes) {
        document.extend(attributes);
    }
    if !document.contains_key("emails") && !user.email.is_empty() {
        document.insert("emails".to_owned(), json!([{"value": user.email, "primary": true}]));
    }
    document.insert("active".to_owned(), (!user.is_locked).into());
    document
}

/// Returns a user as clients see it.
pub(super) fn shown(base: &str, data: &Userdb, user: &User) -> Map<String, Value> {
    let profile = people::profile_of(data, user);
    let kept = kept(user, &profile);
    let mut schemas = vec![USER];
    schemas.extend([ENTERPRISE, CUSTOM].into_iter().filter(|urn| kept.contains_key(*urn)));
    let everyone = Role(Role::EVERYONE.to_owned());
    let mut held: Vec<&Role> = user.roles.iter().collect();
    if !held.contains(&&everyone) {
        held.push(&everyone);
    }
    let held = held.into_iter().filter_map(|role| Some((role, people::role_record(data, &user.tenant, role)?.id)));
    let (mut groups, mut roles) = (Vec::new(), Vec::new());
    for (role, id) in held {
        let reference = location(base, Resource::Group, id);
        groups.push(json!({"value": id.to_string(), "display": role.0, "$ref": reference, "type": "direct"}));
        roles.push(json!({"value": id.to_string(), "display": role.0, "type": "default"}));
    }
    let mut shown = Map::new();
    shown.insert("schemas".to_owned(), json!(schemas));
    shown.insert("id".to_owned(), profile.id.to_string().into());
    shown.extend(kept);
    shown.insert("groups".to_owned(), groups.into());
    shown.insert("roles".to_owned(), roles.into());
    let meta = json!({
        "resourceType": "User",
        "created": rfc3339(user.created_at),
        "lastModified": rfc3339(profile.modified_at),
        "location": location(base, Resource::User, profile.id),
        "version": super::rest::etag(profile.version),
    });
    shown.insert("meta".to_owned(), meta);
    shown
}

impl People {
    pub(super) async fn answer_of_users(&self, about: &About, action: Action) -> Result<ScimReply, ScimError> {
        match action {
            Action::Read(which) => self.read_user(about, &which),
            Action::Create(document) => self.create_user(about, &document).await,
            Action::Replace { which, document, if_match } => {
                let document = document::canonical(Resource::User, &document)?;
                self.change_user(about, &which, if_match, &|before| {
                    let mut after = document.clone();
                    // PUT says nothing of what it leaves out, and who is locked stays so.
                    let active = before.get("active").cloned().unwrap_or(Value::Bool(true));
                    after.entry("active").or_insert(active);
                    Ok(after)
                })
                .await
            }
            Action::Patch { which, request, if_match } => {
                self.change_user(about, &which, if_match, &|before| {
                    let mut after = before.clone();
                    patch::apply(Resource::User, &mut after, &request)?;
                    Ok(after)
                })
                .await
            }
            Action::Delete { which, if_match } => self.delete_user(about, &which, if_match).await,
            Action::Search(_) => Err(ScimError::new(500, None, "a search is answered elsewhere")),
        }
    }

    fn read_user(&self, about: &About, which: &Which) -> Result<ScimReply, ScimError> {
        let view = self.handle.view();
        let user = about.user(&view, which)?;
        Ok(self.reply(about, &user, 200, None))
    }

    fn reply(
        &self,
        about: &About,
        user: &User,
        status: u16,
        made: Option<(u64, Vec<portcullis_model::NodeId>)>,
    ) -> ScimReply {
        let view = self.handle.view();
        let profile = people::profile_of(view.read(), user);
        let (index, unreached) = made.map_or((None, Vec::new()), |(index, unreached)| (Some(index), unreached));
        ScimReply {
            status,
            body: Some(Value::Object(shown(&about.base, view.read(), user))),
            location: Some(about.location(profile.id)),
            version: Some(profile.version),
            index,
            unreached,
        }
    }

    async fn create_user(&self, about: &About, document: &Map<String, Value>) -> Result<ScimReply, ScimError> {
        let parts = Parts::of(document::canonical(Resource::User, document)?)?;
        let username = parts.username.ok_or_else(|| ScimError::value("userName: is missing."))?;
        let username = Username(username);
        check_username(&username)?;
        let tenant = about.tenant().clone();
        if people::user(self.handle.view().read(), &tenant, &username).is_some() && about.caller.idempotency.is_none() {
            return Err(Refused::exists("user", &username).into());
        }
        let password_hash = match parts.password {
            Some(password) => self.hashed(&username.0, password).await?,
            // Nobody knows it: the user signs in once a password is set.
            None => self.hashed("", format!("aA1-{}", hex::encode(random_bytes::<32>()))).await?,
        };
        let user = User {
            tenant: tenant.clone(),
            username: username.clone(),
            password_hash,
            roles: vec![Role(Role::EVERYONE.to_owned())],
            email: parts.email,
            is_locked: parts.is_active == Some(false),
            created_at: Timestamp::default(),
        };
        let made =
            self.handle.submit(command::CreateUser { user, attributes: parts.attributes }, &about.caller).await?;
        let view = self.handle.view();
        let user = people::user(view.read(), &tenant, &username).cloned();
        let user = user.ok_or_else(|| ScimError::not_found("user", &username.0))?;
        Ok(self.reply(about, &user, 201, Some((made.index, made.unreached))))
    }

    /// Changes a user. Where somebody else changes the same user at the same time, it is done again from what there is
    /// then, unless the caller named a version.
    async fn change_user(
        &self,
        about: &About,
        which: &Which,
        if_match: Option<u64>,
        change: Change<'_>,
    ) -> Result<ScimReply, ScimError> {
        for _ in 0..ATTEMPTS {
            let view = self.handle.view();
            let user = about.user(&view, which)?;
            let profile = people::profile_of(view.read(), &user);
            if if_match.is_some_and(|version| version != profile.version) {
                return Err(ScimError::stale());
            }
            let before = kept(&user, &profile);
            let after = change(&before)?;
            // Who says that a user is active, and nothing else, ends a lock-out.
            let is_me = matches!(which, Which::Caller);
            let ends_lock_out = profile.locked_until.is_some() && after == before && !is_me;
            if after == before && !ends_lock_out {
                return Ok(self.reply(about, &user, 200, None));
            }
            let parts = Parts::of(after)?;
            if parts.username.as_ref().is_some_and(|name| *name != user.username.0) {
                return Err(ScimError::mutability("userName: cannot be changed; create another user."));
            }
            if matches!(which, Which::Caller) && parts.is_active == Some(user.is_locked) {
                return Err(ScimError::mutability("active: is an administrator's to change."));
            }
            // What somebody sees in the Store depends on it, where the tenant has organizations.
            if is_me
                && named_in(&parts.attributes) != named_in(&profile.attributes)
                && organizations::of_tenant(view.read::<Apimgtdb>(), &user.tenant).next().is_some()
            {
                return Err(ScimError::mutability("organization: is an administrator's to change."));
            }
            let mut change = command::UpdateUser::of(user.tenant.clone(), user.username.clone());
            change.expected_version = Some(profile.version);
            change.attributes = Some(parts.attributes).filter(|attributes| *attributes != profile.attributes);
            change.email = Some(parts.email).filter(|email| *email != user.email);
            let is_locked = parts.is_active.map(|is_active| !is_active);
            change.is_locked = is_locked.filter(|is_locked| *is_locked != user.is_locked || ends_lock_out);
            if let Some(password) = parts.password {
                change.password_hash = Some(self.hashed(&user.username.0, password).await?);
            }
            match self.handle.submit(change, &about.caller).await {
                Ok(Committed { index, unreached, .. }) => {
                    let user = about.user(&self.handle.view(), which)?;
                    return Ok(self.reply(about, &user, 200, Some((index, unreached))));
                }
                Err(SubmitError::Refused(Refused::Stale { .. }))
                    if if_match.is_none() && about.caller.idempotency.is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ScimError::new(409, None, "Others change the same user all the time; try again."))
    }

    async fn delete_user(&self, about: &About, which: &Which, if_match: Option<u64>) -> Result<ScimReply, ScimError> {
        let user = about.user(&self.handle.view(), which)?;
        let command = command::DeleteUser {
            tenant: user.tenant.clone(),
            username: user.username.clone(),
            expected_version: if_match,
        };
        let Committed { index, unreached, .. } = self.handle.submit(command, &about.caller).await?;
        Ok(ScimReply { status: 204, index: Some(index), unreached, ..ScimReply::default() })
    }
}
