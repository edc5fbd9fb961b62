//! `/devportal`: the APIs that a visitor may see, found by words, tags and categories; and the first steps.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use portcullis_http::page::Page;
use portcullis_http::{ApiError, PageQuery, percent};
use portcullis_portal::{Frame, Part, Shell, Viewer, page, render};
use serde::Deserialize;

use super::MaybeSubscriber;
use crate::dto::api::ApiInfoDto;
use crate::messages::{
    ApiSort, ApplicationSort, Direction, ListApis, ListApplications, ListCategories, ListTags, Subscriber, Visitor,
};
use crate::rest::Face;
use crate::rest::query::Query;

/// Tags and categories that are offered.
const WORDS_MAX: usize = 30;

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    sort: String,
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
    steps: Option<[Step; 3]>,
}

/// A step from nothing to the first call.
struct Step {
    text: &'static str,
    path: &'static str,
    is_done: bool,
}

/// Returns the first steps, until all are done.
async fn steps(face: &Face, subscriber: Option<Subscriber>) -> Result<Option<[Step; 3]>, ApiError> {
    let is_signed_in = subscriber.is_some();
    let (mut has_application, mut is_subscribed) = (false, false);
    if let Some(subscriber) = subscriber {
        let message = ListApplications {
            subscriber,
            query: String::new(),
            sort: ApplicationSort::Name,
            direction: Direction::Ascending,
            page: Page { limit: 100, offset: 0 },
        };
        let applications = face.ask(message).await?.body.list;
        has_application = !applications.is_empty();
        is_subscribed = applications.iter().any(|one| one.subscription_count > 0);
    }
    let step = |text, path, is_done| Step { text, path, is_done };
    let is_done = is_signed_in && has_application && is_subscribed;
    Ok((!is_done).then_some([
        step("Sign up, or sign in", "/sign-up", is_signed_in),
        step("Choose an API below and subscribe: two clicks", "#apis", is_subscribed),
        step("Get a key, and call the API at “Try it”", "/devportal/applications", false),
    ]))
}

/// Returns the tags and categories as links.
async fn words(face: &Face, visitor: &Visitor, query: &str) -> Result<Vec<(String, String, bool)>, ApiError> {
    let page = Page { limit: WORDS_MAX, offset: 0 };
    let tags = face.ask(ListTags { visitor: visitor.clone(), page }).await?.body.list;
    let categories = face.ask(ListCategories { visitor: visitor.clone() }).await?.body.list;
    let word = |kind: &str, name: &str| {
        let search = format!("{kind}:\"{name}\"");
        let link = format!("/devportal?q={}", percent::encoded(&search));
        (link, name.to_owned(), query == search)
    };
    let categories = categories.iter().take(WORDS_MAX).map(|one| word("api-category", &one.name));
    Ok(categories.chain(tags.iter().map(|tag| word("tag", &tag.value))).collect())
}

pub(crate) async fn show(
    State(face): State<Face>,
    visitor: Visitor,
    MaybeSubscriber(subscriber): MaybeSubscriber,
    viewer: Viewer,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let wanted = page::wanted(&query.page)?;
    let (sort, direction) = match query.sort.as_str() {
        "new" => (ApiSort::CreatedTime, Direction::Descending),
        _ => (ApiSort::Name, Direction::Ascending),
    };
    let list = ListApis { visitor: visitor.clone(), query: query.q.clone(), sort, direction, page: wanted };
    let found = face.ask(list).await?.body;
    let tail = format!("q={}&sort={}", percent::encoded(&query.q), percent::encoded(&query.sort));
    let page = CataloguePage {
        frame: Frame::new(viewer, Shell::Store, "/devportal", "APIs"),
        part: Part::of("/devportal", &tail, wanted, found.list.len(), found.pagination.total),
        words: words(&face, &visitor, &query.q).await?,
        steps: steps(&face, subscriber).await?,
        apis: found.list,
        query,
    };
    Ok(render(&page))
}
