//! Applies what the cluster agreed on to this node's state, and publishes it. Knows no command: the database does.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{Stream, StreamExt as _};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use portcullis_database::{State, StateCell, command};

use crate::background;
use crate::fatal::Fatal;
use crate::marks::Marks;
use crate::observed::Observed;
use crate::snapshots::{SnapshotFile, SnapshotFileError, Snapshots};
use crate::types::{LogEntry, LogId, Membership, Reply, SnapshotMeta, Types};

/// Entries applied before the state is published: bounds how long the first of a long batch waits for its answer.
const PUBLISHED_ENTRIES_MAX: usize = 1024;

type SnapshotOf = openraft::alias::SnapshotOf<Types, SnapshotFile>;

/// The state machine of this node. It starts empty; openraft installs the newest snapshot and replays the log.
#[derive(Debug)]
pub(crate) struct Machine {
    state: State,
    cell: Arc<StateCell>,
    last_applied: Option<LogId>,
    membership: Membership,
    snapshots: Arc<Snapshots>,
    fatal: Fatal,
    /// The highest feature level that this program knows.
    known_level: u32,
    marks: Arc<Marks>,
    observed: Arc<Observed>,
}

impl Machine {
    pub(crate) fn new(cell: Arc<StateCell>, snapshots: Arc<Snapshots>, fatal: Fatal, known_level: u32) -> Self {
        let (state, membership) = (State::default(), Membership::default());
        let (marks, observed) = (Arc::default(), Arc::default());
        Self { state, cell, last_applied: None, membership, snapshots, fatal, known_level, marks, observed }
    }

    /// Returns where the state is kept at a few recent indices.
    pub(crate) fn marks(&self) -> Arc<Marks> {
        Arc::clone(&self.marks)
    }

    /// Returns what the state machine observes of itself.
    pub(crate) fn observed(&self) -> Arc<Observed> {
        Arc::clone(&self.observed)
    }

    /// Refuses a state of a feature level that this program does not know.
    fn check_level(&self, state: &State, index: u64) -> Result<(), command::CannotApply> {
        let level = state.feature_level();
        if level <= self.known_level {
            return Ok(());
        }
        Err(command::CannotApply::LevelTooNew { index, level, known: self.known_level })
    }

    fn apply_one(&mut self, entry: &LogEntry) -> Result<Reply, command::CannotApply> {
        let index = entry.log_id.index;
        let reply = match &entry.payload {
            EntryPayload::Normal(entry) => {
                let began = Instant::now();
                let outcome = command::apply(&mut self.state, index, entry)?;
                self.observed.applied(entry.number(), began.elapsed());
                self.check_level(&self.state, index)?;
                Reply(Some(outcome))
            }
            EntryPayload::Blank => Reply(None),
            EntryPayload::Membership(membership) => {
                self.membership = Membership::new(Some(entry.log_id), membership.clone());
                Reply(None)
            }
        };
        // Entries without a command count as applied too: reads wait for them.
        self.state.applied_index = index;
        self.last_applied = Some(entry.log_id);
        self.marks.see(&self.state);
        Ok(reply)
    }

    fn publish(&self, waiting: &mut Vec<(ApplyResponder<Types>, Reply)>) {
        self.cell.publish(self.state.clone());
        for (responder, reply) in waiting.drain(..) {
            responder.send(reply);
        }
    }

    fn stop(&self, error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
        self.fatal.raise(error.to_string());
        io::Error::other(error)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, Membership)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut waiting = Vec::new();
        let mut unpublished = 0;
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let reply = self.apply_one(&entry).map_err(|e| self.stop(e))?;
            waiting.extend(responder.map(|responder| (responder, reply)));
            unpublished += 1;
            if unpublished == PUBLISHED_ENTRIES_MAX {
                self.publish(&mut waiting);
                unpublished = 0;
            }
        }
        if unpublished > 0 {
            self.publish(&mut waiting);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            state: self.state.clone(),
            meta: SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() },
            snapshots: Arc::clone(&self.snapshots),
            fatal: self.fatal.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFile) -> io::Result<()> {
        let (snapshots, for_install) = (Arc::clone(&self.snapshots), meta.clone());
        let state = background::run("snapshot-load", move || snapshots.install(&for_install, &snapshot))
            .await?
            .map_err(|e| self.stop(e))?;
        self.check_level(&state, state.applied_index).map_err(|e| self.stop(e))?;
        self.state = state;
        self.marks.clear();
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.publish(&mut Vec::new());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf>> {
        Ok(self.snapshots.current().map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Writes one snapshot from a clone of the state, while the state machine goes on.
#[derive(Debug)]
pub(crate) struct Builder {
    state: State,
    meta: SnapshotMeta,
    snapshots: Arc<Snapshots>,
    fatal: Fatal,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf> {
        let (snapshots, meta, state) = (Arc::clone(&self.snapshots), self.meta.clone(), self.state.clone());
        let built = background::run("snapshot-write", move || {
            let snapshot = snapshots.write(&meta, &state)?;
            Ok::<_, SnapshotFileError>(Snapshot { meta, snapshot })
        });
        built.await?.map_err(|e| {
            self.fatal.raise(e.to_string());
            io::Error::other(e)
        })
    }
}
