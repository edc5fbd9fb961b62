//! What must hold for this node to be ready, and where its figures come from.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_actor::observe_all;
use portcullis_database::StateCell;
use portcullis_database::handle::wall_clock;
use portcullis_database::size::sizes;
use portcullis_gateway::{Freshness, Gateway};
use portcullis_http::server::Counters;
use portcullis_http::time::rfc3339;
use portcullis_model::NodeId;
use portcullis_raft::RaftNode;
use portcullis_traffic_manager::{Observed, Running, Telling};

use crate::access_log::AccessLogFile;
use crate::health::{DRAIN, LEADER, Probe};
use crate::inside::{DatabaseFigures, Inside};
use crate::machine;
use crate::metrics::{RaftFigures, Sources};
use crate::telemetry::Telemetry;

/// The message store in the data directory.
const MESSAGE_STORE: &str = "mbstoredb";

/// Returns what must hold for the node to be ready.
pub(crate) fn probes(
    id: NodeId,
    raft: &Arc<RaftNode>,
    cell: &Arc<StateCell>,
    gateway: Option<Arc<Freshness>>,
    allowances: Option<&Arc<Running>>,
) -> Vec<Probe> {
    let of_leader = Arc::clone(raft);
    let leader = move || match of_leader.metrics().leader {
        Some(leader) => Ok(format!("node {leader}")),
        None => Err("no leader is known; is a majority of the nodes running?".to_owned()),
    };
    let has_caught_up = AtomicBool::new(false);
    let raft_of_certificate = Arc::clone(raft);
    let raft = Arc::clone(raft);
    let caught_up = move || {
        // Once it has, it has: that a leader is lost later is the other probe's to say.
        if raft.is_ready() {
            has_caught_up.store(true, Ordering::Relaxed);
        }
        let applied = raft.metrics().applied_index;
        if has_caught_up.load(Ordering::Relaxed) {
            return Ok(format!("applied {applied}"));
        }
        Err(format!("applied {applied}, and no majority has confirmed yet that this is all"))
    };
    let of_certificate = raft_of_certificate.certificates();
    let tls = move || {
        let held = Arc::clone(&of_certificate.borrow());
        if held.not_after() > wall_clock() {
            return Ok(format!("the certificate is good until {}", rfc3339(held.not_after())));
        }
        Err(format!("the certificate expired at {}: callers do not believe this node", rfc3339(held.not_after())))
    };
    let of_drain = Arc::clone(cell);
    let drained = move || match of_drain.load().system.drained_nodes.get(&id) {
        Some(drained) => Err(format!("drained by {}; portcullis cluster node undrain {id} ends it", drained.by)),
        None => Ok("takes traffic".to_owned()),
    };
    let mut probes = vec![
        Probe { name: LEADER, look: Box::new(leader) },
        Probe { name: "caught_up", look: Box::new(caught_up) },
        Probe { name: "tls", look: Box::new(tls) },
        Probe { name: DRAIN, look: Box::new(drained) },
    ];
    if let Some(freshness) = gateway {
        let cell = Arc::clone(cell);
        // The gateway's routes follow before an index counts as applied.
        let routes = move || match cell.applied() {
            0 => Err("nothing is applied yet".to_owned()),
            index => Ok(format!("{} APIs as of index {index}", cell.load().deployed.apis.len())),
        };
        probes.push(Probe { name: "routes", look: Box::new(routes) });
        let fresh = move || {
            if freshness.is_fresh() {
                return Ok("the state may be served by".to_owned());
            }
            Err("the state may be too old: protected APIs answer 503 until a majority is heard of".to_owned())
        };
        probes.push(Probe { name: "freshness", look: Box::new(fresh) });
    }
    if let Some(allowances) = allowances.map(Arc::clone) {
        // A node serves without it, so it does not make the node unready; it must be seen all the same.
        let look = move || Ok(message_store(&allowances.figures()));
        probes.push(Probe { name: "message_store", look: Box::new(look) });
    }
    probes
}

/// Says how the message store stands, and what a person must look at.
fn message_store(observed: &Observed) -> String {
    let waiting = format!("{} reports wait, {} bytes", observed.reports_waiting, observed.store_bytes);
    let alarms = [
        (!observed.is_store_writable, "ALARM: it cannot be written; a crash would lose usage"),
        (observed.is_store_full, "ALARM: it is full, because the cluster takes no reports"),
        (observed.stores_set_aside > 0, "ALARM: a damaged store was set aside; some usage may not be counted"),
    ];
    let raised = alarms.iter().filter(|(is_raised, _)| *is_raised).map(|(_, text)| *text);
    std::iter::once(waiting.as_str()).chain(raised).collect::<Vec<_>>().join("; ")
}

/// Where the figures of a node's inside come from, beside Raft.
pub(crate) struct Insides<'a> {
    pub(crate) cell: Arc<StateCell>,
    /// What the management port's server counts.
    pub(crate) counters: Arc<Counters>,
    pub(crate) data_dir: &'a Path,
}

/// What becomes of what is known of calls: statistics, spans, and the lines of the access log.
type OfCalls<'a> =
    (Option<&'a Arc<portcullis_analytics::Running>>, Option<&'a Telemetry>, Option<&'a Arc<AccessLogFile>>);

/// Returns where the node's figures come from.
pub(crate) fn sources(
    id: NodeId,
    raft: &Arc<RaftNode>,
    gateway: Option<&Arc<Gateway>>,
    (allowances, telling): (Option<&Arc<Running>>, Option<&Arc<Telling>>),
    (analytics, telemetry, access_log): OfCalls<'_>,
    insides: Insides<'_>,
) -> Sources {
    let (allowances, telling) = (allowances.map(Arc::clone), telling.map(Arc::clone));
    let (gateway, analytics) = (gateway.map(Arc::clone), analytics.map(Arc::clone));
    let access_log = access_log.map(Arc::clone);
    let (told, outbox) = (analytics.clone(), telemetry.map(Telemetry::outbox));
    let of_inside = Arc::clone(raft);
    let store = insides.data_dir.join(MESSAGE_STORE);
    let inside = move || inside_of(&of_inside, &insides.cell, &insides.counters, &store);
    let raft = Arc::clone(raft);
    let figures = move || {
        let raft = raft.metrics();
        RaftFigures {
            term: raft.term,
            last_log_index: raft.last_log_index.unwrap_or_default(),
            applied_index: raft.applied_index,
            is_leader: raft.is_leader,
            has_leader: raft.leader.is_some(),
        }
    };
    Sources {
        node: id.0,
        raft: Box::new(figures),
        allowances: Box::new(move || allowances.as_ref().map(|allowances| allowances.figures())),
        feed: Box::new(move || telling.as_ref().map(|telling| telling.figures())),
        gateway: Box::new(move || gateway.as_ref().map(|gateway| gateway.metrics()).unwrap_or_default()),
        analytics: Box::new(move || analytics.as_ref().map(|analytics| analytics.figures())),
        events: Box::new(move || told.as_ref().map(|analytics| analytics.event_figures()).unwrap_or_default()),
        telemetry: Box::new(move || outbox.as_ref().map(|outbox| outbox.figures())),
        access_log: Box::new(move || access_log.as_ref().map(|access_log| access_log.figures())),
        inside: Box::new(inside),
        actors: observe_all,
    }
}

fn inside_of(raft: &RaftNode, cell: &StateCell, counters: &Counters, store: &Path) -> Inside {
    let (metrics, seen) = (raft.metrics(), raft.observation());
    let held = Arc::clone(&raft.certificates().borrow());
    let (snapshot_index, snapshot_bytes) = seen.snapshot.unwrap_or_default();
    let databases = sizes(&cell.load()).into_iter().map(|(name, size)| DatabaseFigures {
        name: name.to_owned(),
        rows: size.rows,
        bytes: size.bytes,
    });
    Inside {
        commit_index: metrics.commit_index,
        log_bytes_written: seen.log_bytes_written,
        syncs: seen.syncs,
        applies: seen.applies.into_iter().map(|(name, figures)| (name.to_owned(), figures)).collect(),
        snapshot_index,
        snapshot_bytes,
        voters: metrics.voters.len() as u64,
        learners: metrics.learners.len() as u64,
        certificate_not_after_s: held.not_after().as_secs(),
        authority_not_after_s: held.authorities_not_after().as_secs(),
        databases: databases.collect(),
        message_store_disk_bytes: machine::bytes_below(store),
        management_connections: counters.open.load(Ordering::Relaxed),
        management_requests: counters.requests.load(Ordering::Relaxed),
        management_refused: counters.refused.load(Ordering::Relaxed),
        management_handshakes_failed: counters.handshakes_failed.load(Ordering::Relaxed),
        open_files: machine::open_files(),
        open_files_max: machine::open_files_max(),
    }
}
