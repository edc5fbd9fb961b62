//! API calls without a quota through every node, and, to see how long they pause, writes by one worker.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use serde_json::{Value, json};

use crate::http::{Answer, Ask};
use crate::journey::{self, DEVPORTAL};
use crate::worker::{Outcome, Worker, at_node};
use crate::workload::{Stage, Workload};

/// The workload.
pub struct Availability {
    tokens: Vec<String>,
    last: AtomicU64,
}

impl Workload for Availability {
    async fn set_up(stage: &Stage) -> Result<Self> {
        let admin = stage.cluster.admin(1);
        let api = journey::create_api(&admin, "calls", stage.backend.url(), &["Unlimited"]).await?;
        journey::publish(&admin, &api).await?;
        let mut tokens = Vec::new();
        for token_type in ["OAUTH", "JWT"] {
            let application =
                journey::create_application(&admin, &format!("calls {token_type}"), "Unlimited", token_type).await?;
            let keys = journey::subscribe(&admin, &application, &api, "Unlimited").await?;
            tokens.push(journey::token(&stage.cluster.management(1), &keys).await?);
        }
        Ok(Self { tokens, last: AtomicU64::new(0) })
    }

    async fn operate(&self, worker: &mut Worker) {
        let node = worker.next_node();
        if worker.number == 0 {
            let number = self.last.fetch_add(1, Ordering::Relaxed);
            let client = worker.admin(node);
            let body =
                json!({"name": format!("written {number}"), "throttlingPolicy": "Unlimited", "tokenType": "OAUTH"});
            let ask = Ask::json("POST", format!("{DEVPORTAL}/applications"), &body);
            let write = async {
                match Outcome::of_write(&client.send(ask).await) {
                    Ok(_) => Outcome::ok(json!(number)),
                    Err(outcome) => *outcome,
                }
            };
            worker.perform("write", json!(number), at_node(node), write).await;
            return;
        }
        let client = worker.gateway(node);
        let token = worker.random.pick(&self.tokens);
        let ask = Ask::get("/calls/1.0.0/menu").with("authorization", format!("Bearer {token}"));
        let call = async {
            let answer = client.send(ask).await;
            match (Outcome::of_read(&answer), &answer) {
                (Ok(_), _) => Outcome::ok(Value::Null),
                (Err(outcome), Answer::Reply(reply)) => outcome.with("status", reply.status.into()),
                (Err(outcome), _) => *outcome,
            }
        };
        worker.perform("call", Value::Null, at_node(node), call).await;
    }

    async fn finish(&self, _worker: &mut Worker) {}
}
