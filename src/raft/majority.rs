//! Whether there is, or can be, a leader: asked before somebody waits for one in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis_database::ProposeError;
use portcullis_model::NodeId;
use portcullis_model::cluster::ClusterRefusal;
use tokio::time::{Instant, sleep};

use crate::core::{Core, STATUS_WITHIN};
use crate::refusal::unavailable;
use crate::transport::Status;

/// How long whoever needs a leader just waits for one: well beyond an election. After that it is asked whether there
/// can be one.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a look at the voters counts, so that many who wait do not each ask them.
const LOOK_COUNTS: Duration = Duration::from_millis(500);

/// The last look at who of the voters answers.
pub(crate) type LastLook = tokio::sync::Mutex<Option<(Instant, Option<Silence>)>>;

/// Too many voters are silent for there to be a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    silent: Vec<NodeId>,
    voters: usize,
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (silent, needed) = (list(&self.silent), majority_of(self.voters));
        let answering = self.voters - self.silent.len();
        write!(
            f,
            "no majority: only {answering} of {} voters answer this node (silent: {silent}), {needed} are needed. \
             Nothing about the cluster can be changed until they run again, not by force either",
            self.voters
        )
    }
}

/// Returns how many of `voters` make a majority.
pub(crate) fn majority_of(voters: usize) -> usize {
    voters / 2 + 1
}

/// Returns the nodes as people read them.
pub(crate) fn list(nodes: &[NodeId]) -> String {
    if nodes.is_empty() {
        return "none".to_owned();
    }
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns what is missing for a majority of `voters`, if anything is.
pub(crate) fn silence(voters: &BTreeSet<NodeId>, alive: &BTreeMap<NodeId, Status>) -> Option<Silence> {
    let silent: Vec<NodeId> = voters.iter().filter(|voter| !alive.contains_key(voter)).copied().collect();
    let is_enough = voters.len() - silent.len() >= majority_of(voters.len());
    (!is_enough).then_some(Silence { silent, voters: voters.len() })
}

impl Core {
    /// Asks the voters whether they are there, unless somebody just did, and says what is missing for a majority.
    async fn look_for_majority(&self) -> Option<Silence> {
        let mut last = self.last_look.lock().await;
        if let Some((at, found)) = last.as_ref()
            && at.elapsed() < LOOK_COUNTS
        {
            return found.clone();
        }
        let voters = self.voters();
        let found = silence(&voters, &self.statuses_of(voters.iter().copied()).await);
        // A node that is only slow answers the second time.
        let found = match found {
            None => None,
            Some(_) => silence(&voters, &self.statuses_of(voters.iter().copied()).await),
        };
        *last = Some((Instant::now(), found.clone()));
        found
    }

    /// Waits until this node has known for a while that there is no majority.
    pub(crate) async fn majority_lost(&self) {
        loop {
            sleep(PATIENCE).await;
            if self.steady_leader().is_none() && Box::pin(self.look_for_majority()).await.is_some() {
                return;
            }
        }
    }

    /// Returns the leader, waiting for one where an election may bring it.
    ///
    /// # Errors
    /// At once where so many voters are silent that there can be none.
    pub(crate) async fn acting_leader(&self, deadline: Instant) -> Result<NodeId, ClusterRefusal> {
        let patience = deadline.min(Instant::now() + PATIENCE);
        loop {
            if let Some(leader) = self.steady_leader() {
                return Ok(leader);
            }
            if self.voters().is_empty() {
                return Err(unavailable("this node is not a member of the cluster yet"));
            }
            if let Some(silence) = self.look_for_majority().await {
                return Err(unavailable(silence));
            }
            if Instant::now() >= patience {
                return Err(unavailable("the voters answer, but none of them leads yet: try again"));
            }
            self.pause(deadline).await;
        }
    }

    /// Returns the leader for somebody who has looked for one since `since`. Waits up to `deadline`, but not for a
    /// leader that there cannot be.
    pub(crate) async fn leader_soon(&self, since: Instant, deadline: Instant) -> Result<NodeId, ProposeError> {
        loop {
            let late_from = since + PATIENCE;
            let found = self.some_leader(deadline.min(late_from.max(Instant::now() + STATUS_WITHIN))).await;
            let now = Instant::now();
            if now < late_from || now >= deadline || self.steady_leader().is_some() {
                return found;
            }
            if self.look_for_majority().await.is_some() {
                return Err(ProposeError::NoLeader);
            }
            if found.is_ok() {
                return found;
            }
        }
    }
}
