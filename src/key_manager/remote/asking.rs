//! Asks the key manager of another node: the ports as a node without a key manager has them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use portcullis_database::ClusterKey;
use portcullis_http::layers::REQUEST_ID;
use portcullis_model::limit::MANAGEMENT_DEADLINE;
use portcullis_model::port::{
    ApiKeyOrder, Authentication, AuthenticationRefusal, CallTerms, ClientCredentials, Credentials, Identity,
    IssueRefusal, IssuedApiKey, IssuedToken, KeyQuestion, KeyRefusal, KeyValidation, KeyVerdict, NoAnswer, NodeCalls,
    OauthFace, PortFuture, ShownCertificates, TokenIssuer,
};
use portcullis_model::{ClientId, Component, RequestId, Sealed, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{
    self, AUTHENTICATE, Authenticated, ISSUE, ISSUE_API_KEY, Issued, IssuedKey, OAUTH, Order, Question, SPEND, Shown,
    Spending, Spent, VALIDATE, Validated,
};
use crate::face::whole;
use crate::issuer::{draw_credentials, open_secret};
use crate::oauth_error::OauthError;

/// How long a verdict may take, failing over included. A gateway waits a little longer.
const VALIDATE_WITHIN: Duration = Duration::from_secs(4);
/// How long it may take to spend a token, in the whole cluster. A gateway waits a little longer.
const SPEND_WITHIN: Duration = Duration::from_secs(9);
/// How long it may take to say who is behind credentials: a password takes a while to check.
const AUTHENTICATE_WITHIN: Duration = Duration::from_secs(10);

/// The key manager's ports on a node without a key manager: each asks one of the nodes that have one.
pub struct RemoteKeyManager {
    nodes: Arc<dyn NodeCalls>,
    /// What seals clients' secrets is the cluster's, and on every node.
    key: ClusterKey,
}

impl RemoteKeyManager {
    /// Makes the ports.
    #[must_use]
    pub fn new(nodes: Arc<dyn NodeCalls>, key: ClusterKey) -> Self {
        Self { nodes, key }
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
        terms: CallTerms,
    ) -> Result<A, NotAnswered> {
        let body = serde_json::to_vec(question)?;
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = format!("{}{path}", super::PATH).parse()?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request_id = RequestId::current().and_then(|id| HeaderValue::from_str(id.as_str()).ok());
        if let Some(request_id) = request_id {
            request.headers_mut().insert(REQUEST_ID, request_id);
        }
        let answer = self.nodes.call(Component::KeyManager, request, terms).await?;
        if answer.status() != StatusCode::OK {
            return Err(NotAnswered::Status(answer.status()));
        }
        Ok(serde_json::from_slice(answer.body())?)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum NotAnswered {
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("the key manager answered {0}")]
    Status(StatusCode),
    #[error("what the key manager says is not understood: {0}")]
    NotUnderstood(#[from] serde_json::Error),
    #[error("the question cannot be asked: {0}")]
    NotAsked(#[from] http::uri::InvalidUri),
}

impl KeyValidation for RemoteKeyManager {
    fn validate<'a>(&'a self, question: KeyQuestion<'a>) -> PortFuture<'a, Result<KeyVerdict, KeyRefusal>> {
        Box::pin(async move {
            let terms = CallTerms { within: VALIDATE_WITHIN, is_repeatable: true };
            let asked = Question::from(question);
            match self.ask::<Validated>(VALIDATE, &asked, terms).await {
                Ok(validated) => validated.into(),
                Err(cause) => {
                    tracing::warn!(%cause, "a key could not be validated");
                    Err(KeyRefusal::Unavailable)
                }
            }
        })
    }

    fn spend<'a>(&'a self, token: &'a str, until: Timestamp) -> PortFuture<'a, Result<(), KeyRefusal>> {
        Box::pin(async move {
            // Spent twice for one call, it would be refused though nobody had used it.
            let terms = CallTerms { within: SPEND_WITHIN, is_repeatable: false };
            match self.ask::<Spent>(SPEND, &Spending { token: token.to_owned(), until }, terms).await {
                Ok(spent) => spent.into(),
                Err(cause) => {
                    tracing::warn!(%cause, "a token could not be spent");
                    Err(KeyRefusal::Unavailable)
                }
            }
        })
    }
}

impl Authentication for RemoteKeyManager {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
        self.authenticate_from(credentials, None)
    }

    fn authenticate_from<'a>(
        &'a self,
        credentials: Credentials<'a>,
        origin: Option<IpAddr>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
        Box::pin(async move {
            let shown = match credentials {
                Credentials::Basic { username, password } => {
                    Shown::Basic { username: username.to_owned(), password: password.to_owned(), origin }
                }
                Credentials::Bearer(token) => Shown::Bearer(token.to_owned()),
                Credentials::SignIn(cookie) => Shown::SignIn(cookie.to_owned()),
            };
            let terms = CallTerms { within: AUTHENTICATE_WITHIN, is_repeatable: true };
            match self.ask::<Authenticated>(AUTHENTICATE, &shown, terms).await {
                Ok(authenticated) => authenticated,
                Err(cause) => {
                    tracing::warn!(%cause, "credentials could not be checked");
                    Err(AuthenticationRefusal::Unavailable)
                }
            }
        })
    }
}

impl TokenIssuer for RemoteKeyManager {
    fn issue<'a>(
        &'a self,
        client: &'a ClientId,
        scopes: Vec<String>,
        validity_s: Option<u64>,
    ) -> PortFuture<'a, Result<IssuedToken, IssueRefusal>> {
        Box::pin(async move {
            let order = Order { client: client.clone(), scopes, validity_s };
            // Asked again, a second token would be issued that nobody ever sees.
            let terms = CallTerms { within: MANAGEMENT_DEADLINE, is_repeatable: false };
            match self.ask::<Issued>(ISSUE, &order, terms).await {
                Ok(issued) => issued,
                Err(cause) => Err(IssueRefusal::Unavailable(cause.to_string())),
            }
        })
    }

    fn new_client_credentials(&self) -> ClientCredentials {
        draw_credentials(&self.key)
    }

    fn seal_secret(&self, secret: &str) -> Sealed {
        self.key.seal(secret.as_bytes())
    }

    fn open_secret(&self, sealed: &Sealed) -> Result<String, IssueRefusal> {
        open_secret(&self.key, sealed)
    }

    fn issue_api_key(&self, order: ApiKeyOrder) -> PortFuture<'_, Result<IssuedApiKey, IssueRefusal>> {
        Box::pin(async move {
            // Asked again, a second key would be issued that nobody ever sees.
            let terms = CallTerms { within: MANAGEMENT_DEADLINE, is_repeatable: false };
            match self.ask::<IssuedKey>(ISSUE_API_KEY, &order, terms).await {
                Ok(issued) => issued,
                Err(cause) => Err(IssueRefusal::Unavailable(cause.to_string())),
            }
        })
    }
}

impl OauthFace for RemoteKeyManager {
    fn call(&self, request: Request<Bytes>) -> PortFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let Some(request) = forwarded(request) else {
                let refused = OauthError::invalid_request("The query is not valid.");
                return whole(refused.into_response()).await;
            };
            // A refresh token that is shown twice counts as stolen, so nothing is repeated whose answer was lost.
            let terms = CallTerms { within: MANAGEMENT_DEADLINE, is_repeatable: false };
            match self.nodes.call(Component::KeyManager, request, terms).await {
                Ok(answer) => answer,
                Err(cause) => {
                    tracing::warn!(%cause, "a call to the key manager's endpoints got no answer");
                    let refused = OauthError::unavailable("No key manager answers; try again in a second.");
                    whole(refused.into_response()).await
                }
            }
        })
    }
}

/// Returns the request as it goes to another node; `None` where its target cannot be written.
fn forwarded(request: Request<Bytes>) -> Option<Request<Bytes>> {
    let (mut parts, body) = request.into_parts();
    let client = parts.extensions.get::<SocketAddr>().copied();
    let shown = parts.extensions.get::<ShownCertificates>().cloned();
    let target = parts.uri.path_and_query().map_or("/", |whole| whole.as_str());
    parts.uri = format!("{}{OAUTH}{target}", super::PATH).parse().ok()?;
    drop_of_connection(&mut parts.headers);
    wire::note_client(&mut parts.headers, client);
    wire::note_certificates(&mut parts.headers, shown.as_ref());
    let mut forwarded = Request::new(body);
    *forwarded.method_mut() = parts.method;
    *forwarded.uri_mut() = parts.uri;
    *forwarded.headers_mut() = parts.headers;
    Some(forwarded)
}

/// Drops the headers that are about the client's connection.
fn drop_of_connection(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in named {
        headers.remove(name.as_str());
    }
    for name in [CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE, CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}
