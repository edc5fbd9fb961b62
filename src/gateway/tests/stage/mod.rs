//! What the tests of the gateway stand on: a gateway on free ports, a backend, and ports whose answers a test decides.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_database::State;
use portcullis_database::state::Generation;
use portcullis_gateway::{Gateway, Settings};
use portcullis_model::api::{EndpointStrategy, MaxTps, Security};
use portcullis_model::counter::{CounterKey, CounterLevel};
use portcullis_model::id::{ApiId, ApplicationId, ClientId, RevisionId};
use portcullis_model::port::{
    Allowance, KeyQuestion, KeyRefusal, KeyValidation, KeyVerdict, OauthFace, PortFuture, Quotas, ShownKey, Standing,
    Taken,
};
use portcullis_model::{
    ApiKind, DeployedApi, Endpoint, EndpointConfig, KeyType, Lifecycle, Mediation, Operation, OperationAuth, PolicyId,
    PolicyLevel, PolicyRules, Quota, QuotaPolicy, QuotaUnit, TenantDomain, TimeUnit, Timestamp, Username, Window,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The longest a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Who is told that a worker is held up, and who lets it go on.
type Doors = (mpsc::Sender<()>, mpsc::Receiver<()>);

/// Answers from a map, and counts how often it was asked.
#[derive(Default)]
pub struct Keys {
    pub verdicts: Mutex<HashMap<String, Result<KeyVerdict, KeyRefusal>>>,
    pub asked: AtomicU64,
    /// Tokens that were spent, in order.
    pub spent: Mutex<Vec<String>>,
    /// Tokens whose question holds the worker up: who is told, and who lets it go on.
    gates: Mutex<HashMap<String, Doors>>,
}

/// A worker that is to be held up.
pub struct Gate {
    reached: mpsc::Receiver<()>,
    /// Lets it go on; so does dropping this.
    pub open: mpsc::Sender<()>,
}

impl Gate {
    /// Waits until the worker stands still.
    pub fn wait(&self) {
        self.reached.recv_timeout(PATIENCE).expect("the worker was not held up");
    }
}

impl Keys {
    /// Has the worker that asks for a token stand still, with all that it carries.
    pub fn gate(&self, token: &str) -> Gate {
        let ((reaches, reached), (open, opened)) = (mpsc::channel(), mpsc::channel());
        self.gates.lock().unwrap().insert(token.to_owned(), (reaches, opened));
        Gate { reached, open }
    }

    pub fn set(&self, token: &str, verdict: Result<KeyVerdict, KeyRefusal>) {
        self.verdicts.lock().unwrap().insert(token.to_owned(), verdict);
    }
}

impl KeyValidation for Keys {
    fn validate<'a>(&'a self, question: KeyQuestion<'a>) -> PortFuture<'a, Result<KeyVerdict, KeyRefusal>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let key = match question.shown {
            ShownKey::Token(token) => token.to_owned(),
            ShownKey::ApiKey(key) => format!("api key {key}"),
            ShownKey::Password { username, password } => format!("password {username}:{password}"),
        };
        let gate = self.gates.lock().unwrap().remove(&key);
        if let Some((reaches, opened)) = gate {
            let _ = reaches.send(());
            let _ = opened.recv();
        }
        let verdict = self.verdicts.lock().unwrap().get(&key).cloned();
        Box::pin(async move { verdict.unwrap_or(Err(KeyRefusal::Invalid)) })
    }

    /// Nobody can say of a token called `unsure`.
    fn spend<'a>(&'a self, token: &'a str, _until: Timestamp) -> PortFuture<'a, Result<(), KeyRefusal>> {
        let mut spent = self.spent.lock().unwrap();
        let told = match token {
            "unsure" => Err(KeyRefusal::Unavailable),
            _ if spent.iter().any(|one| one == token) => Err(KeyRefusal::Invalid),
            _ => {
                spent.push(token.to_owned());
                Ok(())
            }
        };
        Box::pin(async move { told })
    }
}

/// A verdict that lets everything pass.
pub fn verdict() -> KeyVerdict {
    KeyVerdict {
        client: ClientId("client".to_owned()),
        application: ApplicationId::from_random([1; 16]),
        application_name: "app".to_owned(),
        application_owner: Username("ann".to_owned()),
        tenant: TenantDomain::super_tenant(),
        application_policy: "Unlimited".to_owned(),
        key_type: KeyType::Production,
        plan: "Unlimited".to_owned(),
        end_user: Username("ann".to_owned()),
        is_user_token: false,
        scopes: Vec::new(),
        expires_at: Timestamp(u64::MAX),
        binding: None,
        restriction: None,
        assertion: None,
        claims: Vec::new(),
        good_until: None,
    }
}

/// Budgets by policy name; what has no budget is not limited.
#[derive(Default)]
pub struct Budgets(pub Mutex<HashMap<String, Arc<Budget>>>);

/// A budget of calls that the test fills.
pub struct Budget {
    pub left: Mutex<u64>,
    pub is_dry: bool,
    pub changed: tokio::sync::Notify,
    pub level: CounterLevel,
}

/// When budgets end: 2100-01-01T00:00:00Z.
pub const END: Timestamp = Timestamp(4_102_444_800_000);

impl Budgets {
    pub fn set(&self, policy: &str, level: CounterLevel, left: u64, is_dry: bool) -> Arc<Budget> {
        let changed = tokio::sync::Notify::new();
        let budget = Arc::new(Budget { left: Mutex::new(left), is_dry, changed, level });
        self.0.lock().unwrap().insert(policy.to_owned(), Arc::clone(&budget));
        budget
    }
}

impl Budget {
    pub fn left(&self) -> u64 {
        *self.left.lock().unwrap()
    }
}

impl Quotas for Budgets {
    fn allowance(&self, key: &CounterKey) -> Option<Arc<dyn Allowance>> {
        let budgets = self.0.lock().unwrap();
        // By the whole key where a test says so, else by the policy.
        let budget = budgets.get(&key.to_string()).or_else(|| budgets.get(&key.policy)).cloned();
        budget.filter(|budget| budget.level == key.level()).map(|budget| budget as Arc<dyn Allowance>)
    }
}

impl Allowance for Budget {
    fn try_take(&self, cost: u64, _now: Timestamp) -> Taken {
        let mut left = self.left.lock().unwrap();
        if *left >= cost {
            *left -= cost;
            Taken::Yes { window: 7 }
        } else if self.is_dry {
            Taken::Dry
        } else {
            Taken::Exhausted { until: END }
        }
    }

    fn take_beyond(&self, _cost: u64, _now: Timestamp) -> Option<Taken> {
        None
    }

    fn give_back(&self, cost: u64, window: u64) {
        assert_eq!(window, 7);
        *self.left.lock().unwrap() += cost;
    }

    fn debit(&self, cost: u64, _now: Timestamp) {
        let mut left = self.left.lock().unwrap();
        *left = left.saturating_sub(cost);
    }

    fn unit(&self) -> QuotaUnit {
        // As an allowance says that no call has asked yet; what counts is what the policy says.
        QuotaUnit::Requests
    }

    fn changed(&self) -> PortFuture<'_, ()> {
        Box::pin(self.changed.notified())
    }

    fn standing(&self, _now: Timestamp) -> Standing {
        Standing { limit: 10, window_s: 60, remaining: *self.left.lock().unwrap(), resets_at: END }
    }
}

/// Tells what it was asked.
pub struct Echo;

impl OauthFace for Echo {
    fn call(&self, request: Request<Bytes>) -> PortFuture<'_, Response<Bytes>> {
        let text = format!("{} {} {}", request.method(), request.uri(), String::from_utf8_lossy(request.body()));
        Box::pin(async move { Response::new(Bytes::from(text)) })
    }
}

/// A gateway with what it asks.
pub struct Stage {
    pub gateway: Gateway,
    pub keys: Arc<Keys>,
    pub budgets: Arc<Budgets>,
    state: Mutex<Arc<State>>,
}

impl Stage {
    pub fn new(settings: Settings) -> Self {
        let (keys, budgets) = (Arc::new(Keys::default()), Arc::new(Budgets::default()));
        let gateway = portcullis_gateway::start(
            settings,
            Arc::<Keys>::clone(&keys),
            Arc::<Budgets>::clone(&budgets),
            Arc::new(Echo),
        )
        .unwrap();
        let stage = Self { gateway, keys, budgets, state: Mutex::default() };
        for (level, name) in [
            (PolicyLevel::Subscription, "Gold"),
            (PolicyLevel::Subscription, "Plan"),
            (PolicyLevel::Application, "Small"),
        ] {
            stage.put_policy(policy(level, name), None);
        }
        stage
    }

    /// Puts a policy in force.
    pub fn put_policy(&self, policy: QuotaPolicy, rules: Option<PolicyRules>) {
        self.change(|state| {
            let key = (policy.tenant.clone(), policy.level, policy.name.clone());
            state.deployed.policies.insert(key.clone(), Arc::new(policy));
            if let Some(rules) = rules {
                state.deployed.policy_rules.insert(key, Arc::new(rules));
            }
            state.deployed.advance(Generation::Policies);
        });
    }

    pub fn with_apis(apis: impl IntoIterator<Item = DeployedApi>) -> Self {
        let stage = Self::new(settings());
        apis.into_iter().for_each(|api| stage.deploy(api));
        stage.keys.set("good", Ok(verdict()));
        stage
    }

    /// Has a token allow so much of a plan, whose budget is returned, and of an application's policy.
    pub fn limit(&self, token: &str, of_plan: u64, of_application: u64) -> Arc<Budget> {
        let limited = KeyVerdict { plan: "Gold".to_owned(), application_policy: "Small".to_owned(), ..verdict() };
        self.keys.set(token, Ok(limited));
        self.budgets.set("Small", CounterLevel::Application, of_application, false);
        self.budgets.set("Gold", CounterLevel::Subscription, of_plan, false)
    }

    /// Changes the state and runs the gateway's hook, as the state machine does.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        let mut current = self.state.lock().unwrap();
        let mut next = State::clone(&current);
        change(&mut next);
        let next = Arc::new(next);
        (self.gateway.hook())(&current, &next);
        *current = next;
    }

    pub fn deploy(&self, api: DeployedApi) {
        self.change(|state| {
            state.deployed.apis.insert(("Default".to_owned(), api.id), Arc::new(api));
            state.deployed.advance(Generation::Routes);
        });
    }

    /// Has operation policies in force for a deployed API: a document as publishers send it.
    pub fn mediate(&self, id: ApiId, other_fields: &serde_json::Value) {
        self.change(|state| {
            let mediation = Mediation::of_document(other_fields);
            state.deployed.mediations.insert(("Default".to_owned(), id), Arc::new(mediation));
            state.deployed.advance(Generation::Routes);
        });
    }

    pub fn undeploy(&self, id: ApiId) {
        self.change(|state| {
            state.deployed.apis.remove(&("Default".to_owned(), id));
            state.deployed.advance(Generation::Routes);
        });
    }

    pub fn keys_changed(&self) {
        self.change(|state| state.deployed.advance(Generation::Keys));
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.http_address().unwrap()
    }

    pub async fn client(&self) -> Client {
        Client::to(self.address()).await
    }

    /// Sends one GET with the token `good`, on a connection of its own.
    pub async fn get(&self, path: &str) -> Reply {
        self.client().await.get(path, Some("good")).await
    }
}

/// A policy that limits something; how much, budgets say.
pub fn policy(level: PolicyLevel, name: &str) -> QuotaPolicy {
    QuotaPolicy {
        id: PolicyId::from_random([1; 16]),
        tenant: TenantDomain::super_tenant(),
        level,
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: String::new(),
        quota: Quota::Requests(10),
        window: Window { length: 1, unit: TimeUnit::Minute },
        burst: None,
        stops_on_quota_reach: true,
        billing_plan: "FREE".to_owned(),
        other_fields: "{}".to_owned(),
        version: 1,
    }
}

pub fn settings() -> Settings {
    // With few calls as with many: what is sent together is the harder way.
    Settings { http: Some("127.0.0.1:0".parse().unwrap()), sends_together_from: 0, ..Settings::default() }
}

/// An API `/pizza` version `1.0.0` with a few operations.
pub fn api(backend: SocketAddr) -> DeployedApi {
    let operation = |verb: &str, target: &str, auth: OperationAuth, scopes: &[&str]| Operation {
        verb: verb.to_owned(),
        target: target.to_owned(),
        auth,
        policy: "Unlimited".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    DeployedApi {
        id: ApiId::from_random([9; 16]),
        revision: RevisionId::from_random([9; 16]),
        tenant: TenantDomain::super_tenant(),
        provider: Username("ann".to_owned()),
        name: "Pizza".to_owned(),
        context: "/pizza".to_owned(),
        version: "1.0.0".to_owned(),
        is_default_version: false,
        kind: ApiKind::Http,
        lifecycle: Lifecycle::Published,
        vhost: "localhost".to_owned(),
        operations: vec![
            operation("GET", "/menu", OperationAuth::Any, &[]),
            operation("POST", "/menu", OperationAuth::Any, &[]),
            operation("GET", "/order/{id}", OperationAuth::Any, &[]),
            operation("GET", "/open", OperationAuth::None, &[]),
            operation("GET", "/admin", OperationAuth::Any, &["admin"]),
            operation("GET", "/mine", OperationAuth::ApplicationUser, &[]),
            operation("GET", "/files/*", OperationAuth::Any, &[]),
            operation("POST", "/files/*", OperationAuth::Any, &[]),
        ],
        endpoints: EndpointConfig {
            production: vec![Endpoint { url: format!("http://{backend}/base"), timeout_ms: None }],
            sandbox: Vec::new(),
            strategy: EndpointStrategy::Single,
            document: String::new(),
        },
        api_policy: None,
        has_http: true,
        has_https: true,
        security: Security::default(),
        authorization_header: None,
        max_tps: MaxTps::default(),
        cors: None,
    }
}

/// A backend that answers with what it got, and keeps it.
pub struct Backend {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as a backend got it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Backend {
    pub async fn start() -> Self {
        Self::answering(|seen| {
            let text = format!("{} {}", seen.line, seen.body.len());
            Response::builder().header("x-backend", "yes").body(Full::from(text)).unwrap()
        })
        .await
    }

    /// Starts a backend that answers as a test says.
    pub async fn answering(answer: impl Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync + 'static) -> Self {
        let answer: Arc<Answering> = Arc::new(answer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let answer = Arc::clone(&answer);
                let service = service_fn(move |request: Request<Incoming>| {
                    reply(Arc::clone(&kept), Arc::clone(&answer), request)
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, seen }
    }

    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().expect("the backend was called")
    }

    /// Returns a header field of the last request; empty where it had none.
    pub fn last_field(&self, name: &str) -> String {
        self.last().headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    pub fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// How a backend answers what it got.
type Answering = dyn Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync;

async fn reply(
    kept: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Answering>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri);
    let Ok(body) = body.collect().await else { return Ok(Response::new(Full::default())) };
    let seen = Seen { line, headers: parts.headers, body: body.to_bytes() };
    let response = answer(&seen);
    kept.lock().unwrap().push(seen);
    Ok(response)
}

/// A client that speaks HTTP/1.1 by hand, on one connection.
pub struct Client {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("the body is JSON");
        body["code"].as_str().expect("the code is a text").to_owned()
    }
}

impl Client {
    pub async fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub async fn get(&mut self, path: &str, token: Option<&str>) -> Reply {
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n{authorization}\r\n")).await;
        self.reply().await
    }

    /// Reads more; `false` at the end of the connection.
    pub async fn read_more(&mut self) -> bool {
        let mut buffer = vec![0; 64 << 10];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("no answer in time");
        let count = read.unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..count]);
        count > 0
    }

    pub async fn read_head(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(4).position(|part| part == b"\r\n\r\n") {
                let head = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read_more().await, "the connection ended before an answer");
        }
    }

    /// Reads exactly `count` bytes.
    pub async fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.read_more().await, "the connection ended in an answer");
        }
        self.unread.drain(..count).collect()
    }

    pub async fn read_line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(2).position(|part| part == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            assert!(self.read_more().await, "the connection ended in an answer");
        }
    }

    pub async fn reply(&mut self) -> Reply {
        let head = self.read_head().await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply { status, head, body: Vec::new() };
        if let Some(length) = reply.header("content-length").map(|length| length.parse().unwrap()) {
            reply.body = self.read_exactly(length).await;
        } else if reply.header("transfer-encoding").is_some() {
            loop {
                let size = usize::from_str_radix(&self.read_line().await, 16).unwrap();
                reply.body.extend(self.read_exactly(size).await);
                assert_eq!(self.read_line().await, "");
                if size == 0 {
                    break;
                }
            }
        }
        reply
    }

    /// Waits until the gateway closes the connection; returns what came before.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        std::mem::take(&mut self.unread)
    }
}

/// Waits until a condition is true.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
