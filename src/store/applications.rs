//! Applications of subscribers: listing, showing, changing. Only an owner gets at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::HeaderMap;
use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Committed, command};
use portcullis_http::{List, Stamped, etag};
use portcullis_model::{ApiId, Application, ApplicationId, ApplicationState, Refused, Timestamp, TokenType};
use uuid::Uuid;

use crate::actor::{Desk, Request, StoreView};
use crate::apis::stamped;
use crate::dto::api::ScopeDto;
use crate::dto::application::{ApplicationBody, ApplicationDto, ApplicationInfoDto, VisibilityWord};
use crate::error::StoreError;
use crate::foreign_keys::forget;
use crate::keys::keys_of;
use crate::mapped_keys::registered_of;
use crate::messages::{
    ApplicationSort, CreateApplication, DeleteApplication, Direction, GetApplication, ListApplications, Subscriber,
    UpdateApplication,
};

/// Attributes, and groups, of one application.
const ATTRIBUTES_MAX: usize = 50;
/// Characters of an attribute's name or value, and of a group's name.
const ATTRIBUTE_CHARS_MAX: usize = 1024;

impl Request for ListApplications {
    type Reply = Stamped<List<ApplicationInfoDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let part = self.query.to_lowercase();
        let mut found: Vec<Arc<Application>> = applications_of(&view, &self.subscriber);
        found.retain(|application| application.name.to_lowercase().contains(&part));
        // They come in the order of their names, which equal policies and states keep.
        match self.sort {
            ApplicationSort::Name => {}
            ApplicationSort::Policy => found.sort_by(|one, other| one.policy.cmp(&other.policy)),
            ApplicationSort::Status => found.sort_by_key(|one| one.state.as_contract()),
        }
        if self.direction == Direction::Descending {
            found.reverse();
        }
        let total = found.len();
        let shown = found.iter().skip(self.page.offset).take(self.page.limit);
        let shown = shown.map(|one| ApplicationInfoDto::new(one, apis_of(&view, one.id).count())).collect();
        Ok(stamped(List::part(shown, total, self.page), &view))
    }
}

impl Request for CreateApplication {
    type Reply = Stamped<ApplicationDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        check_body(&self.body)?;
        let application = Application {
            id: ApplicationId::from_random(random_bytes()),
            tenant: self.subscriber.principal.tenant.clone(),
            owner: self.subscriber.username().clone(),
            name: self.body.name,
            description: self.body.description.unwrap_or_default(),
            policy: self.body.throttling_policy,
            token_type: self.body.token_type.map_or(TokenType::Jwt, TokenType::from),
            state: ApplicationState::Approved,
            groups: self.body.groups.unwrap_or_default(),
            attributes: self.body.attributes.unwrap_or_default(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        let made = desk.submit(command::CreateApplication { application }, &self.subscriber).await?;
        reply(&desk, made)
    }
}

impl Request for GetApplication {
    type Reply = Stamped<ApplicationDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let application = find_owned(&view, &self.subscriber, self.application)?;
        Ok(stamped(describe(&desk, &view, &application)?, &view))
    }
}

impl Request for UpdateApplication {
    type Reply = Stamped<ApplicationDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        check_body(&self.body)?;
        let unchanged_since = condition_of(&desk, &self.subscriber, self.application, &self.condition).await?;
        let update = command::UpdateApplication {
            id: self.application,
            owned_by: Some(self.subscriber.principal.clone()),
            unchanged_since,
            name: self.body.name,
            description: self.body.description.unwrap_or_default(),
            policy: self.body.throttling_policy,
            token_type: self.body.token_type.map(TokenType::from),
            groups: self.body.groups.unwrap_or_default(),
            attributes: self.body.attributes.unwrap_or_default(),
        };
        let updated = desk.submit(update, &self.subscriber).await?;
        reply(&desk, updated)
    }
}

impl Request for DeleteApplication {
    type Reply = Stamped<()>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let unchanged_since = condition_of(&desk, &self.subscriber, self.application, &self.condition).await?;
        let owned_by = Some(self.subscriber.principal.clone());
        let elsewhere = registered_of(&desk.view(), self.application);
        let delete = command::DeleteApplication { id: self.application, owned_by, unchanged_since };
        let Committed { index, unreached, .. } = desk.submit(delete, &self.subscriber).await?;
        // The application is gone; whether others forget its clients holds up nobody.
        tokio::spawn(async move {
            for registered in elsewhere {
                forget(&desk, &registered).await;
            }
        });
        Ok(Stamped { body: (), index, unreached })
    }
}

/// Refuses what the contract has no room for. What depends on the state, the state machine refuses.
pub(crate) fn check_body(body: &ApplicationBody) -> Result<(), Refused> {
    if body.visibility == Some(VisibilityWord::SharedWithOrg) {
        return Err(Refused::invalid(
            "visibility",
            "applications are PRIVATE: there are no organisations to share with",
        ));
    }
    let groups = body.groups.as_deref().unwrap_or_default();
    check_words("groups", groups.len(), groups.iter())?;
    let no_attributes = BTreeMap::new();
    let attributes = body.attributes.as_ref().unwrap_or(&no_attributes);
    check_words("attributes", attributes.len(), attributes.iter().flat_map(|(name, value)| [name, value]))
}

fn check_words<'a>(field: &str, count: usize, mut words: impl Iterator<Item = &'a String>) -> Result<(), Refused> {
    if count > ATTRIBUTES_MAX {
        return Err(Refused::invalid(field, format!("at most {ATTRIBUTES_MAX} are possible, not {count}")));
    }
    if words.any(|word| word.chars().count() > ATTRIBUTE_CHARS_MAX) {
        return Err(Refused::invalid(field, format!("each may have at most {ATTRIBUTE_CHARS_MAX} characters")));
    }
    Ok(())
}

/// Returns the applications of a subscriber, in the order of their names.
pub(crate) fn applications_of(view: &StoreView, subscriber: &Subscriber) -> Vec<Arc<Application>> {
    let database = view.read::<Apimgtdb>();
    let principal = &subscriber.principal;
    let first = (principal.tenant.clone(), principal.username.clone(), String::new());
    let names = database.application_names.range(first..);
    let own = names.take_while(|((tenant, owner, _), _)| *tenant == principal.tenant && *owner == principal.username);
    own.filter_map(|(_, id)| database.applications.get(id)).cloned().collect()
}

/// Returns an application that belongs to the subscriber.
///
/// # Errors
/// Where there is none, or it is somebody else's.
pub(crate) fn find_owned(
    view: &StoreView,
    subscriber: &Subscriber,
    id: ApplicationId,
) -> Result<Arc<Application>, Refused> {
    let found = view.read::<Apimgtdb>().applications.get(&id);
    let application = found.ok_or_else(|| Refused::not_found("application", id))?;
    let principal = &subscriber.principal;
    if application.owner != principal.username || application.tenant != principal.tenant {
        let reason = format!("you do not have permission to access the application with id {id}");
        return Err(Refused::NotAllowed { reason });
    }
    Ok(Arc::clone(application))
}

/// Returns the APIs that an application is subscribed to.
pub(crate) fn apis_of(view: &StoreView, id: ApplicationId) -> impl Iterator<Item = ApiId> {
    let every_api = (id, ApiId(Uuid::nil()))..=(id, ApiId(Uuid::max()));
    view.read::<Apimgtdb>().subscriptions_by_application.range(every_api).map(|((_, api), _)| *api)
}

fn reply(desk: &Desk, committed: Committed<Application>) -> Result<Stamped<ApplicationDto>, StoreError> {
    let Committed { reply, index, unreached } = committed;
    let body = describe(desk, &desk.view(), &reply)?;
    Ok(Stamped { body, index, unreached })
}

fn describe(desk: &Desk, view: &StoreView, application: &Application) -> Result<ApplicationDto, StoreError> {
    let apis = &view.read::<Apimgtdb>().apis;
    let mut scopes: Vec<ScopeDto> = Vec::new();
    let mut count = 0;
    for id in apis_of(view, application.id) {
        count += 1;
        for scope in apis.get(&id).into_iter().flat_map(|api| &api.scopes) {
            if !scopes.iter().any(|one| one.key == scope.name) {
                scopes.push(ScopeDto::from(scope));
            }
        }
    }
    Ok(ApplicationDto::new(application, count, keys_of(desk, view, application.id)?, scopes))
}

/// Checks `If-Match`, and returns since when the application must be unchanged for the check to hold at the commit.
async fn condition_of(
    desk: &Desk,
    subscriber: &Subscriber,
    id: ApplicationId,
    condition: &HeaderMap,
) -> Result<Option<Timestamp>, StoreError> {
    if condition.is_empty() {
        return Ok(None);
    }
    let view = desk.view_for(subscriber.consistency).await?;
    let application = find_owned(&view, subscriber, id)?;
    let body = serde_json::to_vec(&describe(desk, &view, &application)?)?;
    if etag::check_if_match(condition, &etag::of(&body)).is_err() {
        return Err(Refused::Stale { noun: "application".to_owned(), key: id.to_string() }.into());
    }
    Ok(Some(application.updated_at))
}
