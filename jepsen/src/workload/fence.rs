//! Gates: APIs that are undeployed and deployed, blocked and published again, denied and allowed, or whose subscription is
//! blocked and unblocked, while calls go through every gateway.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::history::Kind;
use crate::http::{Answer, Ask, Client};
use crate::journey::{self, ADMIN, DEVPORTAL, PUBLISHER};
use crate::worker::{Outcome, Worker, at_node};
use crate::workload::{Stage, Workload};

/// Gates of each kind. One whose change has an unknown outcome is not used again.
const PER_KIND: usize = 6;
const KINDS: [Way; 4] = [Way::Deployment, Way::Lifecycle, Way::DenyPolicy, Way::Subscription];
/// Operations a worker makes on calls for each change.
const CALLS_PER_CHANGE: usize = 6;

/// How a gate is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Deployment,
    Lifecycle,
    DenyPolicy,
    Subscription,
}

impl Way {
    /// Returns the status and the code by which a gateway says that this gate is closed.
    const fn refusal(self) -> (u16, &'static str) {
        match self {
            Self::Deployment => (404, ""),
            Self::Lifecycle => (503, "700700"),
            Self::DenyPolicy => (403, "900805"),
            Self::Subscription => (401, "900907"),
        }
    }
}

struct Gate {
    way: Way,
    name: String,
    api: String,
    revision: String,
    subscription: String,
    token: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_taken: bool,
    is_closed: bool,
    is_spoilt: bool,
    deny_policy: String,
}

/// The workload.
pub struct Fence {
    gates: Vec<Gate>,
    turn: AtomicUsize,
}

impl Workload for Fence {
    async fn set_up(stage: &Stage) -> Result<Self> {
        let admin = stage.cluster.admin(1);
        let mut gates = Vec::new();
        for number in 0..PER_KIND * KINDS.len() {
            let name = format!("gate{number}");
            let api = journey::create_api(&admin, &name, stage.backend.url(), &["Unlimited"]).await?;
            journey::publish(&admin, &api).await?;
            let revisions = admin.send(Ask::get(format!("{PUBLISHER}/apis/{api}/revisions"))).await.expect(200)?.json();
            let application =
                journey::create_application(&admin, &format!("caller of {name}"), "Unlimited", "OAUTH").await?;
            let keys = journey::subscribe(&admin, &application, &api, "Unlimited").await?;
            let mine = format!("{DEVPORTAL}/subscriptions?applicationId={application}");
            let subscriptions = admin.send(Ask::get(mine)).await.expect(200)?.json();
            let text = |value: &Value, field: &str| {
                value["list"][0][field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {value}"))
            };
            gates.push(Gate {
                way: KINDS[number % KINDS.len()],
                name,
                api,
                revision: text(&revisions, "id")?,
                subscription: text(&subscriptions, "subscriptionId")?,
                token: journey::token(&stage.cluster.management(1), &keys).await?,
                state: Mutex::default(),
            });
        }
        Ok(Self { gates, turn: AtomicUsize::new(0) })
    }

    async fn operate(&self, worker: &mut Worker) {
        if worker.random.below(CALLS_PER_CHANGE) == 0
            && let Some(number) = self.take()
        {
            self.change(worker, number).await;
            // The first calls after an answer are those that say most.
            for _ in 0..2 {
                let node = worker.any_node();
                self.call(worker, number, node, Map::new()).await;
            }
            return;
        }
        let number = worker.random.below(self.gates.len());
        let node = worker.next_node();
        self.call(worker, number, node, Map::new()).await;
    }

    async fn finish(&self, worker: &mut Worker) {
        for node in 1..=worker.cluster.size() {
            for number in 0..self.gates.len() {
                self.call(worker, number, node, Map::from_iter([("final".to_owned(), true.into())])).await;
            }
        }
    }
}

impl Fence {
    /// Returns a gate that nobody changes, which is the caller's until it is put back.
    fn take(&self) -> Option<usize> {
        for _ in 0..self.gates.len() {
            let number = self.turn.fetch_add(1, Ordering::Relaxed) % self.gates.len();
            let mut state = self.gates[number].state();
            if !state.is_taken && !state.is_spoilt {
                state.is_taken = true;
                return Some(number);
            }
        }
        None
    }

    async fn change(&self, worker: &mut Worker, number: usize) {
        let gate = &self.gates[number];
        let (f, ask) = {
            let state = gate.state();
            if state.is_closed { ("open", gate.opening(&state.deny_policy)) } else { ("close", gate.closing()) }
        };
        let node = worker.next_node();
        let client = worker.admin(node);
        let cluster = std::sync::Arc::clone(&worker.cluster);
        let mut made = String::new();
        let change = async {
            let answer = client.send(ask).await;
            match Outcome::of_write(&answer) {
                Ok(reply) => {
                    made = reply.json()["conditionId"].as_str().unwrap_or_default().to_owned();
                    let unreached = cluster.numbers(reply.header("x-fence-unreached"));
                    Outcome::ok(json!(number)).with("unreached", json!(unreached))
                }
                Err(outcome) => *outcome,
            }
        };
        let outcome = worker.perform(f, json!(number), at_node(node), change).await;
        let mut state = gate.state();
        state.is_taken = false;
        match outcome.kind {
            Kind::Ok => {
                state.is_closed = f == "close";
                state.deny_policy = made;
            }
            Kind::Fail => {}
            Kind::Info | Kind::Invoke => state.is_spoilt = true,
        }
    }

    async fn call(&self, worker: &mut Worker, number: usize, node: usize, mut extra: Map<String, Value>) {
        let gate = &self.gates[number];
        let client: Client = worker.gateway(node);
        let ask =
            Ask::get(format!("/{}/1.0.0/menu", gate.name)).with("authorization", format!("Bearer {}", gate.token));
        extra.append(&mut at_node(node));
        let call = async {
            match client.send(ask).await {
                Answer::Reply(reply) if reply.status == 200 => Outcome::ok(json!([number, "open"])),
                Answer::Reply(reply) => {
                    let (status, code) = gate.way.refusal();
                    let is_ours = reply.status == status && String::from_utf8_lossy(&reply.body).contains(code);
                    if is_ours { Outcome::ok(json!([number, "closed"])) } else { Outcome::fail(&reply.summary()) }
                }
                Answer::NotSent(why) | Answer::Lost(why) => Outcome::fail(&why),
            }
        };
        worker.perform("call", json!([number, null]), extra, call).await;
    }
}

impl Gate {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // It is whole after every step.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn closing(&self) -> Ask {
        let (api, revision) = (&self.api, &self.revision);
        match self.way {
            Way::Deployment => {
                let path = format!("{PUBLISHER}/apis/{api}/undeploy-revision?revisionId={revision}");
                Ask::json("POST", path, &places())
            }
            Way::Lifecycle => lifecycle(api, "Block"),
            Way::DenyPolicy => {
                let context = format!("/{}/1.0.0", self.name);
                let body = json!({"conditionType": "API", "conditionValue": context, "conditionStatus": true});
                Ask::json("POST", format!("{ADMIN}/throttling/deny-policies"), &body)
            }
            Way::Subscription => {
                let query = format!("subscriptionId={}&blockState=BLOCKED", self.subscription);
                Ask::json("POST", format!("{PUBLISHER}/subscriptions/block-subscription?{query}"), &json!({}))
            }
        }
    }

    fn opening(&self, deny_policy: &str) -> Ask {
        let (api, revision) = (&self.api, &self.revision);
        match self.way {
            Way::Deployment => {
                let path = format!("{PUBLISHER}/apis/{api}/deploy-revision?revisionId={revision}");
                Ask::json("POST", path, &places())
            }
            Way::Lifecycle => lifecycle(api, "Re-Publish"),
            Way::DenyPolicy => Ask::delete(format!("{ADMIN}/throttling/deny-policy/{deny_policy}")),
            Way::Subscription => {
                let query = format!("subscriptionId={}", self.subscription);
                Ask::json("POST", format!("{PUBLISHER}/subscriptions/unblock-subscription?{query}"), &json!({}))
            }
        }
    }
}

fn places() -> Value {
    json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}])
}

fn lifecycle(api: &str, action: &str) -> Ask {
    Ask::json("POST", format!("{PUBLISHER}/apis/change-lifecycle?action={action}&apiId={api}"), &json!({}))
}
