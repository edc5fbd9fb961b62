//! What this node says of itself when the cluster is examined. What Raft knows is added there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use portcullis_actor::{Observation, observe_all};
use portcullis_database::access::MATRIX;
use portcullis_database::handle::wall_clock;
use portcullis_model::facts::{ActorFacts, FactsSource, NodeFacts};
use portcullis_model::port::PortFuture;

use crate::health::Readiness;
use crate::machine;

/// Gathers a node's facts.
#[derive(Debug)]
pub(crate) struct OwnFacts {
    pub(crate) data_dir: PathBuf,
    pub(crate) components: Vec<String>,
    pub(crate) started: Instant,
    pub(crate) readiness: Arc<Readiness>,
}

impl FactsSource for OwnFacts {
    fn facts(&self) -> PortFuture<'_, NodeFacts> {
        let data_dir = self.data_dir.clone();
        Box::pin(async move {
            let began = Instant::now();
            // It writes to the disk and waits for it.
            let machine = tokio::task::spawn_blocking(move || machine::look(&data_dir)).await.unwrap_or_default();
            let missing = self.readiness.findings().into_iter().filter(|finding| !finding.is_ok);
            let access =
                MATRIX.iter().map(|cell| (cell.component.to_owned(), cell.database.to_owned(), cell.access.to_owned()));
            NodeFacts {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                uptime_s: self.started.elapsed().as_secs(),
                not_ready: missing.map(|finding| format!("{}: {}", finding.name, finding.detail)).collect(),
                components: self.components.clone(),
                machine,
                actors: observe_all().iter().map(as_facts).collect(),
                access: access.collect(),
                // Last: the disk may have taken its time.
                gathering_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                now_ms: wall_clock().0,
                ..NodeFacts::default()
            }
        })
    }
}

fn as_facts(seen: &Observation) -> ActorFacts {
    ActorFacts {
        actor: seen.actor.to_owned(),
        is_running: seen.is_running,
        in_work: seen.in_work as u64,
        capacity: seen.capacity as u64,
        refused: seen.refused,
        restarts: seen.restarts,
    }
}
