//! Calls against quotas of every level at once, through every gateway; some callers are held to several, which they share
//! with others. What counts is what reaches the backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::backend::{Backend, CALL};
use crate::history::{Kind, Process, Recorder};
use crate::http::{Answer, Ask};
use crate::journey;
use crate::worker::{Outcome, Worker, at_node};
use crate::workload::{Stage, Workload};

/// The limits, requests a minute: the policy's level and what it grants.
const LIMITS: [(&str, u64); 8] = [
    ("subscription", 30),
    ("subscription", 100),
    ("subscription", 200),
    ("application", 60),
    ("subscription", 80),
    ("application", 100),
    ("advanced", 150),
    ("custom", 130),
];

/// A caller: at which API, by which plan and which application policy (numbers of limits).
struct Caller {
    api: &'static str,
    plan: Option<usize>,
    application: Option<usize>,
}

/// Four that are held to one limit each, and two that share an API's and a custom rule's, one of which has more.
const CALLERS: [Caller; 6] = [
    Caller { api: PLAIN, plan: Some(0), application: None },
    Caller { api: PLAIN, plan: Some(1), application: None },
    Caller { api: PLAIN, plan: Some(2), application: None },
    Caller { api: PLAIN, plan: None, application: Some(3) },
    Caller { api: SHARED, plan: Some(4), application: Some(5) },
    Caller { api: SHARED, plan: None, application: None },
];
const PLAIN: &str = "quotas";
const SHARED: &str = "shared";
const ADVANCED: usize = 6;
const CUSTOM: usize = 7;

/// The workload.
pub struct Quota {
    tokens: Vec<String>,
    last: AtomicU64,
    backend: Backend,
    recorder: Arc<Recorder>,
}

impl Workload for Quota {
    async fn set_up(stage: &Stage) -> Result<Self> {
        let admin = stage.cluster.admin(1);
        let mut plans = vec!["Unlimited".to_owned()];
        for (number, (level, limit)) in LIMITS.iter().enumerate() {
            match *level {
                "advanced" => journey::create_advanced(&admin, &name(number), *limit).await?,
                "custom" => {
                    let rule = ("$apiContext", format!("apiContext == '/{SHARED}/1.0.0'"));
                    journey::create_custom(&admin, &name(number), (rule.0, &rule.1), *limit).await?;
                }
                level => journey::create_policy(&admin, level, &name(number), *limit).await?,
            }
            if *level == "subscription" {
                plans.push(name(number));
            }
        }
        let plans: Vec<&str> = plans.iter().map(String::as_str).collect();
        let plain = journey::create_api(&admin, PLAIN, stage.backend.url(), &plans).await?;
        let mut body = journey::api_body(SHARED, stage.backend.url(), &plans);
        body["apiThrottlingPolicy"] = name(ADVANCED).into();
        let shared = journey::create_api_of(&admin, &body).await?;
        for api in [&plain, &shared] {
            journey::publish(&admin, api).await?;
        }
        let mut tokens = Vec::new();
        let mut limited = Vec::new();
        for (key, caller) in CALLERS.iter().enumerate() {
            let policy = |number: Option<usize>| number.map_or_else(|| "Unlimited".to_owned(), name);
            let title = format!("quota caller {key}");
            let application = journey::create_application(&admin, &title, &policy(caller.application), "OAUTH").await?;
            let api = if caller.api == SHARED { &shared } else { &plain };
            let keys = journey::subscribe(&admin, &application, api, &policy(caller.plan)).await?;
            tokens.push(journey::token(&stage.cluster.management(1), &keys).await?);
            limited.extend(caller.plan.into_iter().chain(caller.application).map(|number| json!([key, number])));
            if caller.api == SHARED {
                limited.extend([json!([key, ADVANCED]), json!([key, CUSTOM])]);
            }
        }
        let limits: Vec<Value> = LIMITS.iter().enumerate().map(|(number, (_, limit))| json!([number, limit])).collect();
        for (f, value) in [("limits", limits), ("limited", limited)] {
            stage.recorder.push(Process::Nemesis, Kind::Info, f, Value::Array(value), Map::new());
        }
        let recorder = Arc::clone(&stage.recorder);
        Ok(Self { tokens, last: AtomicU64::new(0), backend: stage.backend.clone(), recorder })
    }

    async fn operate(&self, worker: &mut Worker) {
        let key = worker.random.below(self.tokens.len());
        let node = worker.next_node();
        let call = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let client = worker.gateway(node);
        let ask = Ask::get(format!("/{}/1.0.0/menu", CALLERS[key].api))
            .with("authorization", format!("Bearer {}", self.tokens[key]))
            .with(CALL, call.to_string());
        let mut extra = at_node(node);
        extra.insert("call".to_owned(), call.into());
        extra.insert("began_ms".to_owned(), wall_ms().into());
        let request = async {
            let answer = client.send(ask).await;
            let ended = wall_ms().into();
            let outcome = match answer {
                Answer::Reply(reply) if reply.status == 200 => Outcome::ok(json!([key, "admitted"])),
                Answer::Reply(reply) if reply.status == 429 => Outcome::ok(json!([key, "refused"])),
                Answer::NotSent(why) => Outcome::fail(&why),
                other => match Outcome::of_write(&other) {
                    Err(outcome) => *outcome,
                    Ok(reply) => Outcome::fail(&reply.summary()),
                },
            };
            outcome.with("ended_ms", ended)
        };
        worker.perform("call", json!([key, null]), extra, request).await;
    }

    async fn finish(&self, _worker: &mut Worker) {
        let served: Value = self.backend.seen().into();
        self.recorder.push(Process::Nemesis, Kind::Info, "served", served, Map::new());
    }
}

fn name(limit: usize) -> String {
    format!("Quota{limit}")
}

fn wall_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
