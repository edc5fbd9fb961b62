//! APIs in the Store: who sees which, finding, showing. It changes none: that is the Publisher's.

use portcullis_database::organizations::{self, Belonging};
use portcullis_database::{Apimgtdb, Regdb, Userdb, environments, people};
use portcullis_http::{List, Stamped, zip};
use portcullis_model::api::Visibility;
use portcullis_model::{
    Api, ApiId, ApiKind, ApplicationId, Deployment, Lifecycle, PolicyLevel, QuotaPolicy, Refused, Role, TenantDomain,
};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

use crate::actor::{Desk, Request, StoreView};
use crate::aside::aside;
use crate::definition;
use crate::dto::api::{ApiDto, ApiInfoDto, ApiParts, Looks};
use crate::dto::endpoint_urls::EndpointUrlsDto;
use crate::dto::policy::PolicyDto;
use crate::error::StoreError;
use crate::messages::{
    ApiSort, AskWhose, Direction, GetApi, GetDefinition, GetSdk, ListApis, ListPlans, Subscriber, Visitor, Whose,
};
use crate::policies::{describe, may_choose};
use crate::ratings::average_of;
use crate::sdk::{self, Subject};
use crate::search::Search;
use crate::settings::Settings;

/// All that decides which APIs a list without words has, and in which order.
#[derive(Debug, PartialEq)]
pub(crate) struct ListKey {
    tenant: TenantDomain,
    of_tenant: Option<TenantDomain>,
    roles: Arc<[Role]>,
    belonging: Belonging,
    is_open: bool,
    sort: ApiSort,
    direction: Direction,
}

impl ListKey {
    fn new(view: &StoreView, visitor: &Visitor, sort: ApiSort, direction: Direction) -> Self {
        Self {
            tenant: visitor.tenant.clone(),
            of_tenant: visitor.user.as_ref().map(|user| user.tenant.clone()),
            roles: Arc::clone(&visitor.roles),
            belonging: belonging_of(view, visitor),
            is_open: people::is_active(view.read::<Userdb>(), &visitor.tenant),
            sort,
            direction,
        }
    }
}

impl Request for ListApis {
    type Reply = Stamped<List<ApiInfoDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let search = Search::parse(&self.query)?;
        let view = desk.view();
        let found = || listed(&view, &self.visitor).filter(|api| search.matches(api));
        let order = |one: &Api, other: &Api| {
            let order = match self.sort {
                ApiSort::Name => one.order_by_name(other),
                ApiSort::CreatedTime => (one.created_at, one.id).cmp(&(other.created_at, other.id)),
            };
            if self.direction == Direction::Descending { order.reverse() } else { order }
        };
        let key = search.is_of_all().then(|| ListKey::new(&view, &self.visitor, self.sort, self.direction));
        let whole = key.and_then(|key| desk.lists.list(key, &view.read::<Apimgtdb>().apis, found(), order));
        let (total, shown) = match &whole {
            Some(all) => (all.len(), self.page.of(all).iter().collect()),
            None => self.page.select(found(), |one, other| order(one, other)),
        };
        let shown = shown.into_iter().map(|api| ApiInfoDto::new(api, looks_of(&view, api.id)));
        Ok(stamped(List::part(shown.collect(), total, self.page), &view))
    }
}

impl Request for GetApi {
    type Reply = Stamped<ApiDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = find_visible(&view, &self.visitor, self.api)?;
        let endpoint_urls = endpoint_urls(&view, &api, &desk.settings());
        let definition = definition_of(&view, &api, endpoint_urls.first(), &desk.settings());
        let parts = ApiParts {
            plans: &plans_of(&view, &api, &self.visitor),
            endpoint_urls,
            definition: definition.map(|document| document.to_string()),
            subscriptions: count_subscriptions(&view, api.id),
            looks: looks_of(&view, api.id),
        };
        Ok(stamped(ApiDto::new(&api, parts), &view))
    }
}

impl Request for AskWhose {
    type Reply = Option<Whose>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = view.read::<Apimgtdb>().apis.get(&self.api);
        Ok(api.map(|api| Whose { tenant: api.tenant.clone(), api: Arc::clone(api) }))
    }
}

impl Request for GetDefinition {
    type Reply = Stamped<Value>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = find_visible(&view, &self.visitor, self.api)?;
        let endpoints = endpoint_urls(&view, &api, &desk.settings());
        let endpoint = meant(&endpoints, self.environment.as_deref())?;
        let document = definition_of(&view, &api, endpoint, &desk.settings());
        let document = document.ok_or_else(|| Refused::not_found("definition of API", api.id))?;
        Ok(stamped(document, &view))
    }
}

impl Request for GetSdk {
    type Reply = Stamped<(String, Vec<u8>)>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = find_visible(&view, &self.visitor, self.api)?;
        if !matches!(api.kind, ApiKind::Http | ApiKind::Product | ApiKind::SoapToRest) {
            let reason = format!(
                "is {}; clients are written of APIs that an OpenAPI document describes",
                api.kind.as_contract()
            );
            return Err(Refused::invalid("type", reason).into());
        }
        let settings = desk.settings();
        let endpoint = endpoint_urls(&view, &api, &settings).into_iter().next();
        let text = view.read::<Regdb>().definitions.get(&api.id).cloned();
        let missing = Refused::not_found("definition of API", api.id);
        let Some(text) = text else { return Err(missing.into()) };
        let others: Value = serde_json::from_str(&api.other_fields).unwrap_or_default();
        let api_key = others["apiKeyHeader"].as_str().filter(|name| !name.is_empty()).unwrap_or("ApiKey").to_owned();
        let language = self.language;
        let written = aside(move || {
            let document = definition::for_subscribers(&text, &api, endpoint.as_ref(), &settings.gateway);
            let document = document.ok_or(missing)?;
            let urls = endpoint.map(|endpoint| endpoint.urls);
            let address = urls.and_then(|urls| urls.https.or(urls.http)).unwrap_or_default();
            let subject = Subject {
                name: &api.name,
                version: &api.version,
                address: &address,
                authorization: api.authorization_header.as_deref().unwrap_or("Authorization"),
                api_key: &api_key,
            };
            let name = format!("{}_{}_{}.zip", api.name, api.version, language.as_contract());
            let archive = sdk::client(&subject, &document, language).and_then(|files| zip::write(&files));
            archive.map(|archive| (name, archive)).map_err(|reason| Refused::invalid("definition", reason))
        });
        Ok(stamped(written.await??, &view))
    }
}

/// Returns the addresses in the environment that is named, or in the first.
pub(crate) fn meant<'a>(
    endpoints: &'a [EndpointUrlsDto],
    environment: Option<&str>,
) -> Result<Option<&'a EndpointUrlsDto>, Refused> {
    let Some(name) = environment else { return Ok(endpoints.first()) };
    let named = endpoints.iter().find(|one| one.environment_name == name);
    named.map(Some).ok_or_else(|| Refused::not_found("gateway environment", name))
}

impl Request for ListPlans {
    type Reply = Stamped<Vec<PolicyDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = find_visible(&view, &self.visitor, self.api)?;
        let plans = plans_of(&view, &api, &self.visitor).into_iter();
        let plans = plans.filter(|plan| may_choose(&view, &api.tenant, &plan.name, &self.visitor.roles));
        let plans = plans.map(|plan| describe(&view, plan)).collect();
        Ok(stamped(plans, &view))
    }
}

/// Puts the index of what was read beside it.
pub(crate) fn stamped<T>(body: T, view: &StoreView) -> Stamped<T> {
    Stamped { body, index: view.applied_index(), unreached: Vec::new() }
}

/// Returns the APIs that a visitor's list shows.
pub(crate) fn listed<'a>(view: &'a StoreView, visitor: &'a Visitor) -> impl Iterator<Item = &'a Arc<Api>> {
    let apis = view.read::<Apimgtdb>().apis.values();
    let belonging = belonging_of(view, visitor);
    // Of a tenant that is closed nothing is shown.
    let is_open = people::is_active(view.read::<Userdb>(), &visitor.tenant);
    apis.filter(move |api| {
        let is_listed = matches!(api.lifecycle, Lifecycle::Published | Lifecycle::Prototyped);
        is_open && is_listed && is_visible(api, visitor) && is_shared(api, &belonging)
    })
}

/// Returns an API that a visitor may see: also a blocked or a deprecated one, whose subscribers still need it.
///
/// # Errors
/// Where there is none; one that the visitor may not see is not told from one that is not there.
pub(crate) fn find_visible(view: &StoreView, visitor: &Visitor, id: ApiId) -> Result<Arc<Api>, Refused> {
    let api = view.read::<Apimgtdb>().apis.get(&id).filter(|api| {
        let is_in_store = !matches!(api.lifecycle, Lifecycle::Created | Lifecycle::Retired);
        is_in_store
            && is_visible(api, visitor)
            && is_shared(api, &belonging_of(view, visitor))
            && people::is_active(view.read::<Userdb>(), &api.tenant)
    });
    api.cloned().ok_or_else(|| Refused::not_found("API", id))
}

/// Returns an API that a subscriber's applications may subscribe to: one of the own tenant, or a public one that another
/// tenant opened to it.
pub(crate) fn find_offered(view: &StoreView, subscriber: &Subscriber, id: ApiId) -> Result<Arc<Api>, Refused> {
    let mut visitor = subscriber.as_visitor();
    if let Some(api) = view.read::<Apimgtdb>().apis.get(&id).filter(|api| api.is_offered_to(&visitor.tenant)) {
        visitor.tenant = api.tenant.clone();
    }
    find_visible(view, &visitor, id)
}

fn is_visible(api: &Api, visitor: &Visitor) -> bool {
    if api.tenant != visitor.tenant {
        return false;
    }
    let is_of_tenant = visitor.user.as_ref().is_some_and(|user| user.tenant == api.tenant);
    match api.visibility {
        Visibility::Public => true,
        Visibility::Private => is_of_tenant,
        Visibility::Restricted => is_of_tenant && api.visible_roles.iter().any(|role| visitor.roles.contains(role)),
    }
}

/// Returns whose developer a visitor of the own tenant's Store is; others are as the tenant's.
fn belonging_of(view: &StoreView, visitor: &Visitor) -> Belonging {
    let user = visitor.user.as_ref().filter(|user| user.tenant == visitor.tenant);
    user.map_or(Belonging::Tenant, |user| {
        organizations::belonging(view.read::<Apimgtdb>(), view.read::<Userdb>(), user)
    })
}

/// Says whether somebody's developers may see an API: those of the tenant itself see all, nobody's see none.
fn is_shared(api: &Api, belonging: &Belonging) -> bool {
    match belonging {
        Belonging::Tenant => true,
        Belonging::Organization(id, _) => api.is_shared_with(*id),
        Belonging::Nobody => false,
    }
}

/// Returns the names of the plans of an API that a visitor may choose from: those of the visitor's organization, where it
/// has its own.
pub(crate) fn plan_names(view: &StoreView, api: &Api, visitor: &Visitor) -> Vec<String> {
    let own = match belonging_of(view, visitor) {
        Belonging::Organization(id, _) => api.plans_of_organization(id),
        Belonging::Tenant | Belonging::Nobody => None,
    };
    own.unwrap_or_else(|| api.plans.clone())
}

/// Returns the plans of an API that exist, in its order, as a visitor has them.
pub(crate) fn plans_of<'a>(view: &'a StoreView, api: &Api, visitor: &Visitor) -> Vec<&'a QuotaPolicy> {
    let policies = &view.read::<Apimgtdb>().policies;
    let find = |name: &String| policies.get(&(api.tenant.clone(), PolicyLevel::Subscription, name.clone()));
    plan_names(view, api, visitor).iter().filter_map(find).map(Arc::as_ref).collect()
}

/// Returns where an API is called, by the environments where a revision of it is deployed and shown.
pub(crate) fn endpoint_urls(view: &StoreView, api: &Api, settings: &Settings) -> Vec<EndpointUrlsDto> {
    let revisions = view.read::<Apimgtdb>().revisions.range((api.id, 0)..=(api.id, u32::MAX));
    let deployments = revisions.flat_map(|(_, revision)| &revision.deployments).filter(|one| one.is_displayed);
    let environments = environments::of_tenant(view.read::<Apimgtdb>(), &api.tenant);
    let of_deployment = |one: &Deployment| {
        let environment = environments.iter().find(|environment| environment.name == one.environment)?;
        let vhost = environment.vhost(&one.vhost)?;
        Some(EndpointUrlsDto::new(api, environment, &settings.gateway.at(vhost)))
    };
    let mut urls: Vec<EndpointUrlsDto> = deployments.filter_map(of_deployment).collect();
    urls.sort_by(|one, other| one.environment_name.cmp(&other.environment_name));
    urls
}

fn definition_of(
    view: &StoreView,
    api: &Api,
    endpoint: Option<&EndpointUrlsDto>,
    settings: &Settings,
) -> Option<Value> {
    let text = view.read::<Regdb>().definitions.get(&api.id)?;
    definition::for_subscribers(text, api, endpoint, &settings.gateway)
}

/// Returns what an API looks like besides itself.
pub(crate) fn looks_of(view: &StoreView, api: ApiId) -> Looks {
    Looks {
        has_thumbnail: view.read::<Regdb>().thumbnails.contains_key(&api),
        avg_rating: average_of(view.read::<Apimgtdb>(), api),
    }
}

fn count_subscriptions(view: &StoreView, api: ApiId) -> usize {
    let every_application = (api, ApplicationId(Uuid::nil()))..=(api, ApplicationId(Uuid::max()));
    view.read::<Apimgtdb>().subscriptions_by_api.range(every_application).count()
}
