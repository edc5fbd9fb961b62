//! The Store's web pages, `/devportal`: faces over the same messages as the REST paths, with the same scopes. What
//! everybody may see needs no sign-in.

mod api;
mod application;
mod applications;
mod calling;
mod catalogue;
mod comments;
mod documents;
mod keys;
mod look;
mod reference;
mod sample;
mod usage;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::middleware;
use axum::routing::{get, post};
use axum::{Extension, Router};
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_portal::calling::{KeyHeader, Operation};
use portcullis_portal::statistics::Source;
use portcullis_portal::{Frame, Shell, Tab, Viewer};

use crate::actor::Store;
use crate::dto::api::ApiDto;
use crate::messages::{AskWhose, GetApi, Subscriber, Visitor, Whose};
use crate::rest::Face;
use crate::rest::query::id;
use crate::rest::visitor::MaySubscribe;

/// Returns the pages, to be mounted at the root.
pub(crate) fn routes(address: Address<Store>, statistics: Source) -> Router {
    let face = Face(address);
    Router::new()
        .route("/devportal", get(catalogue::show))
        .route("/devportal/apis/{api}", get(api::show))
        .route("/devportal/apis/{api}/thumbnail", get(api::thumbnail))
        .route("/devportal/apis/{api}/subscribe", post(api::subscribe))
        .route("/devportal/apis/{api}/rating", post(api::rate))
        .route("/devportal/apis/{api}/reference", get(reference::show))
        .route("/devportal/apis/{api}/definition", get(reference::definition))
        .route("/devportal/apis/{api}/try", get(calling::show).post(calling::get_key))
        .route("/devportal/apis/{api}/documents", get(documents::list))
        .route("/devportal/apis/{api}/documents/{document}", get(documents::show))
        .route("/devportal/apis/{api}/documents/{document}/content", get(documents::content))
        .route("/devportal/apis/{api}/comments", get(comments::show).post(comments::add))
        .route("/devportal/apis/{api}/comments/{comment}/delete", post(comments::delete))
        .merge(of_applications())
        .merge(of_usage())
        .layer(Extension(statistics))
        .layer(middleware::from_fn_with_state(face.clone(), look::wear))
        .route("/devportal/looks/{tenant}/{id}/{version}/{file}", get(look::show))
        .with_state(face)
}

fn of_applications() -> Router<Face> {
    Router::new()
        .route("/devportal/applications", get(applications::show).post(applications::create))
        .route("/devportal/applications/{application}", get(application::show).post(application::change))
        .route("/devportal/applications/{application}/delete", post(application::delete))
        .route("/devportal/applications/{application}/subscriptions/{id}/delete", post(application::unsubscribe))
        .route("/devportal/applications/{application}/keys", post(keys::generate))
        .route("/devportal/applications/{application}/keys/{key}/{act}", post(keys::act))
        .route("/devportal/applications/{application}/api-keys", post(keys::generate_api_key))
        .route("/devportal/applications/{application}/api-keys/{key}/delete", post(keys::delete_api_key))
}

fn of_usage() -> Router<Face> {
    Router::new()
        .route("/devportal/applications/{application}/usage", get(usage::show))
        .route("/devportal/applications/{application}/usage/csv/{report}", get(usage::values))
}

/// Somebody who may subscribe, if that is who looks; on the page of an API that is offered to others alone, nobody.
pub(crate) struct MaybeSubscriber(pub Option<Subscriber>);

impl FromRequestParts<Face> for MaybeSubscriber {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, ApiError> {
        let Ok(MaySubscribe(one)) = MaySubscribe::from_request_parts(parts, face).await else { return Ok(Self(None)) };
        let is_offered = match whose(parts, face).await? {
            Some(whose) => whose.is_offered_to(&one.principal.tenant),
            None => true,
        };
        Ok(Self(is_offered.then_some(one)))
    }
}

/// A visitor of an API's page: in the Store of the API's tenant, whatever tenant that is.
pub(crate) struct Guest(pub Visitor);

impl FromRequestParts<Face> for Guest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, ApiError> {
        let visitor = Visitor::from_request_parts(parts, face).await?;
        let tenant = whose(parts, face).await?.map(|whose| whose.tenant);
        Ok(Self(Visitor { tenant: tenant.unwrap_or(visitor.tenant), ..visitor }))
    }
}

/// Returns whose the API of the path is; `None` where there is none.
async fn whose(parts: &mut Parts, face: &Face) -> Result<Option<Whose>, ApiError> {
    let named = RawPathParams::from_request_parts(parts, face).await.ok();
    let named = named.as_ref().and_then(|named| named.iter().find(|(name, _)| *name == "api"));
    match named.and_then(|(_, text)| text.parse().ok()) {
        Some(api) => face.ask(AskWhose { api }).await,
        None => Ok(None),
    }
}

/// Returns an API that a visitor may see.
async fn find(face: &Face, visitor: &Visitor, api: &str) -> Result<ApiDto, ApiError> {
    Ok(face.ask(GetApi { visitor: visitor.clone(), api: id("API", api)? }).await?.body)
}

/// The pages of an API: the end of the path, and the name.
const TABS: [(&str, &str); 5] = [
    ("", "Overview"),
    ("/reference", "Reference"),
    ("/try", "Try it"),
    ("/documents", "Documents"),
    ("/comments", "Comments"),
];

/// Returns the frame of the page of an API that is at the end `tab` of its path.
fn frame(viewer: Viewer, api: &ApiDto, tab: &str) -> Frame {
    let at = |tab: &str| format!("/devportal/apis/{}{tab}", api.id);
    let tabs = TABS.iter().map(|(end, name)| Tab { path: at(end), name, is_current: *end == tab });
    Frame::new(viewer, Shell::Store, "/devportal", format!("{} {}", api.name, api.version))
        .below("/devportal", "APIs")
        .beside(tabs.collect())
}

/// Returns where an API is called, by TLS where that can be; nothing where no gateway serves it.
fn base_url(api: &ApiDto) -> Option<String> {
    let urls = &api.endpoint_urls.first()?.urls;
    [&urls.https, &urls.http, &urls.wss, &urls.ws].into_iter().flatten().next().cloned()
}

/// Returns what can be called.
fn operations_of(api: &ApiDto) -> Vec<Operation> {
    api.operations.iter().map(|one| Operation { verb: one.verb.clone(), target: one.target.clone() }).collect()
}

/// Returns how the key is shown to an API.
fn key_header(api: &ApiDto) -> KeyHeader {
    let has = |scheme: &str| api.security_scheme.contains(&scheme);
    // It stands in lines for the shell, where a name must not be able to run a command.
    let plain = |name: Option<&str>, otherwise: &str| {
        let is_plain = |name: &&str| name.chars().all(|one| one.is_ascii_alphanumeric() || one == '-');
        name.filter(is_plain).unwrap_or(otherwise).to_owned()
    };
    if has("oauth2") || !has("api_key") {
        return KeyHeader { name: plain(api.authorization_header.as_deref(), "Authorization"), scheme: "Bearer" };
    }
    KeyHeader { name: plain(api.api_key_header.as_str(), "ApiKey"), scheme: "" }
}
