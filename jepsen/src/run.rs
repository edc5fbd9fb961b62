//! One run inside the hub: cluster, clients, faults, healing, last looks, verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::arguments::Run;
use crate::backend::Backend;
use crate::cluster::{self, Cluster};
use crate::disk::Disk;
use crate::history::{self, Recorder};
use crate::nemesis::Nemesis;
use crate::nemesis::mode::{self, Needs};
use crate::node::Node;
use crate::preload::{self, Page};
use crate::random::Random;
use crate::shape::Shaper;
use crate::stalls::{self, Watch};
use crate::verdict::Verdict;
use crate::worker::Worker;
use crate::workload::append::Append;
use crate::workload::availability::Availability;
use crate::workload::fence::Fence;
use crate::workload::idempotence::Idempotence;
use crate::workload::membership::Membership;
use crate::workload::quota::Quota;
use crate::workload::registry::Registry;
use crate::workload::set::Set;
use crate::workload::token::Token;
use crate::workload::unique::Unique;
use crate::workload::usage::Usage;
use crate::workload::{self, Stage, Workload};
use crate::{checker, logs, plot, report};

/// Calls are made for so long after the last fault has healed.
const CALM: Duration = Duration::from_secs(2);
/// What a run may take beyond its time limit before it is given up.
const SLACK: Duration = Duration::from_secs(240);

/// Does a run, and returns what is to be said of it. Its folder is complete then.
pub async fn drive(arguments: &Run, run: &str, directory: &Path) -> Verdict {
    let limit = Duration::from_secs(arguments.time_limit) + SLACK;
    let started = async {
        tokio::select! {
            verdict = drive_workload(arguments, run, directory) => verdict,
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

async fn drive_workload(arguments: &Run, run: &str, directory: &Path) -> Result<Verdict> {
    match arguments.workload.as_str() {
        "registry" => drive_one::<Registry>(arguments, run, directory).await,
        "append" => drive_one::<Append>(arguments, run, directory).await,
        "unique-ids" => drive_one::<Unique>(arguments, run, directory).await,
        "fence" => drive_one::<Fence>(arguments, run, directory).await,
        "usage" => drive_one::<Usage>(arguments, run, directory).await,
        "membership" => drive_one::<Membership>(arguments, run, directory).await,
        "set" => drive_one::<Set>(arguments, run, directory).await,
        "idempotence" => drive_one::<Idempotence>(arguments, run, directory).await,
        "token" => drive_one::<Token>(arguments, run, directory).await,
        "quota" => drive_one::<Quota>(arguments, run, directory).await,
        "availability" => drive_one::<Availability>(arguments, run, directory).await,
        other => anyhow::bail!("there is no workload {other}; `list` shows those there are"),
    }
}

async fn drive_one<W: Workload>(arguments: &Run, run: &str, directory: &Path) -> Result<Verdict> {
    let nodes = usize::from(arguments.nodes);
    let binary = cluster::copy_binary(&arguments.binary(), directory)?;
    let old = arguments.old_binary.as_ref().map(|old| cluster::copy_binary(old, directory)).transpose()?;
    let modes = mode::of_family(&arguments.nemesis, nodes, old.is_some())?;
    let needs = Needs::of(&modes);
    let settings = json!({
        "workload": arguments.workload, "nemesis": arguments.nemesis, "seed": arguments.seed, "nodes": nodes,
        "time_limit": arguments.time_limit, "rate": arguments.rate(), "concurrency": arguments.concurrency(),
        "binary": arguments.binary(), "stale_reads": arguments.stale_reads, "old_binary": arguments.old_binary,
        "mutant": arguments.mutant,
    });
    std::fs::write(directory.join("run.json"), format!("{settings:#}\n"))?;
    // A cluster of mixed versions begins with the old one: what the new one makes the old one need not know.
    let made = make_nodes(arguments, run, old.as_ref().unwrap_or(&binary), directory, needs)?;
    let cluster = Arc::new(Cluster::start(made, directory).await.context("the cluster did not form")?);
    let chance = Random::new(arguments.seed);
    let shaper = needs.shaper.then(|| Shaper::create(run, nodes, chance.fork(3_000))).transpose()?;
    let recorder = Arc::new(Recorder::create(&directory.join("history.jsonl"))?);
    let backend = Backend::start().await?;
    let operations = usize::try_from(arguments.time_limit).unwrap_or(600) * arguments.rate() as usize;
    let stage = Stage {
        cluster: Arc::clone(&cluster),
        backend,
        recorder: Arc::clone(&recorder),
        operations,
        has_stale_reads: arguments.stale_reads,
    };
    let workload = Arc::new(W::set_up(&stage).await.context("what the workload needs could not be made")?);

    let before = cluster.status().await;
    let watch = Watch::start();
    let is_all = arguments.nemesis == mode::ALL.0;
    let nemesis = Nemesis::new(modes, is_all, Arc::clone(&cluster), Arc::clone(&recorder), chance.fork(1_000))
        .with_versions(old.into_iter().chain([binary]).collect())
        .with_shaper(shaper);
    let is_over = Arc::new(AtomicBool::new(false));
    let mut workers = tokio::task::JoinSet::new();
    let concurrency = arguments.concurrency();
    let pace = Duration::from_secs(1) * u32::try_from(concurrency)? / arguments.rate();
    for number in 0..concurrency {
        let random = chance.fork(number as u64);
        let worker = Worker::new(Arc::clone(&cluster), Arc::clone(&recorder), random, number, concurrency);
        workers.spawn(work(worker, Arc::clone(&workload), Arc::clone(&is_over), pace));
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
            let mut worker = Worker::new(Arc::clone(&cluster), Arc::clone(&recorder), chance.fork(2_000), 1 << 20, 1);
            workload.finish(&mut worker).await;
        }
        Err(error) => verdict = verdict.and(Verdict::of_error("the cluster did not recover", &error)),
    }
    let history = recorder.finish()?;
    history::write_edn(&directory.join("history.edn"), &history)?;
    verdict = verdict.and(workload::check(&arguments.workload, &history, nodes)?);
    verdict = verdict.and(of_nodes(&cluster)?);
    let longest = stalls.iter().map(|(_, gap)| *gap).max().unwrap_or_default();
    if longest >= stalls::NOISY {
        verdict = verdict
            .and(Verdict::Unknown(format!("the machine was noisy: it stood still for {} ms", longest.as_millis())));
    }
    let mut text =
        format!("{}\n{}\n{}\n", report::table(&history), report::faults(&history), report::reasons(&history));
    if arguments.workload == "quota" {
        text += &(checker::quota::summary(&history).join("\n") + "\n");
    }
    let terms = [before, after].map(|status| status.map(|status| status.term));
    text += &format!("term before and after: {terms:?}\n");
    text += &format!("stalls of the machine of 50 ms and more: {}, longest {} ms\n", stalls.len(), longest.as_millis());
    for (at, gap) in &stalls {
        text += &format!("  at {:.1} s: {} ms\n", at.as_secs_f32(), gap.as_millis());
    }
    std::fs::write(directory.join("results.txt"), format!("{text}{verdict}\n"))?;
    std::fs::write(directory.join("timeline.svg"), plot::timeline(&history))?;
    std::fs::write(directory.join("latency.svg"), plot::latencies(&history))?;
    crate::say(&text);
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

async fn work<W: Workload>(mut worker: Worker, workload: Arc<W>, is_over: Arc<AtomicBool>, pace: Duration) {
    // The clients do not all begin in the same moment.
    let first = pace.mul_f64(worker.random.below(1000) as f64 / 1000.0);
    tokio::time::sleep(first).await;
    while !is_over.load(Ordering::Relaxed) {
        let next = Instant::now() + pace;
        workload.operate(&mut worker).await;
        tokio::time::sleep_until(next.into()).await;
    }
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
