//! Shows on standard error how a node comes to its role: learner, catching up with entries left and the time that takes,
//! voter. On a terminal one line that changes; elsewhere a line per phase, and now and then one between.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use portcullis_model::cluster::{NodeStatus, Standing};
use tokio::time::{Instant, sleep};

use crate::output;

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a line is written where the phase stays the same, elsewhere than on a terminal.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// Entries that a node may lack which is up to date: others go on writing.
const NEAR_ENTRIES: u64 = 1_000;

/// How far somebody waits for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has the role that it is meant to have.
    Settled,
    /// It is no longer there.
    Gone,
    /// The time is over.
    TimedOut,
}

/// Returns how a node stands, as another sees it.
#[must_use]
pub fn standing_of(node: &NodeStatus) -> Standing {
    Standing {
        node: node.id,
        role: node.role.clone(),
        meant_role: Some(node.meant_role.clone()),
        leader: None,
        applied_index: node.applied_index.unwrap_or(0),
        entries_left: node.lag,
    }
}

/// Shows how a node comes to its role, until it has it or `within` is over. `look` gives `None` where nobody knows the
/// node any more.
pub async fn follow(within: Duration, mut look: impl AsyncFnMut() -> Option<Standing>) -> Ended {
    let deadline = Instant::now() + within;
    let mut progress = Progress::new();
    loop {
        let Some(standing) = look().await else {
            progress.end();
            return Ended::Gone;
        };
        progress.tell(&standing, Instant::now());
        if is_settled(&standing) {
            progress.end();
            return Ended::Settled;
        }
        if Instant::now() >= deadline {
            progress.end();
            return Ended::TimedOut;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Says whether a node has the role that it is meant to have.
fn is_settled(standing: &Standing) -> bool {
    match standing.meant_role.as_deref() {
        Some("voter") => matches!(standing.role.as_str(), "voter" | "leader"),
        Some(_) => standing.role == "learner" && standing.entries_left.is_some_and(|left| left <= NEAR_ENTRIES),
        None => false,
    }
}

/// What was shown, and since when the node catches up.
struct Progress {
    is_terminal: bool,
    began: Option<(Instant, u64)>,
    phase: String,
    said_at: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { is_terminal, began: None, phase: String::new(), said_at: None }
    }

    fn tell(&mut self, standing: &Standing, now: Instant) {
        let line = self.line(standing, now);
        if self.is_terminal {
            if output::is_quiet() {
                return;
            }
            // Where standard error is closed there is nobody to tell.
            let _ = write!(anstream::stderr().lock(), "\r\x1b[2K{line}");
            return;
        }
        let is_due = self.said_at.is_none_or(|said_at| now.saturating_duration_since(said_at) >= SAY_EVERY);
        if standing.role != self.phase || is_due {
            output::say(&line);
            self.said_at = Some(now);
            self.phase.clone_from(&standing.role);
        }
    }

    fn line(&mut self, standing: &Standing, now: Instant) -> String {
        let node = standing.node;
        match (standing.role.as_str(), standing.entries_left) {
            ("joining", _) => format!("node {node}: admitted, waits for the leader to reach it"),
            ("learner", Some(left)) if left > 0 => {
                let time = self.time_left(left, now).map_or_else(String::new, |time| format!(", about {time} s"));
                format!("node {node}: learner, catching up: {left} entries left{time}")
            }
            ("learner", None) => format!("node {node}: learner, catching up"),
            ("learner", Some(_)) => format!("node {node}: learner, caught up"),
            (role, _) => format!("node {node}: {role}"),
        }
    }

    /// Returns how many seconds are left at the pace since the node began to catch up.
    fn time_left(&mut self, left: u64, now: Instant) -> Option<u64> {
        let (began, at_first) = *self.began.get_or_insert((now, left));
        let done = at_first.checked_sub(left).filter(|done| *done > 0)?;
        let passed = now.saturating_duration_since(began).as_millis();
        let time = passed * u128::from(left) / u128::from(done) / 1000;
        u64::try_from(time).ok().map(|seconds| seconds.max(1))
    }

    fn end(&self) {
        if self.is_terminal {
            output::say("");
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::NodeId;

    use super::*;

    fn standing(role: &str, entries_left: Option<u64>) -> Standing {
        Standing {
            node: NodeId(4),
            role: role.to_owned(),
            meant_role: Some("voter".to_owned()),
            leader: Some(NodeId(1)),
            applied_index: 0,
            entries_left,
        }
    }

    #[test]
    fn a_node_that_catches_up_shows_what_is_left_and_how_long_that_takes() {
        let mut progress = Progress::new();
        let start = Instant::now();
        let first = progress.line(&standing("learner", Some(10_000)), start);
        assert_eq!(first, "node 4: learner, catching up: 10000 entries left");
        let later = progress.line(&standing("learner", Some(2_500)), start + Duration::from_secs(3));
        assert_eq!(later, "node 4: learner, catching up: 2500 entries left, about 1 s");
        assert_eq!(progress.line(&standing("voter", Some(0)), start), "node 4: voter");
        assert!(is_settled(&standing("leader", None)) && !is_settled(&standing("learner", Some(0))));
    }
}
