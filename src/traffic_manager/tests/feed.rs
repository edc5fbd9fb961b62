//! The feed: decisions and usage reach readers, and one that is too slow is told so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use portcullis_database::State;
use portcullis_database::counters::{Counter, Dry, Holding, WindowId};
use portcullis_database::handle::wall_clock;
use portcullis_model::counter::CounterSubject;
use portcullis_model::policy_rules::{CustomRule, PolicyRules};
use portcullis_model::{
    ApplicationId, CounterKey, DenyCondition, DenyPolicy, NodeId, PolicyId, PolicyLevel, TenantDomain, Timestamp,
    Username,
};
use portcullis_traffic_manager::feed::{Event, Feed};

const DAY_MS: u64 = 86_400_000;

fn key(number: u32) -> CounterKey {
    let user = Username(format!("user-{number}"));
    let subject = CounterSubject::Application { application: ApplicationId::from_random([1; 16]), user };
    CounterKey { tenant: TenantDomain::super_tenant(), policy: "50PerMin".to_owned(), subject }
}

fn counter(left: u64, is_dry: bool) -> Arc<Counter> {
    let window = WindowId::at(DAY_MS, wall_clock());
    let holding = Holding { granted: 50 - left, spent: 0, ..Holding::default() };
    let dry = Dry { since: Timestamp(1), exhausted_from: Timestamp(2) };
    Arc::new(Counter {
        window,
        limit: 50,
        version: 1,
        stops_on_quota_reach: true,
        holdings: [(NodeId(1), holding)].into_iter().collect(),
        dry: is_dry.then_some(dry),
    })
}

fn run(feed: &Arc<Feed>) -> impl Sized {
    let feed = Arc::clone(feed);
    tokio::spawn(async move { feed.tell().await })
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

#[tokio::test]
async fn a_reader_hears_when_a_counter_is_used_up_when_it_has_something_again_and_what_was_used() {
    let feed = Feed::new();
    let _telling = run(&feed);
    let mut state = State::default();
    state.counters.counters.insert(key(1), counter(0, true));
    feed.learn(&state);
    let mut reader = feed.listen().unwrap();
    let expiry = WindowId::at(DAY_MS, wall_clock()).end().0;
    let first = soon(reader.next()).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&first.as_json()).unwrap();
    let application = ApplicationId::from_random([1; 16]);
    assert_eq!(
        json,
        serde_json::json!({
            "throttleKey": format!("{application}:user-1"), "isThrottled": "true", "expiryTimeStamp": expiry,
            "policy": "50PerMin", "tenantDomain": "carbon.super",
        }),
        "what is used up already is told first"
    );
    state.counters.counters.insert(key(1), counter(30, false));
    state.counters.usage.insert(key(1), 7);
    feed.learn(&state);
    let (second, third) = (soon(reader.next()).await.unwrap(), soon(reader.next()).await.unwrap());
    let Event::Usage(usage) = second.as_ref() else { panic!("{second:?}") };
    assert_eq!((usage.used, usage.used_in_all), (7, 7));
    let Event::Decision(decision) = third.as_ref() else { panic!("{third:?}") };
    assert_eq!(decision.is_throttled, "false");
    feed.end();
    assert_eq!(soon(reader.next()).await, None);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_what_it_missed_and_costs_the_others_nothing() {
    let feed = Feed::new();
    let _telling = run(&feed);
    let mut state = State::default();
    feed.learn(&state);
    let (mut slow, mut quick) = (feed.listen().unwrap(), feed.listen().unwrap());
    let mut heard = 0;
    // More than a reader may be behind, in parts that the other takes.
    for part in 0..5 {
        for number in 0..1000 {
            state.counters.usage.insert(key(part * 1000 + number), 1);
        }
        feed.learn(&state);
        while heard < (part + 1) * 1000 {
            let Event::Usage(_) = soon(quick.next()).await.unwrap().as_ref() else { panic!("a message of usage") };
            heard += 1;
        }
    }
    let Event::Dropped(dropped) = *soon(slow.next()).await.unwrap() else { panic!("it is told that it was dropped") };
    assert_eq!(dropped.missed, 5000 - 4096);
    assert_eq!(feed.figures().2, 1);
}

async fn told(reader: &mut portcullis_traffic_manager::feed::Reader) -> serde_json::Value {
    serde_json::from_str(&soon(reader.next()).await.unwrap().as_json()).unwrap()
}

#[tokio::test]
async fn a_reader_hears_who_is_turned_away_until_the_policy_ends_by_its_time_and_of_key_templates() {
    let feed = Feed::new();
    let _telling = run(&feed);
    let tenant = TenantDomain::super_tenant();
    let id = PolicyId::from_random([3; 16]);
    let policy = DenyPolicy {
        id,
        tenant: tenant.clone(),
        condition: DenyCondition::Ip { network: "10.0.0.0/8".parse().unwrap(), is_inverted: false },
        is_active: true,
        expires_at: Some(wall_clock().after(Duration::from_millis(700))),
        created_at: Timestamp(0),
        created_by: Username("admin".to_owned()),
    };
    let mut state = State::default();
    feed.learn(&state);
    let mut reader = feed.listen().unwrap();
    state.deployed.deny_policies.insert((tenant.clone(), id), Arc::new(policy));
    feed.learn(&state);
    let blocking = |state: &str| {
        serde_json::json!({
            "blockingCondition": "IP", "conditionValue": r#"{"fixedIp":"10.0.0.0/8","invert":false}"#,
            "state": state, "tenantDomain": "carbon.super", "conditionId": id.to_string(),
        })
    };
    assert_eq!(told(&mut reader).await, blocking("true"));
    assert_eq!(told(&mut reader).await, blocking("false"), "its time is over");

    let rule =
        CustomRule { key_template: "$userId".to_owned(), expression: String::new(), siddhi_query: String::new() };
    let key = (tenant, PolicyLevel::Custom, "per user".to_owned());
    let rules = PolicyRules { custom: Some(rule), ..PolicyRules::default() };
    state.deployed.policy_rules.insert(key.clone(), Arc::new(rules));
    feed.learn(&state);
    let template = |state: &str| serde_json::json!({"keyTemplateValue": "$userId", "keyTemplateState": state});
    assert_eq!(told(&mut reader).await, template("add"));
    state.deployed.policy_rules.remove(&key);
    feed.learn(&state);
    assert_eq!(told(&mut reader).await, template("remove"));
    feed.end();
}
