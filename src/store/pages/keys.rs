//! What is done with the keys of an application. A secret is shown on the page that made it, and on no other.

use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_http::ApiError;
use portcullis_portal::{Fields, Viewer, render, say_and_go};
use serde_json::json;

use super::application::{Once, again, page};
use crate::dto::api_key::GenerateApiKeyBody;
use crate::dto::key::{GenerateKeysBody, GenerateTokenBody, KeyTypeWord};
use crate::messages::{
    DeleteApiKey, GenerateApiKey, GenerateKeys, GenerateToken, RegenerateSecret, RemoveKey, Subscriber,
};
use crate::rest::Face;
use crate::rest::keys::key_ref;
use crate::rest::query::id;
use crate::rest::visitor::{MayManageApiKeys, MayManageApplications};

/// Shows the page with what is shown once, or with what is wrong.
async fn shown(
    face: &Face,
    subscriber: Subscriber,
    viewer: Viewer,
    application: &str,
    outcome: Result<Once, ApiError>,
) -> Result<Response, ApiError> {
    match outcome {
        Ok(once) => {
            let mut page = page(face, subscriber, viewer, application).await?;
            page.once = Some(once);
            Ok(render(&page))
        }
        Err(error) => again(face, subscriber, viewer, application, error).await,
    }
}

pub(crate) async fn generate(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    viewer: Viewer,
    Path(application): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let is_sandbox = fields.text("type") == "SANDBOX";
    let body = GenerateKeysBody {
        key_type: if is_sandbox { KeyTypeWord::Sandbox } else { KeyTypeWord::Production },
        key_manager: None,
        grant_types_to_be_supported: fields.all("grant"),
        callback_url: fields.filled("callback").map(str::to_owned),
        scopes: None,
        validity_time: None,
        additional_properties: None,
    };
    let id = id("application", &application)?;
    let made = face.ask(GenerateKeys { subscriber: subscriber.clone(), application: id, body }).await;
    let outcome = made.map(|made| Once::Secret { key: made.body.consumer_key, secret: made.body.consumer_secret });
    shown(&face, subscriber, viewer, &application, outcome).await
}

pub(crate) async fn act(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    viewer: Viewer,
    Path((application, key, act)): Path<(String, String, String)>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let (id, key) = (id("application", &application)?, key_ref(&key)?);
    let by = subscriber.clone();
    let outcome = match act.as_str() {
        "secret" => {
            let made = face.ask(RegenerateSecret { subscriber: by, application: id, key }).await;
            made.map(|made| Once::Secret { key: made.body.consumer_key, secret: made.body.consumer_secret })
        }
        "token" => {
            let body = GenerateTokenBody::default();
            let made = face.ask(GenerateToken { subscriber: by, application: id, key, body }).await;
            made.map(|made| Once::Token { token: made.body.access_token, lives_s: made.body.validity_time })
        }
        "remove" => {
            face.ask(RemoveKey { subscriber: by, application: id, key }).await?;
            let path = format!("/devportal/applications/{application}");
            return Ok(say_and_go("The keys are removed, and their tokens with them.", &path));
        }
        _ => return Err(ApiError::no_such_path()),
    };
    shown(&face, subscriber, viewer, &application, outcome).await
}

pub(crate) async fn generate_api_key(
    State(face): State<Face>,
    MayManageApiKeys(subscriber): MayManageApiKeys,
    viewer: Viewer,
    Path(application): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let key_type = fields.text("type");
    let key_type = key_type.parse().map_err(|_| ApiError::bad_request("type: must be PRODUCTION or SANDBOX"))?;
    let name = fields.filled("name").map(|name| json!({"keyName": name}));
    let body = GenerateApiKeyBody { validity_period: None, additional_properties: name };
    let id = id("application", &application)?;
    let by = subscriber.clone();
    let made = face.ask(GenerateApiKey { subscriber: by, application: id, key_type, body }).await;
    shown(&face, subscriber, viewer, &application, made.map(|made| Once::ApiKey(made.body))).await
}

pub(crate) async fn delete_api_key(
    State(face): State<Face>,
    MayManageApiKeys(subscriber): MayManageApiKeys,
    Path((application, key)): Path<(String, String)>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let id_of_key = id("API key", &key)?;
    let application_id = id("application", &application)?;
    face.ask(DeleteApiKey { subscriber, application: application_id, key: id_of_key }).await?;
    Ok(say_and_go("The key is revoked everywhere.", &format!("/devportal/applications/{application}")))
}
