//! One run inside the hub: cluster, clients, faults, healing, last looks, verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::arguments::Run;
use crate::backend::Backend;
use crate::cluster::{self, Cluster};
use crate::disk::Disk;
use crate::nemesis::Nemesis;
use crate::nemesis::mode::{self, Needs};
use crate::node::Node;
use crate::part::Part;
use crate::preload::{self, Page};
use crate::random::Random;
use crate::shape::Shaper;
use crate::stalls::{self, Watch};
use crate::verdict::Verdict;
use crate::workload::Stage;
use crate::{logs, part};

/// Calls are made for so long after the last fault has healed.
const CALM: Duration = Duration::from_secs(2);
/// Entries between two snapshots: so few that logs are shortened, and nodes that come back or join begin from a snapshot,
/// many times in a run.
const SNAPSHOT_ENTRIES: u64 = 200;
/// What a run may take beyond its time limit before it is given up.
const SLACK: Duration = Duration::from_secs(240);

/// Does a run, and returns what is to be said of it. Its folder is complete then.
pub async fn drive(arguments: &Run, run: &str, directory: &Path) -> Verdict {
    let limit = Duration::from_secs(arguments.time_limit) + SLACK;
    let started = async {
        tokio::select! {
            verdict = drive_workloads(arguments, run, directory) => verdict,
            why = crate::supervise::interrupted() => Ok(Verdict::Unknown(why.to_owned())),
        }
    };
    let verdict = match tokio::time::timeout(limit, started).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(error)) => Verdict::Unknown(format!("the run itself failed: {error:#}")),
        Err(_) => Verdict::Unknown(format!("the run did not end within {} s", limit.as_secs())),
    };
    if let Err(error) = std::fs::write(directory.join("verdict"), format!("{verdict}\n")) {
        return verdict.and(Verdict::Unknown(format!("the verdict could not be written: {error}")));
    }
    verdict
}

async fn drive_workloads(arguments: &Run, run: &str, directory: &Path) -> Result<Verdict> {
    let nodes = usize::from(arguments.nodes);
    let binary = cluster::copy_binary(&arguments.binary(), directory)?;
    let old = arguments.old_binary.as_ref().map(|old| cluster::copy_binary(old, directory)).transpose()?;
    let modes = mode::of_family(&arguments.nemesis, nodes, old.is_some())?;
    let needs = Needs::of(&modes);
    let names = arguments.workloads()?;
    let rates: Vec<u32> = names.iter().map(|name| arguments.rate(name, names.len())).collect();
    let settings = json!({
        "workload": arguments.workload, "nemesis": arguments.nemesis, "seed": arguments.seed, "nodes": nodes,
        "time_limit": arguments.time_limit, "rate": rates.iter().sum::<u32>(), "concurrency": arguments.concurrency(),
        "binary": arguments.binary(), "stale_reads": arguments.stale_reads, "old_binary": arguments.old_binary,
        "mutant": arguments.mutant,
    });
    std::fs::write(directory.join("run.json"), format!("{settings:#}\n"))?;
    // A cluster of mixed versions begins with the old one: what the new one makes the old one need not know.
    let made = make_nodes(arguments, run, old.as_ref().unwrap_or(&binary), directory, needs)?;
    let cluster = Arc::new(Cluster::start(made, directory).await.context("the cluster did not form")?);
    let chance = Random::new(arguments.seed);
    let shaper = needs.shaper.then(|| Shaper::create(run, nodes, chance.fork(3_000))).transpose()?;
    let backend = Backend::start().await?;
    let seconds = usize::try_from(arguments.time_limit).unwrap_or(600);
    let wanted: Vec<_> = names.iter().zip(&rates).map(|(name, rate)| (*name, seconds * *rate as usize)).collect();
    let stage = |recorder, operations| Stage {
        cluster: Arc::clone(&cluster),
        backend: backend.clone(),
        recorder,
        operations,
        has_stale_reads: arguments.stale_reads,
    };
    let (parts, recorders) = part::set_up_all(&wanted, stage, directory).await?;

    let before = cluster.status().await;
    let watch = Watch::start();
    let is_all = arguments.nemesis == mode::ALL.0;
    let nemesis = Nemesis::new(modes, is_all, Arc::clone(&cluster), recorders, chance.fork(1_000))
        .with_versions(old.into_iter().chain([binary]).collect())
        .with_shaper(shaper);
    let is_over = Arc::new(AtomicBool::new(false));
    let mut workers = tokio::task::JoinSet::new();
    let concurrency = arguments.concurrency();
    for (place, (part, rate)) in parts.iter().zip(&rates).enumerate() {
        let pace = Duration::from_secs(1) * u32::try_from(concurrency)? / *rate;
        let chance = if place == 0 { chance.clone() } else { chance.fork(4_000 + place as u64) };
        part.start(&mut workers, &cluster, &chance, (concurrency, pace), &is_over);
    }
    let faults = nemesis.run(Duration::from_secs(arguments.time_limit)).await;
    tokio::time::sleep(CALM).await;
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = workers.join_next().await {
        ended.context("a client")?;
    }
    let stalls = watch.finish();
    let after = cluster.status().await;

    let mut verdict = match faults {
        Ok(()) => Verdict::Valid,
        Err(error) => Verdict::of_error("the cluster did not come through a fault", &error),
    };
    match cluster.settle().await {
        Ok(()) => {
            for part in &parts {
                part.finish(&cluster, chance.fork(2_000)).await;
            }
        }
        Err(error) => verdict = verdict.and(Verdict::of_error("the cluster did not recover", &error)),
    }
    verdict = verdict.and(of_nodes(&cluster)?).and(of_machine(&stalls));
    let terms = [before, after].map(|status| status.map(|status| status.term));
    let verdict = judge(&parts, &verdict, nodes, &of_run(terms, &stalls))?;
    for node in &cluster.nodes {
        if node.is_started() && node.ended().is_none() {
            node.kill()?;
        }
    }
    if !arguments.keep_data {
        std::fs::remove_dir_all(directory.join("data"))?;
    }
    Ok(verdict)
}

/// Judges every workload beside what holds for the whole run, leaves what is to be read in its folder, and returns the
/// worst verdict.
fn judge(parts: &[Part], of_all: &Verdict, nodes: usize, more: &str) -> Result<Verdict> {
    let mut worst = of_all.clone();
    for part in parts {
        let (own, text) = part.judge(nodes)?;
        let verdict = of_all.clone().and(own.clone());
        let text = format!("{text}{more}{verdict}\n");
        std::fs::write(part.directory().join("results.txt"), &text)?;
        crate::say(&text);
        worst = match own {
            Verdict::Invalid(why) if parts.len() > 1 => worst.and(Verdict::Invalid(format!("{}: {why}", part.name()))),
            Verdict::Unknown(why) if parts.len() > 1 => worst.and(Verdict::Unknown(format!("{}: {why}", part.name()))),
            own => worst.and(own),
        };
        if parts.len() > 1 {
            std::fs::write(part.directory().join("verdict"), format!("{verdict}\n"))?;
        }
    }
    Ok(worst)
}

fn of_machine(stalls: &[(Duration, Duration)]) -> Verdict {
    let longest = longest(stalls);
    if longest < stalls::NOISY {
        return Verdict::Valid;
    }
    Verdict::Unknown(format!("the machine was noisy: it stood still for {} ms", longest.as_millis()))
}

fn longest(stalls: &[(Duration, Duration)]) -> Duration {
    stalls.iter().map(|(_, gap)| *gap).max().unwrap_or_default()
}

/// Returns what is to be told of a run, whatever the workload.
fn of_run(terms: [Option<u64>; 2], stalls: &[(Duration, Duration)]) -> String {
    let longest = longest(stalls).as_millis();
    let mut text = format!(
        "term before and after: {terms:?}\nstalls of the machine of 50 ms and more: {}, longest {longest} ms\n",
        stalls.len()
    );
    for (at, gap) in stalls {
        text += &format!("  at {:.1} s: {} ms\n", at.as_secs_f32(), gap.as_millis());
    }
    text
}

/// Makes nodes with what the faults of this run need.
fn make_nodes(arguments: &Run, run: &str, binary: &Path, directory: &Path, needs: Needs) -> Result<Vec<Node>> {
    let library = needs.preload.then(|| preload::build(&directory.join("data"))).transpose()?;
    let mut nodes = Vec::new();
    for number in 1..=usize::from(arguments.nodes) {
        let mut node = Node::new(number, run, binary, directory);
        std::fs::create_dir_all(node.mount_point())?;
        if needs.disks {
            node.disk = Some(Disk::create(run, number, &directory.join("data"))?);
        }
        if let Some(library) = &library {
            node.page = Some(Page::create(library, &directory.join(format!("data/n{number}.page")))?);
        }
        // Earlier versions do not know the setting.
        node.snapshot_entries = arguments.old_binary.is_none().then_some(SNAPSHOT_ENTRIES);
        if let Some(mutant) = &arguments.mutant {
            node.set_mutant(mutant);
        }
        nodes.push(node);
    }
    Ok(nodes)
}

/// Says whether a node ended by itself, panicked, or logged without end.
fn of_nodes(cluster: &Cluster) -> Result<Verdict> {
    let mut verdict = Verdict::Valid;
    for node in &cluster.nodes {
        if let Some(status) = node.ended() {
            verdict = verdict.and(Verdict::Invalid(format!("node {} ended by itself: {status}", node.number)));
        }
    }
    for node in &cluster.nodes {
        verdict = verdict.and(logs::check(node)?);
    }
    Ok(verdict)
}

/// Returns the folder of a run, which is new.
///
/// # Errors
/// Where it cannot be made.
pub fn make_directory(arguments: &Run) -> Result<PathBuf> {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let name =
        format!("{since_epoch}-{}-{}-n{}-s{}", arguments.workload, arguments.nemesis, arguments.nodes, arguments.seed);
    let directory = arguments.store.join(name);
    std::fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    Ok(directory.canonicalize()?)
}
