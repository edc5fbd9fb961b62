//! `/devportal/apis/{api}`: what an API is for, where it is called, and the way to a subscription.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::contract::content;
use portcullis_http::page::Page;
use portcullis_http::{ApiError, Stamped};
use portcullis_model::{PolicyLevel, TenantDomain};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, markdown, render, render_again, say_and_go};

use super::{Guest, MaybeSubscriber, base_url, find, frame, sample};
use crate::dto::api::ApiDto;
use crate::dto::application::{ApplicationBody, ApplicationInfoDto};
use crate::dto::policy::PolicyDto;
use crate::dto::subscription::{SubscriptionBody, SubscriptionDto};
use crate::messages::{
    ApplicationSort, CreateApplication, CreateSubscription, Direction, GetThumbnail, ListApplications, ListPlans,
    ListPolicies, ListRatings, ListSubscriptions, RateApi, Subscriber, Visitor,
};
use crate::rest::Face;
use crate::rest::query::id;
use crate::rest::visitor::{MayManageApplications, MayManageSubscriptions, MaySubscribe};

/// What is looked at of a subscriber's own.
pub(crate) const OWN: Page = Page { limit: 100, offset: 0 };

#[derive(Template)]
#[template(path = "store_api.html")]
struct ApiPage {
    frame: Frame,
    api: ApiDto,
    description: String,
    url: Option<String>,
    sample: Option<String>,
    plans: Vec<PolicyDto>,
    /// The subscriber's applications that are not subscribed yet; `None` where nobody who may subscribe looks.
    applications: Option<Vec<ApplicationInfoDto>>,
    subscriptions: Vec<SubscriptionDto>,
    ratings: usize,
    own_rating: u8,
    /// The tenant whose API it is, where that is another than the visitor's and did not open it to the visitor's.
    other_tenant: Option<TenantDomain>,
    wrong: Wrong,
}

pub(crate) async fn applications_of(face: &Face, subscriber: &Subscriber) -> Result<Vec<ApplicationInfoDto>, ApiError> {
    let message = ListApplications {
        subscriber: subscriber.clone(),
        query: String::new(),
        sort: ApplicationSort::Name,
        direction: Direction::Ascending,
        page: OWN,
    };
    Ok(face.ask(message).await?.body.list)
}

pub(crate) async fn subscriptions_to(
    face: &Face,
    subscriber: &Subscriber,
    api: &str,
) -> Result<Vec<SubscriptionDto>, ApiError> {
    let api = Some(id("API", api)?);
    let message = ListSubscriptions { subscriber: subscriber.clone(), api, application: None, page: OWN };
    Ok(face.ask(message).await?.body.list)
}

async fn page(
    face: &Face,
    visitor: Visitor,
    subscriber: Option<&Subscriber>,
    viewer: Viewer,
    api: &str,
    wrong: Wrong,
) -> Result<ApiPage, ApiError> {
    let found = find(face, &visitor, api).await?;
    let is_of_other = visitor.user.as_ref().is_some_and(|user| user.tenant != visitor.tenant);
    let other_tenant = (is_of_other && subscriber.is_none()).then(|| visitor.tenant.clone());
    let plans = face.ask(ListPlans { visitor: visitor.clone(), api: id("API", api)? }).await?.body;
    let none = Page { limit: 0, offset: 0 };
    let ratings = face.ask(ListRatings { visitor, api: id("API", api)?, page: none }).await?.body;
    let (mut applications, mut subscriptions) = (None, Vec::new());
    if let Some(subscriber) = subscriber {
        subscriptions = subscriptions_to(face, subscriber, api).await?;
        let mut own = applications_of(face, subscriber).await?;
        own.retain(|one| subscriptions.iter().all(|other| other.application_id != one.application_id));
        applications = Some(own);
    }
    let url = base_url(&found);
    Ok(ApiPage {
        frame: frame(viewer, &found, ""),
        description: markdown::render(&found.description),
        sample: url.as_ref().map(|url| sample::easiest(&found, url)),
        url,
        plans,
        applications,
        subscriptions,
        ratings: ratings.list.pagination.total,
        own_rating: ratings.user_rating,
        other_tenant,
        api: found,
        wrong,
    })
}

pub(crate) async fn show(
    State(face): State<Face>,
    Guest(visitor): Guest,
    MaybeSubscriber(subscriber): MaybeSubscriber,
    viewer: Viewer,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    Ok(render(&page(&face, visitor, subscriber.as_ref(), viewer, &api, Wrong::default()).await?))
}

/// Makes an application for those who have none yet: the first policy there is will do.
async fn first_application(face: &Face, subscriber: &Subscriber, name: &str) -> Result<String, ApiError> {
    let message = ListPolicies { visitor: subscriber.as_visitor(), level: PolicyLevel::Application, page: OWN };
    let policies = face.ask(message).await?.body.list;
    let unlimited = policies.iter().find(|policy| policy.name == "Unlimited").or(policies.first());
    let policy =
        unlimited.ok_or_else(|| ApiError::conflict("There is no application policy; an administrator makes one."))?;
    let body = ApplicationBody {
        name: name.to_owned(),
        throttling_policy: policy.name.clone(),
        description: None,
        token_type: None,
        groups: None,
        attributes: None,
        visibility: None,
    };
    Ok(face.ask(CreateApplication { subscriber: subscriber.clone(), body }).await?.body.id.to_string())
}

/// Subscribes an application, and makes it first where a new one is meant; returns its id.
async fn subscribed(
    face: &Face,
    subscriber: Subscriber,
    for_applications: Option<Subscriber>,
    api: &str,
    fields: &Fields,
) -> Result<(String, SubscriptionDto), ApiError> {
    let application_id = match (fields.filled("application"), for_applications) {
        (Some(application), _) => application.to_owned(),
        (None, Some(subscriber)) => {
            let name = fields.filled("new").unwrap_or("My application");
            first_application(face, &subscriber, name).await?
        }
        (None, None) => return Err(ApiError::forbidden("You may not make applications.")),
    };
    let body = SubscriptionBody {
        application_id: application_id.clone(),
        api_id: api.to_owned(),
        throttling_policy: fields.text("plan").to_owned(),
    };
    let made = face.ask(CreateSubscription { subscriber, body }).await?.body;
    Ok((application_id, made))
}

pub(crate) async fn subscribe(
    State(face): State<Face>,
    Guest(visitor): Guest,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    applications: Result<MayManageApplications, ApiError>,
    viewer: Viewer,
    Path(api): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let for_applications = applications.ok().map(|MayManageApplications(subscriber)| subscriber);
    match subscribed(&face, subscriber.clone(), for_applications, &api, &fields).await {
        Ok((_, made)) if made.status == "UNBLOCKED" => {
            Ok(say_and_go("Subscribed. Get a key and call it.", &format!("/devportal/apis/{api}/try")))
        }
        Ok((application, _)) => {
            let path = format!("/devportal/applications/{application}");
            Ok(say_and_go("The subscription waits for a decision of the API's publishers.", &path))
        }
        Err(error) => {
            let page = page(&face, visitor, Some(&subscriber), viewer, &api, error.clone().into()).await?;
            Ok(render_again(&page, &error))
        }
    }
}

pub(crate) async fn rate(
    State(face): State<Face>,
    MaySubscribe(subscriber): MaySubscribe,
    Path(api): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let stars = fields.text("stars").parse().ok().filter(|stars| *stars > 0);
    face.ask(RateApi { subscriber, api: id("API", &api)?, stars }).await?;
    Ok(say_and_go("Thank you for the rating.", &format!("/devportal/apis/{api}")))
}

pub(crate) async fn thumbnail(
    State(face): State<Face>,
    Guest(visitor): Guest,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Stamped { body: picture, index, .. } = face.ask(GetThumbnail { visitor, api: id("API", &api)? }).await?;
    Ok(content::write(&headers, &picture, None, index))
}
