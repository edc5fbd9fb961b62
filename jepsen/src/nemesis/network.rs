//! Faults of the network between nodes. Clients and the backend reach every node all the time.

use std::time::Duration;

use anyhow::Result;

use super::{Mode, Nemesis};
use crate::net::{self, Cut};

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
        self.end(mode.words().0, mode, &nodes, is_effective);
        Ok(nodes)
    }

    pub(super) fn heal(&self, mode: Mode) -> Result<()> {
        let everyone = self.everyone();
        self.begin("heal", mode, &everyone);
        net::pass_packets()?;
        self.end("heal", mode, &everyone, true);
        Ok(())
    }

    /// Returns the rules, and the nodes that are on the smaller side of a cut, or that lose packets.
    async fn rules(&mut self, mode: Mode) -> (Vec<Cut>, Vec<usize>) {
        let everyone = self.everyone();
        match mode {
            Mode::LeaderAlone => {
                let leader = self.leader().await;
                (between(&[leader], &everyone, true, true), vec![leader])
            }
            Mode::Halves => {
                let mut nodes = everyone.clone();
                self.random.shuffle(&mut nodes);
                nodes.truncate((nodes.len().saturating_sub(1) / 2).max(1));
                (between(&nodes, &everyone, true, true), nodes)
            }
            Mode::OneWay => {
                let node = if self.random.chance(50) { self.leader().await } else { self.any() };
                let is_deaf = self.random.chance(50);
                (between(&[node], &everyone, is_deaf, !is_deaf), vec![node])
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_has_both_directions_and_a_one_way_cut_has_one() {
        assert_eq!(between(&[1], &[1, 2, 3], true, true).len(), 4);
        let deaf = between(&[2], &[1, 2, 3], true, false);
        assert_eq!(deaf, [Cut { from: 1, to: 2, percent: 100 }, Cut { from: 3, to: 2, percent: 100 }]);
    }
}
