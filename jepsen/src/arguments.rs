//! The command line.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::workload;

/// Starts real nodes in network namespaces of their own, drives real clients, makes faults, heals, and judges what the
/// clients saw. The last line of output is the verdict: valid (exit code 0), invalid: … (1) or unknown: … (2).
#[derive(Debug, Parser)]
#[command(name = "portcullis-jepsen", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Do one run. Needs root, iproute2 and nftables.
    Run(Run),
    /// Do a run of each workload with each kind of faults, one after the other. What has a verdict in the table of an
    /// earlier call is not run again.
    All(All),
    /// Show that the suite finds faults: build the program with deliberate ones, and run what must find each.
    Mutants(Mutants),
    /// Show the workloads and the faults there are.
    List,
    /// Change one byte of what a node that is down has stored.
    #[command(hide = true)]
    Damage {
        /// `log`, `snapshot` or `message-store`.
        what: String,
        /// The node's data directory.
        directory: PathBuf,
        /// Chance begins here.
        #[arg(long)]
        seed: u64,
    },
    /// Judge a history that was written before.
    Check {
        /// A history.jsonl; run.json beside it says what it is of.
        history: PathBuf,
        /// The workload, where there is no run.json.
        #[arg(long)]
        workload: Option<String>,
        /// How many nodes there were, where there is no run.json.
        #[arg(long)]
        nodes: Option<usize>,
    },
}

/// A run.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// What the clients do; several, separated by commas, go on at once in one cluster, and `together` is all that can.
    #[arg(long)]
    pub workload: String,
    /// Which faults are made.
    #[arg(long, default_value = "none")]
    pub nemesis: String,
    /// Seconds during which faults are made.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    pub time_limit: u64,
    /// How many nodes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: u8,
    /// Chance begins here; the same seed makes the same plan.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Operations a second of a workload, all its clients together; its own where nothing is said, and a third of that
    /// where more than three go on at once.
    #[arg(long)]
    rate: Option<u32>,
    /// Clients of a workload; two per node where nothing is said.
    #[arg(long)]
    concurrency: Option<usize>,
    /// The program under test; target/release/portcullis, or else target/debug/portcullis.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Another version of the program: nodes begin with it and go to and fro between the two, where the nemesis says so.
    #[arg(long)]
    pub old_binary: Option<PathBuf>,
    /// The deliberate fault that the program is to have, where it was built with the feature `mutants`.
    #[arg(long, hide = true)]
    pub mutant: Option<String>,
    /// Where folders of runs are made.
    #[arg(long, default_value = "target/jepsen")]
    pub store: PathBuf,
    /// Have the registry read what each node has (`consistency=stale`), which does not promise what is checked: the
    /// verdict must be invalid as soon as a node is behind. Shows that the suite sees such a fault.
    #[arg(long)]
    pub stale_reads: bool,
    /// Keep the data directories of the nodes.
    #[arg(long)]
    pub keep_data: bool,
    /// The namespaces of the run: set by the program itself when it starts again inside them.
    #[arg(long, hide = true, requires = "directory")]
    pub inside: Option<String>,
    /// The folder of the run, set with `--inside`.
    #[arg(long, hide = true)]
    pub directory: Option<PathBuf>,
}

/// Many runs.
#[derive(Clone, Debug, Args)]
pub struct All {
    /// Which workloads, separated by commas; all where nothing is said.
    #[arg(long, value_delimiter = ',')]
    pub workloads: Vec<String>,
    /// Runs the workloads at once in one cluster, those that can; the others alone.
    #[arg(long)]
    pub together: bool,
    /// Which kinds of faults, separated by commas; all where nothing is said (`upgrade` only with `--old-binary`).
    #[arg(long, value_delimiter = ',')]
    pub nemeses: Vec<String>,
    /// Seconds of each run during which faults are made.
    #[arg(long, default_value_t = 60)]
    pub time_limit: u64,
    /// How many nodes.
    #[arg(long, default_value_t = 5)]
    pub nodes: u8,
    /// Seeds, separated by commas; each combination is run with each.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub seeds: Vec<u64>,
    /// How often a run is made again whose verdict is unknown: the machine may have been noisy.
    #[arg(long, default_value_t = 2)]
    pub again: u32,
    /// The program under test; target/release/portcullis, or else target/debug/portcullis.
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// Another version of the program.
    #[arg(long)]
    pub old_binary: Option<PathBuf>,
    /// Where folders of runs are made, and the table `summary.tsv`.
    #[arg(long, default_value = "target/jepsen")]
    pub store: PathBuf,
}

/// Runs of builds with deliberate faults.
#[derive(Clone, Debug, Args)]
pub struct Mutants {
    /// Only these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Where the program is built with its faults.
    #[arg(long, default_value = "target/mutants")]
    pub target: PathBuf,
    /// A program that was built with the feature `mutants` before; nothing is built then.
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// Where folders of runs are made, and the table `mutants.md`.
    #[arg(long, default_value = "target/jepsen-mutants")]
    pub store: PathBuf,
}

impl Run {
    /// Returns the workloads that go on at once.
    ///
    /// # Errors
    /// Where one does not exist, comes twice, or cannot go on beside others.
    pub fn workloads(&self) -> Result<Vec<&'static str>> {
        workload::named(&self.workload)
    }

    /// Returns the operations a second of a workload beside which as many go on in all, at least 1.
    pub fn rate(&self, workload: &str, in_all: usize) -> u32 {
        let own = workload::LIST.iter().find(|(name, ..)| *name == workload).map_or(60, |(_, rate, _)| *rate);
        let share = if in_all > 3 { own / 3 } else { own };
        self.rate.unwrap_or(share).max(1)
    }

    /// Returns the number of clients, at least 1.
    pub fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or(2 * usize::from(self.nodes)).clamp(1, 200)
    }

    /// Returns the program under test.
    pub fn binary(&self) -> PathBuf {
        let release = PathBuf::from("target/release/portcullis");
        let built = if release.exists() { release } else { PathBuf::from("target/debug/portcullis") };
        self.binary.clone().unwrap_or(built)
    }
}
