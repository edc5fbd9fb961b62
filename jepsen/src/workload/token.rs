//! Tokens, opaque ones and JWTs: issued and revoked on any node, by the management port or the gateway, and used on all
//! gateways, also after their end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::history::Kind;
use crate::http::{Answer, Ask};
use crate::journey::{self, Keys};
use crate::worker::{Outcome, Worker, at_node};
use crate::workload::{Stage, Workload};

/// Tokens that are good at a time, about.
const LIVE: usize = 30;
/// Uses per gateway at the end.
const LAST_USES: usize = 60;

struct Issued {
    number: u64,
    text: String,
    application: usize,
}

/// The workload.
pub struct Token {
    applications: Vec<Keys>,
    last: AtomicU64,
    live: Mutex<Vec<Arc<Issued>>>,
    ended: Mutex<Vec<Arc<Issued>>>,
}

impl Workload for Token {
    async fn set_up(stage: &Stage) -> Result<Self> {
        let admin = stage.cluster.admin(1);
        let api = journey::create_api(&admin, "tokens", stage.backend.url(), &["Unlimited"]).await?;
        journey::publish(&admin, &api).await?;
        let mut applications = Vec::new();
        for token_type in ["OAUTH", "JWT"] {
            let application =
                journey::create_application(&admin, &format!("tokens {token_type}"), "Unlimited", token_type).await?;
            applications.push(journey::subscribe(&admin, &application, &api, "Unlimited").await?);
        }
        Ok(Self { applications, last: AtomicU64::new(0), live: Mutex::default(), ended: Mutex::default() })
    }

    async fn operate(&self, worker: &mut Worker) {
        let live = lock(&self.live).len();
        match worker.random.below(100) {
            0..15 if live < LIVE => self.issue(worker).await,
            15..25 if live > LIVE / 3 => self.revoke(worker).await,
            25..28 => self.forge(worker).await,
            _ => {
                let list = if worker.random.chance(50) { &self.live } else { &self.ended };
                // The youngest are of most interest: half of the uses are of the last ten.
                let token = {
                    let tokens = lock(list);
                    let among = if worker.random.chance(50) { tokens.len().min(10) } else { tokens.len() };
                    (among > 0).then(|| Arc::clone(&tokens[tokens.len() - 1 - worker.random.below(among)]))
                };
                let node = worker.next_node();
                match token {
                    Some(token) => use_it(worker, token.number, &token.text, node, Map::new()).await,
                    None => self.issue(worker).await,
                }
            }
        }
    }

    async fn finish(&self, worker: &mut Worker) {
        for node in 1..=worker.cluster.size() {
            for list in [&self.live, &self.ended] {
                let tokens: Vec<_> = lock(list).iter().rev().take(LAST_USES).cloned().collect();
                for token in tokens {
                    let last = Map::from_iter([("final".to_owned(), true.into())]);
                    use_it(worker, token.number, &token.text, node, last).await;
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Lists of tokens are whole after every single step.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Token {
    async fn issue(&self, worker: &mut Worker) {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let application = worker.random.below(self.applications.len());
        let node = worker.next_node();
        let on_gateway = worker.random.chance(50);
        let client = worker.oauth(node, on_gateway, &self.applications[application]);
        let mut ask = journey::token_request();
        if on_gateway {
            ask = Ask::form("/token", "grant_type=client_credentials");
        }
        let mut text = None;
        let issue = async {
            let answer = client.send(ask).await;
            match Outcome::of_write(&answer) {
                Ok(reply) => {
                    text = reply.json()["access_token"].as_str().map(str::to_owned);
                    Outcome::ok(json!(number))
                }
                Err(outcome) => *outcome,
            }
        };
        let mut extra = at_node(node);
        extra.insert("kind".to_owned(), ["opaque", "jwt"][application].into());
        worker.perform("issue", json!(number), extra, issue).await;
        if let Some(text) = text {
            lock(&self.live).push(Arc::new(Issued { number, text, application }));
        }
    }

    async fn revoke(&self, worker: &mut Worker) {
        let token = {
            let mut live = lock(&self.live);
            if live.is_empty() {
                return;
            }
            let place = worker.random.below(live.len());
            live.remove(place)
        };
        let node = worker.next_node();
        let on_gateway = worker.random.chance(50);
        let client = worker.oauth(node, on_gateway, &self.applications[token.application]);
        let path = if on_gateway { "/revoke" } else { "/oauth2/revoke" };
        let ask = Ask::form(path, format!("token={}", token.text));
        let cluster = Arc::clone(&worker.cluster);
        let revoke = async {
            let answer = client.send(ask).await;
            match Outcome::of_write(&answer) {
                Ok(reply) => {
                    let unreached = cluster.numbers(reply.header("x-fence-unreached"));
                    Outcome::ok(json!(token.number)).with("unreached", json!(unreached))
                }
                Err(outcome) => *outcome,
            }
        };
        let outcome = worker.perform("revoke", json!(token.number), at_node(node), revoke).await;
        let list = if outcome.kind == Kind::Fail { &self.live } else { &self.ended };
        lock(list).push(token);
    }

    /// Shows a token that nobody issued: one that looks like an issued one, with its end changed.
    async fn forge(&self, worker: &mut Worker) {
        let Some(model) = lock(&self.live).last().map(|token| token.text.clone()) else { return };
        let kept = model.len().saturating_sub(4);
        let text: String = model.chars().take(kept).chain("AAAA".chars()).collect();
        if text == model {
            return;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let node = worker.next_node();
        let forged = Map::from_iter([("forged".to_owned(), true.into())]);
        use_it(worker, number, &text, node, forged).await;
    }
}

/// Calls an API with a token and records whether it was allowed. Any other answer than 200 and 401 says nothing.
async fn use_it(worker: &mut Worker, number: u64, text: &str, node: usize, mut extra: Map<String, Value>) {
    let client = worker.gateway(node);
    let ask = Ask::get("/tokens/1.0.0/menu").with("authorization", format!("Bearer {text}"));
    extra.append(&mut at_node(node));
    let call = async {
        match client.send(ask).await {
            Answer::Reply(reply) if reply.status == 200 => Outcome::ok(json!([number, "allowed"])),
            Answer::Reply(reply) if reply.status == 401 => Outcome::ok(json!([number, "denied"])),
            Answer::Reply(reply) => Outcome::fail(&reply.summary()),
            Answer::NotSent(why) | Answer::Lost(why) => Outcome::fail(&why),
        }
    };
    worker.perform("use", json!([number, null]), extra, call).await;
}
