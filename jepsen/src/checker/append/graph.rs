//! A graph of transactions and the cycles in it, by the names of Adya and Elle.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The other's append follows its append.
    Ww,
    /// The other read what it appended.
    Wr,
    /// The other's append follows what it read.
    Rw,
    /// It ended before the other began.
    RealTime,
}

impl Link {
    const fn bit(self) -> u8 {
        match self {
            Self::Ww => 1,
            Self::Wr => 2,
            Self::Rw => 4,
            Self::RealTime => 8,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ww => "ww",
            Self::Wr => "wr",
            Self::Rw => "rw",
            Self::RealTime => "rt",
        })
    }
}

/// The graph.
pub struct Graph {
    links: Vec<HashMap<usize, u8>>,
}

/// A cycle: each transaction, and why it comes before the next.
pub type Cycle = Vec<(usize, Link)>;

impl Graph {
    /// Returns the graph of so many transactions without links.
    pub fn new(size: usize) -> Self {
        Self { links: vec![HashMap::new(); size] }
    }

    /// Says that one comes before another.
    pub fn link(&mut self, before: usize, after: usize, link: Link) {
        if before != after {
            *self.links[before].entry(after).or_default() |= link.bit();
        }
    }

    /// Returns the worst anomaly, with a shortest cycle that shows it.
    pub fn anomaly(&self) -> Option<(&'static str, Cycle)> {
        let (ww, wr, rw, rt) = (Link::Ww.bit(), Link::Wr.bit(), Link::Rw.bit(), Link::RealTime.bit());
        if self.components(ww | wr | rw | rt).is_empty() {
            return None;
        }
        for (suffix, time) in [(0, 0), (1, rt)] {
            let name = |names: [&'static str; 2]| names[suffix];
            if let Some(cycle) = self.cycle(ww | time) {
                return Some((name(["G0", "G0-realtime"]), cycle));
            }
            if let Some(cycle) = self.cycle(ww | wr | time) {
                return Some((name(["G1c", "G1c-realtime"]), cycle));
            }
            if let Some(cycle) = self.single(ww | wr | time) {
                return Some((name(["G-single", "G-single-realtime"]), cycle));
            }
            if let Some(cycle) = self.cycle(ww | wr | rw | time) {
                return Some((name(["G2", "G2-realtime"]), cycle));
            }
        }
        None
    }

    /// Returns a shortest cycle of links of `mask` through some transaction.
    fn cycle(&self, mask: u8) -> Option<Cycle> {
        let component = self.components(mask).into_iter().min_by_key(HashSet::len)?;
        let starts = component.iter().copied().take(100);
        starts.filter_map(|start| self.path(start, start, mask, &component)).min_by_key(Vec::len)
    }

    /// Returns a cycle with exactly one link by which somebody overwrote what was read.
    fn single(&self, mask: u8) -> Option<Cycle> {
        let rw = Link::Rw.bit();
        for component in self.components(mask | rw) {
            let mut members: Vec<usize> = component.iter().copied().collect();
            members.sort_unstable();
            for from in members {
                let overwritten =
                    self.links[from].iter().filter(|(to, kinds)| *kinds & rw != 0 && component.contains(to));
                for (to, _) in overwritten {
                    if let Some(mut rest) = self.path(*to, from, mask, &component) {
                        rest.insert(0, (from, Link::Rw));
                        return Some(rest);
                    }
                }
            }
        }
        None
    }

    /// Returns a shortest path of at least one link.
    fn path(&self, from: usize, to: usize, mask: u8, within: &HashSet<usize>) -> Option<Cycle> {
        let mut came: HashMap<usize, usize> = HashMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            for (next, kinds) in &self.links[at] {
                if kinds & mask == 0 || !within.contains(next) || came.contains_key(next) {
                    continue;
                }
                came.insert(*next, at);
                if *next == to {
                    return Some(self.trace(&came, from, to, mask));
                }
                queue.push_back(*next);
            }
        }
        None
    }

    fn trace(&self, came: &HashMap<usize, usize>, from: usize, to: usize, mask: u8) -> Cycle {
        let mut steps = Vec::new();
        let mut at = to;
        loop {
            let before = came[&at];
            let kinds = self.links[before][&at] & mask;
            let all = [Link::Ww, Link::Wr, Link::Rw, Link::RealTime];
            let link = all.into_iter().find(|link| kinds & link.bit() != 0).unwrap_or(Link::RealTime);
            steps.push((before, link));
            at = before;
            if at == from {
                steps.reverse();
                return steps;
            }
        }
    }

    /// Returns the sets of transactions that lie on cycles of links of `mask` (Tarjan's strongly connected components,
    /// without recursion).
    fn components(&self, mask: u8) -> Vec<HashSet<usize>> {
        let size = self.links.len();
        let next_of: Vec<Vec<usize>> = self
            .links
            .iter()
            .map(|links| links.iter().filter(|(_, kinds)| *kinds & mask != 0).map(|(to, _)| *to).collect())
            .collect();
        let (mut order, mut low) = (vec![usize::MAX; size], vec![0; size]);
        let (mut stack, mut is_on_stack) = (Vec::new(), vec![false; size]);
        let (mut counter, mut found) = (0, Vec::new());
        for root in 0..size {
            if order[root] != usize::MAX {
                continue;
            }
            let mut work = vec![(root, 0)];
            while let Some((at, position)) = work.pop() {
                if position == 0 {
                    (order[at], low[at]) = (counter, counter);
                    counter += 1;
                    stack.push(at);
                    is_on_stack[at] = true;
                }
                if let Some(next) = next_of[at].get(position).copied() {
                    work.push((at, position + 1));
                    if order[next] == usize::MAX {
                        work.push((next, 0));
                    } else if is_on_stack[next] {
                        low[at] = low[at].min(order[next]);
                    }
                    continue;
                }
                if let Some((parent, _)) = work.last() {
                    low[*parent] = low[*parent].min(low[at]);
                }
                if low[at] == order[at] {
                    let mut component = HashSet::new();
                    while let Some(member) = stack.pop() {
                        is_on_stack[member] = false;
                        component.insert(member);
                        if member == at {
                            break;
                        }
                    }
                    if component.len() > 1 {
                        found.push(component);
                    }
                }
            }
        }
        found
    }
}
