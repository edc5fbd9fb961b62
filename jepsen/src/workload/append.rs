//! Lists: the description of an application is a list of numbers. A transaction appends to one list where it is what was
//! read (`If-Match`), or reads many at once, as one state has them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::http::{Ask, Client};
use crate::journey::{self, DEVPORTAL};
use crate::worker::{Outcome, Worker, at_node};
use crate::workload::{Stage, Workload};

/// Lists in use at a time.
const AT_A_TIME: usize = 6;
/// Elements of a list: what a description of 512 characters holds.
const ELEMENTS_MAX: usize = 64;
/// Applications of one page, the most that is possible.
const LISTS_MAX: usize = 1_000;

struct List {
    id: String,
    body: Value,
}

/// The workload.
pub struct Append {
    lists: Vec<List>,
    /// The lists that are in use.
    open: Mutex<Vec<usize>>,
    last_element: AtomicU64,
}

impl Workload for Append {
    async fn set_up(stage: &Stage) -> Result<Self> {
        let admin = stage.cluster.admin(1);
        let count = (stage.operations / ELEMENTS_MAX * 2 + AT_A_TIME * 2).min(LISTS_MAX);
        let mut lists = Vec::with_capacity(count);
        for number in 0..count {
            let id = journey::create_application(&admin, &format!("list {number}"), "Unlimited", "OAUTH").await?;
            let path = format!("{DEVPORTAL}/applications/{id}");
            let mut body = admin.send(Ask::get(&path)).await.expect(200).context("list")?.json();
            body["description"] = "".into();
            admin.send(Ask::json("PUT", &path, &body)).await.expect(200).context("an empty list")?;
            lists.push(List { id, body });
        }
        Ok(Self { lists, open: Mutex::new((0..AT_A_TIME).collect()), last_element: AtomicU64::new(0) })
    }

    async fn operate(&self, worker: &mut Worker) {
        let open = self.open();
        if worker.random.chance(35) {
            let node = worker.next_node();
            let mut keys = open;
            worker.random.shuffle(&mut keys);
            keys.truncate(1 + worker.random.below(keys.len()));
            self.read(worker, keys, node, false).await;
            return;
        }
        let key = *worker.random.pick(&open);
        self.append(worker, key).await;
    }

    async fn finish(&self, worker: &mut Worker) {
        let open = self.open();
        let used = open.iter().max().map_or(0, |last| last + 1);
        for node in 1..=worker.cluster.size() {
            self.read(worker, (0..used).collect(), node, true).await;
        }
    }
}

impl Append {
    fn open(&self) -> Vec<usize> {
        // A list of numbers is whole after every step.
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Puts the next unused list in the place of a full one.
    fn retire(&self, key: usize) {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let next = open.iter().max().map_or(0, |last| last + 1);
        if let Some(place) = open.iter_mut().find(|one| **one == key)
            && next < self.lists.len()
        {
            *place = next;
        }
    }

    async fn append(&self, worker: &mut Worker, key: usize) {
        let node = worker.next_node();
        // The read and the change may go through different nodes.
        let (reader, writer) = (worker.admin(node), worker.admin(node));
        let element = self.last_element.fetch_add(1, Ordering::Relaxed) + 1;
        let list = &self.lists[key];
        let path = format!("{DEVPORTAL}/applications/{}", list.id);
        let mut length = 0;
        let change = async {
            let answer = reader.send(Ask::get(format!("{path}?consistency=linearizable"))).await;
            let (seen, tag) = match Outcome::of_read(&answer) {
                Ok(reply) => (elements(&reply.json()), reply.header("etag").to_owned()),
                Err(outcome) => return *outcome,
            };
            length = seen.len();
            if length >= ELEMENTS_MAX {
                return Outcome::fail("the list is full");
            }
            let mut body = list.body.clone();
            let text: Vec<String> = seen.iter().chain([&element]).map(|one| format!("{one:x}")).collect();
            body["description"] = text.join(" ").into();
            let ask = Ask::json("PUT", &path, &body).with("if-match", tag);
            match Outcome::of_write(&writer.send(ask).await) {
                Ok(_) => Outcome::ok(json!([["r", key, seen], ["append", key, element]])),
                Err(outcome) => *outcome,
            }
        };
        let value = json!([["r", key, null], ["append", key, element]]);
        worker.perform("txn", value, at_node(node), change).await;
        if length + 1 >= ELEMENTS_MAX {
            self.retire(key);
        }
    }

    /// Reads lists, all of one state.
    async fn read(&self, worker: &mut Worker, keys: Vec<usize>, node: usize, is_last: bool) {
        let client = worker.admin(node);
        let mut extra = at_node(node);
        if is_last {
            extra.insert("final".to_owned(), true.into());
        }
        let asked: Vec<Value> = keys.iter().map(|key| json!(["r", key, null])).collect();
        let read = async {
            match self.read_all(&client, &keys).await {
                Ok(steps) => Outcome::ok(steps),
                Err(outcome) => *outcome,
            }
        };
        worker.perform("txn", Value::Array(asked), extra, read).await;
    }

    async fn read_all(&self, client: &Client, keys: &[usize]) -> Result<Value, Box<Outcome>> {
        let path = format!("{DEVPORTAL}/applications?query=list%20&limit={LISTS_MAX}&consistency=linearizable");
        let answer = client.send(Ask::get(path)).await;
        let body = Outcome::of_read(&answer)?.json();
        let there: Map<String, Value> = body["list"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| Some((one["applicationId"].as_str()?.to_owned(), json!(elements(one)))))
            .collect();
        let step = |key: &usize| there.get(&self.lists[*key].id).map(|list| json!(["r", key, list]));
        match keys.iter().map(step).collect::<Option<Vec<_>>>() {
            Some(steps) => Ok(Value::Array(steps)),
            None => Err(Box::new(Outcome::fail("a list is not there"))),
        }
    }
}

fn elements(application: &Value) -> Vec<u64> {
    let text = application["description"].as_str().unwrap_or_default();
    text.split_whitespace().filter_map(|one| u64::from_str_radix(one, 16).ok()).collect()
}
