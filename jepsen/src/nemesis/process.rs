//! Faults of processes: killed and started again, stopped and let go on.

use anyhow::Result;

use super::{Mode, Nemesis};
use crate::node::Node;

impl Nemesis {
    pub(super) async fn kill(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let nodes = self.victims(mode).await;
        self.begin("kill", mode, &nodes);
        let mut is_effective = true;
        for number in &nodes {
            let node = self.node(*number);
            if let Some(status) = node.ended() {
                anyhow::bail!("node {number} had ended by itself before it was killed: {status}");
            }
            is_effective &= node.kill()?;
        }
        self.end("kill", mode, &nodes, is_effective);
        Ok(nodes)
    }

    pub(super) async fn restart(&self, mode: Mode, nodes: &[usize]) -> Result<()> {
        self.begin("restart", mode, nodes);
        for number in nodes {
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

    async fn victims(&mut self, mode: Mode) -> Vec<usize> {
        match mode {
            Mode::KillLeader | Mode::PauseLeader => vec![self.leader().await],
            Mode::KillAll => self.everyone().into_iter().filter(|number| self.node(*number).is_started()).collect(),
            Mode::PauseMajority => {
                let mut nodes = self.everyone();
                self.random.shuffle(&mut nodes);
                nodes.truncate(nodes.len() / 2 + 1);
                nodes
            }
            _ => vec![self.any()],
        }
    }

    fn node(&self, number: usize) -> &Node {
        &self.cluster.nodes[number - 1]
    }
}
