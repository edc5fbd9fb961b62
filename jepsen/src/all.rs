//! Many runs, one after the other, each a process of its own, and one table of all verdicts, which says what is still to
//! be done where this was stopped.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::arguments::All;
use crate::nemesis::mode::{self, FAMILIES, Needs};
use crate::{net, say, workload};

/// One run.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What the clients do.
    pub workload: String,
    /// Which faults are made.
    pub nemesis: String,
    /// Chance begins here.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u8,
    /// Seconds.
    pub time_limit: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its last line.
    pub verdict: String,
    /// Its folder.
    pub folder: String,
    /// Operations that succeeded.
    pub operations: u64,
    /// Seconds that it took in all.
    pub took_s: u64,
}

impl Done {
    /// Returns `valid`, `invalid` or `unknown`.
    pub fn word(&self) -> &str {
        self.verdict.split(':').next().unwrap_or_default()
    }
}

/// Does them all. Returns the exit code: that of the worst verdict.
///
/// # Errors
/// Where the table cannot be written or a run cannot be started.
pub fn run(all: &All) -> Result<u8> {
    std::fs::create_dir_all(&all.store)?;
    let table = all.store.join("summary.tsv");
    let known = known(&table);
    let wanted = wanted(all)?;
    let mut worst = 0;
    let mut lines = Vec::new();
    for (number, one) in wanted.iter().enumerate() {
        let key = key(one);
        if let Some(line) = known.iter().find(|line| line.starts_with(&format!("{key}\t"))) {
            lines.push(line.clone());
            worst = worst.max(code(line.split('\t').nth(5).unwrap_or_default()));
            continue;
        }
        say(&format!(
            "[{}/{}] {} with {}, {} nodes, seed {}, {} s",
            number + 1,
            wanted.len(),
            one.workload,
            one.nemesis,
            one.nodes,
            one.seed,
            one.time_limit
        ));
        let modes = mode::of_family(&one.nemesis, usize::from(one.nodes), all.old_binary.is_some())?;
        let missing = net::missing(Needs::of(&modes));
        if !missing.is_empty() {
            say(&format!("  NOT RUN: missing: {}", missing.join(", ")));
            lines.push(format!("{key}\tnot run\t0\t0\t-\tmissing: {}", missing.join(", ")));
            worst = worst.max(2);
            continue;
        }
        let mut more: Vec<String> = Vec::new();
        for (name, path) in [("--binary", &all.binary), ("--old-binary", &all.old_binary)] {
            if let Some(path) = path {
                more.extend([name.to_owned(), path.display().to_string()]);
            }
        }
        let mut done = once(one, &all.store, &more)?;
        for _ in 0..all.again {
            if done.word() != "unknown" || done.verdict.contains("interrupted") {
                break;
            }
            say(&format!("  {}; again", done.verdict));
            done = once(one, &all.store, &more)?;
        }
        say(&format!("  {} ({} operations, {} s)", done.verdict, done.operations, done.took_s));
        if done.verdict.contains("interrupted") {
            return Ok(2);
        }
        let line =
            format!("{key}\t{}\t{}\t{}\t{}\t{}", done.word(), done.operations, done.took_s, done.folder, done.verdict);
        worst = worst.max(code(done.word()));
        // What is unknown is tried again the next time.
        if done.word() != "unknown" {
            let mut file = std::fs::File::options().create(true).append(true).open(&table)?;
            writeln!(file, "{line}")?;
        }
        lines.push(line);
    }
    show(&lines);
    Ok(worst)
}

fn key(one: &Wanted) -> String {
    format!("{}\t{}\t{}\t{}\t{}", one.workload, one.nemesis, one.nodes, one.seed, one.time_limit)
}

fn code(word: &str) -> u8 {
    match word {
        "valid" => 0,
        "invalid" => 1,
        _ => 2,
    }
}

fn known(table: &Path) -> Vec<String> {
    std::fs::read_to_string(table).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn wanted(all: &All) -> Result<Vec<Wanted>> {
    let workloads: Vec<String> = if all.workloads.is_empty() {
        workload::LIST.iter().map(|(name, ..)| (*name).to_owned()).collect()
    } else {
        all.workloads.clone()
    };
    let nemeses: Vec<String> = if all.nemeses.is_empty() {
        let families =
            FAMILIES.iter().map(|(name, ..)| *name).filter(|name| *name != "upgrade" || all.old_binary.is_some());
        families.chain([mode::ALL.0]).map(str::to_owned).collect()
    } else {
        all.nemeses.clone()
    };
    for workload in &workloads {
        workload::named(workload)?;
    }
    let workloads = if all.together { together(&workloads) } else { workloads };
    let mut wanted = Vec::new();
    for seed in &all.seeds {
        for nemesis in &nemeses {
            mode::of_family(nemesis, usize::from(all.nodes), all.old_binary.is_some())?;
            for workload in &workloads {
                wanted.push(Wanted {
                    workload: workload.clone(),
                    nemesis: nemesis.clone(),
                    seed: *seed,
                    nodes: all.nodes,
                    time_limit: all.time_limit,
                });
            }
        }
    }
    Ok(wanted)
}

/// Returns the runs in which these workloads go on: those that can, at once.
fn together(workloads: &[String]) -> Vec<String> {
    let joined = workloads.join(",");
    if workloads.len() == workload::LIST.len() {
        let others = workload::named(workload::TOGETHER).unwrap_or_default();
        let alone = workloads.iter().filter(|name| !others.contains(&name.as_str())).cloned();
        return std::iter::once(workload::TOGETHER.to_owned()).chain(alone).collect();
    }
    if workload::named(&joined).is_ok() { vec![joined] } else { workloads.to_vec() }
}

/// Does one run in a process of its own, which an interruption of this one reaches as well.
///
/// # Errors
/// Where it cannot be started.
pub fn once(one: &Wanted, store: &Path, more: &[String]) -> Result<Done> {
    let start = std::time::Instant::now();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", "--workload", &one.workload, "--nemesis", &one.nemesis]);
    command.args(["--seed", &one.seed.to_string(), "--nodes", &one.nodes.to_string()]);
    command.args(["--time-limit", &one.time_limit.to_string(), "--store"]).arg(store).args(more);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("a run")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdict = text.lines().last().unwrap_or("unknown: the run said nothing").to_owned();
    let folder = text.lines().next().unwrap_or_default().to_owned();
    let names = workload::named(&one.workload)?;
    let of_each = names.iter().map(|name| succeeded(&Path::new(&folder).join(name).join("history.jsonl")));
    let operations = succeeded(&Path::new(&folder).join("history.jsonl")) + of_each.sum::<u64>();
    Ok(Done { verdict, folder, operations, took_s: start.elapsed().as_secs() })
}

/// Returns how many operations of a history succeeded; 0 where there is none.
fn succeeded(history: &Path) -> u64 {
    let history = crate::history::read(history).unwrap_or_default();
    crate::history::spans(&history).iter().filter(|span| span.kind() == crate::history::Kind::Ok).count() as u64
}

fn show(lines: &[String]) {
    let mut text = format!(
        "\n{:<20} {:<10} {:>5} {:>5} {:>5}  {:<8} {:>10}\n",
        "workload", "nemesis", "nodes", "seed", "s", "verdict", "operations"
    );
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let field = |place: usize| fields.get(place).copied().unwrap_or_default();
        text += &format!(
            "{:<20} {:<10} {:>5} {:>5} {:>5}  {:<8} {:>10}\n",
            field(0),
            field(1),
            field(2),
            field(3),
            field(4),
            field(5),
            field(6)
        );
    }
    let count = |word: &str| lines.iter().filter(|line| line.split('\t').nth(5) == Some(word)).count();
    text += &format!(
        "valid {}, invalid {}, unknown {}, not run {}",
        count("valid"),
        count("invalid"),
        count("unknown"),
        count("not run")
    );
    say(&text);
}
