//! Calls against quotas that are never used up, through every gateway, and at the end what each node has counted: every
//! call must be in the message stores or in the log, once.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::http::{Answer, Ask, Client};
use crate::journey;
use crate::worker::{Outcome, Worker, at_node};
use crate::workload::{Stage, Workload};

/// Quotas, each with an application of its own.
const KEYS: usize = 3;
/// What no run uses up. Every other quota is one of a second, so that windows come and go.
const LIMITS: [(&str, u64); 2] = [("min", 1_000_000), ("sec", 100_000)];
/// What is counted must not change for so long before it is believed to be all.
const STILL: Duration = Duration::from_secs(3);
/// How long the last reports may take.
const REPORTED_WITHIN: Duration = Duration::from_secs(30);

/// The workload.
pub struct Usage {
    tokens: Vec<String>,
}

impl Workload for Usage {
    async fn set_up(stage: &Stage) -> Result<Self> {
        let admin = stage.cluster.admin(1);
        let names: Vec<String> = (0..KEYS).map(policy).collect();
        for (name, (unit, limit)) in names.iter().zip(LIMITS.iter().cycle()) {
            journey::create_plan(&admin, name, unit, *limit).await?;
        }
        let plans: Vec<&str> = names.iter().map(String::as_str).collect();
        let api = journey::create_api(&admin, "usage", stage.backend.url(), &plans).await?;
        journey::publish(&admin, &api).await?;
        let mut tokens = Vec::new();
        for name in &names {
            let application = journey::create_application(&admin, name, "Unlimited", "OAUTH").await?;
            let keys = journey::subscribe(&admin, &application, &api, name).await?;
            tokens.push(journey::token(&stage.cluster.management(1), &keys).await?);
        }
        Ok(Self { tokens })
    }

    async fn operate(&self, worker: &mut Worker) {
        let key = worker.random.below(self.tokens.len());
        let node = worker.next_node();
        let client = worker.gateway(node);
        let ask = Ask::get("/usage/1.0.0/menu").with("authorization", format!("Bearer {}", self.tokens[key]));
        let call = async {
            match client.send(ask).await {
                Answer::Reply(reply) if reply.status == 200 => Outcome::ok(json!([key, "admitted"])),
                Answer::NotSent(why) => Outcome::fail(&why),
                other => match Outcome::of_write(&other) {
                    Err(outcome) => *outcome,
                    Ok(reply) => Outcome::fail(&reply.summary()),
                },
            }
        };
        worker.perform("call", json!([key, null]), at_node(node), call).await;
    }

    async fn finish(&self, worker: &mut Worker) {
        let size = worker.cluster.size();
        let all: Vec<Client> = (1..=size).map(|node| worker.admin(node)).collect();
        wait_until_still(&all).await;
        for node in 1..=worker.cluster.size() {
            let client = worker.admin(node);
            let count = async {
                match counted(&client).await {
                    Ok(counts) => Outcome::ok(Value::Array(counts)),
                    Err(outcome) => *outcome,
                }
            };
            worker.perform("count", Value::Null, at_node(node), count).await;
        }
    }
}

fn policy(key: usize) -> String {
    format!("Usage{key}")
}

/// Waits until all nodes count the same and it changes no more.
async fn wait_until_still(all: &[Client]) {
    let start = Instant::now();
    let (mut last, mut since) = (None, Instant::now());
    while start.elapsed() < REPORTED_WITHIN && since.elapsed() < STILL {
        let mut now = Vec::new();
        for client in all {
            now.push(counted(client).await.ok());
        }
        let is_same = now[0].is_some() && now.iter().all(|one| *one == now[0]);
        if !is_same || now.first() != last.as_ref() {
            (last, since) = (now.swap_remove(0).into(), Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns what was used of each quota, as the node has it.
async fn counted(client: &Client) -> Result<Vec<Value>, Box<Outcome>> {
    let mut counts = Vec::new();
    for key in 0..KEYS {
        let path = format!("/api/portcullis/v1/throttling/usage?policy={}", policy(key));
        let body = Outcome::of_read(&client.send(Ask::get(path)).await)?.json();
        let used = body["list"].as_array().into_iter().flatten().filter_map(|one| one["used_in_all"].as_u64());
        counts.push(json!([key, used.sum::<u64>()]));
    }
    Ok(counts)
}
