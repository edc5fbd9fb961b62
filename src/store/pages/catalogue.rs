//! `/devportal`: the APIs that a visitor may see, found by words, tags and categories; and the first steps.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use portcullis_http::page::Page;
use portcullis_http::{ApiError, PageQuery, percent};
use portcullis_model::{ApplicationId, TenantDomain};
use portcullis_portal::statistics::Source;
use portcullis_portal::{Frame, Part, Shell, Viewer, page, render};
use serde::Deserialize;

use super::MaybeSubscriber;
use crate::dto::api::ApiInfoDto;
use crate::messages::{
    ApiSort, ApplicationSort, Direction, IsOpen, ListApis, ListApplications, ListCategories, ListSubscriptions,
    ListTags, ListTenants, Subscriber, Visitor,
};
use crate::rest::Face;
use crate::rest::query::Query;

/// Tags and categories that are offered.
const WORDS_MAX: usize = 30;
/// Tenants whose Stores are offered; others are named.
const TENANTS_MAX: usize = 50;
/// Characters of a tenant's domain (RFC 1035).
const TENANT_CHARS_MAX: usize = 255;

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    sort: String,
    /// The tenant whose Store it is; the visitor's own where nothing is said.
    #[serde(default)]
    tenant: String,
    #[serde(flatten)]
    page: PageQuery,
}

#[derive(Template)]
#[template(path = "store_catalogue.html")]
struct CataloguePage {
    frame: Frame,
    query: ListQuery,
    apis: Vec<ApiInfoDto>,
    part: Part,
    /// What leads to the APIs of a tag or category: link, name, and whether it is chosen.
    words: Vec<(String, String, bool)>,
    /// Tenants whose Stores may be looked at instead.
    tenants: Vec<String>,
    steps: Option<Vec<Step>>,
}

/// A step from nothing to the first call.
struct Step {
    text: &'static str,
    path: String,
    is_done: bool,
}

/// Returns the first steps, until the first call is known of. They begin with the Publisher where there is nothing to call.
async fn steps(
    face: &Face,
    source: &Source,
    subscriber: Option<Subscriber>,
    is_empty: bool,
) -> Result<Option<Vec<Step>>, ApiError> {
    let is_signed_in = subscriber.is_some();
    let (mut is_subscribed, mut has_called, mut at) = (false, false, "/devportal/applications".to_owned());
    if let Some(subscriber) = subscriber {
        let message = ListApplications {
            subscriber: subscriber.clone(),
            query: String::new(),
            sort: ApplicationSort::Name,
            direction: Direction::Ascending,
            page: Page { limit: 100, offset: 0 },
        };
        let applications = face.ask(message).await?.body.list;
        let ids: Vec<ApplicationId> = applications.iter().filter_map(|one| one.application_id.parse().ok()).collect();
        has_called = source.has_called(&ids);
        let subscribed = applications.iter().find(|one| one.subscription_count > 0);
        is_subscribed = subscribed.is_some();
        if let Some(application) = subscribed.and_then(|one| one.application_id.parse().ok()).filter(|_| !has_called) {
            let page = Page { limit: 1, offset: 0 };
            let message = ListSubscriptions { subscriber, api: None, application: Some(application), page };
            let first = face.ask(message).await?.body.list.into_iter().next();
            at = first.map_or(at, |one| format!("/devportal/apis/{}/try", one.api_id));
        }
    }
    let step = |text, path: &str, is_done| Step { text, path: path.to_owned(), is_done };
    let mut steps = vec![
        step("Sign up, or sign in", "/sign-up", is_signed_in),
        step("Choose an API below and subscribe: two clicks", "#apis", is_subscribed),
        step("Get a key, and call the API at “Try it”", &at, false),
    ];
    if is_empty {
        steps.insert(0, step("Publish an API, in the Publisher", "/publisher", false));
    }
    Ok((!has_called).then_some(steps))
}

/// Returns the tags and categories as links.
async fn words(
    face: &Face,
    visitor: &Visitor,
    query: &str,
    of_tenant: &str,
) -> Result<Vec<(String, String, bool)>, ApiError> {
    let page = Page { limit: WORDS_MAX, offset: 0 };
    let tags = face.ask(ListTags { visitor: visitor.clone(), page }).await?.body.list;
    let categories = face.ask(ListCategories { visitor: visitor.clone() }).await?.body.list;
    let word = |kind: &str, name: &str| {
        let search = format!("{kind}:\"{name}\"");
        let link = format!("/devportal?q={}{of_tenant}", percent::encoded(&search));
        (link, name.to_owned(), query == search)
    };
    let categories = categories.iter().take(WORDS_MAX).map(|one| word("api-category", &one.name));
    Ok(categories.chain(tags.iter().map(|tag| word("tag", &tag.value))).collect())
}

/// Returns the visitor in the Store of the tenant that is asked for.
async fn in_store(face: &Face, visitor: Visitor, tenant: &str) -> Result<Visitor, ApiError> {
    let domain = tenant.trim();
    if domain.is_empty() {
        return Ok(visitor);
    }
    let tenant = TenantDomain(domain.to_owned());
    if domain.len() > TENANT_CHARS_MAX || !face.ask(IsOpen { tenant: tenant.clone() }).await? {
        return Err(ApiError::not_found("tenant", domain.chars().take(TENANT_CHARS_MAX).collect::<String>()));
    }
    Ok(Visitor { tenant, ..visitor })
}

/// Returns tenants whose Stores may be looked at: none where there is one tenant alone.
async fn tenants(face: &Face) -> Result<Vec<String>, ApiError> {
    let page = Page { limit: TENANTS_MAX, offset: 0 };
    let list = face.ask(ListTenants { is_active: true, page }).await?.body.list;
    let domains: Vec<String> = list.into_iter().map(|tenant| tenant.domain).collect();
    Ok(if domains.len() > 1 { domains } else { Vec::new() })
}

pub(crate) async fn show(
    State(face): State<Face>,
    Extension(source): Extension<Source>,
    visitor: Visitor,
    MaybeSubscriber(subscriber): MaybeSubscriber,
    viewer: Viewer,
    Query(mut query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let wanted = page::wanted(&query.page)?;
    let (sort, direction) = match query.sort.as_str() {
        "new" => (ApiSort::CreatedTime, Direction::Descending),
        _ => (ApiSort::Name, Direction::Ascending),
    };
    let own = visitor.user.as_ref().map_or_else(TenantDomain::super_tenant, |user| user.tenant.clone());
    let visitor = in_store(&face, visitor, &query.tenant).await?;
    // Below /t/DOMAIN the path says whose Store it is; the links say it by the query.
    query.tenant = if visitor.tenant == own { String::new() } else { visitor.tenant.to_string() };
    let of_tenant = match query.tenant.as_str() {
        "" => String::new(),
        tenant => format!("&tenant={}", percent::encoded(tenant)),
    };
    let list = ListApis { visitor: visitor.clone(), query: query.q.clone(), sort, direction, page: wanted };
    let found = face.ask(list).await?.body;
    let tail = format!("q={}&sort={}{of_tenant}", percent::encoded(&query.q), percent::encoded(&query.sort));
    let title = if query.tenant.is_empty() { "APIs".to_owned() } else { format!("APIs of {}", query.tenant) };
    let page = CataloguePage {
        frame: Frame::new(viewer, Shell::Store, "/devportal", title),
        part: Part::of("/devportal", &tail, wanted, found.list.len(), found.pagination.total),
        words: words(&face, &visitor, &query.q, &of_tenant).await?,
        tenants: tenants(&face).await?,
        steps: steps(&face, &source, subscriber, found.pagination.total == 0 && query.q.is_empty()).await?,
        apis: found.list,
        query,
    };
    Ok(render(&page))
}
