//! What must hold for this node to be ready, and where its figures come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_actor::observe_all;
use portcullis_database::StateCell;
use portcullis_gateway::{Freshness, Gateway};
use portcullis_model::NodeId;
use portcullis_raft::RaftNode;
use portcullis_traffic_manager::{Observed, Running, Telling};

use crate::health::{DRAIN, LEADER, Probe};
use crate::metrics::{RaftFigures, Sources};

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
    let of_drain = Arc::clone(cell);
    let drained = move || match of_drain.load().system.drained_nodes.get(&id) {
        Some(drained) => Err(format!("drained by {}; portcullis cluster node undrain {id} ends it", drained.by)),
        None => Ok("takes traffic".to_owned()),
    };
    let mut probes = vec![
        Probe { name: LEADER, look: Box::new(leader) },
        Probe { name: "caught_up", look: Box::new(caught_up) },
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

/// Returns where the node's figures come from.
pub(crate) fn sources(
    id: NodeId,
    raft: &Arc<RaftNode>,
    gateway: Option<&Arc<Gateway>>,
    (allowances, telling): (Option<&Arc<Running>>, Option<&Arc<Telling>>),
) -> Sources {
    let (allowances, telling) = (allowances.map(Arc::clone), telling.map(Arc::clone));
    let raft = Arc::clone(raft);
    let gateway = gateway.map(Arc::clone);
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
        actors: observe_all,
    }
}
