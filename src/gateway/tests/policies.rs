//! Policies of every level as callers meet them: in the original's order, with its codes, and at once when they change.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::state::Generation;
use portcullis_gateway::Settings;
use portcullis_model::counter::CounterLevel;
use portcullis_model::id::PolicyId;
use portcullis_model::policy::Burst;
use portcullis_model::policy_rules::{Condition, ConditionGroup, CustomRule, GroupCondition};
use portcullis_model::port::KeyVerdict;
use portcullis_model::{
    DenyCondition, DenyPolicy, DeployedApi, Lifecycle, PolicyLevel, PolicyRules, Quota, TenantDomain, TimeUnit,
    Timestamp, Username, Window,
};
use stage::{Backend, Client, Stage, api, policy, settings, verdict};

const MENU: &str = "/pizza/1.0.0/menu";

fn limited_verdict() -> KeyVerdict {
    KeyVerdict { plan: "Gold".to_owned(), application_policy: "Small".to_owned(), ..verdict() }
}

async fn code(client: &mut Client, path: &str) -> String {
    let reply = client.get(path, Some("good")).await;
    if reply.status == 200 { "passes".to_owned() } else { format!("{} {}", reply.status, reply.code()) }
}

#[tokio::test]
async fn each_level_refuses_with_its_code_and_the_first_in_order_says_so() {
    let backend = Backend::start().await;
    let mut limited = api(backend.address);
    limited.max_tps.production = Some(10);
    limited.operations[0].policy = "Kitchen".to_owned();
    let stage = Stage::with_apis([limited.clone()]);
    stage.keys.set("good", Ok(limited_verdict()));
    let burst = Some(Burst { count: 5, window: Window { length: 1, unit: TimeUnit::Second } });
    stage.put_policy(portcullis_model::QuotaPolicy { burst, ..policy(PolicyLevel::Subscription, "Gold") }, None);
    stage.put_policy(portcullis_model::QuotaPolicy { burst, ..policy(PolicyLevel::Application, "Small") }, None);
    stage.put_policy(policy(PolicyLevel::Advanced, "Kitchen"), None);
    let custom =
        CustomRule { key_template: "$userId".to_owned(), expression: String::new(), siddhi_query: String::new() };
    let rules = PolicyRules { custom: Some(custom), ..PolicyRules::default() };
    stage.put_policy(policy(PolicyLevel::Custom, "Everybody"), Some(rules));

    let app = verdict().application;
    let levels = [
        (
            format!("carbon.super/resource/Kitchen/{}/menu:GET_default", limited.id),
            CounterLevel::Resource,
            "429 900802",
        ),
        (format!("carbon.super/subscription/Gold/{app}:{}", limited.id), CounterLevel::Subscription, "429 900804"),
        (
            format!("carbon.super/subscription-burst/Gold/{app}:{}", limited.id),
            CounterLevel::SubscriptionBurst,
            "429 900807",
        ),
        (format!("carbon.super/application/Small/{app}:ann"), CounterLevel::Application, "429 900803"),
        (format!("carbon.super/application-burst/Small/{app}:ann"), CounterLevel::ApplicationBurst, "429 900809"),
        ("carbon.super/custom/Everybody/ann@carbon.super".to_owned(), CounterLevel::Custom, "429 900806"),
        (format!("carbon.super/api-maximum/Default/{}:PRODUCTION", limited.id), CounterLevel::ApiMaximum, "503 900801"),
    ];
    let budgets: Vec<_> = levels.iter().map(|(key, level, _)| stage.budgets.set(key, *level, 0, false)).collect();
    // What the gateway found before there were budgets is out of date.
    stage.change(|state| state.deployed.advance(Generation::Policies));
    let mut client = stage.client().await;
    for ((key, _, expected), budget) in levels.iter().zip(&budgets) {
        assert_eq!(code(&mut client, MENU).await, *expected, "{key}");
        *budget.left.lock().unwrap() = 5;
    }
    assert_eq!(code(&mut client, MENU).await, "passes");
    assert!(budgets.iter().all(|budget| budget.left() == 4), "each gave one, and what was refused was given back");
    let reply = client.get(MENU, Some("good")).await;
    let told = reply.header("ratelimit-policy").unwrap();
    let names: Vec<&str> = told.split(", ").map(|item| item.split(';').next().unwrap()).collect();
    let expected =
        ["\"Kitchen\"", "\"Gold\"", "\"Gold-burst\"", "\"Small\"", "\"Small-burst\"", "\"Everybody\"", "\"max-tps\""];
    assert_eq!(names, expected);
    // A policy of the whole API takes the place of those of its operations.
    stage.put_policy(policy(PolicyLevel::Advanced, "House"), None);
    stage.budgets.set("House", CounterLevel::Api, 0, false);
    stage.deploy(DeployedApi { api_policy: Some("House".to_owned()), ..limited });
    assert_eq!(code(&mut client, MENU).await, "429 900800");
}

fn group(condition: Condition, is_inverted: bool) -> ConditionGroup {
    ConditionGroup {
        description: String::new(),
        conditions: vec![GroupCondition { condition, is_inverted }],
        quota: Quota::Requests(10),
        window: Window { length: 1, unit: TimeUnit::Minute },
    }
}

#[tokio::test]
async fn conditions_on_address_header_query_and_claim_choose_the_limit() {
    let backend = Backend::start().await;
    let mut limited = api(backend.address);
    limited.api_policy = Some("House".to_owned());
    let stage = Stage::new(Settings { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..settings() });
    stage.deploy(limited.clone());
    let groups = vec![
        group(Condition::Ip("203.0.113.0/24".parse().unwrap()), false),
        group(Condition::Header { name: "x-kind".to_owned(), pattern: "^robot$".to_owned() }, false),
        group(Condition::Query { name: "size".to_owned(), pattern: "l".to_owned() }, false),
        group(Condition::Claim { name: "tier".to_owned(), pattern: "^(free|trial)$".to_owned() }, false),
    ];
    stage.put_policy(policy(PolicyLevel::Advanced, "House"), Some(PolicyRules { groups, ..PolicyRules::default() }));
    let key = |suffix: &str| format!("carbon.super/api/House/{}{suffix}", limited.id);
    let budgets: Vec<_> = (0..4)
        .map(|number| stage.budgets.set(&key(&format!("_condition_{number}")), CounterLevel::Api, 0, false))
        .collect();
    let default = stage.budgets.set(&key("_default"), CounterLevel::Api, 9, false);
    let free = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"tier":"free"}"#));
    let paying = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"tier":"gold"}"#));
    for token in [&free, &paying] {
        stage.keys.set(token, Ok(verdict()));
    }
    let mut client = stage.client().await;
    let mut call = async |path: &str, token: &str, headers: &str| {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{headers}\r\n")).await;
        client.reply().await.status
    };
    assert_eq!(call(MENU, &paying, "").await, 200, "meets no condition");
    assert_eq!(call(MENU, &paying, "X-Forwarded-For: 203.0.113.7\r\n").await, 429);
    assert_eq!(
        call(MENU, &paying, "X-Forwarded-For: 203.0.113.7, 198.51.100.1\r\n").await,
        200,
        "the client's own word"
    );
    assert_eq!(call(MENU, &paying, "X-Kind: robot\r\n").await, 429);
    assert_eq!(call(MENU, &paying, "X-Kind: robots\r\n").await, 200);
    assert_eq!(call("/pizza/1.0.0/menu?size=%6c", &paying, "").await, 429);
    assert_eq!(call("/pizza/1.0.0/menu?size=m", &paying, "").await, 200);
    assert_eq!(call(MENU, &free, "").await, 429);
    assert_eq!(default.left(), 5);
    // To lift one limit lifts no other; of two that are met both count.
    *budgets[1].left.lock().unwrap() = 2;
    assert_eq!(call(MENU, &paying, "X-Kind: robot\r\n").await, 200);
    assert_eq!(call(MENU, &free, "X-Kind: robot\r\n").await, 429);
    assert_eq!(budgets[1].left(), 1, "what the first gave is given back when the second refuses");
}

fn deny(stage: &Stage, number: u8, condition: DenyCondition, is_active: bool, expires_at: Option<Timestamp>) {
    let (id, tenant) = (PolicyId::from_random([number; 16]), TenantDomain::super_tenant());
    let denial = DenyPolicy {
        id,
        tenant: tenant.clone(),
        condition,
        is_active,
        expires_at,
        created_at: Timestamp(1),
        created_by: Username("admin".to_owned()),
    };
    stage.change(|state| {
        state.deployed.deny_policies.insert((tenant, id), Arc::new(denial));
        state.deployed.advance(Generation::Policies);
    });
}

#[tokio::test]
async fn whom_a_deny_policy_means_is_turned_away_at_once_and_let_in_again_at_once() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    stage.keys.set("bob", Ok(KeyVerdict { end_user: Username("bob".to_owned()), ..verdict() }));
    let mut client = stage.client().await;
    assert_eq!(code(&mut client, MENU).await, "passes");
    let ann = Username("ann".to_owned());
    let conditions = [
        DenyCondition::Api("/pizza/1.0.0".to_owned()),
        DenyCondition::Application { owner: ann.clone(), name: "app".to_owned() },
        DenyCondition::User { tenant: TenantDomain::super_tenant(), username: ann },
        DenyCondition::Ip { network: "127.0.0.0/8".parse().unwrap(), is_inverted: false },
        DenyCondition::IpRange {
            from: "10.0.0.0".parse().unwrap(),
            to: "10.255.255.255".parse().unwrap(),
            is_inverted: true,
        },
        DenyCondition::Tenant(TenantDomain::super_tenant()),
    ];
    for condition in conditions {
        deny(&stage, 1, condition.clone(), true, None);
        let reply = client.get(MENU, Some("good")).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "900805"), "{condition:?}");
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["message"], "Message blocked");
        let is_for_ann_alone = matches!(condition, DenyCondition::User { .. });
        let others = client.get(MENU, Some("bob")).await.status;
        assert_eq!(others, if is_for_ann_alone { 200 } else { 403 }, "{condition:?}");
        deny(&stage, 1, condition.clone(), false, None);
        assert_eq!(code(&mut client, MENU).await, "passes", "{condition:?} switched off");
        deny(&stage, 1, condition.clone(), true, Some(Timestamp(1)));
        assert_eq!(code(&mut client, MENU).await, "passes", "{condition:?} is over");
    }
    assert_eq!(stage.gateway.metrics().refused_denied, 11);
    // An address is turned away whoever comes from it, before its token is looked at.
    deny(&stage, 1, DenyCondition::Ip { network: "127.0.0.1/32".parse().unwrap(), is_inverted: false }, true, None);
    let reply = client.get(MENU, Some("forged")).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "900805"));
    assert_eq!(client.get("/pizza/1.0.0/open", None).await.status, 403);
}

#[tokio::test]
async fn calls_without_a_token_share_a_quota_by_address() {
    let backend = Backend::start().await;
    let stage = Stage::new(Settings { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..settings() });
    let open = api(backend.address);
    stage.deploy(open.clone());
    stage.put_policy(policy(PolicyLevel::Subscription, "Unauthenticated"), None);
    let key = |client: &str| format!("carbon.super/subscription/Unauthenticated/{client}:{}", open.id);
    stage.budgets.set(&key("203.0.113.7"), CounterLevel::Subscription, 1, false);
    stage.budgets.set(&key("2001:db8::"), CounterLevel::Subscription, 1, false);
    let mut client = stage.client().await;
    let mut call = async |from: &str| {
        let head = format!("GET /pizza/1.0.0/open HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {from}\r\n\r\n");
        client.send(&head).await;
        client.reply().await
    };
    assert_eq!(call("203.0.113.7").await.status, 200);
    let refused = call("203.0.113.7").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "900804"));
    assert_eq!(call("2001:db8::1").await.status, 200);
    assert_eq!(call("2001:db8::2").await.status, 429, "one household has one quota");
    // A prototype is not limited, as in the original.
    stage.deploy(DeployedApi { lifecycle: Lifecycle::Prototyped, ..open });
    assert_eq!(call("203.0.113.7").await.status, 200);
}

#[tokio::test]
async fn a_custom_rule_counts_by_what_its_template_and_expression_say() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let custom = CustomRule {
        key_template: "$resourceKey".to_owned(),
        expression: "headers['x-kind'] == 'robot'".to_owned(),
        siddhi_query: String::new(),
    };
    stage.put_policy(
        policy(PolicyLevel::Custom, "Robots"),
        Some(PolicyRules { custom: Some(custom), ..PolicyRules::default() }),
    );
    let budget = stage.budgets.set("Robots", CounterLevel::Custom, 1, false);
    let mut client = stage.client().await;
    let mut call = async |kind: &str| {
        client
            .send(&format!("GET {MENU} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nX-Kind: {kind}\r\n\r\n"))
            .await;
        client.reply().await
    };
    assert_eq!(call("person").await.status, 200);
    assert_eq!(call("robot").await.status, 200);
    let refused = call("robot").await;
    assert_eq!((refused.status, refused.code().as_str(), budget.left()), (429, "900806", 0));
    assert_eq!(call("person").await.status, 200);
}
