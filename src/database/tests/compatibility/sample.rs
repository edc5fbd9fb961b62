//! The log from which a sample is made: every command once at least, and at its end a row in every table.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_database::codec;
use portcullis_database::command::*;
use portcullis_database::counters::{Item, Report, WindowId};
use portcullis_database::entry::{Entry, Idempotency};
use portcullis_model::api::{
    ApiKind, Endpoint, EndpointConfig, EndpointStrategy, MaxTps, Operation, OperationAuth, Security, Visibility,
};
use portcullis_model::application::{ApplicationState, TokenType};
use portcullis_model::counter::CounterSubject;
use portcullis_model::id::{PolicyId, SigningKeyId};
use portcullis_model::oauth::{KeyMapping, KeyType, RefreshToken, SigningKey};
use portcullis_model::policy::{Quota, QuotaPolicy, TimeUnit, Window};
use portcullis_model::user::{Role, User};
use portcullis_model::*;

const NOW: u64 = 1_767_225_600_000;
const MINUTE_MS: u64 = 60_000;

fn id(number: u8) -> [u8; 16] {
    [number; 16]
}

fn user() -> Username {
    Username("anna".to_owned())
}

fn principal() -> Principal {
    Principal { tenant: TenantDomain::super_tenant(), username: user() }
}

fn api(number: u8) -> Api {
    Api {
        id: ApiId::from_random(id(number)),
        tenant: TenantDomain::super_tenant(),
        provider: user(),
        name: "orders".to_owned(),
        context: "/orders".to_owned(),
        version: format!("{number}.0"),
        description: "Orders, \u{e9}t\u{e9}".to_owned(),
        kind: ApiKind::Http,
        lifecycle: Lifecycle::Created,
        is_default_version: true,
        operations: vec![operation()],
        endpoints: EndpointConfig {
            production: vec![Endpoint { url: "https://127.0.0.1:9/a".to_owned(), timeout_ms: Some(500) }],
            sandbox: vec![Endpoint { url: "http://127.0.0.1:9/b".to_owned(), timeout_ms: None }],
            strategy: EndpointStrategy::Single,
            document: "{\"endpoint_type\":\"http\"}".to_owned(),
        },
        plans: vec!["Gold".to_owned(), "Bronze".to_owned()],
        api_policy: Some("50KPerMin".to_owned()),
        has_http: true,
        has_https: true,
        security: Security::default(),
        authorization_header: Some("X-Auth".to_owned()),
        max_tps: MaxTps::default(),
        visibility: Visibility::Public,
        visible_roles: vec![Role("Internal/subscriber".to_owned())],
        cors: None,
        scopes: Vec::new(),
        tags: vec!["tag".to_owned()],
        categories: Vec::new(),
        other_fields: "{\"monetization\":null}".to_owned(),
        revisions_made: 0,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        updated_by: user(),
    }
}

fn operation() -> Operation {
    Operation {
        verb: "GET".to_owned(),
        target: "/{id}".to_owned(),
        auth: OperationAuth::Any,
        policy: "Unlimited".to_owned(),
        scopes: Vec::new(),
    }
}

fn application(number: u8) -> Application {
    Application {
        id: ApplicationId::from_random(id(number)),
        tenant: TenantDomain::super_tenant(),
        owner: user(),
        name: format!("Application {number}"),
        description: "an application".to_owned(),
        policy: "50PerMin".to_owned(),
        token_type: TokenType::Opaque,
        state: ApplicationState::Approved,
        groups: vec!["group".to_owned()],
        attributes: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

fn client(number: u8, is_mapped: bool) -> OauthClient {
    let mapping = KeyMapping {
        id: KeyMappingId::from_random(id(number)),
        application: ApplicationId::from_random(id(number)),
        key_type: KeyType::Production,
    };
    OauthClient {
        id: ClientId(format!("client{number}")),
        secret: Sealed(vec![number; 40]),
        tenant: TenantDomain::super_tenant(),
        owner: user(),
        name: format!("client {number}"),
        mapping: is_mapped.then_some(mapping),
        grants: vec!["client_credentials".to_owned(), "refresh_token".to_owned()],
        callback_url: "https://127.0.0.1/back".to_owned(),
        token_type: TokenType::Jwt,
        token_validity_s: Some(600),
        other_fields: "{}".to_owned(),
        created_at: Timestamp(0),
    }
}

fn token(number: u8, client: u8, family: Option<u8>) -> AccessToken {
    AccessToken {
        digest: TokenDigest([number; 32]),
        client: ClientId(format!("client{client}")),
        tenant: TenantDomain::super_tenant(),
        user: Some(user()),
        scopes: vec!["default".to_owned()],
        grant: "password".to_owned(),
        issued_at: Timestamp(NOW),
        expires_at: Timestamp(NOW + 3_600_000),
        refresh: family.map(|_| RefreshToken {
            digest: TokenDigest([number ^ 0x80; 32]),
            expires_at: Timestamp(NOW + 86_400_000),
        }),
        family: family.map(|family| TokenDigest([family; 32])),
        is_self_contained: true,
    }
}

fn addresses(last: u8) -> NodeAddresses {
    let at = |port| std::net::SocketAddr::from(([10, 0, 0, last], port));
    NodeAddresses { cluster: at(7443), management: at(9443), gateway_http: at(8280), gateway_https: at(8243) }
}

fn policy(name: &str, count: u64) -> QuotaPolicy {
    QuotaPolicy {
        id: PolicyId::from_random(id(9)),
        tenant: TenantDomain::super_tenant(),
        level: PolicyLevel::Subscription,
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: String::new(),
        quota: Quota::Requests(count),
        window: Window { length: 1, unit: TimeUnit::Minute },
        burst: None,
        stops_on_quota_reach: true,
        billing_plan: "FREE".to_owned(),
        other_fields: "{}".to_owned(),
        version: 0,
    }
}

fn subscription(number: u8, application: u8, api: u8) -> Subscription {
    Subscription {
        id: SubscriptionId::from_random(id(number)),
        tenant: TenantDomain::super_tenant(),
        application: ApplicationId::from_random(id(application)),
        api: ApiId::from_random(id(api)),
        plan: "Gold".to_owned(),
        state: SubscriptionState::Unblocked,
        subscriber: user(),
        created_at: Timestamp(0),
    }
}

fn report() -> Report {
    let window = WindowId { length_ms: MINUTE_MS, index: NOW / MINUTE_MS };
    let key = CounterKey {
        tenant: TenantDomain::super_tenant(),
        policy: "Gold".to_owned(),
        subject: CounterSubject::Subscription {
            application: ApplicationId::from_random(id(1)),
            api: ApiId::from_random(id(1)),
        },
    };
    let item = Item {
        key,
        window,
        reserve: 10,
        spent: 7,
        over: 1,
        returned: 0,
        ask: 20,
        granted: 0,
        demand: 9,
        answers_dry: None,
    };
    Report {
        node: NodeId(1),
        incarnation: 3,
        sequence: 1,
        time: Timestamp(NOW + 1_000),
        applied_index: 1,
        reserve_from: Timestamp(NOW),
        is_store_new: false,
        adopted: None,
        items: vec![item],
    }
}

/// A log under construction.
struct Log(Vec<Entry>);

impl Log {
    fn push<X: Command>(&mut self, command: &X) {
        let number = self.0.len() as u64;
        let mut random = [0; 32];
        random[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        self.0.push(Entry {
            command: X::NUMBER,
            proposed_at: Timestamp(NOW + number),
            random,
            principal: principal(),
            idempotency: number
                .is_multiple_of(4)
                .then(|| Idempotency { key: format!("key{number}"), request: [7; 32] }),
            payload: codec::encode(command).expect("small"),
        });
    }
}

/// Returns the log.
pub fn log() -> Vec<Entry> {
    let mut log = Log(Vec::new());
    cluster(&mut log);
    publish(&mut log);
    consume(&mut log);
    tokens(&mut log);
    log.push(&ReportUsage { report: report() });
    log.0
}

fn cluster(log: &mut Log) {
    log.push(&Bootstrap {
        cluster_id: uuid::Uuid::from_bytes([1; 16]),
        cluster_name: "sample".to_owned(),
        ca_certificate: "certificate".to_owned(),
        ca_key: Sealed(vec![1; 40]),
        node_name: "one".to_owned(),
        node_addresses: addresses(1),
        admin_password_hash: "hash".to_owned(),
    });
    for number in 1..=3 {
        log.push(&CreateJoinToken { digest: TokenDigest([number; 32]), lives_ms: 3_600_000, uses: 2 });
    }
    log.push(&RevokeJoinToken { digest: TokenDigest([3; 32]) });
    for number in 2..=3 {
        log.push(&AdmitNode {
            token: TokenDigest([1; 32]),
            name: format!("node{number}"),
            addresses: addresses(number),
            components: vec!["gateway".to_owned()],
            is_voter: number == 2,
        });
    }
    log.push(&RemoveNode { node: NodeId(3) });
    let components = vec!["gateway".to_owned(), "store".to_owned()];
    log.push(&UpdateNode { node: NodeId(2), name: "two".to_owned(), addresses: addresses(2), components });
    let user = User {
        tenant: TenantDomain::super_tenant(),
        username: user(),
        password_hash: "hash".to_owned(),
        roles: vec![Role("Internal/publisher".to_owned())],
        email: "anna@example.com".to_owned(),
        is_locked: false,
        created_at: Timestamp(0),
    };
    log.push(&PutUser { user, is_new: true });
    log.push(&PutPolicy { policy: policy("Tin", 5), is_new: true });
    log.push(&PutPolicy { policy: policy("Tin", 6), is_new: false });
    log.push(&PutPolicy { policy: policy("Zinc", 6), is_new: true });
    let (tenant, level) = (TenantDomain::super_tenant(), PolicyLevel::Subscription);
    log.push(&DeletePolicy { tenant, level, name: "Zinc".to_owned() });
}

fn publish(log: &mut Log) {
    for number in 1..=3 {
        log.push(&CreateApi { api: api(number), definition: Arc::from("openapi: 3.0.3") });
    }
    let mut changed = api(1);
    "changed".clone_into(&mut changed.description);
    log.push(&UpdateApi { api: changed, definition: None, expected: None });
    let id_of = |number| ApiId::from_random(id(number));
    log.push(&PutDefinition {
        api: id_of(1),
        definition: Arc::from("openapi: 3.0.1"),
        operations: vec![operation()],
        scopes: Vec::new(),
        expected: None,
    });
    log.push(&DeleteApi { api: id_of(3) });
    let revision = |number| RevisionId::from_random(id(number));
    for number in 1..=3 {
        let description = format!("revision {number}");
        log.push(&CreateRevision { api: id_of(1), revision: revision(number), description });
    }
    log.push(&DeleteRevision { api: id_of(1), revision: revision(3) });
    let deployment = |environment: &str| Deployment {
        environment: environment.to_owned(),
        vhost: "localhost".to_owned(),
        is_displayed: true,
        deployed_at: Timestamp(0),
    };
    let deployments = vec![deployment("Default"), deployment("Other")];
    log.push(&DeployRevision { api: id_of(1), revision: revision(1), deployments });
    let environments = Some(vec!["Other".to_owned()]);
    log.push(&UndeployRevision { api: id_of(1), revision: revision(1), environments });
    log.push(&RestoreRevision { api: id_of(1), revision: revision(2) });
    for number in 1..=2 {
        log.push(&ChangeLifecycle {
            api: id_of(number),
            action: LifecycleAction::Publish,
            deprecates_old_versions: false,
            requires_resubscription: true,
        });
    }
}

fn consume(log: &mut Log) {
    for number in 1..=3 {
        log.push(&CreateApplication { application: application(number) });
    }
    log.push(&UpdateApplication {
        id: ApplicationId::from_random(id(2)),
        owned_by: Some(principal()),
        unchanged_since: None,
        name: "Renamed".to_owned(),
        description: "renamed".to_owned(),
        policy: "20PerMin".to_owned(),
        token_type: Some(TokenType::Jwt),
        groups: Vec::new(),
        attributes: BTreeMap::new(),
    });
    log.push(&DeleteApplication { id: ApplicationId::from_random(id(3)), owned_by: None, unchanged_since: None });
    log.push(&CreateSubscription { subscription: subscription(1, 1, 1), owned_by: None });
    let subscriptions = vec![subscription(2, 2, 1), subscription(3, 2, 2)];
    log.push(&CreateSubscriptions { subscriptions, owned_by: Some(principal()) });
    let of = |number| SubscriptionId::from_random(id(number));
    log.push(&UpdateSubscription { id: of(2), owned_by: None, plan: "Bronze".to_owned() });
    log.push(&DeleteSubscription { id: of(3), owned_by: None });
    log.push(&SetSubscriptionState { subscription: of(2), state: SubscriptionState::Blocked });
    for number in 1..=2 {
        log.push(&PutApplicationClient { client: client(number, true), is_new: true, owned_by: None });
    }
    let (mapping, application) = (KeyMappingId::from_random(id(1)), ApplicationId::from_random(id(1)));
    log.push(&ReplaceClientSecret { mapping, application, secret: Sealed(vec![9; 40]), owned_by: None });
    let (mapping, application) = (KeyMappingId::from_random(id(2)), ApplicationId::from_random(id(2)));
    log.push(&RemoveApplicationClient { mapping, application, owned_by: None });
    for number in 3..=4 {
        log.push(&PutClient { client: client(number, false), is_new: true });
    }
    log.push(&DeleteClient { client: ClientId("client4".to_owned()) });
}

fn tokens(log: &mut Log) {
    log.push(&IssueToken { token: token(1, 1, Some(1)) });
    log.push(&IssueToken { token: token(2, 3, None) });
    log.push(&IssueToken { token: token(3, 3, Some(3)) });
    log.push(&RotateRefreshToken {
        client: ClientId("client1".to_owned()),
        family: TokenDigest([1; 32]),
        presented: TokenDigest([0x81; 32]),
        token: token(4, 1, Some(1)),
    });
    log.push(&RevokeToken { digest: TokenDigest([3; 32]), self_contained_until: Some(Timestamp(NOW + 3_600_000)) });
    log.push(&PutSigningKey {
        key: SigningKey {
            id: SigningKeyId::from_random(id(6)),
            algorithm: "ES256".to_owned(),
            private_key: Sealed(vec![3; 40]),
            public_jwk: "{}".to_owned(),
            created_at: Timestamp(0),
            retired_at: None,
        },
    });
}
