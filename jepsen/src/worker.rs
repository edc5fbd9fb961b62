//! One client process of a run: does one operation after the other and records each. It never repeats one by itself.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::cluster::Cluster;
use crate::history::{Kind, Process, Recorder};
use crate::http::{Answer, Client, Reply};
use crate::journey::Keys;
use crate::random::Random;

/// A client process.
pub struct Worker {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// Where it records.
    pub recorder: Arc<Recorder>,
    /// Its own chance.
    pub random: Random,
    /// Its place among the workers, from 0.
    pub number: usize,
    process: u64,
    concurrency: u64,
    clients: HashMap<String, Client>,
}

/// What came of an operation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Ok, fail or info.
    pub kind: Kind,
    /// The value that is recorded; that of the invocation where there is none.
    pub value: Option<Value>,
    /// What else is recorded.
    pub extra: Map<String, Value>,
}

impl Outcome {
    /// It surely happened.
    pub fn ok(value: Value) -> Self {
        Self { kind: Kind::Ok, value: Some(value), extra: Map::new() }
    }

    /// It surely did not happen, or did not change anything.
    pub fn fail(why: &str) -> Self {
        Self { kind: Kind::Fail, value: None, extra: Map::new() }.with("error", why.into())
    }

    /// Adds a field.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// Returns what came of a write that answers 2xx, and the reply then.
    pub fn of_write(answer: &Answer) -> Result<&Reply, Box<Self>> {
        let (kind, why) = match answer {
            Answer::Reply(reply) if (200..300).contains(&reply.status) => return Ok(reply),
            Answer::Reply(reply) => (if surely_refused(reply) { Kind::Fail } else { Kind::Info }, reply.summary()),
            Answer::NotSent(why) => (Kind::Fail, why.clone()),
            Answer::Lost(why) => (Kind::Info, why.clone()),
        };
        Err(Box::new(Self { kind, value: None, extra: Map::new() }.with("error", why.into())))
    }

    /// Returns what came of a read that answers 200, and the reply then. A read that fails changed nothing.
    pub fn of_read(answer: &Answer) -> Result<&Reply, Box<Self>> {
        match answer {
            Answer::Reply(reply) if reply.status == 200 => Ok(reply),
            Answer::Reply(reply) => Err(Box::new(Self::fail(&reply.summary()))),
            Answer::NotSent(why) | Answer::Lost(why) => Err(Box::new(Self::fail(why))),
        }
    }
}

/// Says whether a refusal means that nothing happened. PC-1504, PC-1505, PC-1521 and 5xx without a code leave it open.
fn surely_refused(reply: &Reply) -> bool {
    if (400..500).contains(&reply.status) {
        return reply.status != 408;
    }
    let text = String::from_utf8_lossy(&reply.body);
    reply.status == 503
        && ["PC-1429", "PC-1503", "PC-1506", "PC-1520", "PC-1522"].iter().any(|code| text.contains(code))
}

impl Worker {
    /// Returns worker `number` of `concurrency`.
    pub fn new(
        cluster: Arc<Cluster>,
        recorder: Arc<Recorder>,
        random: Random,
        number: usize,
        concurrency: usize,
    ) -> Self {
        Self {
            cluster,
            recorder,
            random,
            number,
            process: number as u64,
            concurrency: concurrency as u64,
            clients: HashMap::new(),
        }
    }

    /// Returns the number of the node to ask next: half of the clients stay with one node each, so that some go on whatever
    /// is cut off; the others go anywhere.
    pub fn next_node(&mut self) -> usize {
        let nodes = self.cluster.size();
        if (self.number / nodes).is_multiple_of(2) { self.number % nodes + 1 } else { self.any_node() }
    }

    /// Says whether this is one of the last third of the clients.
    pub const fn is_of_last_third(&self) -> bool {
        3 * self.number as u64 >= 2 * self.concurrency
    }

    /// Returns the number of any node.
    pub fn any_node(&mut self) -> usize {
        self.random.below(self.cluster.size()) + 1
    }

    fn client(&mut self, name: String, make: impl FnOnce(&Cluster) -> Client) -> Client {
        let cluster = Arc::clone(&self.cluster);
        self.clients.entry(name).or_insert_with(|| make(&cluster)).clone()
    }

    /// Returns this worker's client of a node's management port, signed in as administrator.
    pub fn admin(&mut self, node: usize) -> Client {
        self.client(format!("admin {node}"), |cluster| cluster.admin(node))
    }

    /// Returns this worker's client of a node's gateway.
    pub fn gateway(&mut self, node: usize) -> Client {
        self.client(format!("gateway {node}"), |cluster| cluster.gateway(node))
    }

    /// Returns this worker's client of a node's OAuth 2 pages, on the gateway or on the management port, as that
    /// application.
    pub fn oauth(&mut self, node: usize, on_gateway: bool, keys: &Keys) -> Client {
        self.client(format!("{} {node} {on_gateway}", keys.id), |cluster| {
            let client = if on_gateway { cluster.secure_gateway(node) } else { cluster.management(node) };
            client.with_basic(&keys.id, &keys.secret)
        })
    }

    /// Returns the extra fields that name the node an operation is sent to, and the id it has in the cluster then.
    pub fn at_member(&self, number: usize) -> Map<String, Value> {
        let mut extra = at_node(number);
        extra.insert("id".to_owned(), self.cluster.id_of(number).into());
        extra
    }

    /// Does one operation and records its beginning and its end.
    pub async fn perform(
        &mut self,
        f: &str,
        value: Value,
        extra: Map<String, Value>,
        operation: impl Future<Output = Outcome>,
    ) -> Outcome {
        self.recorder.push(Process::Client(self.process), Kind::Invoke, f, value.clone(), extra.clone());
        let mut outcome = operation.await;
        let mut all = extra;
        all.append(&mut outcome.extra.clone());
        let seen = outcome.value.get_or_insert(value).clone();
        self.recorder.push(Process::Client(self.process), outcome.kind, f, seen, all);
        if outcome.kind == Kind::Info {
            self.process += self.concurrency;
        }
        if outcome.kind != Kind::Ok {
            // A node that refuses at once is not asked a thousand times a second.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        outcome
    }
}

/// Returns the extra field that names the node an operation is sent to.
pub fn at_node(number: usize) -> Map<String, Value> {
    Map::from_iter([("node".to_owned(), number.into())])
}
