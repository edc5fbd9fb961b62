//! Groups and roles by SCIM: how a role is shown, and how what clients send becomes a command.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_database::{Committed, SubmitError, Userdb, command, people};
use portcullis_http::time::rfc3339;
use portcullis_model::{Refused, Role, RoleId, RoleRecord, TenantDomain, User, UserId, Username};
use serde_json::{Map, Value, json};

use super::document;
use super::patch;
use super::people::{ATTEMPTS, About, Change, People, location, without_store};
use super::schema::Resource;
use super::scim_call::{Action, ScimReply, Which};
use super::scim_error::ScimError;

/// Members shown of one group: of a larger one the first by name.
const MEMBERS_SHOWN_MAX: usize = 10_000;
/// Characters of a role's name.
const NAME_CHARS_MAX: usize = 255;

/// Returns a group as clients see it. `members` are those who hold the role; nobody is listed for the role that every
/// user holds.
pub(super) fn shown(
    base: &str,
    resource: Resource,
    role: &Role,
    record: &RoleRecord,
    members: &[Value],
) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("schemas".to_owned(), json!([resource.schema()]));
    shown.insert("id".to_owned(), record.id.to_string().into());
    shown.insert("displayName".to_owned(), role.0.clone().into());
    if !members.is_empty() {
        shown.insert(resource.members().to_owned(), members.iter().take(MEMBERS_SHOWN_MAX).cloned().collect());
    }
    if resource == Resource::Role {
        shown.insert("audience".to_owned(), json!({"value": "tenant", "type": "organization"}));
    }
    let meta = json!({
        "resourceType": resource.name(),
        "created": rfc3339(record.created_at),
        "lastModified": rfc3339(record.modified_at),
        "location": location(base, resource, record.id),
        "version": super::rest::etag(record.version),
    });
    shown.insert("meta".to_owned(), meta);
    shown
}

/// Returns a member of a group as clients see it.
pub(super) fn member(base: &str, data: &Userdb, user: &User) -> Value {
    let id = people::profile_of(data, user).id;
    json!({"value": id.to_string(), "display": user.username.0, "type": "User", "$ref": location(base, Resource::User, id)})
}

/// Returns those who hold a role; nobody for the role that every user holds.
pub(super) fn holders<'a>(
    data: &'a Userdb,
    tenant: &'a TenantDomain,
    role: &'a Role,
) -> impl Iterator<Item = &'a Arc<User>> {
    let is_listed = role.0 != Role::EVERYONE;
    people::users_of(data, tenant).filter(move |user| is_listed && user.roles.contains(role))
}

/// A role as it is before a change.
struct Before {
    role: Role,
    record: Arc<RoleRecord>,
    members: BTreeSet<Username>,
}

impl People {
    pub(super) async fn answer_of_groups(&self, about: &About, action: Action) -> Result<ScimReply, ScimError> {
        let resource = about.resource;
        match action {
            Action::Read(which) => {
                Ok(self.reply_group(about, &role_of(&which, about, self.handle.view().read())?, 200))
            }
            Action::Create(document) => self.create_group(about, &document).await,
            Action::Replace { which, document, if_match } => {
                let document = document::canonical(resource, &document)?;
                self.change_group(about, &which, if_match, &|_| Ok(document.clone())).await
            }
            Action::Patch { which, request, if_match } => {
                self.change_group(about, &which, if_match, &|before| {
                    let mut after = before.clone();
                    patch::apply(resource, &mut after, &request)?;
                    Ok(after)
                })
                .await
            }
            Action::Delete { which, if_match } => {
                let role = role_of(&which, about, self.handle.view().read())?;
                let command = command::DeleteRole { tenant: about.tenant().clone(), role, expected_version: if_match };
                let Committed { index, unreached, .. } = self.handle.submit(command, &about.caller).await?;
                Ok(ScimReply { status: 204, index: Some(index), unreached, ..ScimReply::default() })
            }
            Action::Search(_) => Err(ScimError::new(500, None, "a search is answered elsewhere")),
        }
    }

    fn reply_group(&self, about: &About, role: &Role, status: u16) -> ScimReply {
        let view = self.handle.view();
        let data = view.read::<Userdb>();
        let Some(record) = people::role_record(data, about.tenant(), role) else {
            return ScimReply { status: 404, ..ScimReply::default() };
        };
        let members: Vec<Value> = holders(data, about.tenant(), role)
            .take(MEMBERS_SHOWN_MAX)
            .map(|user| member(&about.base, data, user))
            .collect();
        ScimReply {
            status,
            body: Some(Value::Object(shown(&about.base, about.resource, role, &record, &members))),
            location: Some(about.location(record.id)),
            version: Some(record.version),
            ..ScimReply::default()
        }
    }

    async fn create_group(&self, about: &About, document: &Map<String, Value>) -> Result<ScimReply, ScimError> {
        let document = document::canonical(about.resource, document)?;
        let role = name_of(&document)?.ok_or_else(|| ScimError::value("displayName: is missing."))?;
        let members = members_of(self.handle.view().read(), about, &document)?;
        let command = command::CreateRole {
            tenant: about.tenant().clone(),
            role: role.clone(),
            members: members.into_iter().collect(),
        };
        let made = self.handle.submit(command, &about.caller).await?;
        let reply = self.reply_group(about, &role, 201);
        Ok(ScimReply { index: Some(made.index), unreached: made.unreached, ..reply })
    }

    async fn change_group(
        &self,
        about: &About,
        which: &Which,
        if_match: Option<u64>,
        change: Change<'_>,
    ) -> Result<ScimReply, ScimError> {
        for _ in 0..ATTEMPTS {
            let (before, command, new_name) = self.change_of_group(about, which, if_match, change)?;
            let Some(command) = command else { return Ok(self.reply_group(about, &before.role, 200)) };
            match self.handle.submit(command, &about.caller).await {
                Ok(Committed { index, unreached, .. }) => {
                    let reply = self.reply_group(about, &new_name, 200);
                    return Ok(ScimReply { index: Some(index), unreached, ..reply });
                }
                Err(SubmitError::Refused(Refused::Stale { .. }))
                    if if_match.is_none() && about.caller.idempotency.is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ScimError::new(409, None, "Others change the same group all the time; try again."))
    }

    /// Returns the command that makes a change; `None` where nothing changes.
    fn change_of_group(
        &self,
        about: &About,
        which: &Which,
        if_match: Option<u64>,
        change: Change<'_>,
    ) -> Result<(Before, Option<command::ChangeRole>, Role), ScimError> {
        let view = self.handle.view();
        let data = view.read::<Userdb>();
        let role = role_of(which, about, data)?;
        let tenant = about.tenant();
        let record = people::role_record(data, tenant, &role).ok_or_else(|| ScimError::not_found("group", &role.0))?;
        if if_match.is_some_and(|version| version != record.version) {
            return Err(ScimError::stale());
        }
        let (mut members, mut values) = (BTreeSet::new(), Vec::new());
        for user in holders(data, tenant, &role) {
            members.insert(user.username.clone());
            values.push(json!({"value": people::profile_of(data, user).id.to_string()}));
        }
        let mut kept = Map::from_iter([("displayName".to_owned(), role.0.clone().into())]);
        if !values.is_empty() {
            kept.insert(about.resource.members().to_owned(), values.into());
        }
        let after = change(&kept)?;
        let new_name = name_of(&after)?.unwrap_or_else(|| role.clone());
        let wanted = members_of(data, about, &after)?;
        let before = Before { role, record, members };
        if new_name == before.role && wanted == before.members {
            return Ok((before, None, new_name));
        }
        if before.role.0 == Role::EVERYONE {
            return Err(ScimError::mutability(format!(
                "Every user holds {}: its members cannot be changed.",
                Role::EVERYONE
            )));
        }
        let command = command::ChangeRole {
            expected_version: Some(before.record.version),
            new_name: Some(new_name.clone()).filter(|name| *name != before.role),
            add: wanted.difference(&before.members).cloned().collect(),
            remove: before.members.difference(&wanted).cloned().collect(),
            ..command::ChangeRole::of(tenant.clone(), before.role.clone())
        };
        Ok((before, Some(command), new_name))
    }
}

fn role_of(which: &Which, about: &About, data: &Userdb) -> Result<Role, ScimError> {
    let Which::Id(id) = which else { return Err(ScimError::not_found("group", "Me")) };
    let found = id.parse::<RoleId>().ok().and_then(|id| people::role_by_id(data, about.tenant(), id));
    found.ok_or_else(|| ScimError::not_found("group", &id.chars().take(100).collect::<String>()))
}

fn name_of(document: &Map<String, Value>) -> Result<Option<Role>, ScimError> {
    let Some(name) = document.get("displayName").and_then(Value::as_str) else { return Ok(None) };
    let name = without_store(name);
    let is_plain = !name.contains(|one: char| one.is_control() || ",\"'<>;".contains(one)) && name.trim() == name;
    if !is_plain || name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        let wanted = format!(
            "displayName: must be 1 to {NAME_CHARS_MAX} characters, without spaces around and without , ; < > or quotes."
        );
        return Err(ScimError::value(wanted));
    }
    Ok(Some(Role(name.to_owned())))
}

fn members_of(data: &Userdb, about: &About, document: &Map<String, Value>) -> Result<BTreeSet<Username>, ScimError> {
    let members = document.get(about.resource.members()).and_then(Value::as_array);
    let mut usernames = BTreeSet::new();
    for member in members.into_iter().flatten() {
        let id = member["value"].as_str().unwrap_or_default();
        let user = id.parse::<UserId>().ok().and_then(|id| people::user_by_id(data, about.tenant(), id));
        let wrong = || {
            let id: String = id.chars().take(100).collect();
            ScimError::value(format!("{}: there is no user with the id `{id}`.", about.resource.members()))
        };
        usernames.insert(user.ok_or_else(wrong)?.username.clone());
    }
    Ok(usernames)
}
