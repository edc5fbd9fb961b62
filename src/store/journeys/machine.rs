//! A Store over a state machine in memory: entries are applied at once, tokens are made of names.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use portcullis_database::{
    Applied, Caller, Entry, Handle, ProposeError, Proposer, State, StateCell, SubmitError, access, command,
};
use portcullis_http::{ApiError, idempotency};
use portcullis_model::key_manager::{KeyManager, RegisteredClient};
use portcullis_model::port::{
    ApiKeyOrder, ClientCredentials, ForeignClientOrder, ForeignClients, Identity, IssueRefusal, IssuedApiKey,
    IssuedToken, PortFuture, TokenIssuer,
};
use portcullis_model::{
    Api, ApiKey, ApiKeyId, ApplicationId, ClientId, NodeId, PolicyLevel, Principal, Role, Sealed, TenantDomain,
    Timestamp, TokenDigest, Username,
};
use portcullis_portal::statistics::{About, Range, StatisticsSource, StatisticsView, Values};
use serde_json::Value;
use tower::ServiceExt;

use super::nouns::{api, deployed, gateway, policy};
use crate::Settings;

/// Nothing was called.
struct NoCalls;

impl StatisticsSource for NoCalls {
    fn view(&self, _visitor: &Identity, _about: &About, _range: Range) -> Option<StatisticsView> {
        None
    }

    fn has_called(&self, _applications: &[ApplicationId]) -> bool {
        false
    }

    fn csv(&self, _visitor: &Identity, _about: &About, _values: &Values) -> Result<Option<String>, ApiError> {
        Ok(None)
    }
}

/// Applies entries at once, to one node's state.
struct AtOnce {
    cell: Arc<StateCell>,
    lock: Mutex<()>,
    has_majority: Arc<AtomicBool>,
}

impl Proposer for AtOnce {
    fn propose(&self, entry: Entry, _within: Duration) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        if !self.has_majority.load(Ordering::Relaxed) {
            return Box::pin(async { Err(ProposeError::NoLeader) });
        }
        let _one_at_a_time = self.lock.lock().unwrap();
        let mut state = State::clone(&self.cell.load());
        let index = state.applied_index + 1;
        let outcome = command::apply(&mut state, index, &entry).unwrap();
        self.cell.publish(state);
        Box::pin(async { Ok(Applied { outcome }) })
    }

    fn fence(&self, _index: u64, _within: Duration) -> BoxFuture<'_, Vec<NodeId>> {
        Box::pin(async { vec![NodeId(3)] })
    }

    fn linearize(&self, _within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        let has_majority = self.has_majority.load(Ordering::Relaxed);
        Box::pin(async move { if has_majority { Ok(()) } else { Err(ProposeError::NoLeader) } })
    }
}

/// Issues tokens that name their client and scopes; a sealed secret is the secret backwards.
struct Names {
    cell: Arc<StateCell>,
    handle: Handle<access::KeyManager>,
    drawn: AtomicU64,
}

/// No other key manager can be asked.
struct Nowhere;

impl ForeignClients for Nowhere {
    fn register<'a>(
        &'a self,
        at: &'a KeyManager,
        _order: ForeignClientOrder,
    ) -> PortFuture<'a, Result<(ClientId, RegisteredClient), IssueRefusal>> {
        Box::pin(async move { Err(IssueRefusal::Unavailable(format!("{} cannot be asked", at.name))) })
    }

    fn forget<'a>(&'a self, _client: &'a RegisteredClient) -> PortFuture<'a, Result<(), IssueRefusal>> {
        Box::pin(async { Ok(()) })
    }

    fn issue<'a>(
        &'a self,
        at: &'a KeyManager,
        _client: &'a ClientId,
        _registered: &'a RegisteredClient,
        _scopes: Vec<String>,
    ) -> PortFuture<'a, Result<IssuedToken, IssueRefusal>> {
        Box::pin(async move { Err(IssueRefusal::Unavailable(format!("{} cannot be asked", at.name))) })
    }
}

impl TokenIssuer for Names {
    fn issue<'a>(
        &'a self,
        client: &'a ClientId,
        scopes: Vec<String>,
        validity_s: Option<u64>,
    ) -> PortFuture<'a, Result<IssuedToken, IssueRefusal>> {
        let is_there = self.cell.load().apimgt.clients.contains_key(client);
        let token = IssuedToken {
            access_token: format!("token-of-{client}-{}", scopes.join("+")),
            scopes,
            expires_in_s: validity_s.unwrap_or(3600),
        };
        Box::pin(async move { if is_there { Ok(token) } else { Err(IssueRefusal::NoSuchClient(client.clone())) } })
    }

    fn new_client_credentials(&self) -> ClientCredentials {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let secret = format!("secret{number}");
        let sealed = Sealed(secret.bytes().rev().collect());
        ClientCredentials { id: ClientId(format!("client{number}")), secret, sealed }
    }

    fn seal_secret(&self, secret: &str) -> Sealed {
        Sealed(secret.bytes().rev().collect())
    }

    fn open_secret(&self, sealed: &Sealed) -> Result<String, IssueRefusal> {
        String::from_utf8(sealed.0.iter().rev().copied().collect()).map_err(|_| IssueRefusal::CannotOpen)
    }

    fn issue_api_key(&self, order: ApiKeyOrder) -> PortFuture<'_, Result<IssuedApiKey, IssueRefusal>> {
        Box::pin(async move {
            let number = self.drawn.fetch_add(1, Ordering::Relaxed);
            let key = format!("key{number}");
            let id = ApiKeyId(uuid::Uuid::from_u128(u128::from(number) + 1));
            let record = ApiKey {
                digest: TokenDigest::of(&key),
                id,
                name: order.name,
                tenant: order.principal.tenant.clone(),
                application: order.application,
                key_type: order.key_type,
                form: order.form,
                restriction: order.restriction,
                issued_by: order.principal.username.clone(),
                issued_at: Timestamp(number),
                // From 2100 on, so that it is not over.
                expires_at: order.validity_s.map(|seconds| Timestamp(4_102_444_800_000 + seconds * 1000)),
            };
            let create = command::CreateApiKey { key: record, owned_by: Some(order.principal.clone()) };
            match self.handle.submit(create, &Caller::new(order.principal)).await {
                Ok(committed) => Ok(IssuedApiKey { key, id, index: committed.index }),
                Err(SubmitError::Refused(refused)) => Err(refused.into()),
                Err(error) => Err(IssueRefusal::Unavailable(error.to_string())),
            }
        })
    }
}

/// A Store to send requests to.
pub(super) struct Machine {
    pub cell: Arc<StateCell>,
    /// Whether the cluster can decide.
    pub has_majority: Arc<AtomicBool>,
    router: axum::Router,
}

/// A reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    /// Returns a text of the body.
    pub fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }

    /// Checks the status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }
}

impl Machine {
    /// Starts a Store with the default policies and two published APIs.
    pub fn start() -> Self {
        let mut state = State::default();
        state.user.tenants.insert(TenantDomain::super_tenant(), Timestamp(0));
        let plans = [("Gold", 5000), ("Silver", 2000), ("Bronze", 1000), ("Unauthenticated", 500)];
        let plans = plans.map(|(name, count)| policy(PolicyLevel::Subscription, name, count));
        let limits = [("50PerMin", 50), ("Unlimited", 2_147_483_647)];
        let limits = limits.map(|(name, count)| policy(PolicyLevel::Application, name, count));
        for policy in plans.into_iter().chain(limits) {
            let key = (policy.tenant.clone(), policy.level, policy.name.clone());
            state.apimgt.policies.insert(key, Arc::new(policy));
        }
        let cell = StateCell::new();
        cell.publish(state);
        let has_majority = Arc::new(AtomicBool::new(true));
        let proposer =
            Arc::new(AtOnce { cell: Arc::clone(&cell), lock: Mutex::new(()), has_majority: Arc::clone(&has_majority) });
        let handle = Handle::new(Arc::clone(&cell), Arc::<AtOnce>::clone(&proposer) as Arc<dyn Proposer>);
        let issuer = Arc::new(Names { cell: Arc::clone(&cell), handle, drawn: AtomicU64::new(0) });
        let settings = Settings::new(gateway(), "https://localhost:9443".to_owned());
        let passwords = crate::Passwords {
            authentication: Arc::new(Nobody),
            hash: |password| format!("hash of {password}"),
            policy: portcullis_model::PasswordPolicy::default(),
        };
        let handle = Handle::new(Arc::clone(&cell), proposer);
        let (foreign, statistics) = (Arc::new(Nowhere), Arc::new(NoCalls));
        let faces = crate::start(handle, issuer, foreign, passwords, move || settings.clone(), statistics, None);
        let router = faces.devportal_v3.nest("/own", faces.portcullis_v1);
        let recognise = async |request: extract::Request, next: Next| match idempotency::recognised(request).await {
            Ok(request) => next.run(request).await,
            Err(error) => error.into_response(),
        };
        let machine = Self { cell, has_majority, router: router.layer(from_fn(recognise)) };
        machine.put_api(api(1, "PizzaShack"));
        machine.put_api(Api { tags: vec!["weather".to_owned()], context: "/weather".to_owned(), ..api(2, "Weather") });
        machine
    }

    /// Puts an API into the state, deployed.
    pub fn put_api(&self, api: Api) {
        self.change(|state| {
            let definition = r#"{"openapi": "3.0.1", "paths": {}}"#;
            state.reg.definitions.insert(api.id, definition.into());
            state.apimgt.revisions.insert((api.id, 1), Arc::new(deployed(&api)));
            state.apimgt.apis.insert(api.id, Arc::new(api));
        });
    }

    /// Changes the state past all commands.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = State::clone(&self.cell.load());
        change(&mut state);
        self.cell.publish(state);
    }

    /// Sends a request as `user` (nobody where it is empty), with headers.
    pub async fn send(&self, user: &str, line: &str, body: &str, headers: &[(&str, &str)]) -> Reply {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        if !user.is_empty() {
            request.extensions_mut().insert(identity(user));
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, content) = response.into_parts();
        let bytes = content.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request as `sam`.
    pub async fn sam(&self, line: &str, body: &str) -> Reply {
        self.send("sam", line, body, &[]).await
    }

    /// Registers an application of `sam` and returns its id.
    pub async fn application(&self, name: &str) -> String {
        let body = format!(r#"{{"name": "{name}", "throttlingPolicy": "Unlimited"}}"#);
        self.sam("POST /applications", &body).await.expect(201).text("applicationId")
    }
}

fn identity(user: &str) -> Identity {
    let scopes: &[&str] =
        if user == "viewer" { &["openid"] } else { &["apim:subscribe", "apim:app_manage", "apim:sub_manage"] };
    Identity {
        principal: Principal { tenant: TenantDomain::super_tenant(), username: Username(user.to_owned()) },
        roles: [Role("Internal/subscriber".to_owned())].into(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        origin: None,
        is_token: false,
    }
}

/// Lets nobody in.
struct Nobody;

impl portcullis_model::port::Authentication for Nobody {
    fn authenticate<'a>(
        &'a self,
        _: portcullis_model::port::Credentials<'a>,
    ) -> portcullis_model::port::PortFuture<'a, Result<Identity, portcullis_model::port::AuthenticationRefusal>> {
        Box::pin(std::future::ready(Err(portcullis_model::port::AuthenticationRefusal::Invalid)))
    }
}
