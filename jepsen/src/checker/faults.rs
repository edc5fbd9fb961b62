//! Reads from a history when which node was in trouble, and whether every fault that was planned took effect.

use std::collections::BTreeSet;

use crate::history::{Kind, Op, Process, spans};
use crate::verdict::Verdict;

/// What kept a node from doing its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It was killed, and is not ready again.
    Down,
    /// Its threads stood.
    Paused,
    /// Packets between nodes were dropped, late, out of order or twice. The node itself ran, and clients reached it.
    Network,
    /// Its clock was wrong.
    Clock,
    /// Its disk was slow. One that refuses has it stop: that is `Down`.
    Disk,
}

/// The entries by which each trouble begins and ends.
const ENTRIES: [(&str, Trouble, bool); 22] = [
    ("kill", Trouble::Down, true),
    ("storm", Trouble::Down, true),
    ("power", Trouble::Down, true),
    ("corrupt", Trouble::Down, true),
    ("remove", Trouble::Down, true),
    ("upgrade", Trouble::Down, true),
    ("full", Trouble::Down, true),
    ("sync-fails", Trouble::Down, true),
    ("restart", Trouble::Down, false),
    ("join", Trouble::Down, false),
    ("pause", Trouble::Paused, true),
    ("resume", Trouble::Paused, false),
    ("partition", Trouble::Network, true),
    ("loss", Trouble::Network, true),
    ("delay", Trouble::Network, true),
    ("reorder", Trouble::Network, true),
    ("duplicate", Trouble::Network, true),
    ("bandwidth", Trouble::Network, true),
    ("heal", Trouble::Network, false),
    ("clock", Trouble::Clock, true),
    ("slow-disk", Trouble::Disk, true),
    ("fast-disk", Trouble::Disk, false),
];

/// The troubles of a run: which, of what node, from when to when in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    troubles: Vec<(Trouble, u64, u64, u64)>,
    /// Nodes whose processes were started again, and from when on.
    starts: Vec<(u64, u64)>,
    /// When clocks were put wrong, and whether they were ahead then.
    clocks: Vec<(u64, bool)>,
}

impl Faults {
    /// Reads them from the entries of the nemesis.
    pub fn of(history: &[Op]) -> Self {
        let mut open: Vec<(Trouble, u64, u64)> = Vec::new();
        let mut faults = Self::default();
        for op in history.iter().filter(|op| op.process == Process::Nemesis) {
            let nodes = op.value["nodes"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64);
            let is_begin = op.value["phase"] == "begin";
            // Which way a clock is wrong is known when the fault is made.
            if op.f == "clock" && !is_begin {
                let wrong = op.value["step_s"].as_i64().unwrap_or(0) + op.value["drift_ppm"].as_i64().unwrap_or(0);
                faults.clocks.push((begun_at(history, op), wrong > 0));
            }
            let Some((_, trouble, starts)) = ENTRIES.iter().copied().find(|(f, ..)| *f == op.f) else { continue };
            let nodes: Vec<u64> = nodes.collect();
            if is_begin && op.f == "restart" {
                faults.starts.extend(nodes.iter().map(|node| (*node, op.time)));
            }
            for node in nodes {
                let known = open.iter().position(|(kind, at, _)| (*kind, *at) == (trouble, node));
                match (starts, is_begin, known) {
                    (true, true, None) => open.push((trouble, node, op.time)),
                    (false, false, Some(position)) => {
                        let (trouble, node, from) = open.remove(position);
                        faults.troubles.push((trouble, node, from, op.time));
                    }
                    _ => {}
                }
            }
        }
        faults.troubles.extend(open.into_iter().map(|(trouble, node, from)| (trouble, node, from, u64::MAX)));
        faults
    }

    /// Says whether the node's process ran, and was ready after a restart, all the time between two moments.
    pub fn is_running(&self, node: u64, from: u64, to: u64) -> bool {
        !self.troubles.iter().any(|(trouble, at, began, ended)| {
            matches!(trouble, Trouble::Down | Trouble::Paused) && *at == node && *began <= to && from <= *ended
        })
    }

    /// Says whether the node was not down at any time between two moments.
    pub fn is_up(&self, node: u64, from: u64, to: u64) -> bool {
        !self.troubles.iter().any(|(trouble, at, began, ended)| {
            *trouble == Trouble::Down && *at == node && *began <= to && from <= *ended
        })
    }

    /// Says whether a node's process was started again after `since`, and nothing but that it was down troubled the cluster
    /// from then until `until`: it had a leader to ask what happened while it was away, before it served anything.
    pub fn has_come_back(&self, node: u64, since: u64, until: u64) -> bool {
        self.starts.iter().filter(|(at, began)| *at == node && *began > since && *began <= until).any(|(_, began)| {
            let others = self.troubles.iter().filter(|(trouble, at, ..)| (*trouble, *at) != (Trouble::Down, node));
            others.clone().all(|(_, _, from, to)| *from > until || *to < *began)
        })
    }

    /// Says whether there was no trouble anywhere between two moments.
    pub fn is_quiet(&self, from: u64, to: u64) -> bool {
        !self.troubles.iter().any(|(_, _, began, ended)| *began <= to && from <= *ended)
    }

    /// Says whether clocks had been put behind, and ahead, before a moment. Windows stay moved when they are set right.
    pub fn clocks(&self, until: u64) -> (bool, bool) {
        let has = |is_ahead: bool| self.clocks.iter().any(|(began, ahead)| *began <= until && *ahead == is_ahead);
        (has(false), has(true))
    }

    /// Says whether packets were dropped at some moment between two.
    pub fn is_network_whole(&self, from: u64, to: u64) -> bool {
        !self
            .troubles
            .iter()
            .any(|(trouble, _, began, ended)| *trouble == Trouble::Network && *began <= to && from <= *ended)
    }
}

/// Returns when the nemesis began what this entry ends.
fn begun_at(history: &[Op], end: &Op) -> u64 {
    let before = history.iter().take(end.index).rev();
    let begins = before.filter(|op| op.process == Process::Nemesis && op.f == end.f && op.value["phase"] == "begin");
    begins.map(|op| op.time).next().unwrap_or(end.time)
}

/// Says whether every planned fault took effect at least once; the plan is the nemesis's entry `plan`.
pub fn coverage(history: &[Op]) -> Verdict {
    let nemesis = || history.iter().filter(|op| op.process == Process::Nemesis);
    let mut planned = BTreeSet::new();
    let mut reached = BTreeSet::new();
    let mut verdict = Verdict::Valid;
    for op in nemesis() {
        if op.f == "plan" {
            let modes = op.value.as_array().into_iter().flatten();
            planned.extend(modes.filter_map(|mode| mode.as_str().map(str::to_owned)));
        }
        if op.value["phase"] == "end" && op.value["effective"] == false {
            verdict = verdict
                .and(Verdict::Unknown(format!("history index {}: {} had no effect: {}", op.index, op.f, op.value)));
        }
        if op.value["phase"] == "end" && op.value["effective"] == true {
            reached.insert(format!("{}/{}", op.f, op.value["mode"].as_str().unwrap_or_default()));
        }
    }
    let never: Vec<&str> = planned.difference(&reached).map(String::as_str).collect();
    if !never.is_empty() {
        verdict = verdict.and(Verdict::Unknown(format!("faults that never took effect: {}", never.join(", "))));
    }
    verdict
}

/// Says whether enough was done: at least `least` acknowledged operations of each kind.
pub fn enough(history: &[Op], required: &[(&str, usize)]) -> Verdict {
    let spans = spans(history);
    let mut verdict = Verdict::Valid;
    for (f, least) in required {
        let done = spans.iter().filter(|span| span.invoke.f == *f && span.kind() == Kind::Ok).count();
        if done < *least {
            verdict = verdict.and(Verdict::Unknown(format!(
                "only {done} operations {f} succeeded; {least} are needed to say anything"
            )));
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::testing::history;

    fn nemesis(f: &'static str, value: Value) -> (i64, Kind, &'static str, Value, Value) {
        (-1, Kind::Info, f, value, Value::Null)
    }

    #[test]
    fn a_node_is_in_trouble_from_the_kill_until_it_is_ready() {
        let history = history(&[
            nemesis("plan", json!(["kill/leader", "pause/one"])),
            nemesis("kill", json!({"phase": "begin", "mode": "leader", "nodes": [2]})),
            nemesis("kill", json!({"phase": "end", "mode": "leader", "nodes": [2], "effective": true})),
            nemesis("restart", json!({"phase": "begin", "nodes": [2]})),
            nemesis("restart", json!({"phase": "end", "nodes": [2]})),
        ]);
        let faults = Faults::of(&history);
        assert!(faults.is_running(1, 0, u64::MAX));
        assert!(!faults.is_running(2, 2_000_000, 2_000_001));
        assert!(!faults.is_running(2, 3_500_000, 9_000_000));
        assert!(faults.is_running(2, 4_000_001, 9_000_000));
        assert!(faults.is_quiet(0, 999_999) && !faults.is_quiet(0, 1_000_000));
        assert!(
            matches!(coverage(&history), Verdict::Unknown(why) if why.contains("pause/one") && !why.contains("kill"))
        );
    }

    #[test]
    fn a_node_has_come_back_where_it_alone_was_away() {
        let kill = |nodes: Value| nemesis("kill", json!({"phase": "begin", "mode": "one", "nodes": nodes}));
        let restart = |phase: &str, nodes: Value| nemesis("restart", json!({"phase": phase, "nodes": nodes}));
        let alone = Faults::of(&history(&[kill(json!([2])), restart("begin", json!([2])), restart("end", json!([2]))]));
        assert!(alone.has_come_back(2, 0, 1_500_000), "from when its process starts");
        assert!(!alone.has_come_back(2, 0, 900_000) && !alone.has_come_back(2, 1_000_000, 5_000_000));
        assert!(!alone.has_come_back(1, 0, 1_500_000));
        let both =
            Faults::of(&history(&[kill(json!([1, 2])), restart("begin", json!([2])), restart("end", json!([2]))]));
        assert!(!both.has_come_back(2, 0, 1_500_000), "nobody was there to be asked");
    }

    #[test]
    fn a_fault_without_effect_and_too_few_operations_are_unknown() {
        let history =
            history(&[nemesis("kill", json!({"phase": "end", "mode": "one", "nodes": [1], "effective": false}))]);
        assert!(matches!(coverage(&history), Verdict::Unknown(_)));
        assert!(matches!(enough(&history, &[("read", 1)]), Verdict::Unknown(_)));
    }
}
