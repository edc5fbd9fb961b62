//! What makes faults: a plan from a seed, one fault after the other, each looked for after it was made and healed again.

mod network;
mod process;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::history::{Kind, Process, Recorder};
use crate::random::Random;

/// Before the first fault the cluster is left alone for so long.
const CALM: Duration = Duration::from_millis(1500);
/// A fault and the calm after it take at least this together: elections and restarts must fit.
const CYCLE_LEAST: Duration = Duration::from_millis(2500);
const CYCLE_MOST: Duration = Duration::from_secs(10);

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Kill the leader.
    KillLeader,
    /// Kill any one node.
    KillOne,
    /// Kill all nodes at once.
    KillAll,
    /// Pause the leader.
    PauseLeader,
    /// Pause any one node.
    PauseOne,
    /// Pause so many nodes that the others are no majority.
    PauseMajority,
    /// The leader is cut off from all others.
    LeaderAlone,
    /// Two groups cannot reach each other; chance says who is in the smaller one.
    Halves,
    /// Packets from one node to the others are lost, or those to it, but not both.
    OneWay,
    /// One packet of five between nodes is lost.
    Loss,
}

/// Name and what people should know.
pub const LIST: [(&str, &str); 6] = [
    ("none", "no fault"),
    ("kill", "SIGKILL to the leader, to one node, to all at once; they start again"),
    ("pause", "SIGSTOP to the leader, to one node, to a majority; they go on"),
    ("partition", "the leader alone, two groups, one direction only"),
    ("loss", "one packet of five between nodes is lost"),
    ("all", "all of these, also two at a time, in an order from the seed"),
];

impl Mode {
    /// Returns the faults of a family.
    ///
    /// # Errors
    /// Where there is no such family.
    pub fn of_family(name: &str) -> Result<Vec<Self>> {
        Ok(match name {
            "none" => Vec::new(),
            "kill" => vec![Self::KillLeader, Self::KillOne, Self::KillAll],
            "pause" => vec![Self::PauseLeader, Self::PauseOne, Self::PauseMajority],
            "partition" => vec![Self::LeaderAlone, Self::Halves, Self::OneWay],
            "loss" => vec![Self::Loss],
            "all" => {
                ["kill", "pause", "partition", "loss"].iter().flat_map(|one| Self::of_family(one)).flatten().collect()
            }
            other => bail!("there is no nemesis {other}; `list` shows those there are"),
        })
    }

    /// Returns what it does and to whom.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::KillLeader => ("kill", "leader"),
            Self::KillOne => ("kill", "one"),
            Self::KillAll => ("kill", "all"),
            Self::PauseLeader => ("pause", "leader"),
            Self::PauseOne => ("pause", "one"),
            Self::PauseMajority => ("pause", "majority"),
            Self::LeaderAlone => ("partition", "leader-alone"),
            Self::Halves => ("partition", "halves"),
            Self::OneWay => ("partition", "one-way"),
            Self::Loss => ("loss", "fifth"),
        }
    }
}

/// What makes faults.
pub struct Nemesis {
    cluster: Arc<Cluster>,
    recorder: Arc<Recorder>,
    random: Random,
    modes: Vec<Mode>,
    may_overlap: bool,
}

impl Nemesis {
    /// Returns the nemesis of a family.
    ///
    /// # Errors
    /// Where there is no such family.
    pub fn new(family: &str, cluster: Arc<Cluster>, recorder: Arc<Recorder>, random: Random) -> Result<Self> {
        Ok(Self { cluster, recorder, random, modes: Mode::of_family(family)?, may_overlap: family == "all" })
    }

    /// Makes faults for the time limit, each mode in turn, and leaves everything healed.
    ///
    /// # Errors
    /// Where the machine refuses, or a node does not come back.
    pub async fn run(mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        let plan: Vec<Value> =
            self.modes.iter().map(|mode| mode.words()).map(|(f, mode)| json!(format!("{f}/{mode}"))).collect();
        self.note("plan", Value::Array(plan));
        if self.modes.is_empty() {
            tokio::time::sleep_until(end).await;
            return Ok(());
        }
        tokio::time::sleep(CALM).await;
        let rounds = u32::try_from(self.modes.len()).unwrap_or(1);
        let cycle = (limit.saturating_sub(CALM) / rounds).clamp(CYCLE_LEAST, CYCLE_MOST);
        let mut queue: Vec<Mode> = Vec::new();
        while Instant::now() + cycle * 9 / 10 <= end {
            if queue.is_empty() {
                queue.clone_from(&self.modes);
                self.random.shuffle(&mut queue);
            }
            let next = Instant::now() + cycle;
            let Some(mode) = queue.pop() else { continue };
            self.round(mode, cycle).await?;
            tokio::time::sleep_until(next.min(end)).await;
        }
        tokio::time::sleep_until(end).await;
        Ok(())
    }

    /// Makes a fault, in the family `all` sometimes a second one of another kind with it, and heals.
    async fn round(&mut self, mode: Mode, cycle: Duration) -> Result<()> {
        let mut modes = vec![mode];
        if self.may_overlap && self.random.chance(40) {
            let others: Vec<Mode> =
                self.modes.iter().copied().filter(|other| other.words().0 != mode.words().0).collect();
            modes.push(*self.random.pick(&others));
        }
        // Both are cuts of the same table of rules.
        if modes.iter().all(|mode| matches!(mode.words().0, "partition" | "loss")) {
            modes.truncate(1);
        }
        let heal_at = Instant::now() + cycle * 11 / 20;
        let mut made = Vec::new();
        for mode in modes {
            let nodes = match mode.words().0 {
                "kill" => self.kill(mode).await?,
                "pause" => self.pause(mode).await?,
                _ => self.cut(mode).await?,
            };
            made.push((mode, nodes));
        }
        tokio::time::sleep_until(heal_at).await;
        // What stands goes on first and the network is whole before nodes start: a start is over when the node is ready.
        made.sort_by_key(|(mode, _)| ["pause", "partition", "loss", "kill"].iter().position(|f| *f == mode.words().0));
        for (mode, nodes) in made {
            match mode.words().0 {
                "kill" => self.restart(mode, &nodes).await?,
                "pause" => self.resume(mode, &nodes)?,
                _ => self.heal(mode)?,
            }
        }
        Ok(())
    }

    fn note(&self, f: &str, value: Value) {
        self.recorder.push(Process::Nemesis, Kind::Info, f, value, Map::new());
    }

    fn begin(&self, f: &str, mode: Mode, nodes: &[usize]) {
        self.note(f, json!({"phase": "begin", "mode": mode.words().1, "nodes": nodes}));
    }

    fn end(&self, f: &str, mode: Mode, nodes: &[usize], is_effective: bool) {
        self.note(f, json!({"phase": "end", "mode": mode.words().1, "nodes": nodes, "effective": is_effective}));
    }

    /// Returns the leader; any node where there is none within two seconds.
    async fn leader(&mut self) -> usize {
        match tokio::time::timeout(Duration::from_secs(2), self.cluster.leader()).await {
            Ok(Ok(leader)) => leader,
            _ => self.any(),
        }
    }

    fn any(&mut self) -> usize {
        self.random.below(self.cluster.size()) + 1
    }

    fn everyone(&self) -> Vec<usize> {
        (1..=self.cluster.size()).collect()
    }
}
