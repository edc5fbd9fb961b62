//! A set that only grows: applications with a number as name, listed again and again, and on every node at the end.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::http::{Ask, Client};
use crate::journey::DEVPORTAL;
use crate::worker::{Outcome, Worker};
use crate::workload::{Stage, Workload};

/// Elements at most: one owner may have 10 000 applications.
const ELEMENTS_MAX: u64 = 9_000;
/// Elements per page, the most that is possible.
const PAGE: usize = 1_000;
const NAME: &str = "element ";

/// The workload.
pub struct Set {
    last: AtomicU64,
}

impl Workload for Set {
    async fn set_up(_stage: &Stage) -> Result<Self> {
        Ok(Self { last: AtomicU64::new(0) })
    }

    async fn operate(&self, worker: &mut Worker) {
        let is_reader = worker.number == 0;
        if is_reader || self.last.load(Ordering::Relaxed) >= ELEMENTS_MAX {
            let node = worker.next_node();
            read(worker, node, false).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            return;
        }
        let element = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let node = worker.next_node();
        let client = worker.admin(node);
        let body =
            json!({"name": format!("{NAME}{element:06}"), "throttlingPolicy": "Unlimited", "tokenType": "OAUTH"});
        let ask = Ask::json("POST", format!("{DEVPORTAL}/applications"), &body);
        let add = async {
            match Outcome::of_write(&client.send(ask).await) {
                Ok(_) => Outcome::ok(json!(element)),
                Err(outcome) => *outcome,
            }
        };
        let extra = worker.at_member(node);
        worker.perform("add", json!(element), extra, add).await;
    }

    async fn finish(&self, worker: &mut Worker) {
        for node in 1..=worker.cluster.size() {
            read(worker, node, true).await;
        }
    }
}

/// Reads all elements. At the end all nodes are at the same index, and each is asked for what it has itself.
async fn read(worker: &mut Worker, node: usize, is_last: bool) {
    let client = worker.admin(node);
    let mut extra = worker.at_member(node);
    if is_last {
        extra.insert("final".to_owned(), true.into());
    }
    let consistency = if is_last { "stale" } else { "linearizable" };
    let elements = async {
        match list_applications(&client, consistency).await {
            Ok(applications) => Outcome::ok(applications.iter().filter_map(|(name, _)| element_of(name)).collect()),
            Err(outcome) => *outcome,
        }
    };
    worker.perform("read", Value::Null, extra, elements).await;
}

fn element_of(name: &str) -> Option<u64> {
    name.strip_prefix(NAME)?.parse().ok()
}

/// Returns name and id of every application, each id once: a page begins anew where others were added before it.
pub async fn list_applications(client: &Client, consistency: &str) -> Result<Vec<(String, String)>, Box<Outcome>> {
    let mut seen = HashSet::new();
    let mut applications = Vec::new();
    for page in 0.. {
        let offset = page * PAGE;
        let path = format!("{DEVPORTAL}/applications?limit={PAGE}&offset={offset}&consistency={consistency}");
        let answer = client.send(Ask::get(path)).await;
        let body = Outcome::of_read(&answer)?.json();
        let Some(list) = body["list"].as_array() else { return Err(Box::new(Outcome::fail("no list in the answer"))) };
        for one in list {
            let (name, id) =
                (one["name"].as_str().unwrap_or_default(), one["applicationId"].as_str().unwrap_or_default());
            if seen.insert(id.to_owned()) {
                applications.push((name.to_owned(), id.to_owned()));
            }
        }
        if list.len() < PAGE {
            break;
        }
    }
    Ok(applications)
}
