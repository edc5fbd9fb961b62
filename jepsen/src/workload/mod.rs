//! What clients do in a run, one kind per file, and the checker that judges each.

pub mod append;
pub mod availability;
pub mod fence;
pub mod idempotence;
pub mod membership;
pub mod quota;
pub mod registry;
pub mod set;
pub mod token;
pub mod unique;
pub mod usage;

use std::future::Future;
use std::sync::Arc;

use anyhow::Result;

use crate::backend::Backend;
use crate::checker;
use crate::cluster::Cluster;
use crate::history::{Op, Recorder};
use crate::verdict::Verdict;
use crate::worker::Worker;

/// What there is when a workload begins.
pub struct Stage {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The backend of its APIs.
    pub backend: Backend,
    /// The history.
    pub recorder: Arc<Recorder>,
    /// How many operations the whole run will have, about.
    pub operations: usize,
    /// Whether registers are read as each node has them, to see the checker say so.
    pub has_stale_reads: bool,
}

/// A workload.
pub trait Workload: Send + Sync + Sized + 'static {
    /// Makes what it needs; the cluster is healthy.
    fn set_up(stage: &Stage) -> impl Future<Output = Result<Self>> + Send;

    /// Does the next thing; one worker at a time does this as fast as the rate allows.
    fn operate(&self, worker: &mut Worker) -> impl Future<Output = ()> + Send;

    /// Looks at what is there at the end; everything has healed.
    fn finish(&self, worker: &mut Worker) -> impl Future<Output = ()> + Send;
}

/// Name, default operations a second, and what people should know.
pub const LIST: [(&str, u32, &str); 11] = [
    ("registry", 80, "read, write, compare-and-set of applications and APIs by If-Match; linearizable"),
    ("append", 80, "append to lists by If-Match, read many at once; strictly serializable"),
    ("set", 60, "create applications; none acknowledged is lost, none is there twice"),
    ("unique-ids", 80, "create under names that several want, register, issue; no id twice, no name twice"),
    ("idempotence", 60, "create with Idempotency-Key, lose the answer, try again elsewhere; acts once"),
    ("token", 100, "issue, use, revoke through all gateways; revoked is never good again"),
    ("fence", 100, "undeploy, block and deny, and undo it; in force everywhere once it is answered"),
    ("quota", 120, "calls against several quotas at once; never over, little left"),
    ("usage", 120, "calls that are counted; none is lost, none is counted twice"),
    ("availability", 120, "API calls through every node; none fails on a node that runs"),
    (
        "membership",
        60,
        "roles, drains and leaders change while elements are added; leaders follow each other, nothing is lost",
    ),
];

/// All workloads that can go on at once.
pub const TOGETHER: &str = "together";
/// Changes roles and leaders by itself, of which other workloads' checkers do not know.
const ALONE: &str = "membership";

/// Returns the workloads of a list with commas, or those that `together` stands for.
///
/// # Errors
/// Where one does not exist, comes twice, or cannot go on beside others.
pub fn named(list: &str) -> Result<Vec<&'static str>> {
    let all = LIST.iter().map(|(name, ..)| *name);
    if list == TOGETHER {
        return Ok(all.filter(|name| *name != ALONE).collect());
    }
    let mut names = Vec::new();
    for wanted in list.split(',') {
        let Some(name) = all.clone().find(|name| *name == wanted) else {
            anyhow::bail!("there is no workload {wanted}; `list` shows those there are");
        };
        anyhow::ensure!(!names.contains(&name), "{name} is named twice");
        names.push(name);
    }
    anyhow::ensure!(names.len() == 1 || !names.contains(&ALONE), "{ALONE} cannot go on beside other workloads");
    Ok(names)
}

/// Judges the history of a workload.
///
/// # Errors
/// Where there is no such workload.
pub fn check(workload: &str, history: &[Op], nodes: usize) -> Result<Verdict> {
    let (verdict, required): (Verdict, &[(&str, usize)]) = match workload {
        "registry" => (checker::register::check(history), &[("read", 50), ("write", 20), ("cas", 20)]),
        "append" => (checker::append::check(history), &[("txn", 100)]),
        "unique-ids" => (checker::unique::check(history, nodes), &[("create", 30), ("generate", 20)]),
        "fence" => (checker::fence::check(history), &[("close", 5), ("open", 5), ("call", 100)]),
        "usage" => (checker::usage::check(history, nodes), &[("call", 200)]),
        "membership" => (checker::membership::check(history, nodes), &[("add", 50), ("role", 3), ("status", 20)]),
        "set" => (checker::set::check(history, nodes), &[("add", 50), ("read", 3)]),
        "idempotence" => (checker::once::check(history, nodes), &[("create", 50)]),
        "token" => (checker::token::check(history), &[("issue", 10), ("use", 100), ("revoke", 5)]),
        "quota" => (checker::quota::check(history), &[("call", 200)]),
        "availability" => (checker::availability::check(history), &[("call", 200)]),
        other => anyhow::bail!("there is no workload {other}; `list` shows those there are"),
    };
    Ok(verdict.and(checker::faults::coverage(history)).and(checker::faults::enough(history, required)))
}
