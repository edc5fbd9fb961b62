//! The kinds of faults, by family, and what of the machine each needs.

use anyhow::{Result, bail};

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Kill the leader.
    KillLeader,
    /// Kill any one node.
    KillOne,
    /// Kill as many as may be without losing the majority.
    KillMinority,
    /// Kill all nodes at once.
    KillAll,
    /// Kill one node after the other, again and again, before they are ready.
    Storm,
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
    /// Every node reaches a majority, each another one.
    MajorityRing,
    /// Two groups that only one node reaches both of.
    Bridge,
    /// One packet of five between nodes is lost.
    Loss,
    /// Packets are late, by chance more or less.
    Delay,
    /// Some packets overtake others.
    Reorder,
    /// Some packets come twice.
    Duplicate,
    /// The lines are narrow.
    Bandwidth,
    /// The clock of some nodes steps forward.
    ClockForward,
    /// The clock of some nodes steps back.
    ClockBack,
    /// The clocks of some nodes run faster or slower.
    ClockDrift,
    /// The clock of one node steps to and fro, several times a second.
    ClockStrobe,
    /// A node's disk is full: the node stops.
    DiskFull,
    /// Syncs of a node's log fail: the node stops.
    SyncFails,
    /// Every sync of some nodes takes long.
    SlowDisk,
    /// The power of one node is cut: what it did not sync is lost.
    PowerOne,
    /// The power of the leader is cut.
    PowerLeader,
    /// The power of all nodes is cut at once.
    PowerAll,
    /// A byte of a node's log changes while the node is down.
    CorruptLog,
    /// A byte of a node's snapshot changes.
    CorruptSnapshot,
    /// A byte of a node's message store changes.
    CorruptMessages,
    /// A node is removed, and comes back as a new one.
    Replace,
    /// The leader is removed, and comes back as a new node.
    ReplaceLeader,
    /// A node is stopped, and starts with the other version of the program.
    Upgrade,
}

use Mode::{
    Bandwidth, Bridge, ClockBack, ClockDrift, ClockForward, ClockStrobe, CorruptLog, CorruptMessages, CorruptSnapshot,
    Delay, DiskFull, Duplicate, Halves, KillAll, KillLeader, KillMinority, KillOne, LeaderAlone, Loss, MajorityRing,
    OneWay, PauseLeader, PauseMajority, PauseOne, PowerAll, PowerLeader, PowerOne, Reorder, Replace, ReplaceLeader,
    SlowDisk, Storm, SyncFails, Upgrade,
};

/// Families, with what people should know and their modes.
pub const FAMILIES: [(&str, &str, &[Mode]); 13] = [
    ("none", "no fault", &[]),
    (
        "kill",
        "SIGKILL to the leader, one node, a minority, all at once; they start again",
        &[KillLeader, KillOne, KillMinority, KillAll],
    ),
    ("storm", "nodes are killed again and again before they are ready", &[Storm]),
    ("pause", "SIGSTOP to the leader, to one node, to a majority; they go on", &[PauseLeader, PauseOne, PauseMajority]),
    (
        "partition",
        "the leader alone, two groups, one direction only, a ring, a bridge",
        &[LeaderAlone, Halves, OneWay, MajorityRing, Bridge],
    ),
    ("loss", "one packet of five between nodes is lost", &[Loss]),
    (
        "delay",
        "packets are late, out of order, twice, or too many for their line",
        &[Delay, Reorder, Duplicate, Bandwidth],
    ),
    (
        "clock",
        "clocks step forward, back, to and fro, or run at another speed",
        &[ClockForward, ClockBack, ClockDrift, ClockStrobe],
    ),
    ("disk", "a disk is full, syncs fail, disks are slow", &[DiskFull, SyncFails, SlowDisk]),
    (
        "power",
        "power cuts of one node, the leader, all: what was not synced is lost",
        &[PowerOne, PowerLeader, PowerAll],
    ),
    (
        "corrupt",
        "a byte of one node's log, snapshot or message store changes while it is down",
        &[CorruptLog, CorruptSnapshot, CorruptMessages],
    ),
    ("member", "a node, the leader, is removed and comes back as a new one", &[Replace, ReplaceLeader]),
    ("upgrade", "nodes stop and start with the other version, to and fro (--old-binary)", &[Upgrade]),
];

/// What runs have besides their families: everything in an order from the seed, also two at a time.
pub const ALL: (&str, &str) = ("all", "all of these, also two at a time, in an order from the seed");

/// What a mode needs of the machine beside namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A disk of its own for each node.
    pub disks: bool,
    /// Something preloaded into each node.
    pub preload: bool,
    /// The router between nodes.
    pub shaper: bool,
}

impl Mode {
    /// Returns what it does and to whom.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            KillLeader => ("kill", "leader"),
            KillOne => ("kill", "one"),
            KillMinority => ("kill", "minority"),
            KillAll => ("kill", "all"),
            Storm => ("storm", "any"),
            PauseLeader => ("pause", "leader"),
            PauseOne => ("pause", "one"),
            PauseMajority => ("pause", "majority"),
            LeaderAlone => ("partition", "leader-alone"),
            Halves => ("partition", "halves"),
            OneWay => ("partition", "one-way"),
            MajorityRing => ("partition", "majorities-ring"),
            Bridge => ("partition", "bridge"),
            Loss => ("loss", "fifth"),
            Delay => ("delay", "all"),
            Reorder => ("reorder", "all"),
            Duplicate => ("duplicate", "all"),
            Bandwidth => ("bandwidth", "all"),
            ClockForward => ("clock", "forward"),
            ClockBack => ("clock", "back"),
            ClockDrift => ("clock", "drift"),
            ClockStrobe => ("clock", "strobe"),
            DiskFull => ("full", "one"),
            SyncFails => ("sync-fails", "one"),
            SlowDisk => ("slow-disk", "some"),
            PowerOne => ("power", "one"),
            PowerLeader => ("power", "leader"),
            PowerAll => ("power", "all"),
            CorruptLog => ("corrupt", "log"),
            CorruptSnapshot => ("corrupt", "snapshot"),
            CorruptMessages => ("corrupt", "message-store"),
            Replace => ("remove", "one"),
            ReplaceLeader => ("remove", "leader"),
            Upgrade => ("upgrade", "one"),
        }
    }

    /// Says whether it makes sense with so many nodes.
    pub const fn fits(self, nodes: usize) -> bool {
        match self {
            KillMinority => nodes >= 5,
            // With three nodes each of which reaches a majority all reach all.
            MajorityRing => nodes >= 4,
            Bridge | CorruptLog | CorruptSnapshot | Replace | ReplaceLeader => nodes >= 3,
            LeaderAlone | Halves | OneWay | Loss | Delay | Reorder | Duplicate | Bandwidth => nodes >= 2,
            _ => true,
        }
    }

    /// Returns what it needs of the machine.
    pub const fn needs(self) -> Needs {
        match self {
            Delay | Reorder | Duplicate | Bandwidth => Needs { disks: false, preload: false, shaper: true },
            ClockForward | ClockBack | ClockDrift | ClockStrobe | SyncFails | SlowDisk => {
                Needs { disks: false, preload: true, shaper: false }
            }
            DiskFull | PowerOne | PowerLeader | PowerAll => Needs { disks: true, preload: false, shaper: false },
            _ => Needs { disks: false, preload: false, shaper: false },
        }
    }

    /// Says whether nodes do not run while it lasts.
    pub const fn takes_nodes_down(self) -> bool {
        matches!(
            self,
            KillLeader
                | KillOne
                | KillMinority
                | KillAll
                | Storm
                | DiskFull
                | SyncFails
                | PowerOne
                | PowerLeader
                | PowerAll
                | CorruptLog
                | CorruptSnapshot
                | CorruptMessages
                | Replace
                | ReplaceLeader
                | Upgrade
        )
    }

    /// Says whether the cluster must be able to do something for it, so that it cannot come with what takes the majority.
    pub const fn needs_majority(self) -> bool {
        matches!(self, CorruptLog | CorruptSnapshot | CorruptMessages | Replace | ReplaceLeader | Upgrade)
    }

    /// Says whether it changes what happens to packets between nodes.
    pub const fn is_of_network(self) -> bool {
        matches!(
            self,
            LeaderAlone | Halves | OneWay | MajorityRing | Bridge | Loss | Delay | Reorder | Duplicate | Bandwidth
        )
    }

    /// Says whether it can be made together with another one.
    pub fn goes_with(self, other: Self) -> bool {
        let is_mild = |mode: Self| {
            matches!(mode, ClockForward | ClockBack | ClockDrift | ClockStrobe | SlowDisk | Delay | Reorder | Duplicate)
        };
        // A process that stands tells no time, right or wrong.
        let pair = [self.words().0, other.words().0];
        let is_in_vain = pair.contains(&"pause") && pair.contains(&"clock");
        let is_both = |is: fn(Self) -> bool| is(self) && is(other);
        let is_one_too_many = pair[0] == pair[1] || is_both(Self::takes_nodes_down) || is_both(Self::is_of_network);
        !(is_in_vain || is_one_too_many)
            && (!self.needs_majority() || is_mild(other))
            && (!other.needs_majority() || is_mild(self))
    }
}

impl Needs {
    /// Returns what modes need together.
    pub fn of(modes: &[Mode]) -> Self {
        let mut all = Self::default();
        for needs in modes.iter().map(|mode| mode.needs()) {
            all.disks |= needs.disks;
            all.preload |= needs.preload;
            all.shaper |= needs.shaper;
        }
        all
    }
}

/// Returns the modes of a family that make sense with so many nodes. Other versions of the program come into `all` where
/// there is one.
///
/// # Errors
/// Where there is no such family.
pub fn of_family(name: &str, nodes: usize, has_old_binary: bool) -> Result<Vec<Mode>> {
    if name == "upgrade" && !has_old_binary {
        bail!("the nemesis upgrade needs the other version of the program: name it with --old-binary");
    }
    let families: Vec<_> = if name == ALL.0 {
        FAMILIES.iter().filter(|(family, ..)| *family != "upgrade" || has_old_binary).collect()
    } else {
        FAMILIES.iter().filter(|(family, ..)| *family == name).collect()
    };
    if families.is_empty() {
        bail!("there is no nemesis {name}; `list` shows those there are");
    }
    let modes: Vec<Mode> =
        families.iter().flat_map(|(.., modes)| modes.iter().copied()).filter(|mode| mode.fits(nodes)).collect();
    if modes.is_empty() && name != "none" {
        bail!("the nemesis {name} makes no sense with {nodes} nodes");
    }
    Ok(modes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_of_one_family_and_has_words_of_its_own() {
        let all = of_family("all", 5, true).unwrap();
        let mut words: Vec<_> = all.iter().map(|mode| mode.words()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all.len());
        assert!(!of_family("all", 5, false).unwrap().contains(&Upgrade));
        assert!(of_family("upgrade", 5, false).is_err() && of_family("nothing", 5, true).is_err());
        assert!(!of_family("partition", 3, false).unwrap().contains(&MajorityRing));
    }

    #[test]
    fn what_goes_together_leaves_a_way_to_heal() {
        assert!(KillLeader.goes_with(Halves) && ClockBack.goes_with(Replace));
        for (one, other) in [
            (KillOne, PowerOne),
            (Halves, Loss),
            (Replace, PauseMajority),
            (PauseOne, PauseLeader),
            (PauseMajority, ClockStrobe),
        ] {
            assert!(!one.goes_with(other) && !other.goes_with(one), "{one:?} {other:?}");
        }
    }
}
