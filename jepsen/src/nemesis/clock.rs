//! Faults of clocks. Only wall clocks are wrong; what nodes measure by the monotonic clock stays right, as with real steps.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::time::Instant;

use super::{Mode, Nemesis};
use crate::preload::{Cell, Page};

/// How far clocks step, in seconds: less than a minute, so that a minute of ours touches two windows of theirs at most.
const STEP_MOST_S: usize = 45;
const STROBE_EVERY: Duration = Duration::from_millis(200);
/// How long a wrong clock may go unread. Nodes look at the time several times a second.
const EFFECT_WITHIN: Duration = Duration::from_secs(2);

impl Nemesis {
    pub(super) async fn put_clocks_wrong(&mut self, mode: Mode, until: Instant) -> Result<Vec<usize>> {
        let mut nodes = self.some();
        if mode == Mode::ClockStrobe {
            nodes.truncate(1);
        }
        let step = 1 + i64::try_from(self.random.below(STEP_MOST_S))?;
        let (offset_s, drift_ppm) = match mode {
            Mode::ClockBack => (-step, 0),
            // By up to a fifth, faster or slower.
            Mode::ClockDrift => (0, 10_000 + i64::try_from(self.random.below(390_000))? - 200_000),
            _ => (step, 0),
        };
        self.begin("clock", mode, &nodes);
        let before = self.wrong_times(&nodes)?;
        for number in &nodes {
            self.page(*number)?.set_clock(offset_s, drift_ppm)?;
        }
        let start = Instant::now();
        let mut is_wrong = true;
        while mode == Mode::ClockStrobe && Instant::now() < until {
            tokio::time::sleep(STROBE_EVERY).await;
            is_wrong = !is_wrong;
            for number in &nodes {
                self.page(*number)?.set_clock(if is_wrong { offset_s } else { 0 }, 0)?;
            }
        }
        let is_effective = loop {
            let now = self.wrong_times(&nodes)?;
            let has_been_told = now.iter().zip(&before).all(|(now, before)| now > before);
            if has_been_told || start.elapsed() > EFFECT_WITHIN {
                break has_been_told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let is_effective = is_effective || nodes.iter().any(|number| !self.node(*number).is_started());
        self.end_with("clock", mode, &nodes, is_effective, &json!({"step_s": offset_s, "drift_ppm": drift_ppm}));
        Ok(nodes)
    }

    pub(super) fn put_clocks_right(&self, mode: Mode, nodes: &[usize]) -> Result<()> {
        self.begin("set-clock", mode, nodes);
        for number in nodes {
            self.page(*number)?.set_clock(0, 0)?;
        }
        self.end("set-clock", mode, nodes, true);
        Ok(())
    }

    fn wrong_times(&self, nodes: &[usize]) -> Result<Vec<i64>> {
        nodes.iter().map(|number| self.page(*number)?.get(Cell::WrongTimes)).collect()
    }

    pub(super) fn page(&self, number: usize) -> Result<&Page> {
        self.node(number).page.as_ref().context("nothing is preloaded into the nodes")
    }
}
