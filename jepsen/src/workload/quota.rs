//! Calls against four quotas at once, through every gateway: three of subscriptions, one of an application. What counts
//! is what reaches the backend.

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

/// Whose quota, requests a minute.
const QUOTAS: [(&str, u64); 4] =
    [("subscription", 30), ("subscription", 100), ("subscription", 200), ("application", 60)];

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
        let mut names = Vec::new();
        for (number, (kind, limit)) in QUOTAS.iter().enumerate() {
            let name = format!("Quota{number}");
            journey::create_policy(&admin, kind, &name, *limit).await?;
            names.push(name);
        }
        let mut plans = vec!["Unlimited"];
        plans.extend(
            names.iter().zip(QUOTAS).filter(|(_, (kind, _))| *kind == "subscription").map(|(name, _)| name.as_str()),
        );
        let api = journey::create_api(&admin, "quotas", stage.backend.url(), &plans).await?;
        journey::publish(&admin, &api).await?;
        let mut tokens = Vec::new();
        for (name, (kind, _)) in names.iter().zip(QUOTAS) {
            let is_plan = kind == "subscription";
            let (plan, policy) = if is_plan { (name.as_str(), "Unlimited") } else { ("Unlimited", name.as_str()) };
            let application = journey::create_application(&admin, name, policy, "OAUTH").await?;
            let keys = journey::subscribe(&admin, &application, &api, plan).await?;
            tokens.push(journey::token(&stage.cluster.management(1), &keys).await?);
        }
        let limits: Vec<Value> = QUOTAS.iter().enumerate().map(|(number, (_, limit))| json!([number, limit])).collect();
        stage.recorder.push(Process::Nemesis, Kind::Info, "limits", Value::Array(limits), Map::new());
        let recorder = Arc::clone(&stage.recorder);
        Ok(Self { tokens, last: AtomicU64::new(0), backend: stage.backend.clone(), recorder })
    }

    async fn operate(&self, worker: &mut Worker) {
        let key = worker.random.below(self.tokens.len());
        let node = worker.next_node();
        let call = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let client = worker.gateway(node);
        let ask = Ask::get("/quotas/1.0.0/menu")
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

fn wall_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
