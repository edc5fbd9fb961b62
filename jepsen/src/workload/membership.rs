//! A cluster whose members change while it is used: one client makes nodes learners and voters again, drains them and has
//! others lead; the rest add elements, list them, and ask each node who leads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::history::Kind;
use crate::http::Ask;
use crate::worker::{Outcome, Worker, at_node};
use crate::workload::set::Set;
use crate::workload::{Stage, Workload};

const CLUSTER: &str = "/api/portcullis/v1/cluster";
/// A change of members waits until nodes have caught up.
const CHANGED_WITHIN: Duration = Duration::from_secs(10);
/// A node must not stay drained; the tries last longer than any fault.
const UNDRAIN_TRIES: usize = 500;

/// The workload.
pub struct Membership {
    set: Set,
    /// The node that was made a learner, if any: one at a time, so that a majority is left.
    learner: Mutex<Option<u64>>,
    turn: AtomicU64,
}

impl Workload for Membership {
    async fn set_up(stage: &Stage) -> Result<Self> {
        Ok(Self { set: Set::set_up(stage).await?, learner: Mutex::default(), turn: AtomicU64::new(0) })
    }

    async fn operate(&self, worker: &mut Worker) {
        if worker.number == 1 {
            self.change(worker).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        } else if worker.random.chance(25) {
            let node = worker.any_node();
            status(worker, node).await;
        } else {
            self.set.operate(worker).await;
        }
    }

    async fn finish(&self, worker: &mut Worker) {
        for node in 1..=worker.cluster.size() {
            status(worker, node).await;
            let client = worker.admin(node);
            let roles = async {
                let answer = client.send(Ask::get(format!("{CLUSTER}/nodes"))).await;
                match Outcome::of_read(&answer) {
                    Ok(reply) => {
                        let body = reply.json();
                        let list = body["list"].as_array().into_iter().flatten();
                        Outcome::ok(list.map(|one| json!([one["id"], one["meant_role"]])).collect())
                    }
                    Err(outcome) => *outcome,
                }
            };
            worker.perform("roles", Value::Null, at_node(node), roles).await;
        }
        self.set.finish(worker).await;
    }
}

impl Membership {
    async fn change(&self, worker: &mut Worker) {
        match self.turn.fetch_add(1, Ordering::Relaxed) % 4 {
            0 | 2 => self.change_role(worker).await,
            1 => lead(worker).await,
            _ => drain(worker).await,
        }
    }

    /// Makes a node a learner, or the one that is a learner a voter again.
    async fn change_role(&self, worker: &mut Worker) {
        let learner = *self.learner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let size = worker.cluster.size();
        if size < 3 {
            return;
        }
        let number = worker.any_node();
        let (id, role) = match learner {
            Some(id) => (id, "voter"),
            None => (worker.cluster.id_of(number), "learner"),
        };
        let node = worker.any_node();
        let client = worker.admin(node);
        let ask = Ask::json("PUT", format!("{CLUSTER}/nodes/{id}/role"), &json!({"role": role})).within(CHANGED_WITHIN);
        let mut is_gone = false;
        let change = async {
            let answer = client.send(ask).await;
            match Outcome::of_write(&answer) {
                Ok(_) => Outcome::ok(json!([id, role])),
                Err(outcome) => {
                    is_gone = outcome.extra["error"].as_str().is_some_and(|why| why.starts_with("404"));
                    *outcome
                }
            }
        };
        let outcome = worker.perform("role", json!([id, role]), at_node(node), change).await;
        let mut learner = self.learner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *learner = match (outcome.kind, role) {
            // The nemesis may have removed it.
            _ if is_gone => None,
            (Kind::Ok | Kind::Info, "learner") => Some(id),
            (Kind::Ok, _) => None,
            _ => *learner,
        };
    }
}

/// Has another node lead.
async fn lead(worker: &mut Worker) {
    let node = worker.any_node();
    let client = worker.admin(node);
    let number = worker.any_node();
    let id = worker.cluster.id_of(number);
    let lead = async {
        match Outcome::of_write(
            &client.send(Ask::json("POST", format!("{CLUSTER}/leader"), &json!({"node": id}))).await,
        ) {
            Ok(_) => Outcome::ok(json!(id)),
            Err(outcome) => *outcome,
        }
    };
    worker.perform("lead", json!(id), at_node(node), lead).await;
}

/// Drains a node and lets it have traffic again, for which it asks until that is answered.
async fn drain(worker: &mut Worker) {
    let number = worker.any_node();
    let id = worker.cluster.id_of(number);
    set_drained(worker, id, true).await;
    for _ in 0..UNDRAIN_TRIES {
        if set_drained(worker, id, false).await {
            break;
        }
    }
}

/// Says whether the change was answered, or there is no such node any more.
async fn set_drained(worker: &mut Worker, id: u64, is_to_be: bool) -> bool {
    let node = worker.any_node();
    let client = worker.admin(node);
    let path = format!("{CLUSTER}/nodes/{id}/drain");
    let ask = if is_to_be { Ask::json("PUT", path, &json!({})) } else { Ask::delete(path) };
    let mut is_gone = false;
    let change = async {
        match Outcome::of_write(&client.send(ask).await) {
            Ok(_) => Outcome::ok(json!(id)),
            Err(outcome) => {
                is_gone = outcome.extra["error"].as_str().is_some_and(|why| why.starts_with("404"));
                *outcome
            }
        }
    };
    let f = if is_to_be { "drain" } else { "undrain" };
    let outcome = worker.perform(f, json!(id), at_node(node), change).await;
    outcome.kind == Kind::Ok || is_gone
}

/// Asks a node who leads, as it sees it.
async fn status(worker: &mut Worker, node: usize) {
    let client = worker.admin(node);
    let status = async {
        match Outcome::of_read(&client.send(Ask::get(format!("{CLUSTER}/status"))).await) {
            Ok(reply) => {
                let body = reply.json();
                Outcome::ok(json!({"term": body["term"], "leader": body["leader"]}))
            }
            Err(outcome) => *outcome,
        }
    };
    let extra = worker.at_member(node);
    worker.perform("status", Value::Null, extra, status).await;
}
