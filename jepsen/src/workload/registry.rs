//! Registers: the description of an application (three of four keys) or of an API, read, written, and changed only
//! where it is what was read before (`If-Match`).

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::http::{Answer, Ask};
use crate::journey::{self, DEVPORTAL, PUBLISHER};
use crate::worker::{Outcome, Worker, at_node};
use crate::workload::{Stage, Workload};

/// Operations per key, about: few enough for a search over all orders.
const PER_KEY: usize = 150;
/// Keys in use at a time.
const AT_A_TIME: usize = 4;

struct Key {
    path: String,
    body: Value,
}

/// The workload.
pub struct Registry {
    keys: Vec<Key>,
    done: AtomicUsize,
    last_value: AtomicI64,
    consistency: &'static str,
}

impl Workload for Registry {
    async fn set_up(stage: &Stage) -> Result<Self> {
        let consistency = if stage.has_stale_reads { "stale" } else { "linearizable" };
        let admin = stage.cluster.admin(1);
        let count = (stage.operations / PER_KEY / AT_A_TIME + 2) * AT_A_TIME;
        let mut keys = Vec::with_capacity(count);
        for number in 0..count {
            let name = format!("register{number}");
            let path = if number % AT_A_TIME == 3 {
                let id = journey::create_api(&admin, &name, stage.backend.url(), &["Unlimited"]).await?;
                format!("{PUBLISHER}/apis/{id}")
            } else {
                let id = journey::create_application(&admin, &name, "Unlimited", "OAUTH").await?;
                format!("{DEVPORTAL}/applications/{id}")
            };
            let body = admin.send(Ask::get(&path)).await.expect(200).context("register")?.json();
            keys.push(Key { path, body });
        }
        Ok(Self { keys, done: AtomicUsize::new(0), last_value: AtomicI64::new(0), consistency })
    }

    async fn operate(&self, worker: &mut Worker) {
        let done = self.done.fetch_add(1, Ordering::Relaxed);
        let group = (done / (PER_KEY * AT_A_TIME) * AT_A_TIME) % self.keys.len();
        let key = group + worker.random.below(AT_A_TIME);
        // Who writes through a node that is cut off waits for its answer; who only reads sees what it says meanwhile.
        let wish = if worker.is_of_last_third() { 0 } else { worker.random.below(10) };
        match wish {
            0..3 => {
                self.read(worker, key, false).await;
            }
            3..7 => self.write(worker, key).await,
            _ => self.compare_and_set(worker, key).await,
        }
    }

    async fn finish(&self, worker: &mut Worker) {
        for key in 0..self.keys.len() {
            let node = worker.next_node();
            self.read_at(worker, key, node, true).await;
        }
    }
}

impl Registry {
    async fn read(&self, worker: &mut Worker, key: usize, is_last: bool) -> Option<(i64, String)> {
        let node = worker.next_node();
        self.read_at(worker, key, node, is_last).await
    }

    /// Reads linearizably, and returns value and entity tag.
    async fn read_at(&self, worker: &mut Worker, key: usize, node: usize, is_last: bool) -> Option<(i64, String)> {
        let client = worker.admin(node);
        let ask = Ask::get(format!("{}?consistency={}", self.keys[key].path, self.consistency));
        let mut extra = at_node(node);
        if is_last {
            extra.insert("final".to_owned(), true.into());
        }
        let mut tag = None;
        worker
            .perform("read", json!([key, null]), extra, async {
                let answer = client.send(ask).await;
                let reply = match Outcome::of_read(&answer) {
                    Ok(reply) => reply,
                    Err(outcome) => return *outcome,
                };
                let value: i64 = reply.json()["description"].as_str().unwrap_or_default().parse().unwrap_or(-1);
                tag = Some((value, reply.header("etag").to_owned()));
                with_index(Outcome::ok(json!([key, value])), &answer)
            })
            .await;
        tag
    }

    async fn write(&self, worker: &mut Worker, key: usize) {
        let node = worker.next_node();
        let client = worker.admin(node);
        let value = self.last_value.fetch_add(1, Ordering::Relaxed) + 1;
        let ask = self.put(key, value);
        let change = async { of_change(&client.send(ask).await, json!([key, value])) };
        worker.perform("write", json!([key, value]), at_node(node), change).await;
    }

    async fn compare_and_set(&self, worker: &mut Worker, key: usize) {
        let Some((old, tag)) = self.read(worker, key, false).await else { return };
        let node = worker.next_node();
        let client = worker.admin(node);
        let new = self.last_value.fetch_add(1, Ordering::Relaxed) + 1;
        let ask = self.put(key, new).with("if-match", tag);
        let value = json!([key, [old, new]]);
        let change = async { of_change(&client.send(ask).await, value.clone()) };
        worker.perform("cas", value.clone(), at_node(node), change).await;
    }

    fn put(&self, key: usize, value: i64) -> Ask {
        let mut body = self.keys[key].body.clone();
        body["description"] = value.to_string().into();
        Ask::json("PUT", &self.keys[key].path, &body)
    }
}

fn of_change(answer: &Answer, value: Value) -> Outcome {
    match Outcome::of_write(answer) {
        Ok(_) => with_index(Outcome::ok(value), answer),
        Err(outcome) => *outcome,
    }
}

fn with_index(outcome: Outcome, answer: &Answer) -> Outcome {
    let Answer::Reply(reply) = answer else { return outcome };
    match reply.header("x-raft-index").parse::<u64>() {
        Ok(index) => outcome.with("raft-index", index.into()),
        Err(_) => outcome,
    }
}
