//! A workload that takes part in a run: alone, or beside others in the same cluster. Each has clients, a history and a
//! verdict of its own; the faults are in all histories.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::history::{self, Recorder};
use crate::random::Random;
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
use crate::{checker, plot, report};

/// A workload that was set up.
pub struct Part {
    name: &'static str,
    directory: PathBuf,
    recorder: Arc<Recorder>,
    clients: Box<dyn Clients>,
}

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What clients do, whichever workload it is.
trait Clients: Send + Sync {
    fn work(&self, worker: Worker, is_over: Arc<AtomicBool>, pace: Duration) -> Boxed<'static>;
    fn finish<'a>(&'a self, worker: &'a mut Worker) -> Boxed<'a>;
}

impl<W: Workload> Clients for Arc<W> {
    fn work(&self, worker: Worker, is_over: Arc<AtomicBool>, pace: Duration) -> Boxed<'static> {
        Box::pin(work(worker, Self::clone(self), is_over, pace))
    }

    fn finish<'a>(&'a self, worker: &'a mut Worker) -> Boxed<'a> {
        Box::pin(Workload::finish(&**self, worker))
    }
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

impl Part {
    /// Makes what the workload needs; the cluster is healthy. Its history is the stage's, and is in this folder.
    ///
    /// # Errors
    /// Where the cluster refuses.
    pub async fn set_up(name: &'static str, stage: &Stage, directory: &Path) -> Result<Self> {
        let clients: Box<dyn Clients> = match name {
            "registry" => Box::new(Arc::new(Registry::set_up(stage).await?)),
            "append" => Box::new(Arc::new(Append::set_up(stage).await?)),
            "unique-ids" => Box::new(Arc::new(Unique::set_up(stage).await?)),
            "fence" => Box::new(Arc::new(Fence::set_up(stage).await?)),
            "usage" => Box::new(Arc::new(Usage::set_up(stage).await?)),
            "membership" => Box::new(Arc::new(Membership::set_up(stage).await?)),
            "set" => Box::new(Arc::new(Set::set_up(stage).await?)),
            "idempotence" => Box::new(Arc::new(Idempotence::set_up(stage).await?)),
            "token" => Box::new(Arc::new(Token::set_up(stage).await?)),
            "quota" => Box::new(Arc::new(Quota::set_up(stage).await?)),
            "availability" => Box::new(Arc::new(Availability::set_up(stage).await?)),
            other => anyhow::bail!("there is no workload {other}; `list` shows those there are"),
        };
        Ok(Self { name, directory: directory.to_owned(), recorder: Arc::clone(&stage.recorder), clients })
    }

    /// Has so many clients begin, which do one thing after the other, each in `pace`, until it is over.
    pub fn start(
        &self,
        workers: &mut JoinSet<()>,
        cluster: &Arc<Cluster>,
        chance: &Random,
        (concurrency, pace): (usize, Duration),
        is_over: &Arc<AtomicBool>,
    ) {
        for number in 0..concurrency {
            let random = chance.fork(number as u64);
            let worker = Worker::new(Arc::clone(cluster), Arc::clone(&self.recorder), random, number, concurrency);
            workers.spawn(self.clients.work(worker, Arc::clone(is_over), pace));
        }
    }

    /// Looks at what is there at the end; everything has healed.
    pub async fn finish(&self, cluster: &Arc<Cluster>, random: Random) {
        let mut worker = Worker::new(Arc::clone(cluster), Arc::clone(&self.recorder), random, 1 << 20, 1);
        self.clients.finish(&mut worker).await;
    }

    /// Judges its history, and leaves it with pictures in the folder. Returns the verdict and what is to be told besides.
    ///
    /// # Errors
    /// Where files cannot be written.
    pub fn judge(&self, nodes: usize) -> Result<(Verdict, String)> {
        let history = self.recorder.finish()?;
        history::write_edn(&self.directory.join("history.edn"), &history)?;
        let verdict = workload::check(self.name, &history, nodes)?;
        let mut text =
            format!("{}\n{}\n{}\n", report::table(&history), report::faults(&history), report::reasons(&history));
        if self.name == "quota" {
            text += &(checker::quota::summary(&history).join("\n") + "\n");
        }
        std::fs::write(self.directory.join("timeline.svg"), plot::timeline(&history))?;
        std::fs::write(self.directory.join("latency.svg"), plot::latencies(&history))?;
        Ok((verdict, text))
    }

    /// Returns the workload's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns its folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Sets up the workloads of a run. Alone, one leaves its history in the run's folder; beside others, each has a folder of
/// its own in it.
///
/// # Errors
/// Where the cluster refuses or a file cannot be made.
pub async fn set_up_all(
    workloads: &[(&'static str, usize)],
    stage: impl Fn(Arc<Recorder>, usize) -> Stage,
    directory: &Path,
) -> Result<(Vec<Part>, Vec<Arc<Recorder>>)> {
    let started = Instant::now();
    let (mut parts, mut recorders) = (Vec::new(), Vec::new());
    for (name, operations) in workloads {
        let own = if workloads.len() == 1 { directory.to_owned() } else { directory.join(name) };
        std::fs::create_dir_all(&own)?;
        let recorder = Arc::new(Recorder::create(&own.join("history.jsonl"), started)?);
        let stage = stage(Arc::clone(&recorder), *operations);
        let part = Part::set_up(name, &stage, &own).await;
        parts.push(part.with_context(|| format!("what {name} needs could not be made"))?);
        recorders.push(recorder);
    }
    Ok((parts, recorders))
}
