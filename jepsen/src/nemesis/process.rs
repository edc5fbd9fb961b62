//! Faults of processes: killed and started again, stopped and let go on, started with another version.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use super::{Mode, Nemesis};

impl Nemesis {
    pub(super) async fn kill(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let nodes = self.victims(mode).await;
        self.begin("kill", mode, &nodes);
        let mut is_effective = true;
        for number in &nodes {
            self.expect_running(*number)?;
            is_effective &= self.node(*number).kill()?;
        }
        self.end("kill", mode, &nodes, is_effective);
        Ok(nodes)
    }

    /// Kills and starts any nodes until it is time to heal; none of them is given the time to become ready.
    pub(super) async fn storm(&mut self, mode: Mode, until: Instant) -> Result<Vec<usize>> {
        let nodes = self.everyone();
        self.begin("storm", mode, &nodes);
        let mut kills = 0;
        while Instant::now() < until || kills == 0 {
            let number = self.any();
            if self.node(number).is_started() {
                self.expect_running(number)?;
                self.node(number).kill()?;
                kills += 1;
            } else {
                self.node(number).start()?;
            }
            let pause = 100 + self.random.below(400) as u64;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.end_with("storm", mode, &nodes, true, &serde_json::json!({"kills": kills}));
        Ok(nodes)
    }

    pub(super) async fn restart(&self, mode: Mode, nodes: &[usize]) -> Result<()> {
        self.begin("restart", mode, nodes);
        for number in nodes.iter().filter(|number| !self.node(**number).is_started()) {
            self.node(*number).start()?;
        }
        for number in nodes {
            self.cluster.ready(*number).await?;
        }
        self.end("restart", mode, nodes, true);
        Ok(())
    }

    pub(super) async fn pause(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let is_started = |one: &Self, number: &usize| one.node(*number).is_started();
        let mut nodes = self.victims(mode).await;
        nodes.retain(|number| is_started(self, number));
        // Where the victim was killed in the same round, another one is paused; where all were, none is.
        let mut others = self.everyone();
        others.retain(|number| is_started(self, number));
        if nodes.is_empty() && !others.is_empty() {
            nodes = vec![*self.random.pick(&others)];
        }
        if nodes.is_empty() {
            return Ok(nodes);
        }
        self.begin("pause", mode, &nodes);
        let mut is_effective = true;
        for number in &nodes {
            is_effective &= self.node(*number).pause()?;
        }
        self.end("pause", mode, &nodes, is_effective);
        Ok(nodes)
    }

    pub(super) fn resume(&self, mode: Mode, nodes: &[usize]) -> Result<()> {
        if nodes.is_empty() {
            return Ok(());
        }
        self.begin("resume", mode, nodes);
        let mut is_effective = true;
        for number in nodes.iter().filter(|number| self.node(**number).is_started()) {
            is_effective &= self.node(*number).resume()?;
        }
        self.end("resume", mode, nodes, is_effective);
        Ok(())
    }

    /// Stops a node in order and has it run the other version from then on.
    pub(super) async fn change_version(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let number = self.any();
        self.begin("upgrade", mode, &[number]);
        let now = self.node(number).binary();
        let other = self.versions.iter().find(|version| **version != now).cloned().context("no other version")?;
        self.expect_running(number)?;
        self.node(number).stop().await?;
        self.node(number).set_binary(&other);
        let name = other.file_name().map(|name| name.to_string_lossy().into_owned());
        self.end_with("upgrade", mode, &[number], true, &serde_json::json!({"program": name}));
        Ok(vec![number])
    }

    pub(super) async fn victims(&mut self, mode: Mode) -> Vec<usize> {
        match mode {
            Mode::KillLeader | Mode::PauseLeader | Mode::PowerLeader | Mode::ReplaceLeader => vec![self.leader().await],
            Mode::KillAll | Mode::PowerAll => {
                self.everyone().into_iter().filter(|number| self.node(*number).is_started()).collect()
            }
            Mode::KillMinority => {
                let mut nodes = self.everyone();
                self.random.shuffle(&mut nodes);
                nodes.truncate(nodes.len().saturating_sub(1) / 2);
                nodes
            }
            Mode::PauseMajority => {
                let mut nodes = self.everyone();
                self.random.shuffle(&mut nodes);
                nodes.truncate(nodes.len() / 2 + 1);
                nodes
            }
            _ => vec![self.any()],
        }
    }
}
