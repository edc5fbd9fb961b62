//! What makes faults: a plan from a seed, one fault after the other, each looked for after it was made and healed again.

mod clock;
mod corrupt;
mod disk;
mod member;
pub mod mode;
mod network;
mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::history::{Kind, Process, Recorder};
use crate::node::Node;
use crate::random::Random;
use crate::shape::Shaper;
use crate::verdict::broken;
use mode::Mode;

pub use corrupt::damage;

/// Before the first fault the cluster is left alone for so long.
const CALM: Duration = Duration::from_millis(1500);
/// A fault and the calm after it take at least this together: elections and restarts must fit.
const CYCLE_LEAST: Duration = Duration::from_millis(2500);
const CYCLE_MOST: Duration = Duration::from_secs(10);
/// The same, where modes are drawn from all.
const CYCLE_OF_ALL: Duration = Duration::from_secs(6);
/// How often a snapshot is taken before a fault, in a hundred.
const SNAPSHOT_PERCENT: usize = 25;

/// What makes faults.
pub struct Nemesis {
    cluster: Arc<Cluster>,
    /// Every workload's history has the faults.
    recorders: Vec<Arc<Recorder>>,
    random: Random,
    modes: Vec<Mode>,
    is_all: bool,
    /// The versions of the program between which an upgrade goes to and fro.
    versions: Vec<PathBuf>,
    shaper: Option<Shaper>,
}

/// A fault that was made and is to be healed.
struct Made {
    mode: Mode,
    nodes: Vec<usize>,
}

impl Nemesis {
    /// Returns what makes faults of these modes; drawn from them, also two at a time, where `is_all`.
    pub fn new(
        modes: Vec<Mode>,
        is_all: bool,
        cluster: Arc<Cluster>,
        recorders: Vec<Arc<Recorder>>,
        random: Random,
    ) -> Self {
        Self { cluster, recorders, random, modes, is_all, versions: Vec::new(), shaper: None }
    }

    /// Gives it versions of the program.
    pub fn with_versions(mut self, versions: Vec<PathBuf>) -> Self {
        self.versions = versions;
        self
    }

    /// Gives it a router between the nodes.
    pub fn with_shaper(mut self, shaper: Option<Shaper>) -> Self {
        self.shaper = shaper;
        self
    }

    /// Makes faults for the time limit, and leaves everything healed. Of a family every mode in turn, as often as the time
    /// is enough for; of all as many as the time is enough for, in an order from the seed.
    ///
    /// # Errors
    /// Where the machine refuses, or a node does not come back.
    pub async fn run(mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        let rounds = u32::try_from(self.modes.len()).unwrap_or(1).max(1);
        let fair = (limit.saturating_sub(CALM) / rounds).clamp(CYCLE_LEAST, CYCLE_MOST);
        let cycle = if self.is_all { fair.max(CYCLE_OF_ALL) } else { fair };
        let mut queue = self.draw();
        if self.is_all {
            let fits = (limit.saturating_sub(CALM).as_millis() / cycle.as_millis()).max(1);
            queue.truncate(usize::try_from(fits).unwrap_or(usize::MAX));
        }
        let plan: Vec<Value> =
            queue.iter().map(|mode| mode.words()).map(|(f, mode)| json!(format!("{f}/{mode}"))).collect();
        self.note("plan", Value::Array(plan));
        if self.modes.is_empty() {
            tokio::time::sleep_until(end).await;
            return Ok(());
        }
        tokio::time::sleep(CALM).await;
        let mut is_first = true;
        // What was planned is made, also where it takes longer than the limit; beyond it, what the time is enough for.
        loop {
            for mode in std::mem::take(&mut queue) {
                if !is_first && Instant::now() + cycle * 9 / 10 > end {
                    tokio::time::sleep_until(end).await;
                    return Ok(());
                }
                let next = Instant::now() + cycle;
                self.round(mode, cycle).await?;
                tokio::time::sleep_until(next).await;
            }
            is_first = false;
            queue = self.draw();
        }
    }

    fn draw(&mut self) -> Vec<Mode> {
        let mut queue = self.modes.clone();
        self.random.shuffle(&mut queue);
        queue
    }

    /// Makes a fault, of all sometimes a second one with it, and heals.
    async fn round(&mut self, mode: Mode, cycle: Duration) -> Result<()> {
        let mut modes = vec![mode];
        if self.is_all && self.random.chance(40) {
            let others: Vec<Mode> = self.modes.iter().copied().filter(|other| mode.goes_with(*other)).collect();
            if !others.is_empty() {
                modes.push(*self.random.pick(&others));
            }
        }
        // What goes on by itself until the end comes last.
        modes.sort_by_key(|mode| matches!(mode, Mode::Storm | Mode::ClockStrobe));
        if self.random.chance(SNAPSHOT_PERCENT) {
            self.take_snapshot().await;
        }
        let heal_at = Instant::now() + cycle * 11 / 20;
        let mut made = Vec::new();
        for mode in modes {
            made.push(Made { mode, nodes: self.make(mode, heal_at).await? });
        }
        tokio::time::sleep_until(heal_at).await;
        // What stands goes on first and the network is whole before nodes start: a start is over when the node is ready.
        made.sort_by_key(|made| (made.mode.takes_nodes_down(), made.mode.is_of_network()));
        for made in made {
            self.heal(made).await?;
        }
        Ok(())
    }

    async fn make(&mut self, mode: Mode, heal_at: Instant) -> Result<Vec<usize>> {
        match mode {
            Mode::KillLeader | Mode::KillOne | Mode::KillMinority | Mode::KillAll => self.kill(mode).await,
            Mode::Storm => self.storm(mode, heal_at).await,
            Mode::PauseLeader | Mode::PauseOne | Mode::PauseMajority => self.pause(mode).await,
            Mode::LeaderAlone | Mode::Halves | Mode::OneWay | Mode::MajorityRing | Mode::Bridge | Mode::Loss => {
                self.cut(mode).await
            }
            Mode::Delay | Mode::Reorder | Mode::Duplicate | Mode::Bandwidth => self.shape(mode).await,
            Mode::ClockForward | Mode::ClockBack | Mode::ClockDrift | Mode::ClockStrobe => {
                self.put_clocks_wrong(mode, heal_at).await
            }
            Mode::DiskFull => self.fill(mode).await,
            Mode::SyncFails => self.fail_syncs(mode).await,
            Mode::SlowDisk => self.slow_disks(mode).await,
            Mode::PowerOne | Mode::PowerLeader | Mode::PowerAll => self.cut_power(mode).await,
            Mode::CorruptLog | Mode::CorruptSnapshot | Mode::CorruptMessages => self.corrupt(mode).await,
            Mode::Replace | Mode::ReplaceLeader => self.remove(mode).await,
            Mode::Upgrade => self.change_version(mode).await,
        }
    }

    async fn heal(&mut self, made: Made) -> Result<()> {
        let Made { mode, nodes } = made;
        match mode {
            Mode::KillLeader | Mode::KillOne | Mode::KillMinority | Mode::KillAll | Mode::Storm | Mode::Upgrade => {
                self.restart(mode, &nodes).await
            }
            Mode::PauseLeader | Mode::PauseOne | Mode::PauseMajority => self.resume(mode, &nodes),
            Mode::LeaderAlone | Mode::Halves | Mode::OneWay | Mode::MajorityRing | Mode::Bridge | Mode::Loss => {
                self.pass(mode)
            }
            Mode::Delay | Mode::Reorder | Mode::Duplicate | Mode::Bandwidth => self.unshape(mode),
            Mode::ClockForward | Mode::ClockBack | Mode::ClockDrift | Mode::ClockStrobe => {
                self.put_clocks_right(mode, &nodes)
            }
            Mode::DiskFull => self.empty(mode, &nodes).await,
            Mode::SyncFails => self.mend_syncs(mode, &nodes).await,
            Mode::SlowDisk => self.quicken_disks(mode, &nodes),
            Mode::PowerOne | Mode::PowerLeader | Mode::PowerAll => self.restore_power(mode, &nodes).await,
            Mode::CorruptLog | Mode::CorruptSnapshot | Mode::CorruptMessages => self.mend(mode, &nodes).await,
            Mode::Replace | Mode::ReplaceLeader => self.rejoin(mode, &nodes).await,
        }
    }

    /// Has any node take a snapshot, so that logs are shortened, restarts begin from one, and newcomers get one.
    async fn take_snapshot(&mut self) {
        let number = self.any();
        let taken = self.cluster.take_snapshot(number).await;
        // A node that cannot just now is asked another time.
        self.note("snapshot", json!({"nodes": [number], "taken": taken.is_ok()}));
    }

    fn note(&self, f: &str, value: Value) {
        let Some((last, others)) = self.recorders.split_last() else { return };
        for recorder in others {
            recorder.push(Process::Nemesis, Kind::Info, f, value.clone(), Map::new());
        }
        last.push(Process::Nemesis, Kind::Info, f, value, Map::new());
    }

    fn begin(&self, f: &str, mode: Mode, nodes: &[usize]) {
        self.note(f, json!({"phase": "begin", "mode": mode.words().1, "nodes": nodes}));
    }

    fn end(&self, f: &str, mode: Mode, nodes: &[usize], is_effective: bool) {
        self.end_with(f, mode, nodes, is_effective, &json!({}));
    }

    fn end_with(&self, f: &str, mode: Mode, nodes: &[usize], is_effective: bool, more: &Value) {
        let mut value = json!({"phase": "end", "mode": mode.words().1, "nodes": nodes, "effective": is_effective});
        if let (Some(all), Some(more)) = (value.as_object_mut(), more.as_object()) {
            all.append(&mut more.clone());
        }
        self.note(f, value);
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

    /// Returns some nodes, at least one: the majority at most.
    fn some(&mut self) -> Vec<usize> {
        let mut nodes = self.everyone();
        self.random.shuffle(&mut nodes);
        let most = nodes.len() / 2 + 1;
        nodes.truncate(1 + self.random.below(most));
        nodes
    }

    fn everyone(&self) -> Vec<usize> {
        (1..=self.cluster.size()).collect()
    }

    fn node(&self, number: usize) -> &Node {
        self.cluster.node(number)
    }

    /// Fails where a node has ended by itself.
    fn expect_running(&self, number: usize) -> Result<()> {
        if let Some(status) = self.node(number).ended() {
            broken!("node {number} had ended by itself before the fault: {status}");
        }
        Ok(())
    }

    /// Waits until a node has ended by itself, and says how; none where it did not in time.
    async fn wait_ended(&self, number: usize, within: Duration) -> Option<std::process::ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < within {
            if let Some(status) = self.node(number).ended() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}
