//! Keeps a strict gateway's promise: it serves protected APIs only by a state of at most a certain age.
//!
//! Every so often the node asks the leader, which a majority confirms, what was committed, and waits until it has
//! applied that (a read index). Its state then holds everything committed before it asked, so it may be served by until
//! that moment plus the bound. A heartbeat would not do: a leader that was replaced behind a broken network sends them
//! too. Why the others may rely on it: `docs/decisions/0012-strict-freshness.md`.
//!
//! The others know the promise from the replicated state. It is written to a file before it is made and loosened only
//! after its end was applied here, so that no restart with other settings breaks what others still rely on.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_database::access::Cluster;
use portcullis_database::command::{NodeCondition, SetNodeCondition};
use portcullis_database::{Caller, Handle, SubmitError};
use portcullis_gateway::Freshness;
use portcullis_model::NodeId;

use crate::config::{Config, FreshnessMode};

/// The file that holds the promise, in milliseconds, in the data directory.
const FILE_NAME: &str = "staleness-bound";
/// The smallest bound: what is taken to be promised where the file cannot be read.
const BOUND_MS_MIN: u64 = 1_000;
/// The pause before something that did not succeed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two questions to the leader.
const ASK_PAUSE_MAX: Duration = Duration::from_secs(1);
/// The pause after a question that nobody answered.
const ASK_AGAIN_PAUSE: Duration = Duration::from_millis(50);
/// No promise.
const NONE: u64 = 0;

/// Keeps the promise.
pub(crate) struct FreshnessKeeper {
    node: NodeId,
    file: PathBuf,
    wanted_ms: Option<u64>,
    /// What is kept now, in milliseconds; [`NONE`] where nothing is promised.
    kept_ms: AtomicU64,
    freshness: Arc<Freshness>,
    handle: Handle<Cluster>,
}

impl FreshnessKeeper {
    /// Makes the keeper of a node. What an earlier start promised is kept until the cluster knows better.
    pub(crate) fn new(data_dir: &Path, config: &Config, handle: Handle<Cluster>, node: NodeId) -> Self {
        let file = data_dir.join(FILE_NAME);
        let is_strict = config.gateway.freshness == FreshnessMode::Strict;
        let wanted_ms = is_strict.then_some(config.gateway.staleness_max_ms);
        let kept_ms = [wanted_ms, promised(&file)].into_iter().flatten().min();
        let freshness = if kept_ms.is_some() { Freshness::not_yet() } else { Freshness::always() };
        Self { node, file, wanted_ms, kept_ms: AtomicU64::new(kept_ms.unwrap_or(NONE)), freshness, handle }
    }

    /// Returns what the gateway looks at.
    pub(crate) fn freshness(&self) -> Arc<Freshness> {
        Arc::clone(&self.freshness)
    }

    /// Keeps the promise until the process ends.
    pub(crate) async fn keep(self) {
        tokio::join!(self.agree(), self.renew());
    }

    /// Asks the leader again and again what was committed, and says until when the state may be served by.
    async fn renew(&self) {
        loop {
            let bound_ms = self.kept_ms.load(Ordering::SeqCst);
            if bound_ms == NONE {
                return;
            }
            let bound = Duration::from_millis(bound_ms);
            // Before the question: everything committed before this moment is in the state when it is answered.
            let asked_at = Freshness::now_ms();
            let pause = match self.handle.linearizable_view(bound).await {
                Ok(_) => {
                    self.freshness.extend_to(asked_at.saturating_add(bound_ms));
                    (bound / 4).min(ASK_PAUSE_MAX)
                }
                Err(cause) => {
                    tracing::debug!(%cause, "nobody says how new this node's state is");
                    ASK_AGAIN_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Brings the cluster to know what this node promises, and then keeps exactly that.
    async fn agree(&self) {
        if self.wanted_ms.is_none() && self.kept_ms.load(Ordering::SeqCst) == NONE {
            return;
        }
        while let Err(cause) = self.try_to_agree().await {
            tracing::debug!(%cause, "the cluster does not know yet how old this node's state may be");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.kept_ms.store(self.wanted_ms.unwrap_or(NONE), Ordering::SeqCst);
        match self.wanted_ms {
            Some(bound_ms) => tracing::info!(bound_ms, "protected APIs are served by no older state than that"),
            None => {
                self.freshness.set_always();
                tracing::info!("protected APIs are served by whatever state this node has");
            }
        }
    }

    async fn try_to_agree(&self) -> Result<(), Disagreement> {
        if let Some(smallest) = [self.wanted_ms, promised(&self.file)].into_iter().flatten().min() {
            write(&self.file, Some(smallest))?;
        }
        let condition = NodeCondition::StalenessBound(self.wanted_ms);
        let made = self.handle.submit(SetNodeCondition { node: self.node, condition }, &Caller::system()).await?;
        self.handle.wait_applied(made.index).await;
        write(&self.file, self.wanted_ms)?;
        Ok(())
    }
}

/// Why the cluster does not know the promise yet.
#[derive(Debug, thiserror::Error)]
enum Disagreement {
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error("the promise cannot be written: {0}")]
    File(#[from] io::Error),
}

/// Returns what an earlier start promised.
fn promised(file: &Path) -> Option<u64> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return None,
        Err(cause) => {
            tracing::warn!(file = %file.display(), %cause, "what this node promised cannot be read: the least is kept");
            return Some(BOUND_MS_MIN);
        }
    };
    // Half a file was never a promise that others know; the least is on the safe side.
    Some(text.trim().parse().ok().filter(|ms| *ms >= BOUND_MS_MIN).unwrap_or(BOUND_MS_MIN))
}

/// Writes the promise durably, or takes it away.
fn write(file: &Path, bound_ms: Option<u64>) -> io::Result<()> {
    match bound_ms {
        Some(bound_ms) => {
            let aside = file.with_extension("new");
            let mut new = fs::File::create(&aside)?;
            writeln!(new, "{bound_ms}")?;
            new.sync_all()?;
            fs::rename(&aside, file)?;
        }
        None => match fs::remove_file(file) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        },
    }
    file.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_outlives_a_restart_and_a_damaged_one_counts_as_the_strictest() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE_NAME);
        assert_eq!(promised(&file), None);
        write(&file, Some(4_000)).unwrap();
        assert_eq!(promised(&file), Some(4_000));
        fs::write(&file, "4").unwrap();
        assert_eq!(promised(&file), Some(BOUND_MS_MIN));
        write(&file, None).unwrap();
        write(&file, None).unwrap();
        assert_eq!(promised(&file), None);
    }
}
