//! Shows that the suite finds faults: runs builds with deliberate ones (the feature `mutants`) and says which run found
//! which.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::all::{Wanted, once};
use crate::arguments::Mutants;
use crate::say;

/// A deliberate fault and the runs that must find it: the first does, mostly; the others are tried where it does not.
struct Mutant {
    name: &'static str,
    what: &'static str,
    runs: &'static [(&'static str, &'static str, u64)],
}

/// The faults by the names that the program knows (`src/model/mutant.rs`).
const MUTANTS: [Mutant; 16] = [
    Mutant {
        name: "ack-before-commit",
        what: "the leader answers a write before a majority has it",
        runs: &[("set", "partition", 15), ("set", "kill", 15)],
    },
    Mutant {
        name: "apply-twice",
        what: "what a report says was used is entered twice, now and then",
        runs: &[("usage", "none", 10)],
    },
    Mutant { name: "skip-sync", what: "the log is not synced to disk", runs: &[("set", "power", 15)] },
    Mutant {
        name: "stale-read",
        what: "a linearizable read asks nobody",
        runs: &[("registry", "partition", 15), ("append", "partition", 15)],
    },
    Mutant {
        name: "forget-grants",
        what: "what a node held of quotas before its restart is forgotten",
        runs: &[("quota", "kill", 30), ("quota", "storm", 40)],
    },
    Mutant { name: "over-grant", what: "the log grants more than there is", runs: &[("quota", "none", 20)] },
    Mutant {
        name: "ignore-fence",
        what: "the fence waits for nobody",
        runs: &[("fence", "delay", 15), ("token", "delay", 15)],
    },
    Mutant {
        name: "short-snapshot",
        what: "a snapshot lacks a row",
        runs: &[("set", "kill", 20), ("unique-ids", "member", 20)],
    },
    Mutant {
        name: "clock-in-apply",
        what: "applying an entry depends on the node's own clock",
        runs: &[("set", "none", 10)],
    },
    Mutant {
        name: "forget-replies",
        what: "replies are not kept for idempotency keys",
        runs: &[("idempotence", "none", 10)],
    },
    Mutant {
        name: "keep-verdicts",
        what: "a gateway keeps its verdict on a token whatever changes",
        runs: &[("token", "none", 10)],
    },
    Mutant {
        name: "forget-reports",
        what: "a report that does not reach the log at once is dropped",
        runs: &[("usage", "partition", 15)],
    },
    Mutant {
        name: "serve-early",
        what: "a node that starts serves before it has caught up",
        runs: &[("token", "kill", 20), ("fence", "kill", 20), ("availability", "kill", 15)],
    },
    Mutant { name: "ignore-if-match", what: "`If-Match` is not looked at", runs: &[("append", "none", 10)] },
    Mutant { name: "ignore-names", what: "names need not be unique", runs: &[("unique-ids", "none", 10)] },
    Mutant { name: "serve-removed", what: "a node that was removed runs on", runs: &[("membership", "member", 15)] },
];

/// Nodes of a run: the fewest that have a majority without one.
const NODES: u8 = 3;
/// How often a run is made, with other seeds, until it finds the fault.
const SEEDS: u64 = 3;

/// Builds the program with its faults and runs what must find each. Returns 0 where all are found.
///
/// # Errors
/// Where the program cannot be built.
pub fn run(mutants: &Mutants) -> Result<u8> {
    let binary = match &mutants.binary {
        Some(binary) => binary.clone(),
        None => build(mutants)?,
    };
    let mut lines = vec!["| fault | what it does | found by | verdict |".to_owned(), "|---|---|---|---|".to_owned()];
    let mut is_all = true;
    for mutant in
        MUTANTS.iter().filter(|one| mutants.only.is_empty() || mutants.only.iter().any(|name| name == one.name))
    {
        let found = find(mutant, &binary, mutants)?;
        is_all &= found.is_some();
        let (by, verdict) = found.unwrap_or_else(|| ("**not found**".to_owned(), String::new()));
        let verdict: String = verdict.replace('|', "/").chars().take(160).collect();
        lines.push(format!("| `{}` | {} | {by} | {verdict} |", mutant.name, mutant.what));
        say(lines.last().map_or("", String::as_str));
    }
    let table = lines.join("\n") + "\n";
    std::fs::write(mutants.store.join("mutants.md"), &table)?;
    say(&format!("\n{table}"));
    Ok(u8::from(!is_all))
}

fn build(mutants: &Mutants) -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--locked", "--bin", "portcullis", "--features", "mutants", "--target-dir"])
        .arg(&mutants.target);
    if !command.status().context("cargo")?.success() {
        bail!("the program could not be built with the feature `mutants`");
    }
    Ok(mutants.target.join("debug/portcullis"))
}

/// Returns the run that found the fault, and its verdict.
fn find(mutant: &Mutant, binary: &std::path::Path, mutants: &Mutants) -> Result<Option<(String, String)>> {
    std::fs::create_dir_all(&mutants.store)?;
    let more = ["--binary".to_owned(), binary.display().to_string(), "--mutant".to_owned(), mutant.name.to_owned()];
    for seed in 1..=SEEDS {
        for (workload, nemesis, time_limit) in mutant.runs {
            let wanted = Wanted {
                workload: (*workload).to_owned(),
                nemesis: (*nemesis).to_owned(),
                seed,
                nodes: NODES,
                time_limit: *time_limit,
            };
            let done = once(&wanted, &mutants.store, &more)?;
            say(&format!(
                "  {} by {workload} with {nemesis}, {time_limit} s, seed {seed}: {}",
                mutant.name, done.verdict
            ));
            if done.word() == "invalid" {
                let by = format!("{workload} × {nemesis}, {time_limit} s, seed {seed}");
                return Ok(Some((by, done.verdict)));
            }
        }
    }
    Ok(None)
}
