//! `/devportal/applications/{application}`: an application with its keys and subscriptions.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::ApiError;
use portcullis_portal::{Fields, Frame, Shell, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::Value;

use super::api::OWN;
use super::applications::{body_of, policies};
use crate::dto::api_key::{ApiKeyDto, NewApiKeyDto};
use crate::dto::application::ApplicationDto;
use crate::dto::key::KeyDto;
use crate::dto::policy::PolicyDto;
use crate::dto::subscription::SubscriptionDto;
use crate::messages::{
    DeleteApplication, DeleteSubscription, GetApplication, GetSettings, ListApiKeys, ListKeyManagers, ListKeys,
    ListSubscriptions, ListWebhooks, Subscriber, UpdateApplication,
};
use crate::rest::Face;
use crate::rest::query::id;
use crate::rest::visitor::{MayManageApplications, MayManageSubscriptions};

/// What is shown once, because nobody can get it again.
pub(super) enum Once {
    /// A client's id and secret.
    Secret { key: String, secret: String },
    /// A token.
    Token { token: String, lives_s: u64 },
    /// An API key.
    ApiKey(NewApiKeyDto),
}

#[derive(Template)]
#[template(path = "store_application.html")]
pub(super) struct ApplicationPage {
    frame: Frame,
    application: ApplicationDto,
    keys: Vec<KeyDto>,
    api_keys: Vec<ApiKeyDto>,
    subscriptions: Vec<SubscriptionDto>,
    webhooks: Vec<Value>,
    policies: Vec<PolicyDto>,
    grants: Vec<String>,
    token_url: String,
    pub(super) once: Option<Once>,
    pub(super) wrong: Wrong,
}

impl ApplicationPage {
    /// Returns a text that is said of a callback.
    fn said<'a>(&self, webhook: &'a Value, name: &str) -> &'a str {
        webhook[name].as_str().unwrap_or_default()
    }

    fn key_of(&self, key_type: &str) -> Option<&KeyDto> {
        self.keys.iter().find(|key| key.key_type == Some(key_type))
    }
}

pub(super) async fn page(
    face: &Face,
    subscriber: Subscriber,
    viewer: Viewer,
    application: &str,
) -> Result<ApplicationPage, ApiError> {
    let id = id("application", application)?;
    let found = face.ask(GetApplication { subscriber: subscriber.clone(), application: id }).await?.body;
    let keys = face.ask(ListKeys { subscriber: subscriber.clone(), application: id }).await?.body.list;
    let api_keys = face.ask(ListApiKeys { subscriber: subscriber.clone(), application: id }).await?.body.list;
    let policies = policies(face, &subscriber).await?;
    let tenant = subscriber.principal.tenant.clone();
    let key_managers = face.ask(ListKeyManagers { tenant: tenant.clone() }).await?.body.list;
    let token_url = key_managers.first().map(|one| one.token_endpoint.clone()).unwrap_or_default();
    let message = ListWebhooks { subscriber: subscriber.clone(), api: None, application: Some(id) };
    let webhooks = face.ask(message).await?.body.list;
    let message = ListSubscriptions { subscriber, api: None, application: Some(id), page: OWN };
    let subscriptions = face.ask(message).await?.body.list;
    let settings = face.ask(GetSettings { tenant }).await?.body;
    let path = "/devportal/applications";
    Ok(ApplicationPage {
        frame: Frame::new(viewer, Shell::Store, path, found.info.name.as_str()).below(path, "Applications"),
        application: found,
        keys,
        api_keys,
        subscriptions,
        webhooks,
        policies,
        grants: settings.grant_types,
        token_url,
        once: None,
        wrong: Wrong::default(),
    })
}

pub(crate) async fn show(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    viewer: Viewer,
    Path(application): Path<String>,
) -> Result<Response, ApiError> {
    Ok(render(&page(&face, subscriber, viewer, &application).await?))
}

/// Shows the page with what is wrong.
pub(super) async fn again(
    face: &Face,
    subscriber: Subscriber,
    viewer: Viewer,
    application: &str,
    error: ApiError,
) -> Result<Response, ApiError> {
    let mut page = page(face, subscriber, viewer, application).await?;
    page.wrong = error.clone().into();
    Ok(render_again(&page, &error))
}

pub(crate) async fn change(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    viewer: Viewer,
    Path(application): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let update = UpdateApplication {
        subscriber: subscriber.clone(),
        application: id("application", &application)?,
        body: body_of(&fields),
        condition: HeaderMap::new(),
    };
    match face.ask(update).await {
        Ok(_) => Ok(say_and_go("Saved.", &format!("/devportal/applications/{application}"))),
        Err(error) => again(&face, subscriber, viewer, &application, error).await,
    }
}

pub(crate) async fn delete(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    viewer: Viewer,
    Path(application): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let page = page(&face, subscriber.clone(), viewer.clone(), &application).await?;
    let name = page.application.info.name;
    if fields.text("typed") != name {
        let error = ApiError::bad_request(format!("typed: must be the application's name, {name}"));
        return again(&face, subscriber, viewer, &application, error).await;
    }
    let id = id("application", &application)?;
    face.ask(DeleteApplication { subscriber, application: id, condition: HeaderMap::new() }).await?;
    Ok(say_and_go("The application is deleted, and its keys with it.", "/devportal/applications"))
}

pub(crate) async fn unsubscribe(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    Path((application, subscription)): Path<(String, String)>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let subscription = id("subscription", &subscription)?;
    face.ask(DeleteSubscription { subscriber, subscription, condition: HeaderMap::new() }).await?;
    Ok(say_and_go("Unsubscribed.", &format!("/devportal/applications/{application}")))
}
