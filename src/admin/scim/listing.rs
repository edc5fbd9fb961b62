//! Searches (RFC 7644, section 3.4.2): filter, sort, page, and what of each resource is shown.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use portcullis_database::handle::View;
use portcullis_database::{Userdb, access, people};
use portcullis_model::{Role, TenantDomain, User, UserId, Username};
use serde_json::{Map, Value, json};

use super::filter::{self, AttributePath, Filter, get};
use super::people::{About, People, without_store};
use super::schema::Resource;
use super::scim_call::ScimReply;
use super::scim_error::ScimError;
use super::{groups, users};

/// Resources of one page when the client does not say.
const COUNT_DEFAULT: usize = 100;
/// Resources of one page.
pub(super) const COUNT_MAX: usize = 1_000;
/// Attributes that one request names.
const ATTRIBUTES_MAX: usize = 200;

/// A search as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) filter: Option<String>,
    pub(crate) sort_by: Option<String>,
    pub(crate) is_descending: bool,
    /// Counted from 1.
    pub(crate) start: usize,
    pub(crate) count: Option<usize>,
}

/// What of a resource is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) only: Vec<AttributePath>,
    pub(crate) without: Vec<AttributePath>,
}

impl Shape {
    /// Reads `attributes` and `excludedAttributes`.
    pub(crate) fn of(resource: Resource, only: &[String], without: &[String]) -> Result<Self, ScimError> {
        if only.len() + without.len() > ATTRIBUTES_MAX {
            return Err(ScimError::syntax(format!("attributes: at most {ATTRIBUTES_MAX} can be named.")));
        }
        let paths = |names: &[String]| {
            let named = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
            named.map(|name| filter::parse_path(resource, name)).collect::<Result<Vec<_>, _>>()
        };
        let wrong = |error: ScimError| ScimError::syntax(format!("attributes: {}", error.detail));
        Ok(Self { only: paths(only).map_err(wrong)?, without: paths(without).map_err(wrong)? })
    }

    /// Leaves in a resource what is to be shown. `id` and `schemas` always are.
    pub(crate) fn cut(&self, document: &mut Map<String, Value>) {
        if !document.contains_key("id") {
            return;
        }
        let is_kept = |name: &str| name == "id" || name == "schemas";
        if !self.only.is_empty() {
            let names: Vec<String> = document.keys().cloned().collect();
            for name in names.iter().filter(|name| !is_kept(name)) {
                let named: Vec<&AttributePath> = self.only.iter().filter(|path| path.is_below(name)).collect();
                if named.is_empty() {
                    document.remove(name);
                } else if named.iter().all(|path| path.below(name).is_some()) {
                    let parts: Vec<&str> = named.iter().filter_map(|path| path.below(name)).collect();
                    keep_parts(&mut document[name.as_str()], &|part| {
                        parts.iter().any(|one| one.eq_ignore_ascii_case(part))
                    });
                }
            }
        }
        for path in &self.without {
            let names: Vec<String> =
                document.keys().filter(|name| path.is_below(name) && !is_kept(name)).cloned().collect();
            for name in names {
                match path.below(&name) {
                    None => drop(document.remove(&name)),
                    Some(part) => keep_parts(&mut document[&name], &|one| !one.eq_ignore_ascii_case(part)),
                }
            }
        }
    }

    /// Says whether an attribute is shown at all.
    fn shows(&self, name: &str) -> bool {
        let is_named = |paths: &[AttributePath]| paths.iter().any(|path| path.is_below(name));
        (self.only.is_empty() || is_named(&self.only))
            && !self.without.iter().any(|path| path.is_below(name) && path.below(name).is_none())
    }
}

fn keep_parts(value: &mut Value, is_kept: &dyn Fn(&str) -> bool) {
    match value {
        Value::Object(object) => object.retain(|part, _| is_kept(part)),
        Value::Array(values) => {
            for object in values.iter_mut().filter_map(Value::as_object_mut) {
                object.retain(|part, _| is_kept(part));
            }
        }
        _ => {}
    }
}

impl AttributePath {
    /// Says whether the path leads to or below a member of a resource.
    fn is_below(&self, member: &str) -> bool {
        self.extension.map_or(self.name.as_str(), |urn| urn).eq_ignore_ascii_case(member)
    }

    /// Returns the part of a member that is meant; `None` for the whole member.
    fn below(&self, _member: &str) -> Option<&str> {
        match self.extension {
            Some(_) => Some(self.name.as_str()).filter(|name| !name.is_empty()),
            None => self.part.as_deref(),
        }
    }
}

impl People {
    /// Answers a search, on a thread for blocking work: it may look at every user of the tenant.
    pub(super) async fn search(&self, about: &About, search: Search, shape: &Shape) -> Result<ScimReply, ScimError> {
        let filter = search.filter.as_deref().map(|text| filter::parse(about.resource, text)).transpose()?;
        let sort_by = search.sort_by.as_deref().map(|text| filter::parse_path(about.resource, text)).transpose()?;
        let looking = Looking {
            view: self.handle.view(),
            tenant: about.tenant().clone(),
            base: about.base.clone(),
            resource: about.resource,
            filter,
            sort_by,
            is_descending: search.is_descending,
            start: search.start.max(1),
            count: search.count.unwrap_or(COUNT_DEFAULT).min(COUNT_MAX),
            shape: shape.clone(),
        };
        let found = tokio::task::spawn_blocking(move || looking.run());
        let body = found.await.map_err(|_| ScimError::new(503, None, "The search was lost; try again."))?;
        Ok(ScimReply { status: 200, body: Some(body), ..ScimReply::default() })
    }
}

/// A search under way.
struct Looking {
    view: View<access::Admin>,
    tenant: TenantDomain,
    base: String,
    resource: Resource,
    filter: Option<Filter>,
    sort_by: Option<AttributePath>,
    is_descending: bool,
    start: usize,
    count: usize,
    shape: Shape,
}

impl Looking {
    fn run(&self) -> Value {
        let (total, mut page) = match self.resource {
            Resource::User => self.users(),
            _ => self.groups(),
        };
        for one in &mut page {
            self.shape.cut(one);
        }
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": total,
            "startIndex": self.start,
            "itemsPerPage": page.len(),
            "Resources": page,
        })
    }

    fn users(&self) -> (usize, Vec<Map<String, Value>>) {
        let data = self.view.read::<Userdb>();
        let demanded = self.filter.as_ref().and_then(|filter| {
            let by_name = filter.demanded("userName").map(|name| Username(without_store(name).to_owned()));
            let by_id = || filter.demanded("id").map(str::parse::<UserId>);
            match by_name {
                Some(name) => Some(people::user(data, &self.tenant, &name).cloned()),
                None => by_id().map(|id| people::user_by_id(data, &self.tenant, id.ok()?)),
            }
        });
        let shown = |user: &User| users::shown(&self.base, data, user);
        match demanded {
            // The name of the user store, which the original's clients write, has done its service.
            Some(found) => self.page(found.iter().map(|user| {
                let mut shown = shown(user);
                if let Some(name) = self.filter.as_ref().and_then(|filter| filter.demanded("userName")) {
                    shown.insert("userName".to_owned(), name.into());
                }
                shown
            })),
            None if self.filter.is_none() && self.sort_by.is_none() => {
                let total = people::users_of(data, &self.tenant).count();
                let page = people::users_of(data, &self.tenant).skip(self.start - 1).take(self.count);
                (total, page.map(|user| shown(user)).collect())
            }
            None => self.page(people::users_of(data, &self.tenant).map(|user| shown(user))),
        }
    }

    fn groups(&self) -> (usize, Vec<Map<String, Value>>) {
        let data = self.view.read::<Userdb>();
        let demanded = self.filter.as_ref().and_then(|filter| filter.demanded("displayName"));
        let demanded = demanded.map(|name| Role(without_store(name).to_owned()));
        let members = self.members(data, demanded.as_ref());
        let shown = |role: &Role| {
            let record = people::role_record(data, &self.tenant, role)?;
            let of_role = members.get(role).map_or(&[][..], Vec::as_slice);
            Some(groups::shown(&self.base, self.resource, role, &record, of_role))
        };
        match demanded {
            Some(role) => {
                let mut found = shown(&role);
                let name = self.filter.as_ref().and_then(|filter| filter.demanded("displayName"));
                if let (Some(found), Some(name)) = (&mut found, name) {
                    found.insert("displayName".to_owned(), name.into());
                }
                self.page(found.into_iter())
            }
            None => self.page(people::roles_of(data, &self.tenant).filter_map(shown)),
        }
    }

    /// Returns the members of every group, by one look at every user; of one group where one is demanded. Nobody, where
    /// nobody asks for them.
    fn members<'a>(&'a self, data: &'a Userdb, demanded: Option<&Role>) -> BTreeMap<&'a Role, Vec<Value>> {
        let mut members: BTreeMap<&Role, Vec<Value>> = BTreeMap::new();
        let name = self.resource.members();
        let is_asked = self.filter.as_ref().is_some_and(|filter| filter.names(name));
        if !self.shape.shows(name) && !is_asked {
            return members;
        }
        for user in people::users_of(data, &self.tenant) {
            let listed =
                user.roles.iter().filter(|role| role.0 != Role::EVERYONE && demanded.is_none_or(|one| one == *role));
            let mut member = None;
            for role in listed {
                let member = member.get_or_insert_with(|| groups::member(&self.base, data, user));
                members.entry(role).or_default().push(member.clone());
            }
        }
        members
    }

    /// Filters, sorts, and cuts a page out.
    fn page(&self, all: impl Iterator<Item = Map<String, Value>>) -> (usize, Vec<Map<String, Value>>) {
        let is_met =
            |one: &Map<String, Value>| self.filter.as_ref().is_none_or(|filter| filter.is_met(self.resource, one));
        let met = all.filter(is_met);
        let Some(sort_by) = &self.sort_by else {
            let (mut total, mut page) = (0, Vec::new());
            for mut one in met {
                total += 1;
                if total >= self.start && page.len() < self.count {
                    plain_name(self.resource, &mut one);
                    page.push(one);
                }
            }
            return (total, page);
        };
        let mut met: Vec<(Option<String>, Map<String, Value>)> =
            met.map(|one| (sort_key(sort_by, &one), one)).collect();
        met.sort_by(|(left, _), (right, _)| {
            let order = match (left, right) {
                (Some(left), Some(right)) => left.cmp(right),
                // Those without a value come last when ascending, and first when descending.
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (None, None) => Ordering::Equal,
            };
            if self.is_descending { order.reverse() } else { order }
        });
        let total = met.len();
        let page = met.into_iter().skip(self.start - 1).take(self.count).map(|(_, mut one)| {
            plain_name(self.resource, &mut one);
            one
        });
        (total, page.collect())
    }
}

/// Takes the name of the user store off again that was put on for a filter.
fn plain_name(resource: Resource, one: &mut Map<String, Value>) {
    let name = if resource == Resource::User { "userName" } else { "displayName" };
    if let Some(Value::String(text)) = one.get_mut(name)
        && let Some(plain) = text.strip_prefix("PRIMARY/")
    {
        *text = plain.to_owned();
    }
}

/// Returns what a resource is sorted by: the primary value of a multi-valued attribute, or its first.
fn sort_key(path: &AttributePath, one: &Map<String, Value>) -> Option<String> {
    let whole = AttributePath { part: None, ..path.clone() };
    let values = whole.values(one);
    let value = values.iter().find(|value| value["primary"] == true).or_else(|| values.first())?;
    let part = path.part.as_deref().unwrap_or("value");
    let simple =
        value.as_object().and_then(|object| get(object, part)).or_else(|| (!value.is_object()).then_some(value))?;
    match simple {
        Value::String(text) => Some(text.to_lowercase()),
        other => Some(other.to_string()),
    }
}

impl Filter {
    /// Says whether the filter looks at an attribute.
    fn names(&self, name: &str) -> bool {
        match self {
            Self::And(left, right) | Self::Or(left, right) => left.names(name) || right.names(name),
            Self::Not(inner) => inner.names(name),
            Self::Present(path) | Self::Compare(path, _, _) | Self::OneOf(path, _) => {
                path.name.eq_ignore_ascii_case(name)
            }
        }
    }
}
