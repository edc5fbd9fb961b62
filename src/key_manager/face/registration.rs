//! Dynamic client registration: `/client-registration/v0.17/register`. Reading, changing and deleting follow RFC 7592
//! with the contract's bodies.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{Extensions, HeaderMap, Request, StatusCode};
use portcullis_actor::{Address, AskError, OfRequest};
use portcullis_http::auth::identify;
use portcullis_http::{ApiError, Signed, Stamped, body};
use portcullis_model::port::{Authentication, Identity};
use portcullis_model::{ClientId, TokenType};
use serde::Deserialize;
use serde_json::json;

use crate::actor::KeyManager;
use crate::bound::REGISTRATION_BYTES_MAX;
use crate::messages::{
    ChangeRegistration, DeleteRegistration, ReadRegistration, Register, Registered, Registration, RegistrationError,
};

/// The key manager, and who says who a caller is. Callers are signed in here and not by a layer, which would lie around
/// every unknown path at the root too.
#[derive(Clone)]
struct Desk {
    address: Address<KeyManager>,
    authentication: Arc<dyn Authentication>,
}

impl Desk {
    /// Returns who calls, if he may register clients at all.
    async fn admit(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Identity, ApiError> {
        let identity = identify(self.authentication.as_ref(), headers, extensions).await?;
        let missing = || ApiError::unauthorized("This needs a sign-in: send basic credentials or a bearer token.");
        let signed = Signed(identity.ok_or_else(missing)?);
        signed.require(SCOPE)?;
        Ok(signed.0)
    }
}

/// The scope of the contract.
const SCOPE: &[&str] = &["apim:dcr:app_manage"];

pub(super) fn routes(address: Address<KeyManager>, authentication: Arc<dyn Authentication>) -> Router {
    Router::new()
        .route("/client-registration/v0.17/register", post(register))
        .route("/client-registration/v0.17/register/{client_id}", get(read).put(change).delete(delete))
        .with_state(Desk { address, authentication })
}

/// The body of the contract.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dcr {
    #[serde(default, alias = "callBackURL")]
    callback_url: Option<String>,
    client_name: String,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    grant_type: Option<Words>,
    #[serde(default)]
    saas_app: Option<Flag>,
    #[serde(default)]
    token_type: Option<String>,
}

/// Words between spaces, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Text(String),
    List(Vec<String>),
}

/// A boolean, or its text: the contract says text, the original's own examples send a boolean.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Text(String),
}

impl TryFrom<Dcr> for Registration {
    type Error = ApiError;

    fn try_from(dcr: Dcr) -> Result<Self, ApiError> {
        let mut grants: Vec<String> = match dcr.grant_type {
            Some(Words::Text(text)) => text.split_whitespace().map(str::to_owned).collect(),
            Some(Words::List(list)) => list,
            None => vec!["client_credentials".to_owned()],
        };
        grants.dedup();
        let token_type = match dcr.token_type.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("" | "DEFAULT" | "JWT") => TokenType::Jwt,
            Some("OAUTH" | "OPAQUE") => TokenType::Opaque,
            Some(_) => return Err(ApiError::bad_request("tokenType: must be JWT, OAUTH or DEFAULT (which is JWT)")),
        };
        let is_saas = match dcr.saas_app {
            None => false,
            Some(Flag::Bool(flag)) => flag,
            Some(Flag::Text(text)) => text.eq_ignore_ascii_case("true"),
        };
        Ok(Self {
            name: dcr.client_name,
            owner: dcr.owner.filter(|owner| !owner.is_empty()),
            callback_url: dcr.callback_url.unwrap_or_default(),
            grants,
            token_type,
            is_saas,
        })
    }
}

async fn register(State(desk): State<Desk>, request: Request<Body>) -> Result<Response, ApiError> {
    let caller = desk.admit(request.headers(), request.extensions()).await?;
    let registration = read_body(request).await?;
    Ok(show(desk.address.ask(OfRequest::new(Register { caller, registration })).await.map_err(unanswered)??))
}

async fn read(State(desk): State<Desk>, Path(id): Path<String>, parts: Parts) -> Result<Response, ApiError> {
    let message =
        ReadRegistration { caller: desk.admit(&parts.headers, &parts.extensions).await?, client: ClientId(id) };
    Ok(show(desk.address.ask(message).await.map_err(unanswered)??))
}

async fn change(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let caller = desk.admit(request.headers(), request.extensions()).await?;
    let registration = read_body(request).await?;
    let message = ChangeRegistration { caller, client: ClientId(id), registration };
    Ok(show(desk.address.ask(OfRequest::new(message)).await.map_err(unanswered)??))
}

async fn delete(State(desk): State<Desk>, Path(id): Path<String>, parts: Parts) -> Result<Response, ApiError> {
    let message =
        DeleteRegistration { caller: desk.admit(&parts.headers, &parts.extensions).await?, client: ClientId(id) };
    let deleted = desk.address.ask(OfRequest::new(message)).await.map_err(unanswered)??;
    let (index, unreached) = (deleted.index.unwrap_or_default(), deleted.unreached);
    Ok(Stamped { body: StatusCode::NO_CONTENT, index, unreached }.into_response())
}

async fn read_body(request: Request<Body>) -> Result<Registration, ApiError> {
    let (parts, content) = request.into_parts();
    if !is_json(&parts.headers) {
        return Err(ApiError::unsupported_media_type("The body must be JSON: send Content-Type: application/json."));
    }
    let bytes = body::read(&parts.headers, content, REGISTRATION_BYTES_MAX).await?;
    body::parse::<Dcr>(&bytes)?.try_into()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn show(registered: Registered) -> Response {
    let Registered { id, secret, registration, index } = registered;
    let grants = registration.grants.join(" ");
    let details = json!({
        "grant_types": grants,
        "redirect_uris": registration.callback_url,
        "client_name": registration.name,
    });
    let body = json!({
        "clientId": id.0,
        "clientName": registration.name,
        "callbackUrl": registration.callback_url,
        // The name that the original really sends, beside the contract's.
        "callBackURL": registration.callback_url,
        "clientSecret": secret,
        "isSaasApplication": registration.is_saas,
        "appOwner": registration.owner,
        "jsonString": details.to_string(),
        "jsonAppAttribute": "{}",
        "applicationUUID": null,
        "tokenType": registration.token_type.as_contract(),
    });
    let body = ([(CACHE_CONTROL, "no-store")], Json(body));
    match index {
        Some(index) => Stamped { body, index, unreached: Vec::new() }.into_response(),
        None => body.into_response(),
    }
}

impl From<RegistrationError> for ApiError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::NotAllowed(_) => Self::forbidden(error.to_string()),
            RegistrationError::NotFound(client) => Self::not_found("OAuth client", client),
            RegistrationError::Invalid { .. } => Self::bad_request(error.to_string()),
            RegistrationError::Submit(cause) => Self::from_fault(&cause),
            RegistrationError::CannotOpen(_) => {
                tracing::error!(%error, "a client secret cannot be shown");
                Self::internal("The client's secret cannot be opened; the log says why.")
            }
        }
    }
}

fn unanswered(error: AskError) -> ApiError {
    ApiError::from_fault(&error)
}
