//! A small world to test in: one API, one application with a subscription and keys, an administrator, and as many nodes
//! as a test asks for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Request, StatusCode};
use portcullis_database::access::KeyManager as Access;
use portcullis_database::command;
use portcullis_database::handle::{View, wall_clock};
use portcullis_database::{Applied, ClusterKey, Command, Entry, Handle, ProposeError, Proposer, State, StateCell};
use portcullis_model::oauth::{KeyMapping, OauthClient};
use portcullis_model::port::{KeyQuestion, KeyRefusal, KeyVerdict, ShownKey};
use portcullis_model::{
    ApiId, ApplicationId, ClientId, KeyMappingId, KeyType, NodeId, Subscription, SubscriptionId, SubscriptionState,
    TenantDomain, Timestamp, TokenType, Username,
};
use serde_json::Value;
use tower::ServiceExt as _;

use super::fixture::{api, application, bootstrap};
use crate::{KeyManagerFaces, Settings, start};

pub(crate) const SECRET: &str = "secret-of-the-client";
pub(crate) const PASSWORD: &str = "correct horse";

/// Applies at once on the leader's cell; a node's own cell may lag until it asks.
struct Direct {
    leader: Arc<StateCell>,
    own: Arc<StateCell>,
    one_at_a_time: Arc<Mutex<()>>,
    asked: AtomicU64,
    is_cut_off: AtomicBool,
}

type Boxed<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Proposer for Direct {
    fn propose(&self, entry: Entry, _: Duration) -> Boxed<'_, Result<Applied, ProposeError>> {
        if self.is_cut_off.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(ProposeError::NoLeader)));
        }
        let _guard = self.one_at_a_time.lock().unwrap();
        let mut state = State::clone(&self.leader.load());
        let index = state.applied_index + 1;
        let outcome = command::apply(&mut state, index, &entry).unwrap();
        self.leader.publish(state.clone());
        self.own.publish(state);
        Box::pin(std::future::ready(Ok(Applied { outcome })))
    }

    fn fence(&self, _: u64, _: Duration) -> Boxed<'_, Vec<NodeId>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn linearize(&self, _: Duration) -> Boxed<'_, Result<(), ProposeError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_cut_off.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(ProposeError::NoLeader)));
        }
        self.own.publish(State::clone(&self.leader.load()));
        Box::pin(std::future::ready(Ok(())))
    }
}

pub(crate) struct World {
    pub cell: Arc<StateCell>,
    one_at_a_time: Arc<Mutex<()>>,
    pub api: ApiId,
    pub application: ApplicationId,
    pub subscription: SubscriptionId,
    pub client: ClientId,
}

pub(crate) struct Node {
    pub faces: KeyManagerFaces,
    pub handle: Handle<Access>,
    direct: Arc<Direct>,
    api: ApiId,
    client: ClientId,
}

pub(crate) fn cluster_key() -> ClusterKey {
    ClusterKey::new([7; 32])
}

impl World {
    /// Makes a world whose application gets tokens of this form.
    pub fn new(token_type: TokenType) -> Self {
        let world = Self {
            cell: StateCell::new(),
            one_at_a_time: Arc::default(),
            api: ApiId::from_random([1; 16]),
            application: ApplicationId::from_random([2; 16]),
            subscription: SubscriptionId::from_random([3; 16]),
            client: ClientId("client-of-the-application".to_owned()),
        };
        world.change(|state| {
            bootstrap(state);
            state.apimgt.apis.insert(world.api, Arc::new(api(world.api)));
            state.apimgt.applications.insert(world.application, Arc::new(application(world.application, token_type)));
            state
                .apimgt
                .subscriptions
                .insert(world.subscription, Arc::new(world.subscription_in(SubscriptionState::Unblocked)));
            state.apimgt.subscriptions_by_application.insert((world.application, world.api), world.subscription);
            state.apimgt.clients.insert(world.client.clone(), Arc::new(world.client_record()));
        });
        world
    }

    /// Changes the state behind everybody's back.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = State::clone(&self.cell.load());
        change(&mut state);
        state.applied_index += 1;
        self.cell.publish(state);
    }

    /// Moves the clock of the state forward, past the wall clock.
    pub fn wait(&self, duration: Duration) {
        self.change(|state| {
            let now = state.now().max(wall_clock()).after(duration);
            state.system.clock.insert((), now);
        });
    }

    pub fn set_subscription(&self, to: SubscriptionState) {
        self.change(|state| {
            state.apimgt.subscriptions.insert(self.subscription, Arc::new(self.subscription_in(to)));
        });
    }

    /// Starts a node that has applied everything.
    pub fn node(&self) -> Node {
        self.node_on(&self.cell)
    }

    /// Starts a node that hears of nothing until it asks.
    pub fn lagging_node(&self) -> Node {
        let own = StateCell::new();
        own.publish(State::clone(&self.cell.load()));
        self.node_on(&own)
    }

    /// Starts a node that is set up otherwise.
    pub fn node_with(&self, set: impl FnOnce(&mut Settings)) -> Node {
        let mut settings = Settings::default();
        set(&mut settings);
        self.node_set_up(&self.cell, settings)
    }

    fn node_on(&self, own: &Arc<StateCell>) -> Node {
        self.node_set_up(own, Settings::default())
    }

    fn node_set_up(&self, own: &Arc<StateCell>, settings: Settings) -> Node {
        let direct = Arc::new(Direct {
            leader: Arc::clone(&self.cell),
            own: Arc::clone(own),
            one_at_a_time: Arc::clone(&self.one_at_a_time),
            asked: AtomicU64::new(0),
            is_cut_off: AtomicBool::new(false),
        });
        let proposer: Arc<dyn Proposer> = Arc::<Direct>::clone(&direct);
        let handle = Handle::new(Arc::clone(own), proposer);
        let faces = start(handle.clone(), cluster_key(), settings);
        Node { faces, handle, direct, api: self.api, client: self.client.clone() }
    }

    fn subscription_in(&self, state: SubscriptionState) -> Subscription {
        Subscription {
            id: self.subscription,
            tenant: TenantDomain::super_tenant(),
            application: self.application,
            api: self.api,
            plan: "Gold".to_owned(),
            state,
            subscriber: Username("admin".to_owned()),
            created_at: Timestamp(0),
        }
    }

    fn client_record(&self) -> OauthClient {
        OauthClient {
            id: self.client.clone(),
            secret: cluster_key().seal(SECRET.as_bytes()),
            tenant: TenantDomain::super_tenant(),
            owner: Username("admin".to_owned()),
            name: "pizza-app_PRODUCTION".to_owned(),
            mapping: Some(KeyMapping {
                id: KeyMappingId::from_random([4; 16]),
                application: self.application,
                key_type: KeyType::Production,
            }),
            grants: ["client_credentials", "password", "refresh_token"].map(str::to_owned).to_vec(),
            callback_url: String::new(),
            token_type: TokenType::Jwt,
            token_validity_s: None,
            other_fields: "{}".to_owned(),
            created_at: Timestamp(0),
        }
    }
}

impl Node {
    pub fn view(&self) -> View<Access> {
        self.handle.view()
    }

    /// How often the node asked the cluster to bring it up to date.
    pub fn times_asked(&self) -> u64 {
        self.direct.asked.load(Ordering::Relaxed)
    }

    /// Takes the node's connection to the others away.
    pub fn cut_off(&self) {
        self.direct.is_cut_off.store(true, Ordering::Relaxed);
    }

    pub async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.faces.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (parts.status, parts.headers, value)
    }

    /// Posts a form as the application's client.
    pub async fn post(&self, path: &str, form: &str) -> (StatusCode, HeaderMap, Value) {
        self.post_as(&self.client.0, SECRET, path, form).await
    }

    pub async fn post_as(&self, id: &str, secret: &str, path: &str, form: &str) -> (StatusCode, HeaderMap, Value) {
        let request = Request::post(path)
            .header("authorization", basic(id, secret))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()))
            .unwrap();
        self.send(request).await
    }

    /// Sends JSON as a user.
    pub async fn json_as(&self, user: &str, method: &str, path: &str, body: &Value) -> (StatusCode, HeaderMap, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", basic(user, PASSWORD))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    /// Gets an application's own token, or a user's with a refresh token.
    pub async fn token(&self, form: &str) -> (String, Option<String>) {
        let (status, _, body) = self.post("/oauth2/token", form).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let refresh = body["refresh_token"].as_str().map(str::to_owned);
        (body["access_token"].as_str().unwrap().to_owned(), refresh)
    }

    pub async fn validate(&self, token: &str) -> Result<KeyVerdict, KeyRefusal> {
        self.validate_key(ShownKey::Token(token)).await
    }

    pub async fn validate_key(&self, shown: ShownKey<'_>) -> Result<KeyVerdict, KeyRefusal> {
        self.faces.keys.validate(KeyQuestion { shown, api: self.api, wants_assertion: false, origin: None }).await
    }
}

pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// The form by which a user signs in.
pub(crate) fn sign_in_form(scope: &str) -> String {
    let password = PASSWORD.replace(' ', "+");
    format!("grant_type=password&username=admin&password={password}&scope={scope}")
}

/// A command submitted as the key manager would.
pub(crate) async fn submit<X>(node: &Node, command: X) -> X::Reply
where
    X: Command + portcullis_database::SubmittedBy<Access>,
{
    node.handle.submit(command, &portcullis_database::Caller::system()).await.unwrap().reply
}
