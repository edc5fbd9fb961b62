//! Faults of the network between nodes. Clients and the backend reach every node all the time.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Mode, Nemesis};
use crate::net::{self, Cut};
use crate::shape::{Met, Shape};

/// How long rules may take to meet their first packet; heartbeats come every 100 ms.
const EFFECT_WITHIN: Duration = Duration::from_secs(2);
const LOST_PERCENT: u8 = 20;

impl Nemesis {
    pub(super) async fn cut(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let (rules, nodes) = self.rules(mode).await;
        self.begin(mode.words().0, mode, &nodes);
        net::drop_packets(&rules)?;
        let start = tokio::time::Instant::now();
        let mut is_effective = false;
        while !is_effective && start.elapsed() < EFFECT_WITHIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
            is_effective = net::dropped()?.iter().any(|count| *count > 0);
        }
        self.end(mode.words().0, mode, &nodes, is_effective || self.is_nobody_left());
        Ok(nodes)
    }

    pub(super) fn pass(&self, mode: Mode) -> Result<()> {
        let everyone = self.everyone();
        self.begin("heal", mode, &everyone);
        net::pass_packets()?;
        self.end("heal", mode, &everyone, true);
        Ok(())
    }

    /// Has packets between all nodes be late, out of order, doubled or squeezed.
    pub(super) async fn shape(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let everyone = self.everyone();
        let shape = match mode {
            Mode::Delay => {
                let delay = Duration::from_millis(10 + self.random.below(70) as u64);
                Shape { delay, jitter: delay / 2, ..Shape::default() }
            }
            Mode::Reorder => Shape {
                delay: Duration::from_millis(5),
                jitter: Duration::from_millis(20),
                reordered_percent: 25,
                ..Shape::default()
            },
            Mode::Duplicate => Shape { doubled_percent: 50, ..Shape::default() },
            _ => Shape { bytes_per_second: 20_000 + self.random.below(80_000) as u64, ..Shape::default() },
        };
        let f = mode.words().0;
        self.begin(f, mode, &everyone);
        let shaper = self.shaper.as_ref().context("no router between the nodes")?;
        let before = shaper.met();
        shaper.begin(shape)?;
        let start = tokio::time::Instant::now();
        let mut is_effective = false;
        while !is_effective && start.elapsed() < EFFECT_WITHIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
            is_effective = of(mode, shaper.met()) > of(mode, before);
        }
        self.end(f, mode, &everyone, is_effective || self.is_nobody_left());
        Ok(everyone)
    }

    pub(super) fn unshape(&self, mode: Mode) -> Result<()> {
        let everyone = self.everyone();
        self.begin("heal", mode, &everyone);
        let shaper = self.shaper.as_ref().context("no router between the nodes")?;
        shaper.end()?;
        self.end_with("heal", mode, &everyone, true, &serde_json::json!({"packets": of(mode, shaper.met())}));
        Ok(())
    }

    /// Says whether no two nodes are left that could send each other anything, by another fault of the same round.
    fn is_nobody_left(&self) -> bool {
        self.cluster.nodes.iter().filter(|node| node.is_started()).count() < 2
    }

    /// Returns the rules, and the nodes that are on the smaller side of a cut, or that lose packets.
    async fn rules(&mut self, mode: Mode) -> (Vec<Cut>, Vec<usize>) {
        let everyone = self.everyone();
        let mut order = everyone.clone();
        self.random.shuffle(&mut order);
        match mode {
            Mode::LeaderAlone => {
                let leader = self.leader().await;
                (between(&[leader], &everyone, true, true), vec![leader])
            }
            Mode::Halves => {
                order.truncate((order.len().saturating_sub(1) / 2).max(1));
                (between(&order, &everyone, true, true), order)
            }
            Mode::OneWay => {
                let node = if self.random.chance(50) { self.leader().await } else { self.any() };
                let is_deaf = self.random.chance(50);
                (between(&[node], &everyone, is_deaf, !is_deaf), vec![node])
            }
            Mode::MajorityRing => (ring(&order), everyone),
            Mode::Bridge => (bridge(&order), everyone),
            _ => {
                let mut rules = Vec::new();
                for from in &everyone {
                    let others = everyone.iter().filter(|to| *to != from);
                    rules.extend(others.map(|to| Cut { from: *from, to: *to, percent: LOST_PERCENT }));
                }
                (rules, everyone)
            }
        }
    }
}

fn of(mode: Mode, met: Met) -> u64 {
    match mode {
        Mode::Delay => met.delayed,
        Mode::Reorder => met.reordered,
        Mode::Duplicate => met.doubled,
        _ => met.squeezed,
    }
}

/// Returns the rules that cut `few` off from the rest: what comes in, what goes out, or both.
fn between(few: &[usize], everyone: &[usize], inward: bool, outward: bool) -> Vec<Cut> {
    let mut rules = Vec::new();
    for one in few {
        for other in everyone.iter().filter(|other| !few.contains(other)) {
            if inward {
                rules.push(Cut { from: *other, to: *one, percent: 100 });
            }
            if outward {
                rules.push(Cut { from: *one, to: *other, percent: 100 });
            }
        }
    }
    rules
}

/// Returns the rules by which each node reaches so many neighbours in a ring that it sees a majority, and no more.
fn ring(order: &[usize]) -> Vec<Cut> {
    let size = order.len();
    let reach = (size / 2).div_ceil(2);
    let mut rules = Vec::new();
    for (place, from) in order.iter().enumerate() {
        for (other, to) in order.iter().enumerate() {
            let apart = place.abs_diff(other);
            if apart.min(size - apart) > reach {
                rules.push(Cut { from: *from, to: *to, percent: 100 });
            }
        }
    }
    rules
}

/// Returns the rules by which the middle node reaches all, and the others only those of their own side.
fn bridge(order: &[usize]) -> Vec<Cut> {
    let middle = order.len() / 2;
    between(&order[..middle], &[&order[..middle], &order[middle + 1..]].concat(), true, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_has_both_directions_and_a_one_way_cut_has_one() {
        assert_eq!(between(&[1], &[1, 2, 3], true, true).len(), 4);
        let deaf = between(&[2], &[1, 2, 3], true, false);
        assert_eq!(deaf, [Cut { from: 1, to: 2, percent: 100 }, Cut { from: 3, to: 2, percent: 100 }]);
    }

    #[test]
    fn in_a_ring_every_node_sees_a_majority_and_none_sees_all() {
        for size in 4..=9 {
            let order: Vec<usize> = (1..=size).collect();
            let rules = ring(&order);
            for node in &order {
                let unseen = rules.iter().filter(|cut| cut.from == *node).count();
                assert!(unseen > 0 && size - unseen > size / 2, "{size} nodes, node {node}: {unseen} unseen");
            }
        }
    }

    #[test]
    fn over_a_bridge_one_node_sees_all() {
        let rules = bridge(&[5, 4, 3, 2, 1]);
        assert!(rules.iter().all(|cut| cut.from != 3 && cut.to != 3));
        assert_eq!(rules.len(), 8);
        assert_eq!(bridge(&[1, 2, 3]).len(), 2);
    }
}
