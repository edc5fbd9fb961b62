//! `/devportal/apis/{api}/try`: calls an API with the visitor's own key. The browser sends, straight to the gateway:
//! a node that sent for its visitors would lend them its place in the network.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_http::ApiError;
use portcullis_model::KeyType;
use portcullis_portal::calling::{Language, TryForm};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, may_send_to, render, render_again};
use serde::Deserialize;

use super::api::subscriptions_to;
use super::{Guest, MaybeSubscriber, base_url, find, frame, key_header, operations_of};
use crate::dto::api::ApiDto;
use crate::dto::key::{GenerateKeysBody, GenerateTokenBody, KeyTypeWord};
use crate::dto::subscription::SubscriptionDto;
use crate::messages::{GenerateKeys, GenerateToken, GetKey, KeyRef, Subscriber, Visitor};
use crate::rest::Face;
use crate::rest::query::{Query, id};
use crate::rest::visitor::MayManageApplications;

#[derive(Deserialize)]
pub(crate) struct TryQuery {
    /// The operation to begin with: `GET /menu`.
    #[serde(default)]
    operation: String,
}

#[derive(Template)]
#[template(path = "store_try.html")]
struct TryPage {
    frame: Frame,
    api: ApiDto,
    form: TryForm,
    subscriptions: Vec<SubscriptionDto>,
    may_subscribe: bool,
    wrong: Wrong,
}

impl TryPage {
    fn with_key(self, key: String) -> Self {
        Self { form: self.form.with_key(key), ..self }
    }
}

async fn page(
    face: &Face,
    visitor: Visitor,
    subscriber: Option<&Subscriber>,
    viewer: Viewer,
    api: &str,
    operation: String,
) -> Result<TryPage, ApiError> {
    let found = find(face, &visitor, api).await?;
    let subscriptions = match subscriber {
        Some(subscriber) => subscriptions_to(face, subscriber, api).await?,
        None => Vec::new(),
    };
    let url = base_url(&found).unwrap_or_default();
    let definition = format!("/devportal/apis/{}/reference", found.id);
    let place = (Language::of(found.kind), url.as_str());
    Ok(TryPage {
        frame: frame(viewer, &found, "/try"),
        may_subscribe: subscriber.is_some(),
        form: TryForm::new(place, key_header(&found), operations_of(&found), operation, definition),
        subscriptions,
        wrong: Wrong::default(),
        api: found,
    })
}

pub(crate) async fn show(
    State(face): State<Face>,
    Guest(visitor): Guest,
    MaybeSubscriber(subscriber): MaybeSubscriber,
    viewer: Viewer,
    Path(api): Path<String>,
    Query(query): Query<TryQuery>,
) -> Result<Response, ApiError> {
    let page = page(&face, visitor, subscriber.as_ref(), viewer, &api, query.operation).await?;
    Ok(may_send_to(render(&page), &page.form.url))
}

/// Returns a token for an application's production keys, which are made where it has none yet.
async fn token(
    face: &Face,
    subscriber: Subscriber,
    application: &str,
    scopes: Vec<String>,
) -> Result<String, ApiError> {
    let application = id("application", application)?;
    let key = KeyRef::Type(KeyType::Production);
    let known = face.ask(GetKey { subscriber: subscriber.clone(), application, key }).await;
    if known.is_err() {
        let body = GenerateKeysBody {
            key_type: KeyTypeWord::Production,
            key_manager: None,
            grant_types_to_be_supported: vec!["client_credentials".to_owned()],
            callback_url: None,
            scopes: None,
            validity_time: None,
            additional_properties: None,
        };
        face.ask(GenerateKeys { subscriber: subscriber.clone(), application, body }).await?;
    }
    let body = GenerateTokenBody { scopes: Some(scopes), ..GenerateTokenBody::default() };
    Ok(face.ask(GenerateToken { subscriber, application, key, body }).await?.body.access_token)
}

pub(crate) async fn get_key(
    State(face): State<Face>,
    Guest(visitor): Guest,
    MayManageApplications(subscriber): MayManageApplications,
    viewer: Viewer,
    Path(api): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let operation = fields.text("operation").to_owned();
    let mut page = page(&face, visitor, Some(&subscriber), viewer, &api, operation).await?;
    let scopes = page.api.scopes.iter().map(|scope| scope.key.clone()).collect();
    match token(&face, subscriber, fields.text("application"), scopes).await {
        Ok(token) => {
            let page = page.with_key(token);
            Ok(may_send_to(render(&page), &page.form.url))
        }
        Err(error) => {
            page.wrong = error.clone().into();
            Ok(may_send_to(render_again(&page, &error), &page.form.url))
        }
    }
}
