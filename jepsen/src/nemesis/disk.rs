//! Faults of disks: full, slow, syncs that fail, and power cuts that take what was not synced.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::time::Instant;

use super::{Mode, Nemesis};
use crate::preload::Cell;
use crate::verdict::broken;

/// How long a node may take to notice that its disk is of no use: it writes several times a second.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);
const EFFECT_WITHIN: Duration = Duration::from_secs(3);
/// How many microseconds a sync of a slow disk takes more, at least and beyond that at most.
const LATE_US: (i64, usize) = (20_000, 180_000);

impl Nemesis {
    /// Fills the disk of a node, which then stops or goes on with what it has.
    pub(super) async fn fill(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let number = self.any();
        self.begin("full", mode, &[number]);
        self.expect_running(number)?;
        let filler = self.node(number).seen_from_outside(&self.filler(number))?;
        let is_full = tokio::task::spawn_blocking(move || fill_up(&filler)).await??;
        self.end("full", mode, &[number], is_full);
        Ok(vec![number])
    }

    pub(super) async fn empty(&self, mode: Mode, nodes: &[usize]) -> Result<()> {
        self.begin("restart", mode, nodes);
        for number in nodes {
            let node = self.node(*number);
            let ended = node.ended();
            if ended.is_some_and(|status| status.success()) {
                broken!("node {number} ended as if all were well when its disk was full");
            }
            let mut command = node.command_of(&PathBuf::from("rm"));
            let removed = command.arg("-f").arg(self.filler(*number)).status().context("rm")?;
            if !removed.success() {
                bail!("the disk of node {number} could not be emptied");
            }
            node.forget_ended();
            if !node.is_started() {
                node.start()?;
            }
        }
        for number in nodes {
            self.cluster.ready(*number).await?;
        }
        self.end("restart", mode, nodes, true);
        Ok(())
    }

    fn filler(&self, number: usize) -> PathBuf {
        self.node(number).mount_point().join("filler")
    }

    /// Has syncs of a node's log fail. It must stop: nothing can be promised after that.
    pub(super) async fn fail_syncs(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let number = self.any();
        self.begin("sync-fails", mode, &[number]);
        self.expect_running(number)?;
        let before = self.page(number)?.get(Cell::FailedSyncs)?;
        self.page(number)?.set(Cell::LogSyncsFail, 1)?;
        let ended = self.wait_ended(number, NOTICED_WITHIN).await;
        let has_failed = self.page(number)?.get(Cell::FailedSyncs)? > before;
        match ended {
            None if has_failed => broken!("node {number} goes on, though its log could not be synced"),
            Some(status) if status.success() => broken!("node {number} ended as if all were well: {status}"),
            _ => {}
        }
        self.end("sync-fails", mode, &[number], has_failed);
        Ok(vec![number])
    }

    pub(super) async fn mend_syncs(&self, mode: Mode, nodes: &[usize]) -> Result<()> {
        for number in nodes {
            self.page(*number)?.set(Cell::LogSyncsFail, 0)?;
            self.node(*number).forget_ended();
        }
        self.restart(mode, nodes).await
    }

    pub(super) async fn slow_disks(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let nodes = self.some();
        self.begin("slow-disk", mode, &nodes);
        let late = LATE_US.0 + i64::try_from(self.random.below(LATE_US.1))?;
        let mut before = Vec::new();
        for number in &nodes {
            before.push(self.page(*number)?.get(Cell::LateSyncs)?);
            self.page(*number)?.set(Cell::SyncDelay, late)?;
        }
        let start = Instant::now();
        let mut is_effective = false;
        while !is_effective && start.elapsed() < EFFECT_WITHIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now: Result<Vec<i64>> = nodes.iter().map(|number| self.page(*number)?.get(Cell::LateSyncs)).collect();
            is_effective = now?.iter().zip(&before).any(|(now, before)| now > before);
        }
        let is_effective = is_effective || nodes.iter().any(|number| !self.node(*number).is_started());
        self.end_with("slow-disk", mode, &nodes, is_effective, &json!({"late_us": late}));
        Ok(nodes)
    }

    pub(super) fn quicken_disks(&self, mode: Mode, nodes: &[usize]) -> Result<()> {
        self.begin("fast-disk", mode, nodes);
        for number in nodes {
            self.page(*number)?.set(Cell::SyncDelay, 0)?;
        }
        self.end("fast-disk", mode, nodes, true);
        Ok(())
    }

    pub(super) async fn cut_power(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let nodes = self.victims(mode).await;
        self.begin("power", mode, &nodes);
        let mut is_effective = true;
        for number in &nodes {
            self.expect_running(*number)?;
            is_effective &= self.node(*number).cut_power()?;
        }
        self.end("power", mode, &nodes, is_effective);
        Ok(nodes)
    }

    pub(super) async fn restore_power(&self, mode: Mode, nodes: &[usize]) -> Result<()> {
        self.begin("restart", mode, nodes);
        for number in nodes {
            self.node(*number).start()?;
        }
        let mut is_lost = true;
        for number in nodes {
            self.cluster.ready(*number).await?;
            is_lost &= self.node(*number).has_lost_what_was_not_synced()?;
        }
        self.end("restart", mode, nodes, is_lost);
        Ok(())
    }
}

/// Takes all room that is left, first in large pieces and then in small ones, and says whether nothing is left.
fn fill_up(filler: &std::path::Path) -> Result<bool> {
    let file = File::create(filler)?;
    let mut at = 0;
    let mut piece: u64 = 64 << 20;
    while piece >= 4096 {
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), at, piece) {
            Ok(()) => at += piece,
            Err(rustix::io::Errno::NOSPC) => piece /= 4,
            Err(other) => return Err(other.into()),
        }
    }
    Ok(rustix::fs::fstatvfs(&file)?.f_bavail == 0)
}
