//! Admin through its REST faces, over a state machine in this process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::{Extension, Router};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Request, StatusCode};
use portcullis_database::state::State;
use portcullis_database::{
    Applied, Caller, ClusterKey, Entry, Handle, ProposeError, Proposer, StateCell, access, command,
};
use portcullis_http::layers;
use portcullis_model::PasswordPolicy;
use portcullis_model::certificate::{CertificateControl, CertificatesStatus, NodeCertificate};
use portcullis_model::cluster::{ClusterControl, ClusterRefusal, ClusterStatus, JoinGrant, JoinRequest};
use portcullis_model::facts::{ActorFacts, AskedNode, ComparedStates, Examination, NodeFacts};
use portcullis_model::join_token::{JoinSecret, JoinToken};
use portcullis_model::membership::Rule;
use portcullis_model::port::{Identity, PortFuture};
use portcullis_model::{MembershipChange, NodeAddresses, NodeId, Principal, Sealed, TenantDomain, Timestamp, Username};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// A cluster of one node, in memory.
struct Alone {
    cell: Arc<StateCell>,
    state: Mutex<State>,
}

impl Proposer for Alone {
    fn propose(&self, entry: Entry, _within: Duration) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        let mut state = self.state.lock().unwrap();
        let index = state.applied_index + 1;
        let outcome = command::apply(&mut state, index, &entry).unwrap();
        self.cell.publish(state.clone());
        std::future::ready(Ok(Applied { outcome })).boxed()
    }

    fn fence(&self, _index: u64, _within: Duration) -> BoxFuture<'_, Vec<NodeId>> {
        std::future::ready(vec![NodeId(3)]).boxed()
    }

    fn linearize(&self, _within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        std::future::ready(Ok(())).boxed()
    }
}

/// A cluster that admits who shows a secret of this state, and protects node 1.
struct Membership(Arc<StateCell>);

impl ClusterControl for Membership {
    fn status(&self) -> PortFuture<'_, ClusterStatus> {
        Box::pin(std::future::ready(ClusterStatus {
            cluster_id: "c".to_owned(),
            cluster_name: "test".to_owned(),
            answered_by: NodeId(1),
            leader: Some(NodeId(1)),
            term: 1,
            has_quorum: true,
            failures_tolerated: 0,
            nodes: Vec::new(),
            unserved: Vec::new(),
        }))
    }

    fn join(&self, request: JoinRequest) -> PortFuture<'_, Result<JoinGrant, ClusterRefusal>> {
        let secret = JoinSecret::from_hex(&request.secret);
        let is_known = secret.is_some_and(|secret| self.0.load().system.join_tokens.contains_key(&secret.digest()));
        let grant = JoinGrant {
            node: NodeId(2),
            cluster_id: "c".to_owned(),
            cluster_name: "test".to_owned(),
            ca_certificate: String::new(),
            certificate: String::new(),
            cluster_key: "00".to_owned(),
            peers: Vec::new(),
        };
        let refused = ClusterRefusal::NotAllowed("the join token is unknown, used up or expired".to_owned());
        Box::pin(std::future::ready(if is_known { Ok(grant) } else { Err(refused) }))
    }

    fn change_membership(&self, change: MembershipChange, force: bool) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        let why = "no majority would be left".to_owned();
        let outcome = match (change.subject().0, force) {
            (1, false) => Err(ClusterRefusal::Protected { rule: Rule::Majority, why }),
            (1, true) => Ok(()),
            _ => Err(ClusterRefusal::NoSuchNode(change.subject())),
        };
        Box::pin(std::future::ready(outcome))
    }

    fn apply_plan(&self, version: u64, _force: bool) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        let now = self.0.load().system.membership_plan.get(&()).map_or(0, |plan| plan.version);
        let outcome = if version == now { Ok(()) } else { Err(ClusterRefusal::OtherPlan { given: version, now }) };
        Box::pin(std::future::ready(outcome))
    }

    fn drain_node(
        &self,
        node: NodeId,
        _drained_by: Option<String>,
        force: bool,
    ) -> PortFuture<'_, Result<bool, ClusterRefusal>> {
        let why = format!("node {node} is the last");
        let refused = Err(ClusterRefusal::Protected { rule: Rule::LastReady, why });
        Box::pin(std::future::ready(if force { Ok(true) } else { refused }))
    }

    fn transfer_leadership(&self, to: Option<NodeId>) -> PortFuture<'_, Result<NodeId, ClusterRefusal>> {
        Box::pin(std::future::ready(Ok(to.unwrap_or(NodeId(1)))))
    }

    fn management_addresses(&self) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([127, 0, 0, 1], 9443))]
    }

    fn ca_fingerprint(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// Node 1 has a certificate and cannot be reached; no rotation is under way.
impl CertificateControl for Membership {
    fn certificates(&self) -> Result<CertificatesStatus, ClusterRefusal> {
        let known = NodeCertificate {
            node: NodeId(1),
            fingerprint: [1; 32],
            authority: [7; 32],
            not_before: Timestamp(0),
            not_after: Timestamp(1_767_323_045_000),
            trusts: vec![[7; 32]],
            reported_at: Timestamp(0),
        };
        let nodes = vec![(NodeId(1), "one".to_owned(), Some(known))];
        Ok(CertificatesStatus { authorities: Vec::new(), rotation: None, nodes })
    }

    fn renew(&self, node: NodeId) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        Box::pin(std::future::ready(Err(ClusterRefusal::Unavailable(format!("node {node} does not answer")))))
    }

    fn begin_rotation(&self) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn retire_authority(&self) -> PortFuture<'_, Result<(), ClusterRefusal>> {
        Box::pin(std::future::ready(Err(ClusterRefusal::Protected {
            rule: Rule::Trust,
            why: "no rotation is under way".to_owned(),
        })))
    }
}

/// Node 1 answers and has one actor; node 2 does not.
impl Examination for Membership {
    fn ask_all(&self) -> PortFuture<'_, Vec<AskedNode>> {
        let actor = ActorFacts { actor: "store".to_owned(), is_running: true, capacity: 7, ..ActorFacts::default() };
        let facts = NodeFacts { actors: vec![actor], ..NodeFacts::default() };
        let asked = |node: u64, facts: Option<NodeFacts>| AskedNode {
            node: NodeId(node),
            name: format!("n{node}"),
            components: Vec::new(),
            facts,
            clock_ahead_ms: 0,
            clock_error_ms: 0,
            closed_ports: Vec::new(),
        };
        Box::pin(std::future::ready(vec![asked(1, Some(facts)), asked(2, None)]))
    }

    fn compare<'a>(&'a self, _asked: &'a [AskedNode]) -> PortFuture<'a, ComparedStates> {
        Box::pin(std::future::ready(ComparedStates::default()))
    }
}

pub(crate) async fn faces() -> Router {
    let cell = StateCell::new();
    let proposer: Arc<dyn Proposer> = Arc::new(Alone { cell: Arc::clone(&cell), state: Mutex::default() });
    let bootstrap = command::Bootstrap {
        cluster_id: uuid::Uuid::nil(),
        cluster_name: "test".to_owned(),
        ca_certificate: String::new(),
        ca_key: Sealed(Vec::new()),
        node_name: "one".to_owned(),
        node_addresses: addresses(),
        admin_password_hash: String::new(),
    };
    let cluster = Handle::<access::Cluster>::new(Arc::clone(&cell), Arc::clone(&proposer));
    cluster.submit(bootstrap, &Caller::system()).await.unwrap();
    let membership = Arc::new(Membership(Arc::clone(&cell)));
    let ports = crate::ClusterPorts {
        cluster: Arc::clone(&membership) as Arc<dyn ClusterControl>,
        certificates: Arc::clone(&membership) as Arc<dyn CertificateControl>,
        safekeeping: Arc::new(crate::safekeeping_tests::Kept),
        examination: membership,
    };
    let passwords =
        crate::Passwords { hash: |password| format!("hash of {password}"), policy: PasswordPolicy::default() };
    let faces = crate::start(Handle::new(cell, proposer), ClusterKey::new([7; 32]), ports, passwords, None);
    Router::new().nest("/v4", faces.admin_v4).nest("/own", faces.portcullis_v1)
}

fn addresses() -> NodeAddresses {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    NodeAddresses { cluster: address, management: address, gateway_http: address, gateway_https: address }
}

pub(crate) fn identity(scopes: &[&str], tenant: &str) -> Identity {
    let principal = Principal { tenant: TenantDomain(tenant.to_owned()), username: Username("ann".to_owned()) };
    Identity {
        principal,
        roles: [].into(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        origin: None,
        is_token: false,
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

pub(crate) async fn call_as(router: &Router, who: Option<Identity>, method: &str, path: &str, body: Value) -> Answer {
    let mut router = router.clone();
    if let Some(who) = who {
        router = router.layer(Extension(who));
    }
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
    let content = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let response = layers::finish(router).oneshot(request.body(content).unwrap()).await.unwrap();
    let (parts, content) = response.into_parts();
    let bytes = to_bytes(content, usize::MAX).await.unwrap();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn call(router: &Router, method: &str, path: &str, body: Value) -> Answer {
    call_as(router, Some(identity(&["apim:admin"], "carbon.super")), method, path, body).await
}

pub(crate) fn plan(name: &str, count: i64) -> Value {
    json!({
        "policyName": name,
        "defaultLimit": {"type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": count}},
        "stopOnQuotaReach": true,
        "customAttributes": [{"name": "region", "value": "eu"}],
        "rateLimitCount": 10,
        "rateLimitTimeUnit": "sec",
    })
}

pub(crate) const PLANS: &str = "/v4/throttling/policies/subscription";

#[tokio::test]
async fn a_plan_is_created_read_changed_and_deleted_with_the_fields_of_the_contract() {
    let admin = faces().await;
    let made = call(&admin, "POST", PLANS, plan("Tiny", 3)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.headers["x-fence-unreached"], "3");
    let id = made.body["policyId"].as_str().unwrap().to_owned();
    assert_eq!(made.headers[LOCATION], format!("/api/am/admin/v4/throttling/policies/subscription/{id}"));

    let read = call(&admin, "GET", &format!("{PLANS}/{id}"), Value::Null).await;
    assert_eq!(read.body, made.body);
    assert_eq!(read.body["defaultLimit"]["requestCount"], json!({"timeUnit": "min", "unitTime": 1, "requestCount": 3}));
    assert_eq!(read.body["customAttributes"], json!([{"name": "region", "value": "eu"}]));
    assert_eq!((&read.body["rateLimitCount"], &read.body["rateLimitTimeUnit"]), (&json!(10), &json!("sec")));
    assert_eq!((&read.body["displayName"], &read.body["billingPlan"]), (&json!("Tiny"), &json!("FREE")));
    assert_eq!(read.body["type"], "SubscriptionThrottlePolicy");

    let changed = call(&admin, "PUT", &format!("{PLANS}/{id}"), plan("Tiny", 4)).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!(changed.body["defaultLimit"]["requestCount"]["requestCount"], 4);
    assert_eq!(changed.body["policyId"], *id);
    let renamed = call(&admin, "PUT", &format!("{PLANS}/{id}"), plan("Huge", 4)).await;
    assert_eq!(renamed.status, StatusCode::BAD_REQUEST);

    let all = call(&admin, "GET", PLANS, Value::Null).await;
    let names: Vec<_> = all.body["list"].as_array().unwrap().iter().map(|one| one["policyName"].clone()).collect();
    assert!(names.contains(&json!("Tiny")) && names.contains(&json!("Gold")), "{names:?}");
    assert_eq!(all.body["count"], names.len());

    assert_eq!(call(&admin, "DELETE", &format!("{PLANS}/{id}"), Value::Null).await.status, StatusCode::OK);
    assert_eq!(call(&admin, "GET", &format!("{PLANS}/{id}"), Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(call(&admin, "GET", &format!("{PLANS}/nonsense"), Value::Null).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_policy_that_is_not_acceptable_is_refused_by_field_and_nothing_changes() {
    let admin = faces().await;
    let before = call(&admin, "GET", PLANS, Value::Null).await.body;
    let limit = |limit: Value| json!({"policyName": "P", "defaultLimit": limit});
    let count = |unit: &str, length: i64, count: i64| {
        limit(json!({"type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": unit, "unitTime": length, "requestCount": count}}))
    };
    let cases = [
        (plan("", 1), "policyName: must be 1 to 60"),
        (plan("a b", 1), "policyName: must be 1 to 60"),
        (plan(&"x".repeat(61), 1), "policyName: must be 1 to 60"),
        (count("min", 1, 0), "defaultLimit.requestCount.requestCount: must be 1 or more"),
        (count("min", 0, 1), "defaultLimit.requestCount.unitTime: must be 1 or more"),
        (count("moon", 1, 1), "defaultLimit.requestCount.timeUnit: `moon` is not a unit of time"),
        (limit(json!({"type": "SHOUTS"})), "defaultLimit.type: `SHOUTS` is not a type of limit; there are REQUEST"),
        (limit(json!({"type": "BANDWIDTHLIMIT"})), "defaultLimit.bandwidth: is missing, though the type is BANDWIDTH"),
        (json!({"policyName": "P", "defaultLimit": {"type": 7}}), "defaultLimit.type: invalid type: integer `7`"),
        (json!({"policyName": "P"}), "defaultLimit: is missing"),
    ];
    for (body, expected) in cases {
        let answer = call(&admin, "POST", PLANS, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{expected}");
        let description = answer.body["description"].as_str().unwrap();
        assert!(description.contains(expected), "{description}");
    }
    let taken = call(&admin, "POST", PLANS, plan("Gold", 1)).await;
    assert_eq!((taken.status, &taken.body["moreInfo"]), (StatusCode::CONFLICT, &json!("PC-1409")));
    assert_eq!(call(&admin, "GET", PLANS, Value::Null).await.body, before);
}

#[tokio::test]
async fn other_limits_keep_their_amounts_and_application_policies_their_burst() {
    let admin = faces().await;
    let path = "/v4/throttling/policies/application";
    let limit = json!({"type": "BANDWIDTHLIMIT",
        "bandwidth": {"timeUnit": "hour", "unitTime": 2, "dataAmount": 5, "dataUnit": "MB"}});
    let body = json!({"policyName": "Wide", "defaultLimit": limit,
        "burstLimit": {"rateLimitCount": 3, "rateLimitTimeUnit": "min"}});
    let made = call(&admin, "POST", path, body.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let shown = &made.body["defaultLimit"];
    assert_eq!((&shown["bandwidth"], &made.body["burstLimit"]), (&limit["bandwidth"], &body["burstLimit"]));
    assert_eq!((&shown["type"], &shown["requestCount"]), (&limit["type"], &Value::Null));
    let tokens = json!({"type": "AIAPIQUOTALIMIT",
        "aiApiQuota": {"timeUnit": "day", "unitTime": 1, "requestCount": 9, "promptTokenCount": 100}});
    let made = call(&admin, "POST", PLANS, json!({"policyName": "Model", "defaultLimit": tokens})).await;
    assert_eq!(made.body["defaultLimit"]["aiApiQuota"], tokens["aiApiQuota"]);
    assert_eq!(made.body["stopOnQuotaReach"], false, "the contract's default");
    let advanced = call(&admin, "GET", "/v4/throttling/policies/advanced", Value::Null).await;
    assert_eq!(advanced.body["list"][0]["policyName"], "10KPerMin");
    let settings = call(&admin, "GET", "/v4/settings", Value::Null).await;
    assert!(settings.body["scopes"].as_array().unwrap().contains(&json!("apim:admin")));
}

#[tokio::test]
async fn nobody_and_callers_without_the_scope_are_refused_in_the_form_of_each_api() {
    let admin = faces().await;
    let answer = call_as(&admin, None, "GET", PLANS, Value::Null).await;
    assert_eq!((answer.status, &answer.body["code"]), (StatusCode::UNAUTHORIZED, &json!(900_901)));
    let viewer = Some(identity(&["apim:tier_view"], "carbon.super"));
    assert_eq!(call_as(&admin, viewer.clone(), "GET", PLANS, Value::Null).await.status, StatusCode::OK);
    assert_eq!(call_as(&admin, viewer, "POST", PLANS, plan("P", 1)).await.status, StatusCode::FORBIDDEN);
    let answer = call_as(&admin, None, "GET", "/own/cluster/status", Value::Null).await;
    assert_eq!((answer.status, &answer.body["title"]), (StatusCode::UNAUTHORIZED, &json!("Unauthorized")));
    assert_eq!(answer.headers[CONTENT_TYPE], "application/problem+json");
    let tenant_admin = Some(identity(&["apim:admin"], "example.com"));
    let answer = call_as(&admin, tenant_admin, "GET", "/own/cluster/status", Value::Null).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_node_joins_with_a_token_until_the_token_is_revoked() {
    let admin = faces().await;
    let made = call(&admin, "POST", "/own/cluster/tokens", json!({"ttl_s": 600, "uses": 2})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let token: JoinToken = made.body["token"].as_str().unwrap().parse().unwrap();
    assert_eq!((token.ca_sha256, token.addresses.len()), ([7; 32], 1));
    let listed = call(&admin, "GET", "/own/cluster/tokens", Value::Null).await.body;
    assert_eq!((&listed["list"][0]["id"], &listed["list"][0]["uses_left"]), (&made.body["id"], &json!(2)));
    assert!(listed["list"][0].get("token").is_none(), "the secret is shown once");

    let request = |secret: String| JoinRequest {
        secret,
        name: "two".to_owned(),
        addresses: addresses(),
        components: Vec::new(),
        is_voter: true,
        certificate_request: String::new(),
        feature_level: 1,
    };
    let join = |secret: String| call_as(&admin, None, "POST", "/own/cluster/join", json!(request(secret)));
    let joined = join(token.secret.to_hex()).await;
    assert_eq!((joined.status, &joined.body["node"]), (StatusCode::OK, &json!(2)));
    assert_eq!(joined.headers["cache-control"], "no-store");
    let refused = join("00".repeat(32)).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::FORBIDDEN, &json!("PC-1601")));

    let path = format!("/own/cluster/tokens/{}", made.body["id"].as_str().unwrap());
    assert_eq!(call(&admin, "DELETE", &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(call(&admin, "DELETE", &path, Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(join(token.secret.to_hex()).await.status, StatusCode::FORBIDDEN);
    let never_ends = call(&admin, "POST", "/own/cluster/tokens", json!({"ttl_s": u64::MAX})).await;
    assert!(never_ends.body["detail"].as_str().unwrap().starts_with("ttl_s: must be 60 to 2592000"));
}

#[tokio::test]
async fn removing_a_node_that_is_needed_asks_for_force() {
    let admin = faces().await;
    let needed = call(&admin, "DELETE", "/own/cluster/nodes/1", Value::Null).await;
    assert_eq!((needed.status, &needed.body["code"]), (StatusCode::CONFLICT, &json!("PC-1603")));
    assert_eq!(needed.body["rule"], "majority");
    assert_eq!(call(&admin, "DELETE", "/own/cluster/nodes/1?force=true", Value::Null).await.status, 204);
    assert_eq!(call(&admin, "DELETE", "/own/cluster/nodes/9", Value::Null).await.status, 404);
    assert_eq!(call(&admin, "DELETE", "/own/cluster/nodes/1?force=maybe", Value::Null).await.status, 400);
    let digest = call(&admin, "GET", "/own/cluster/digest", Value::Null).await.body;
    assert_eq!(digest["digest"].as_str().unwrap().len(), 64);
    assert_eq!(digest["applied_index"], 1);
}

#[tokio::test]
async fn changes_are_planned_shown_and_made_only_in_the_version_that_was_shown() {
    let admin = faces().await;
    let nothing = call(&admin, "GET", "/own/cluster/plan", Value::Null).await.body;
    assert_eq!(nothing, json!({"version": 0, "changes": []}));
    let role = "/own/cluster/nodes/1/role?plan=true";
    let staged = call(&admin, "PUT", role, json!({"role": "voter"})).await;
    assert_eq!(staged.status, StatusCode::ACCEPTED, "{}", staged.body);
    let change = json!({"change": "set-role", "node": 1, "role": "voter", "summary": "make node 1 a voter"});
    assert_eq!(staged.body, json!({"version": 1, "changes": [change]}));
    assert_eq!(call(&admin, "GET", "/own/cluster/plan", Value::Null).await.body, staged.body);

    let last = call(&admin, "DELETE", "/own/cluster/nodes/1?plan=true", Value::Null).await;
    assert_eq!((last.status, &last.body["code"]), (StatusCode::CONFLICT, &json!("PC-1410")), "the last voter");
    assert_eq!(call(&admin, "PUT", role, json!({"role": "king"})).await.status, StatusCode::BAD_REQUEST);
    let unknown = call(&admin, "PUT", "/own/cluster/nodes/1/replacement?plan=true", json!({"node": 7})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);

    let other = call(&admin, "POST", "/own/cluster/plan/apply", json!({"version": 9})).await;
    assert_eq!((other.status, &other.body["code"]), (StatusCode::PRECONDITION_FAILED, &json!("PC-1608")));
    assert_eq!(call(&admin, "POST", "/own/cluster/plan/apply", json!({"version": 1})).await.status, 204);
    let reverted = call(&admin, "DELETE", "/own/cluster/plan", Value::Null).await;
    assert_eq!(reverted.body, json!({"version": 2, "changes": []}));
}

#[tokio::test]
async fn a_node_is_drained_and_leadership_handed_over_through_rest() {
    let admin = faces().await;
    let refused = call(&admin, "PUT", "/own/cluster/nodes/1/drain", Value::Null).await;
    assert_eq!((refused.status, &refused.body["rule"]), (StatusCode::CONFLICT, &json!("last-ready")));
    let drained = call(&admin, "PUT", "/own/cluster/nodes/1/drain?force=true", Value::Null).await;
    assert_eq!(drained.body, json!({"node": 1, "is_drained": true, "has_heard": true}));
    let leader = call(&admin, "POST", "/own/cluster/leader", json!({"node": 2})).await;
    assert_eq!(leader.body, json!({"leader": 2}));
    assert_eq!(call(&admin, "GET", "/own/cluster/nodes", Value::Null).await.body, json!({"count": 0, "list": []}));
    assert_eq!(call(&admin, "GET", "/own/cluster/nodes/1", Value::Null).await.body["code"], "PC-1602");
}

#[tokio::test]
async fn users_are_created_listed_and_given_passwords_that_are_never_shown() {
    let admin = faces().await;
    let new = json!({"username": "ben", "password": "long enough", "roles": ["Internal/creator"], "email": "ben@example.com"});
    let made = call(&admin, "POST", "/own/users", new.clone()).await;
    assert_eq!((made.status, &made.body["roles"]), (StatusCode::CREATED, &new["roles"]), "{}", made.body);
    assert!(!made.body.to_string().contains("hash of"), "{}", made.body);
    assert_eq!(call(&admin, "POST", "/own/users", new).await.status, StatusCode::CONFLICT);
    let listed = call(&admin, "GET", "/own/users?limit=1&offset=1", Value::Null).await.body;
    assert_eq!((&listed["list"][0]["username"], &listed["pagination"]["total"]), (&json!("ben"), &json!(2)));

    let password = |text: &str| json!({"password": text});
    assert_eq!(call(&admin, "PUT", "/own/users/ben/password", password("another one")).await.status, 204);
    assert_eq!(call(&admin, "PUT", "/own/users/ben/password", password("short")).await.status, 400);
    assert_eq!(call(&admin, "PUT", "/own/users/cleo/password", password("another one")).await.status, 404);
    let stranger = json!({"username": "dan", "password": "long enough", "roles": ["king"]});
    let refused = call(&admin, "POST", "/own/users", stranger).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.body["detail"].as_str().unwrap().starts_with("roles: there is no role `king`; there are Internal/")
    );
}

#[tokio::test]
async fn an_operator_sees_certificates_and_is_told_why_one_cannot_be_renewed() {
    let router = faces().await;
    let operator = Some(identity(&["apim:admin"], "carbon.super"));
    let listed = call_as(&router, operator.clone(), "GET", "/own/cluster/certificates", Value::Null).await;
    assert_eq!(listed.status, StatusCode::OK);
    assert_eq!(listed.body["list"][0]["not_after"], "2026-01-02T03:04:05Z");
    let renewed = call_as(&router, operator.clone(), "POST", "/own/cluster/certificates/1/renew", Value::Null).await;
    assert_eq!(renewed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(renewed.body["detail"].as_str().unwrap().contains("node 1"), "{}", renewed.body);
    let retired = call_as(&router, operator, "POST", "/own/cluster/certificates/rotation/retire", Value::Null).await;
    assert_eq!(retired.status, StatusCode::CONFLICT);
    let other = Some(identity(&["apim:admin"], "shop.example"));
    let refused = call_as(&router, other, "GET", "/own/cluster/certificates", Value::Null).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_examination_names_the_node_that_does_not_answer_and_lists_the_actors_of_those_that_do() {
    let router = faces().await;
    let operator = Some(identity(&["apim:admin"], "carbon.super"));
    let found = call_as(&router, operator.clone(), "GET", "/own/cluster/doctor", Value::Null).await;
    assert_eq!((found.status, &found.body["is_well"]), (StatusCode::OK, &json!(false)));
    let findings = found.body["findings"].as_array().unwrap();
    let silent = findings.iter().find(|finding| finding["check"] == "answers").unwrap();
    assert_eq!((&silent["node"], &silent["outcome"]), (&json!(2), &json!("failed")));
    let actors = call_as(&router, operator, "GET", "/own/debug/actors", Value::Null).await;
    assert_eq!(actors.body["list"][0]["capacity"], 7, "{}", actors.body);
    let other = Some(identity(&["apim:admin"], "shop.example"));
    assert_eq!(call_as(&router, other, "GET", "/own/cluster/doctor", Value::Null).await.status, StatusCode::FORBIDDEN);
}
