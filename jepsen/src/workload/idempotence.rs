//! Creates with an `Idempotency-Key`, whose answers the client often does not wait for, and which it then sends again to
//! whatever node: applications (whose names are unique) and revisions (whose descriptions are not).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::checker::once::pair;
use crate::http::{Answer, Ask};
use crate::journey::{self, DEVPORTAL, PUBLISHER};
use crate::worker::{Outcome, Worker, at_node};
use crate::workload::set::list_applications;
use crate::workload::{Stage, Workload};

/// An API has at most five revisions.
const REVISIONS: u64 = 5;
/// Every so many keys one is a revision's.
const REVISION_EVERY: u64 = 5;
const APIS_MAX: u64 = 40;
const KEYS_MAX: u64 = 9_000;
/// How often a request is sent at most.
const ATTEMPTS: usize = 6;
const NAME: &str = "once ";

/// The workload.
pub struct Idempotence {
    last: AtomicU64,
    apis: Vec<String>,
}

impl Workload for Idempotence {
    async fn set_up(stage: &Stage) -> Result<Self> {
        let admin = stage.cluster.admin(1);
        let wanted = (stage.operations as u64 / REVISION_EVERY / REVISIONS + 1).min(APIS_MAX);
        let mut apis = Vec::new();
        for number in 0..wanted {
            apis.push(
                journey::create_api(&admin, &format!("once{number}"), stage.backend.url(), &["Unlimited"]).await?,
            );
        }
        Ok(Self { last: AtomicU64::new(0), apis })
    }

    async fn operate(&self, worker: &mut Worker) {
        let key = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        if key > KEYS_MAX {
            return tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut is_done = false;
        for _ in 0..ATTEMPTS {
            is_done = self.create(worker, key).await;
            if is_done {
                break;
            }
        }
        if is_done && worker.random.chance(15) {
            self.create(worker, key).await;
        }
        if is_done && worker.random.chance(10) {
            self.reuse(worker, key).await;
        }
    }

    async fn finish(&self, worker: &mut Worker) {
        for node in 1..=worker.cluster.size() {
            let client = worker.admin(node);
            let read = async {
                let mut pairs = Vec::new();
                let applications = match list_applications(&client, "stale").await {
                    Ok(applications) => applications,
                    Err(outcome) => return *outcome,
                };
                pairs.extend(applications.iter().filter_map(|(name, id)| Some(pair(key_of(name)?, id))));
                for api in &self.apis {
                    let answer =
                        client.send(Ask::get(format!("{PUBLISHER}/apis/{api}/revisions?consistency=stale"))).await;
                    let body = match Outcome::of_read(&answer) {
                        Ok(reply) => reply.json(),
                        Err(outcome) => return *outcome,
                    };
                    for revision in body["list"].as_array().into_iter().flatten() {
                        let key = revision["description"].as_str().and_then(key_of);
                        let id = revision["id"].as_str().unwrap_or_default();
                        pairs.extend(key.map(|key| pair(key, id)));
                    }
                }
                Outcome::ok(Value::Array(pairs))
            };
            worker.perform("read", Value::Null, at_node(node), read).await;
        }
    }
}

fn key_of(name: &str) -> Option<u64> {
    name.strip_prefix(NAME)?.parse().ok()
}

impl Idempotence {
    /// Returns the request of a key, and the field of the answer that has the id.
    fn request(&self, key: u64) -> (Ask, &'static str) {
        let name = format!("{NAME}{key}");
        let place = key / REVISION_EVERY / REVISIONS;
        let api = usize::try_from(place).ok().and_then(|place| self.apis.get(place));
        let (ask, field) = match api.filter(|_| key.is_multiple_of(REVISION_EVERY)) {
            Some(api) => {
                let path = format!("{PUBLISHER}/apis/{api}/revisions");
                (Ask::json("POST", path, &json!({"description": name})), "id")
            }
            None => {
                let body = json!({"name": name, "throttlingPolicy": "Unlimited", "tokenType": "OAUTH"});
                (Ask::json("POST", format!("{DEVPORTAL}/applications"), &body), "applicationId")
            }
        };
        (ask.with("idempotency-key", format!("key-{key}")), field)
    }

    /// Sends the request once, and says whether it was answered well.
    async fn create(&self, worker: &mut Worker, key: u64) -> bool {
        let node = worker.any_node();
        let client = worker.admin(node);
        let (mut ask, field) = self.request(key);
        if worker.random.chance(35) {
            ask = ask.within(Duration::from_millis(1 + worker.random.below(15) as u64));
        }
        let create = async {
            let answer = client.send(ask).await;
            match Outcome::of_write(&answer) {
                Ok(reply) => Outcome::ok(pair(key, reply.json()[field].as_str().unwrap_or_default())),
                Err(outcome) => outcome.with("status", status(&answer)),
            }
        };
        let outcome = worker.perform("create", json!([key, null]), at_node(node), create).await;
        outcome.kind == crate::history::Kind::Ok
    }

    /// Sends another request with the key, which must be refused.
    async fn reuse(&self, worker: &mut Worker, key: u64) {
        let node = worker.any_node();
        let client = worker.admin(node);
        let body = json!({"name": format!("another {key}"), "throttlingPolicy": "Unlimited", "tokenType": "OAUTH"});
        let ask =
            Ask::json("POST", format!("{DEVPORTAL}/applications"), &body).with("idempotency-key", format!("key-{key}"));
        let reuse = async {
            let answer = client.send(ask).await;
            match Outcome::of_write(&answer) {
                Ok(reply) => Outcome::ok(pair(key, &reply.summary())),
                Err(outcome) => outcome.with("status", status(&answer)),
            }
        };
        worker.perform("reuse", json!([key, null]), at_node(node), reuse).await;
    }
}

fn status(answer: &Answer) -> Value {
    match answer {
        Answer::Reply(reply) => reply.status.into(),
        Answer::NotSent(_) | Answer::Lost(_) => Value::Null,
    }
}
