//! The state machine as a whole: the same log gives the same state, also through a snapshot at any point, and a refused
//! command changes nothing.

use std::sync::Arc;

use portcullis_database::command::*;
use portcullis_database::digest::digest;
use portcullis_database::entry::{Entry, Idempotency};
use portcullis_database::{State, codec, snapshot};
use portcullis_model::api::{ApiKind, Endpoint, EndpointConfig, EndpointStrategy, MaxTps, Security, Visibility};
use portcullis_model::application::{ApplicationState, TokenType};
use portcullis_model::oauth::{KeyMapping, KeyType, RefreshToken};
use portcullis_model::*;

/// A small generator (SplitMix64): a log is a function of its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A small number, so that objects meet.
    fn small(&mut self) -> u8 {
        u8::try_from(self.roll() % 6).expect("below 6")
    }

    fn coin(&mut self) -> bool {
        self.roll().is_multiple_of(2)
    }
}

fn id(number: u8) -> [u8; 16] {
    [number; 16]
}

fn admin() -> Username {
    Username("admin".to_owned())
}

fn api(number: u8, version: u8) -> Api {
    Api {
        id: ApiId::from_random(id(number * 8 + version)),
        tenant: TenantDomain::super_tenant(),
        provider: admin(),
        name: format!("api{number}"),
        context: format!("/api{number}"),
        version: format!("{version}.0"),
        description: "a test's".to_owned(),
        kind: ApiKind::Http,
        lifecycle: Lifecycle::Created,
        is_default_version: version == 1,
        operations: vec![Operation {
            verb: "GET".to_owned(),
            target: "/*".to_owned(),
            auth: OperationAuth::Any,
            policy: "Unlimited".to_owned(),
            scopes: Vec::new(),
        }],
        endpoints: EndpointConfig {
            production: vec![Endpoint { url: "http://127.0.0.1:9".to_owned(), timeout_ms: None }],
            sandbox: Vec::new(),
            strategy: EndpointStrategy::Single,
            document: "{}".to_owned(),
        },
        plans: vec!["Gold".to_owned(), "Bronze".to_owned()],
        api_policy: None,
        has_http: true,
        has_https: true,
        security: Security::default(),
        authorization_header: None,
        max_tps: MaxTps::default(),
        visibility: Visibility::Public,
        visible_roles: Vec::new(),
        cors: None,
        scopes: Vec::new(),
        tags: Vec::new(),
        categories: Vec::new(),
        other_fields: "{}".to_owned(),
        revisions_made: 0,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        updated_by: admin(),
    }
}

fn application(number: u8) -> Application {
    Application {
        id: ApplicationId::from_random(id(number)),
        tenant: TenantDomain::super_tenant(),
        owner: admin(),
        name: format!("app{number}"),
        description: String::new(),
        policy: "50PerMin".to_owned(),
        token_type: TokenType::Opaque,
        state: ApplicationState::Approved,
        groups: Vec::new(),
        attributes: std::collections::BTreeMap::new(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

fn client(number: u8) -> OauthClient {
    OauthClient {
        id: ClientId(format!("client{number}")),
        secret: Sealed(vec![number; 40]),
        tenant: TenantDomain::super_tenant(),
        owner: admin(),
        name: format!("client{number}"),
        mapping: Some(KeyMapping {
            id: KeyMappingId::from_random(id(number)),
            application: ApplicationId::from_random(id(number)),
            key_type: KeyType::Production,
        }),
        grants: vec!["client_credentials".to_owned()],
        callback_url: String::new(),
        token_type: TokenType::Opaque,
        token_validity_s: None,
        other_fields: "{}".to_owned(),
        created_at: Timestamp(0),
    }
}

fn token(number: u8, client: u8, now: Timestamp) -> AccessToken {
    AccessToken {
        digest: TokenDigest([number; 32]),
        client: ClientId(format!("client{client}")),
        tenant: TenantDomain::super_tenant(),
        user: None,
        scopes: vec!["default".to_owned()],
        grant: "client_credentials".to_owned(),
        issued_at: now,
        expires_at: Timestamp(now.0 + 50),
        refresh: Some(RefreshToken { digest: TokenDigest([number ^ 0xff; 32]), expires_at: Timestamp(now.0 + 90) }),
        family: Some(TokenDigest([number; 32])),
        is_self_contained: false,
    }
}

fn entry<X: Command>(command: &X, now: Timestamp, dice: &mut Dice) -> Entry {
    let mut random = [0; 32];
    random[..8].copy_from_slice(&dice.roll().to_be_bytes());
    let key = dice.small();
    Entry {
        command: X::NUMBER,
        proposed_at: now,
        random,
        principal: Principal { tenant: TenantDomain::super_tenant(), username: admin() },
        idempotency: (key == 0)
            .then(|| Idempotency { key: format!("key{}", dice.small()), request: [dice.small(); 32] }),
        payload: codec::encode(command).expect("small"),
    }
}

fn bootstrap() -> Bootstrap {
    let at = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    Bootstrap {
        cluster_id: uuid::Uuid::from_bytes([1; 16]),
        cluster_name: "test".to_owned(),
        ca_certificate: "certificate".to_owned(),
        ca_key: Sealed(vec![1; 40]),
        node_name: "one".to_owned(),
        node_addresses: NodeAddresses {
            cluster: at(7443),
            management: at(9443),
            gateway_http: at(8280),
            gateway_https: at(8243),
        },
        admin_password_hash: "hash".to_owned(),
    }
}

fn random_entry(dice: &mut Dice, now: Timestamp) -> Entry {
    let (number, version, other) = (dice.small(), dice.small() % 3, dice.small());
    let api_id = api(number, version).id;
    let application_id = ApplicationId::from_random(id(other));
    let revision = RevisionId::from_random(id(number * 8 + version + 100));
    let subscription = SubscriptionId::from_random(id(number * 32 + version * 8 + other));
    let deployment = || Deployment {
        environment: "Default".to_owned(),
        vhost: "localhost".to_owned(),
        is_displayed: true,
        deployed_at: Timestamp(0),
    };
    match dice.roll() % 18 {
        0 | 1 => entry(&CreateApi { api: api(number, version), definition: Arc::from("openapi: 3.0.3") }, now, dice),
        2 => entry(&DeleteApi { api: api_id }, now, dice),
        3 => entry(&CreateRevision { api: api_id, revision, description: String::new() }, now, dice),
        4 | 5 => entry(&DeployRevision { api: api_id, revision, deployments: vec![deployment()] }, now, dice),
        6 | 7 => {
            let action = LifecycleAction::ALL[usize::from(dice.small())];
            let action = if dice.coin() { LifecycleAction::Publish } else { action };
            let deprecates_old_versions = dice.coin();
            let requires_resubscription = dice.coin();
            entry(&ChangeLifecycle { api: api_id, action, deprecates_old_versions, requires_resubscription }, now, dice)
        }
        8 => entry(&CreateApplication { application: application(other) }, now, dice),
        9 if other == 5 => {
            entry(&DeleteApplication { id: application_id, owned_by: None, unchanged_since: None }, now, dice)
        }
        9..=11 => {
            let plan = if dice.coin() { "Gold" } else { "Silver" };
            let subscription = Subscription {
                id: subscription,
                tenant: TenantDomain::super_tenant(),
                application: application_id,
                api: api_id,
                plan: plan.to_owned(),
                state: SubscriptionState::Unblocked,
                subscriber: admin(),
                created_at: Timestamp(0),
            };
            entry(&CreateSubscription { subscription, owned_by: None }, now, dice)
        }
        12 => {
            let state = SubscriptionState::ALL[usize::from(dice.small() % 3)];
            entry(&SetSubscriptionState { subscription, state }, now, dice)
        }
        13 => entry(&PutApplicationClient { client: client(other), is_new: true, owned_by: None }, now, dice),
        14 | 15 => entry(&IssueToken { token: token(number * 8 + other, other, now) }, now, dice),
        16 => entry(
            &RevokeToken { digest: TokenDigest([number; 32]), self_contained_until: Some(Timestamp(now.0 + 9)) },
            now,
            dice,
        ),
        _ => entry(
            &DeletePolicy {
                tenant: TenantDomain::super_tenant(),
                level: PolicyLevel::Subscription,
                name: "Silver".to_owned(),
            },
            now,
            dice,
        ),
    }
}

fn log(seed: u64, length: usize) -> Vec<Entry> {
    let mut dice = Dice(seed);
    let mut now = Timestamp(1_000_000);
    let mut log = vec![entry(&bootstrap(), now, &mut Dice(6))];
    while log.len() < length {
        // Proposers' clocks differ: some entries come from the past.
        now.0 = now.0 + dice.roll() % 20 - 5;
        log.push(random_entry(&mut dice, now));
    }
    log
}

fn apply_all(state: &mut State, entries: &[Entry]) -> usize {
    let mut applied = 0;
    for entry in entries {
        let index = state.applied_index + 1;
        let outcome = apply(state, index, entry).expect("every entry can be applied");
        applied += usize::from(outcome.result.is_ok());
    }
    applied
}

#[test]
fn the_same_log_gives_the_same_digest() {
    for seed in 0..20 {
        let log = log(seed, 400);
        let (mut one, mut other) = (State::default(), State::default());
        let applied = apply_all(&mut one, &log);
        apply_all(&mut other, &log);
        assert_eq!(digest(&one).unwrap(), digest(&other).unwrap(), "seed {seed}");
        assert!(applied > 60, "only {applied} of {} entries did something with seed {seed}", log.len());
    }
}

#[test]
fn any_prefix_and_a_snapshot_and_the_rest_give_the_same_digest() {
    for seed in 100..104 {
        let log = log(seed, 300);
        let mut whole = State::default();
        apply_all(&mut whole, &log);
        let expected = digest(&whole).unwrap();
        for cut in (1..log.len()).step_by(23) {
            let mut state = State::default();
            apply_all(&mut state, &log[..cut]);
            let mut file = Vec::new();
            snapshot::write(&state, &mut file).unwrap();
            let mut restored = snapshot::read(file.as_slice()).unwrap();
            assert_eq!(digest(&restored).unwrap(), digest(&state).unwrap(), "seed {seed}, cut {cut}");
            apply_all(&mut restored, &log[cut..]);
            assert_eq!(digest(&restored).unwrap(), expected, "seed {seed}, cut {cut}");
        }
    }
}

#[test]
fn a_refused_command_changes_nothing_but_what_any_entry_does() {
    for seed in 200..210 {
        let mut state = State::default();
        for entry in log(seed, 300) {
            let before = state.clone();
            let index = state.applied_index + 1;
            let refused = apply(&mut state, index, &entry).unwrap().result.is_err();
            if refused {
                // What any entry does: it moves the clock, which drops what has ended.
                let mut expected = before;
                let nothing = RevokeJoinToken { digest: TokenDigest([0xee; 32]) };
                let nothing = Entry { idempotency: None, ..crate::entry(&nothing, entry.proposed_at, &mut Dice(0)) };
                assert!(apply(&mut expected, index, &nothing).unwrap().result.is_err());
                expected.system = state.system.clone();
                assert_eq!(digest(&state).unwrap(), digest(&expected).unwrap(), "seed {seed}: {entry}");
            }
        }
    }
}

#[test]
fn every_subscription_client_and_token_has_what_it_belongs_to() {
    for seed in 300..320 {
        let mut state = State::default();
        for entry in log(seed, 400) {
            let index = state.applied_index + 1;
            apply(&mut state, index, &entry).unwrap().result.ok();
            let db = &state.apimgt;
            for (id, one) in &db.subscriptions {
                assert!(
                    db.apis.contains_key(&one.api) && db.applications.contains_key(&one.application),
                    "seed {seed}: {entry}"
                );
                assert_eq!(db.subscriptions_by_application.get(&(one.application, one.api)), Some(id));
                assert_eq!(db.subscriptions_by_api.get(&(one.api, one.application)), Some(id));
            }
            assert_eq!(db.subscriptions.len(), db.subscriptions_by_application.len());
            assert_eq!(db.subscriptions.len(), db.subscriptions_by_api.len());
            assert!(
                db.clients
                    .values()
                    .filter_map(|one| one.mapping)
                    .all(|one| db.applications.contains_key(&one.application))
            );
            assert!(db.tokens.values().all(|one| db.clients.contains_key(&one.client)), "seed {seed}: {entry}");
            assert!(state.deployed.apis.keys().all(|(_, api)| db.apis.contains_key(api)), "seed {seed}: {entry}");
            assert_eq!(db.apis.len(), db.contexts.len());
            assert_eq!(db.apis.len(), db.api_names.len());
        }
    }
}

#[test]
fn a_damaged_snapshot_is_refused_and_never_read_in_part() {
    let mut state = State::default();
    apply_all(&mut state, &log(1, 100));
    let mut file = Vec::new();
    snapshot::write(&state, &mut file).unwrap();
    for position in (0..file.len()).step_by(97) {
        let mut damaged = file.clone();
        damaged[position] ^= 0x10;
        assert!(snapshot::read(damaged.as_slice()).is_err(), "a flipped bit at {position} was not noticed");
    }
    assert!(snapshot::read(&file[..file.len() - 1]).is_err());
}

#[test]
fn the_clock_never_goes_back() {
    let mut state = State::default();
    let mut before = Timestamp(0);
    for entry in log(7, 300) {
        let index = state.applied_index + 1;
        apply(&mut state, index, &entry).unwrap().result.ok();
        assert!(state.now() >= before);
        before = state.now();
    }
}
