//! Faults of the membership: a node is removed for good, its process must end, its old data must not bring it back, and it
//! comes back as a new node with nothing.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::time::Instant;

use super::{Mode, Nemesis};
use crate::http::Ask;
use crate::verdict::broken;

/// How long a removal may take to be accepted: an election may be under way.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(30);
/// How long a node that was removed may run on.
const ENDED_WITHIN: Duration = Duration::from_secs(30);
/// How long a newcomer may take to vote.
const VOTES_WITHIN: Duration = Duration::from_secs(60);

impl Nemesis {
    pub(super) async fn remove(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let number = self.victims(mode).await[0];
        self.expect_running(number)?;
        let id = self.cluster.id_of(number);
        self.note("remove", json!({"phase": "begin", "mode": mode.words().1, "nodes": [number], "id": id}));
        self.take_out(number, id).await?;
        let Some(status) = self.wait_ended(number, ENDED_WITHIN).await else {
            broken!("node {number} (id {id}) runs on {} s after it was removed", ENDED_WITHIN.as_secs());
        };
        if status.success() {
            broken!("node {number} (id {id}) ended as if all were well after it was removed");
        }
        self.end_with("remove", mode, &[number], true, &json!({"id": id, "ended": status.to_string()}));
        self.node(number).forget_ended();
        // Its data directory is that of a node which is no member any more.
        self.node(number).start()?;
        match self.wait_ended(number, ENDED_WITHIN).await {
            None => broken!("node {number} runs again by the data of a node that was removed (id {id})"),
            Some(status) if status.success() => broken!("a node that was removed (id {id}) ended as if all were well"),
            Some(_) => self.node(number).forget_ended(),
        }
        Ok(vec![number])
    }

    pub(super) async fn rejoin(&mut self, mode: Mode, nodes: &[usize]) -> Result<()> {
        for number in nodes {
            self.join_anew(mode, *number).await?;
        }
        Ok(())
    }

    /// Removes a node that is down, and has it come back as a new one.
    pub(super) async fn replace(&mut self, mode: Mode, number: usize) -> Result<()> {
        let id = self.cluster.id_of(number);
        self.note("remove", json!({"phase": "begin", "mode": mode.words().1, "nodes": [number], "id": id}));
        self.take_out(number, id).await?;
        self.end_with("remove", mode, &[number], true, &json!({"id": id}));
        self.join_anew(mode, number).await
    }

    async fn take_out(&mut self, number: usize, id: u64) -> Result<()> {
        let start = Instant::now();
        let mut last = String::new();
        while start.elapsed() < ACCEPTED_WITHIN {
            let mut others = self.everyone();
            others.retain(|other| *other != number && self.node(*other).is_started());
            let other = *self.random.pick(&others);
            let path = format!("/api/portcullis/v1/cluster/nodes/{id}");
            let answer = self.cluster.admin(other).send(Ask::delete(path)).await;
            match answer.expect(204) {
                Ok(_) => return Ok(()),
                // An answer that was lost may have been good: then it is not there any more.
                Err(error) if error.to_string().starts_with("404") => return Ok(()),
                Err(error) => last = format!("{error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        broken!("node {number} (id {id}) could not be removed within {} s: {last}", ACCEPTED_WITHIN.as_secs())
    }

    async fn join_anew(&mut self, mode: Mode, number: usize) -> Result<()> {
        self.begin("join", mode, &[number]);
        let cluster = std::sync::Arc::clone(&self.cluster);
        let node = cluster.node(number);
        let wiped = node.command_of(&PathBuf::from("rm")).arg("-rf").arg(&node.data_dir).status().context("rm")?;
        if !wiped.success() {
            bail!("the data of node {number} could not be removed");
        }
        let mut others = self.everyone();
        others.retain(|other| *other != number && self.node(*other).is_started());
        let start = Instant::now();
        loop {
            let host = *self.random.pick(&others);
            match cluster.join(node, host) {
                Ok(()) => break,
                Err(error) if start.elapsed() > ACCEPTED_WITHIN => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
        let identity = node.command_of(&PathBuf::from("cat")).arg(node.data_dir.join("identity.json")).output()?;
        let identity: serde_json::Value = serde_json::from_slice(&identity.stdout).context("identity.json")?;
        node.set_id(identity["node"].as_u64().context("no id in identity.json")?);
        node.start()?;
        cluster.ready(number).await?;
        let start = Instant::now();
        while !cluster.is_voter(number).await {
            if start.elapsed() > VOTES_WITHIN {
                broken!("node {number} does not vote within {} s of joining", VOTES_WITHIN.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.end_with("join", mode, &[number], true, &json!({"id": node.id()}));
        Ok(())
    }
}
